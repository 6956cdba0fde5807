"""Sets of guests that are worth hosting on one bin, one after another. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from launchbay.cost.optimum.needs import Units
from launchbay.cost.optimum.problem import Problem, can_queue, fits, members

__all__ = ["MOST_QUEUES", "possible_queues", "room_of"]

MOST_QUEUES = 256
"""More of them make too many tables."""

_MOST_SPLIT = 10
"""Of so many guests that cannot all share a room, every subset is looked at."""


def room_of(problem: Problem, guests: Sequence[int]) -> Units:
    """Return what guests need that run one after another: in each measure as much as the largest."""
    units = [problem.guests[guest].units for guest in guests]
    vcpus, memory, gpus = (max((item[axis] for item in units), default=0) for axis in range(3))
    return vcpus, memory, gpus


def possible_queues(problem: Problem) -> list[tuple[int, ...]] | None:
    """Return the queues that no other one contains in the same room on the same bins, and the empty one.

    None where there are too many.
    """
    has_speeds = any(guest.job.speeds for guest in problem.guests)
    hosts = sorted({(item.guests, item.machine.type if has_speeds else "") for item in problem.bins})
    found: set[tuple[int, ...]] = {()}
    for mask, type_name in hosts:
        for inside in _rooms(problem, members(mask)):
            if _can_queue(problem, inside, type_name):
                found.add(inside)
            elif len(inside) <= _MOST_SPLIT:
                found |= _largest(problem, inside, type_name)
            else:
                return None
            if len(found) > MOST_QUEUES:
                return None
    return sorted(found)


def _can_queue(problem: Problem, guests: Sequence[int], type_name: str) -> bool:
    return can_queue([problem.guests[guest].job for guest in guests], type_name, problem.month_hours)


def _rooms(problem: Problem, guests: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Give, for every room that is no larger than the guests in it need, all guests that go into it."""
    sizes = [sorted({problem.guests[guest].units[axis] for guest in guests}) for axis in range(3)]
    for room in product(*sizes):
        inside = tuple(guest for guest in guests if fits(problem.guests[guest].units, (room[0], room[1], room[2])))
        if inside and room_of(problem, inside) == room:
            yield inside


def _largest(problem: Problem, guests: tuple[int, ...], type_name: str) -> set[tuple[int, ...]]:
    """Return the sets of these guests that can queue on a type, and that no larger one contains."""
    choices = sorted(range(1, 1 << len(guests)), key=lambda choice: (-choice.bit_count(), choice))
    kept: list[int] = []
    for choice in choices:
        if any(choice & other == choice for other in kept):
            continue
        if _can_queue(problem, [guests[bit] for bit in members(choice)], type_name):
            kept.append(choice)
    return {tuple(guests[bit] for bit in members(choice)) for choice in kept}
