"""Every pattern that could be part of a cheapest packing, where few services make that possible. Pure.

All ways to take services are cells of one table with an axis for each kind: what they need together, the cheapest bin for
them, and whether more services could stand there for the same price. Only cells where that is not so are patterns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from launchbay.cost.optimum.problem import Pattern, Problem, can_queue
from launchbay.cost.optimum.queues import possible_queues

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["MOST_WAYS", "all_patterns", "count_ways"]

MOST_WAYS = 1 << 16
"""Ways to take services, as of 16 different ones: with more, the model takes longer than its exactness is worth."""

_MOST_CELLS = 1 << 20
"""The same over all queues of guests: about a second of work."""

_MOST_PATTERNS = 20_000
"""More columns than that HiGHS does not close in useful time."""


def count_ways(problem: Problem) -> int:
    """Return how many ways there are to take services onto one bin, whatever fits."""
    cells = 1
    for kind in problem.kinds:
        cells *= len(kind.services) + 1
    return cells


def all_patterns(problem: Problem, queues: Sequence[tuple[int, ...]] | None = None) -> list[Pattern] | None:
    """Return every pattern that is not beaten by another one, None where there are too many to look at.

    With `queues` the guests of a pattern are one of these; else any that could share a room.
    """
    queues = possible_queues(problem) if queues is None else queues
    ways = count_ways(problem)
    if queues is None or ways > MOST_WAYS or ways * len(queues) > _MOST_CELLS:
        return None
    tables = [_Table(problem, queue) for queue in queues]
    found: list[Pattern] = []
    for table in tables:
        found += table.patterns([other for other in tables if set(other.queue) > set(table.queue)])
        if len(found) > _MOST_PATTERNS:
            return None
    return found


class _Table:
    """The cheapest bin for every way to take services beside a queue of guests."""

    def __init__(self, problem: Problem, queue: tuple[int, ...]) -> None:
        import numpy as np

        self.queue = queue
        self._kinds = len(problem.kinds)
        self._shape = (
            *(len(kind.services) + 1 for kind in problem.kinds),
            1,
        )  # the last axis: there may be no services
        room = tuple(max((problem.guests[guest].units[axis] for guest in queue), default=0) for axis in range(3))
        self.usd = np.full(self._shape, np.inf)
        self.bins = np.full(self._shape, -1, dtype=np.int32)
        self._fill(problem, room)
        self.best = self._over_supersets()

    def _fill(self, problem: Problem, room: Sequence[int]) -> None:
        import numpy as np

        used = [np.full(self._shape, units, dtype=np.int32) for units in room]
        for axis, kind in enumerate(problem.kinds):
            shape = [1] * len(self._shape)
            shape[axis] = -1
            steps = np.arange(len(kind.services) + 1, dtype=np.int32).reshape(shape)
            for measure in range(3):
                used[measure] = used[measure] + steps * kind.units[measure]
        wanted = sum(1 << guest for guest in self.queue)
        for number in reversed(range(len(problem.bins))):  # the cheapest comes last and stays
            item = problem.bins[number]
            jobs = [problem.guests[guest].job for guest in self.queue]
            if wanted & ~item.guests or not can_queue(jobs, item.machine.type, problem.month_hours):
                continue
            taken = tuple(slice(None) if item.kinds >> axis & 1 else slice(0, 1) for axis in range(self._kinds))
            into = used[0][taken] <= item.units[0]
            into &= used[1][taken] <= item.units[1]
            into &= used[2][taken] <= item.units[2]
            self.usd[taken][into] = item.usd
            self.bins[taken][into] = number
        if not self.queue:
            self.usd[(0,) * len(self._shape)] = np.inf

    def _over_supersets(self) -> NDArray[np.float64]:
        """Return for every cell the least cost of it or of more services."""
        import numpy as np

        best = self.usd
        for axis in range(self._kinds):
            best = np.flip(np.minimum.accumulate(np.flip(best, axis), axis=axis), axis)
        return best

    def patterns(self, larger: Sequence[_Table]) -> list[Pattern]:
        """Return the cells that no cell with more services, or with more guests, has at the same price."""
        import numpy as np

        beaten = np.isinf(self.usd)
        for axis in range(self._kinds):
            here = (slice(None),) * axis + (slice(None, -1),)
            more = (slice(None),) * axis + (slice(1, None),)
            beaten[here] |= self.best[more] <= self.usd[here]
        for other in larger:
            beaten |= other.best <= self.usd
        return [
            Pattern(bin=int(self.bins[cell]), counts=tuple(map(int, cell[: self._kinds])), guests=self.queue)
            for cell in zip(*np.nonzero(~beaten), strict=True)
        ]
