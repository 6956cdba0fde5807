"""Better packings by solving a few instances of one anew, exactly, with all the rest as it is. Pure.

The prices of the bound say which instances are to blame for the gap: those that cost more than what stands on them is worth.
Some of them are emptied together. A better way to hold the same services consists of patterns that lose less than these do
together, and those are few enough to look at all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from launchbay.cost.optimum.packing import Packing, cost, host, tidy
from launchbay.cost.optimum.patterns import all_patterns
from launchbay.cost.optimum.problem import Pattern, Problem
from launchbay.cost.optimum.solver import Cover

__all__ = ["FAR", "NEAR", "polish"]

NEAR, FAR = (1 << 13, 6), (1 << 16, 12)
"""Reaches: how many ways to take services, and how many instances, are looked at together."""

_NOISE = 1e-6
_SECONDS = 30.0
"""Never reached: the nodes end it before, and they are the same on every machine."""


def polish(
    problem: Problem,
    packing: Packing,
    prices: Sequence[float],
    reach: tuple[int, int],
    *,
    enough: float,
    is_over: Callable[[], bool],
) -> Packing:
    """Return a packing that is no dearer; it ends when it costs `enough`, no few instances can be improved, or time is over."""
    best, better = packing, _step(problem, packing, prices, reach, is_over)
    while better is not None:
        best = better
        better = _step(problem, best, prices, reach, is_over) if cost(problem, best) > enough else None
    return best


def _step(
    problem: Problem, packing: Packing, prices: Sequence[float], reach: tuple[int, int], is_over: Callable[[], bool]
) -> Packing | None:
    """Return the first better packing that solving a few instances anew gives, None if none does."""
    usd = cost(problem, packing)
    for chosen in _neighbourhoods(problem, packing, prices, reach):
        if is_over():
            return None
        found = _solve(problem, [packing[place] for place in sorted(chosen)], prices)
        if found:
            rest = [pattern for place, pattern in enumerate(packing) if place not in chosen]
            candidate = host(problem, tidy(problem, [*rest, *found]))
            if cost(problem, candidate) < usd - _NOISE:
                return candidate
    return None


def _loss(problem: Problem, pattern: Pattern, prices: Sequence[float]) -> float:
    """Return what an instance costs beyond the worth of what stands on it."""
    worth = sum(prices[row] * count for row, count in problem.rows(pattern).items())
    return problem.bins[pattern.bin].usd - worth


def _neighbourhoods(
    problem: Problem, packing: Packing, prices: Sequence[float], reach: tuple[int, int]
) -> Iterator[frozenset[int]]:
    """Give sets of instances to solve anew: each one with others that lose much, in several ways."""
    order = sorted(range(len(packing)), key=lambda place: (-_loss(problem, packing[place], prices), place))
    seen: set[frozenset[int]] = set()
    for stride in (1, 2, 3, 5, 7):
        for first in range(len(order)):
            chosen: list[int] = []
            for step in range(len(order)):
                place = order[(first + step * stride) % len(order)]
                if place not in chosen and _cells(problem, [packing[other] for other in (*chosen, place)]) <= reach[0]:
                    chosen.append(place)
                if len(chosen) == reach[1]:
                    break
            if len(chosen) > 1 and frozenset(chosen) not in seen:
                seen.add(frozenset(chosen))
                yield frozenset(chosen)


def _demands(problem: Problem, patterns: Sequence[Pattern]) -> list[int]:
    return [sum(pattern.counts[kind] for pattern in patterns) for kind in range(len(problem.kinds))]


def _cells(problem: Problem, patterns: Sequence[Pattern]) -> int:
    cells = 1
    for kind, demand in zip(problem.kinds, _demands(problem, patterns), strict=True):
        cells *= min(len(kind.services), demand) + 1
    return cells


def _solve(problem: Problem, patterns: Sequence[Pattern], prices: Sequence[float]) -> list[Pattern]:
    """Return cheaper instances for the services of these; empty if there are none.

    Guests stay together as they are: each queue is hosted in one piece, or its jobs run alone.
    """
    demands = _demands(problem, patterns)
    kinds = [kind for kind, demand in enumerate(demands) if demand]
    queues = [pattern.guests for pattern in patterns if pattern.guests]
    part = _part(problem, kinds, demands)
    part_prices = [*(prices[kind] for kind in kinds), *prices[len(problem.kinds) :]]
    loss = sum(_loss(problem, pattern, prices) for pattern in patterns)
    better = [
        pattern
        for pattern in all_patterns(part, [(), *queues]) or []
        if _loss(part, pattern, part_prices) < loss - _NOISE
    ]
    usd = sum(problem.bins[pattern.bin].usd for pattern in patterns)
    amounts = _cover(part, better, queues, usd)
    found = []
    for pattern, amount in zip(better, amounts, strict=False):
        counts = [0] * len(problem.kinds)
        for kind, count in zip(kinds, pattern.counts, strict=True):
            counts[kind] = count
        found += [replace(pattern, counts=tuple(counts))] * round(amount)
    return found


def _cover(
    part: Problem, patterns: Sequence[Pattern], queues: Sequence[tuple[int, ...]], usd: float
) -> Sequence[float]:
    """Return how many of each pattern cover the services and queues for less than so much; empty if none do."""
    rows = len(part.kinds)
    if len({kind for pattern in patterns for kind, count in enumerate(pattern.counts) if count}) < rows:
        return ()
    cover = Cover([*part.demands[:rows], *(1 for _ in queues)])
    for number, queue in enumerate(queues):
        cover.add(sum(part.guests[guest].alone_usd for guest in queue), {rows + number: 1})
    for pattern in patterns:
        holds = {kind: count for kind, count in enumerate(pattern.counts) if count}
        if pattern.guests:
            holds[rows + queues.index(pattern.guests)] = 1
        cover.add(part.bins[pattern.bin].usd, holds)
    if cover.relax().usd > usd - _NOISE:
        return ()
    solution = cover.solve(seconds=_SECONDS, nodes=2000, gap=1e-6)
    return solution.values[len(queues) :] if solution and solution.usd < usd - _NOISE else ()


def _part(problem: Problem, kinds: Sequence[int], demands: Sequence[int]) -> Problem:
    """Return the problem with some of its kinds only, and with what is asked for of them; the bins keep their numbers."""
    few = tuple(
        replace(
            problem.kinds[kind],
            services=problem.kinds[kind].services[: demands[kind]],
            demand=demands[kind],
        )
        for kind in kinds
    )
    bins = tuple(
        replace(item, kinds=sum(1 << place for place, kind in enumerate(kinds) if item.kinds >> kind & 1))
        for item in problem.bins
    )
    return replace(problem, kinds=few, bins=bins)
