"""Packings: a list of patterns, one for each instance, that covers every demand. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from launchbay.cost.optimum.guests import choose_guests
from launchbay.cost.optimum.needs import Units
from launchbay.cost.optimum.problem import Pattern, Problem, can_queue, fits
from launchbay.cost.optimum.queues import room_of

__all__ = ["Packing", "cheapest_bin", "cost", "host", "is_sound", "room_left", "tidy"]

Packing = tuple[Pattern, ...]


def cost(problem: Problem, packing: Sequence[Pattern]) -> float:
    """Return what a packing costs in a month: its instances, and the guests that it does not host."""
    hosted = {guest for pattern in packing for guest in pattern.guests}
    alone = sum(guest.alone_usd for number, guest in enumerate(problem.guests) if number not in hosted)
    return sum(problem.bins[pattern.bin].usd for pattern in packing) + alone


def is_sound(problem: Problem, packing: Sequence[Pattern]) -> bool:
    """Tell whether every copy stands exactly once, everything fits, and no guest is hosted twice or for too long."""
    counts = [sum(pattern.counts[kind] for pattern in packing) for kind in range(len(problem.kinds))]
    hosted = [guest for pattern in packing for guest in pattern.guests]
    return (
        counts == [kind.demand for kind in problem.kinds]
        and len(hosted) == len(set(hosted))
        and all(_is_possible(problem, pattern) for pattern in packing)
    )


def _is_possible(problem: Problem, pattern: Pattern) -> bool:
    item = problem.bins[pattern.bin]
    jobs = [problem.guests[guest].job for guest in pattern.guests]
    return (
        all(
            count <= len(problem.kinds[kind].services) and (not count or item.kinds >> kind & 1)
            for kind, count in enumerate(pattern.counts)
        )
        and all(item.guests >> guest & 1 for guest in pattern.guests)
        and fits(_needed(problem, pattern), item.units)
        and can_queue(jobs, item.machine.type, problem.month_hours)
    )


def _needed(problem: Problem, pattern: Pattern) -> Units:
    used, room = problem.used(pattern.counts), room_of(problem, pattern.guests)
    return used[0] + room[0], used[1] + room[1], used[2] + room[2]


def room_left(problem: Problem, pattern: Pattern) -> Units:
    """Return what the services of an instance leave free."""
    room, used = problem.bins[pattern.bin].units, problem.used(pattern.counts)
    return room[0] - used[0], room[1] - used[1], room[2] - used[2]


def cheapest_bin(problem: Problem, pattern: Pattern) -> Pattern:
    """Return the same services and guests on the cheapest bin that takes them; the bins are in the order of price."""
    needed = _needed(problem, pattern)
    kinds = sum(1 << kind for kind, count in enumerate(pattern.counts) if count)
    guests = sum(1 << guest for guest in pattern.guests)
    for number, item in enumerate(problem.bins[: pattern.bin]):
        if fits(needed, item.units) and not kinds & ~item.kinds and not guests & ~item.guests:
            candidate = replace(pattern, bin=number)
            if not guests or _is_possible(problem, candidate):
                return candidate
    return pattern


def tidy(problem: Problem, patterns: Sequence[Pattern]) -> Packing:
    """Turn patterns that cover at least every demand into a packing: no copy too many, each instance as small as can be."""
    kept = [replace(pattern, guests=()) for pattern in patterns]
    for kind, wanted in enumerate(problem.kinds):
        for _ in range(sum(pattern.counts[kind] for pattern in kept) - wanted.demand):
            place = max(
                (place for place, pattern in enumerate(kept) if pattern.counts[kind]),
                key=lambda place: (_saving(problem, kept[place], kind), -place),
            )
            kept[place] = _without(kept[place], kind)
    guests = [pattern.guests for pattern in patterns]
    seen: set[int] = set()
    for place, pattern in enumerate(kept):
        fresh = tuple(guest for guest in guests[place] if guest not in seen)
        seen.update(fresh)
        kept[place] = replace(pattern, guests=fresh)
    return tuple(cheapest_bin(problem, pattern) for pattern in kept if not pattern.is_empty)


def _without(pattern: Pattern, kind: int) -> Pattern:
    counts = tuple(count - (number == kind) for number, count in enumerate(pattern.counts))
    return replace(pattern, counts=counts)


def _saving(problem: Problem, pattern: Pattern, kind: int) -> float:
    """Return what an instance gets cheaper by when it has one service of a kind less."""
    less = _without(pattern, kind)
    after = problem.bins[cheapest_bin(problem, less).bin].usd if any(less.counts) else 0.0
    return problem.bins[pattern.bin].usd - after


def host(problem: Problem, packing: Packing) -> Packing:
    """Let the instances of a packing host what they can of the guests that no instance hosts yet."""
    prices = [guest.alone_usd for guest in problem.guests]
    open_guests = set(range(len(prices))) - {guest for pattern in packing for guest in pattern.guests}
    hosting = []
    for pattern in packing:
        kept = _with_more(problem, pattern, open_guests, prices)
        open_guests -= set(kept.guests)
        hosting.append(kept)
    return tuple(hosting)


def _with_more(problem: Problem, pattern: Pattern, open_guests: set[int], prices: Sequence[float]) -> Pattern:
    among = sorted(open_guests | set(pattern.guests))
    if not open_guests:
        return pattern
    chosen = choose_guests(problem, problem.bins[pattern.bin], room_left(problem, pattern), prices, among)
    is_better = sum(prices[guest] for guest in chosen) > sum(prices[guest] for guest in pattern.guests)
    return replace(pattern, guests=chosen) if is_better else pattern
