"""Services and guests placed together, guest by guest, where the services are few. Pure.

Patterns that name their guests are too many when many jobs compete for the hours of a month. Here a pattern holds services only,
and each guest is placed in a variable of its own: on a pattern that the plan takes, within the hours of all its copies
together. That is a little less than is asked for (copies could not share their hours, and deadlines are left out), so its
bound holds; what it finds is put onto real instances.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from launchbay.cost.optimum.guests import GuestTable
from launchbay.cost.optimum.packing import Packing, host, room_left, tidy
from launchbay.cost.optimum.patterns import count_ways
from launchbay.cost.optimum.problem import Pattern, Problem, can_queue, fits, members
from launchbay.cost.optimum.solver import Cover, Solution

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Placing", "services_within"]

_MOST_WAYS = 1 << 14
_MOST_LINKS = 30_000


def services_within(problem: Problem, prices: Sequence[float], slack: float) -> list[Pattern] | None:
    """Return every pattern of services that loses at most `slack`, whatever guests come to it; None if they are too many.

    `prices` must prove their bound undivided: no bin is worth more than it costs.
    """
    import numpy as np

    if count_ways(problem) > _MOST_WAYS:
        return None
    shape = [len(kind.services) + 1 for kind in problem.kinds]
    counts = np.indices(shape).reshape(len(shape), -1).T
    used = counts @ np.array([kind.units for kind in problem.kinds]).reshape(-1, 3)
    worth = counts @ np.array(prices[: len(shape)])
    found: list[Pattern] = []
    links = 0
    for number, item in enumerate(problem.bins):
        foreign = [kind for kind in range(len(shape)) if not item.kinds >> kind & 1]
        possible = (used <= np.array(item.units)).all(axis=1) & ~counts[:, foreign].any(axis=1)
        loss = item.usd - worth[possible] - _of_guests(problem, number, prices, used[possible])
        for ways in counts[possible][loss <= slack + 1e-9]:
            found.append(Pattern(bin=number, counts=tuple(map(int, ways))))
            links += item.guests.bit_count()
        if links > _MOST_LINKS:
            return None
    return found


def _of_guests(problem: Problem, number: int, prices: Sequence[float], used: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return what guests are worth at most beside services that use so much of a bin."""
    import numpy as np

    table = GuestTable(problem, [number], prices[len(problem.kinds) :])
    left = np.array(problem.bins[number].units) - used
    cells = tuple(np.searchsorted(table.rooms[axis], left[:, axis], side="right") - 1 for axis in range(3))
    worth: NDArray[np.float64] = table.usd[cells]
    return worth


class Placing:
    """The model: how many of each pattern, and which guest on which. Rows: services, guests, then hours and links."""

    def __init__(self, problem: Problem, patterns: Sequence[Pattern]) -> None:
        self._problem, self._patterns = problem, list(patterns)
        self._links = [
            (place, guest)
            for place, pattern in enumerate(patterns)
            for guest in members(problem.bins[pattern.bin].guests)
            if fits(problem.guests[guest].units, room_left(problem, pattern))
        ]
        self._cover = self._model()

    def _model(self) -> Cover:
        problem, hours = self._problem, len(self._problem.demands)
        links = hours + len(self._patterns)
        cover = Cover([*problem.demands, *([0] * (len(self._patterns) + len(self._links)))])
        for number, guest in enumerate(problem.guests):
            cover.add(guest.alone_usd, {len(problem.kinds) + number: 1})
        linked: dict[int, list[int]] = {}
        for number, (place, _) in enumerate(self._links):
            linked.setdefault(place, []).append(number)
        for place, pattern in enumerate(self._patterns):
            rows: dict[int, float] = {kind: count for kind, count in enumerate(pattern.counts) if count}
            rows[hours + place] = problem.month_hours
            rows.update({links + number: 1 for number in linked.get(place, [])})
            cover.add(problem.bins[pattern.bin].usd, rows)
        for number, (place, hosted) in enumerate(self._links):
            took = problem.bins[self._patterns[place].bin].guest_hours[hosted]
            cover.add(0.0, {len(problem.kinds) + hosted: 1, hours + place: -took, links + number: -1})
        return cover

    def solve(self, best: Packing, *, seconds: float, nodes: int) -> Solution | None:
        """Solve the model, starting from a packing whose patterns of services are all in it."""
        places = {(pattern.bin, pattern.counts): place for place, pattern in enumerate(self._patterns)}
        hosted = {guest: places[pattern.bin, pattern.counts] for pattern in best for guest in pattern.guests}
        start = [float(guest not in hosted) for guest in range(len(self._problem.guests))]
        start += [0.0] * len(self._patterns)
        for pattern in best:
            start[len(self._problem.guests) + places[pattern.bin, pattern.counts]] += 1
        start += [float(hosted.get(guest) == place) for place, guest in self._links]
        return self._cover.solve(seconds=seconds, nodes=nodes, gap=0.0, start=start)

    def packing(self, solution: Solution) -> Packing:
        """Return the packing that a solution stands for; guests that do not queue on any copy are hosted elsewhere, or not."""
        alone, patterns = len(self._problem.guests), len(self._patterns)
        amounts = solution.values[alone : alone + patterns]
        placed = solution.values[alone + patterns :]
        found: list[Pattern] = []
        for place, (pattern, amount) in enumerate(zip(self._patterns, amounts, strict=True)):
            waiting = [
                guest for (there, guest), value in zip(self._links, placed, strict=True) if there == place and value > 0
            ]
            found += self._copies(pattern, round(amount), waiting)
        return host(self._problem, tidy(self._problem, found))

    def _copies(self, pattern: Pattern, amount: int, waiting: Sequence[int]) -> list[Pattern]:
        """Return so many instances of a pattern, with each guest on the first that has the hours, the longest first."""
        item = self._problem.bins[pattern.bin]
        queues: list[list[int]] = [[] for _ in range(amount)]
        for guest in sorted(waiting, key=lambda guest: (-item.guest_hours[guest], guest)):
            for queue in queues:
                jobs = [self._problem.guests[other].job for other in (*queue, guest)]
                if can_queue(jobs, item.machine.type, self._problem.month_hours):
                    queue.append(guest)
                    break
        return [Pattern(bin=pattern.bin, counts=pattern.counts, guests=tuple(sorted(queue))) for queue in queues]
