"""All patterns that a better packing could consist of, once a bound and a packing are close. Pure.

At the prices that prove the bound, each instance of a plan loses what it costs beyond the worth of what stands on it, and
all losses together are the plan's distance from the bound. So a plan better than the one known has no pattern that loses
more than that distance. If all other patterns can be listed, the covering model over them is exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from launchbay.cost.optimum.needs import Units
from launchbay.cost.optimum.packing import cheapest_bin
from launchbay.cost.optimum.problem import Pattern, Problem, fits, members
from launchbay.cost.optimum.worth import Worth

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["patterns_within"]

_MOST_CELLS = 24_000_000
_MOST_STEPS = 400_000
_MOST_PATTERNS = 12_000


class _TooMany(Exception):
    """There are more patterns than can be listed."""


def patterns_within(
    problem: Problem, prices: Sequence[float], worths: Sequence[Worth], slack: float
) -> list[Pattern] | None:
    """Return every pattern that loses at most `slack` at these prices and is not beaten by another; None if they are too many.

    `prices` must prove their bound undivided: no bin is worth more than it costs. There must be no guests.
    """
    found: dict[tuple[int, ...], Pattern] = {}
    steps = [0]
    try:
        for worth in worths:
            usd = problem.bins[worth.bin].usd
            if usd - worth.most_usd > slack:
                continue
            for counts in _Search(problem, worth.bin, prices, usd - slack, steps).fillings():
                pattern = Pattern(bin=worth.bin, counts=counts)
                known = found.get(counts)
                if known is None or known.bin > worth.bin:
                    found[counts] = cheapest_bin(problem, pattern)
                if len(found) > _MOST_PATTERNS:
                    return None
    except _TooMany:
        return None
    return list(found.values())


class _Search:
    """Lists the fillings of one bin that are worth enough and leave no room for more."""

    def __init__(self, problem: Problem, number: int, prices: Sequence[float], least: float, steps: list[int]) -> None:
        self._problem, self._prices, self._least, self._steps = problem, prices, least, steps
        self._room = problem.bins[number].units
        kinds = members(problem.bins[number].kinds)
        self._kinds = sorted(kinds, key=lambda kind: (-prices[kind], kind))
        self._tails = self._suffixes()

    def _suffixes(self) -> list[NDArray[np.float64]]:
        """Return, for each place in the order of kinds, what the kinds from there on are worth at most in every room."""
        import numpy as np

        shape = tuple(unit + 1 for unit in self._room)
        if np.prod(shape, dtype=float) * (len(self._kinds) + 1) > _MOST_CELLS:
            raise _TooMany
        tails = [np.zeros(shape)]
        for kind in reversed(self._kinds):
            table = tails[-1].copy()
            vcpus, memory, gpus = self._problem.kinds[kind].units
            for _ in self._problem.kinds[kind].services:
                room = table[vcpus:, memory:, gpus:]
                before = table[: shape[0] - vcpus, : shape[1] - memory, : shape[2] - gpus]
                np.maximum(room, before + self._prices[kind], out=room)
            tails.append(table)
        return tails[::-1]

    def fillings(self) -> Iterator[tuple[int, ...]]:
        """Give the counts of every filling."""
        counts = [0] * len(self._problem.kinds)
        yield from self._from(0, self._room, 0.0, counts)

    def _from(self, place: int, room: Units, worth: float, counts: list[int]) -> Iterator[tuple[int, ...]]:
        self._steps[0] += 1
        if self._steps[0] > _MOST_STEPS:
            raise _TooMany
        if worth + float(self._tails[place][room]) < self._least:
            return
        if place == len(self._kinds):
            if not self._has_room_for_more(room, counts):
                yield tuple(counts)
            return
        kind = self._kinds[place]
        units = self._problem.kinds[kind].units
        most = len(self._problem.kinds[kind].services)
        while counts[kind] < most and fits(units, room):
            counts[kind] += 1
            room = (room[0] - units[0], room[1] - units[1], room[2] - units[2])
        while True:
            yield from self._from(place + 1, room, worth + counts[kind] * self._prices[kind], counts)
            if not counts[kind]:
                return
            counts[kind] -= 1
            room = (room[0] + units[0], room[1] + units[1], room[2] + units[2])

    def _has_room_for_more(self, room: Units, counts: Sequence[int]) -> bool:
        return any(
            counts[kind] < len(self._problem.kinds[kind].services) and fits(self._problem.kinds[kind].units, room)
            for kind in self._kinds
        )
