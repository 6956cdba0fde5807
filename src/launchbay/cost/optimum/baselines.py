"""Packings that anybody would try first. The cheapest plan is never dearer than any of them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from launchbay.cost.optimum.packing import Packing, cheapest_bin, cost, tidy
from launchbay.cost.optimum.problem import Pattern, Problem, fits

__all__ = ["baselines"]


def baselines(problem: Problem) -> dict[str, Packing]:
    """Return the packings by name; "one big instance" is only there where one exists that takes everything."""
    first_fits = {number: _first_fit(problem, number) for number in range(len(problem.bins))}
    found = {
        "cheapest for each service": _apart(problem),
        "first-fit-decreasing": _first_fit(problem, None),
        "best first-fit-decreasing": min(first_fits.values(), key=lambda packing: cost(problem, packing)),
    }
    big = _together(problem)
    return {**found, "one big instance": big} if big else found


def _apart(problem: Problem) -> Packing:
    """Return a packing with each copy on the cheapest instance of its own."""
    return tuple(
        _cheapest(problem, _one(problem, kind))
        for kind, wanted in enumerate(problem.kinds)
        for _ in range(wanted.demand)
    )


def _one(problem: Problem, kind: int) -> tuple[int, ...]:
    return tuple(int(number == kind) for number in range(len(problem.kinds)))


def _cheapest(problem: Problem, counts: tuple[int, ...]) -> Pattern:
    """Return the cheapest instance for services that some bin takes."""
    return cheapest_bin(problem, Pattern(bin=len(problem.bins), counts=counts))


def _together(problem: Problem) -> Packing:
    """Return a packing with all services on one instance, and the second copies on a second one; empty if none is so big."""
    found = []
    for copy in range(max(kind.replicas for kind in problem.kinds)):
        counts = tuple(len(kind.services) if kind.replicas > copy else 0 for kind in problem.kinds)
        pattern = _cheapest(problem, counts)
        if pattern.bin == len(problem.bins):
            return ()
        found.append(pattern)
    return tuple(found)


def _first_fit(problem: Problem, opening: int | None) -> Packing:
    """Put the largest copies first, each on the first instance with room; then make each instance as small as can be.

    A new instance is of the bin `opening` where that takes the copy, else of the cheapest one that does.
    """
    largest = tuple(max((kind.units[axis] for kind in problem.kinds), default=1) or 1 for axis in range(3))
    order = sorted(
        range(len(problem.kinds)),
        key=lambda kind: (
            -max(unit / most for unit, most in zip(problem.kinds[kind].units, largest, strict=True)),
            kind,
        ),
    )
    opened: list[tuple[int, list[int]]] = []
    for kind in order:
        for _ in range(problem.kinds[kind].demand):
            place = next((counts for number, counts in opened if _has_room(problem, number, counts, kind)), None)
            if place is None:
                wanted = opening if opening is not None and problem.bins[opening].kinds >> kind & 1 else None
                number = _cheapest(problem, _one(problem, kind)).bin if wanted is None else wanted
                place = [0] * len(problem.kinds)
                opened.append((number, place))
            place[kind] += 1
    return tidy(problem, [Pattern(bin=number, counts=tuple(counts)) for number, counts in opened])


def _has_room(problem: Problem, number: int, counts: Sequence[int], kind: int) -> bool:
    item = problem.bins[number]
    if counts[kind] >= len(problem.kinds[kind].services) or not item.kinds >> kind & 1:
        return False
    used, units = problem.used(counts), problem.kinds[kind].units
    return fits((used[0] + units[0], used[1] + units[1], used[2] + units[2]), item.units)
