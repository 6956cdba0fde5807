"""What the room that services leave free is worth to guests. Pure.

Guests run one after another, so a room is worth all of them that go into it, as long as their hours fit into the month: a
knapsack over hours. Where few rooms differ, one table holds it for all of them, with hours rounded down, so that it bounds.
Else its linear relaxation does: the least, over prices of an hour, of what the hours cost and what each guest is worth
beyond its own hours. Any price gives a bound, so a few prices do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from launchbay.cost.optimum.needs import Units
from launchbay.cost.optimum.problem import Bin, Problem, can_queue, fits, members

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["GuestTable", "choose_guests"]

_HOUR_PRICES = 10
_STEPS = 720
_MOST_CELLS = 400_000


class GuestTable:
    """The most that guests are worth in each room, at given prices of the guests, on any bin of a group.

    `rooms` are the sizes that matter along each axis; `usd` is a table over them.
    """

    def __init__(self, problem: Problem, bins: Sequence[int], prices: Sequence[float]) -> None:
        import numpy as np

        mask = 0
        for number in bins:
            mask |= problem.bins[number].guests
        self.guests = [guest for guest in members(mask) if prices[guest] > 1e-9]
        units = [problem.guests[guest].units for guest in self.guests]
        self.rooms = [np.array(sorted({0, *(item[axis] for item in units)})) for axis in range(3)]
        worth = np.array([prices[guest] for guest in self.guests])
        hours = np.array([min(problem.bins[number].guest_hours[guest] for number in bins) for guest in self.guests])
        cells = tuple(np.searchsorted(self.rooms[axis], [item[axis] for item in units]) for axis in range(3))
        is_short = hours.sum() > problem.month_hours
        is_small = np.prod([len(room) for room in self.rooms]) * (_STEPS + 1) <= _MOST_CELLS
        table = self._by_hours if is_short and is_small else self._by_prices
        self.usd = table(cells, worth, hours, problem.month_hours)

    def _by_hours(
        self, cells: tuple[NDArray[np.intp], ...], worth: NDArray[np.float64], hours: NDArray[np.float64], month: float
    ) -> NDArray[np.float64]:
        """Return what each room is worth when a month has so many steps."""
        import numpy as np

        table = np.zeros((*(len(room) for room in self.rooms), _STEPS + 1))
        for vcpus, memory, gpus, usd, took in zip(*cells, worth, hours, strict=True):
            steps = int(took / month * _STEPS + 1e-9)
            room = table[vcpus:, memory:, gpus:, steps:]
            np.maximum(room, table[vcpus:, memory:, gpus:, : _STEPS + 1 - steps] + usd, out=room)
        found: NDArray[np.float64] = table[..., -1]
        return found

    def _by_prices(
        self, cells: tuple[NDArray[np.intp], ...], worth: NDArray[np.float64], hours: NDArray[np.float64], month: float
    ) -> NDArray[np.float64]:
        import numpy as np

        shape = tuple(len(room) for room in self.rooms)
        least = np.full(shape, np.inf)
        for price in _hour_prices(worth, hours, month):
            table = np.zeros(shape)
            np.add.at(table, cells, np.maximum(worth - price * hours, 0.0))
            for axis in range(3):
                table = table.cumsum(axis=axis)
            np.minimum(least, table + price * month, out=least)
        return least


def _hour_prices(worth: NDArray[np.float64], hours: NDArray[np.float64], month: float) -> list[float]:
    """Return a few prices of an hour, from nothing to the one at which the dearest guests fill the month."""
    import numpy as np

    if not len(worth) or hours.sum() <= month:
        return [0.0]
    rates = worth / hours
    order = np.argsort(-rates, kind="stable")
    full = int(np.searchsorted(np.cumsum(hours[order]), month))
    tail = rates[order[full:]]
    picks = np.linspace(0, len(tail) - 1, min(_HOUR_PRICES, len(tail))).astype(int)
    return [0.0, *(float(tail[pick]) for pick in sorted(set(picks)))]


def choose_guests(
    problem: Problem, item: Bin, room: Units, prices: Sequence[float], among: Sequence[int] | None = None
) -> tuple[int, ...]:
    """Choose guests for a room on a bin: all of them, or those that are worth most in the hours of a month."""
    candidates = [
        guest
        for guest in (members(item.guests) if among is None else among)
        if prices[guest] > 1e-9 and item.guests >> guest & 1 and fits(problem.guests[guest].units, room)
    ]
    first = _dearest_first(problem, item, prices, candidates)
    if len(first) == len(candidates):
        return first
    best = _best_hours(item, prices, candidates, problem.month_hours)
    is_possible = can_queue([problem.guests[guest].job for guest in best], item.machine.type, problem.month_hours)
    if is_possible and sum(prices[guest] for guest in best) > sum(prices[guest] for guest in first):
        return best
    return first


def _dearest_first(problem: Problem, item: Bin, prices: Sequence[float], candidates: Sequence[int]) -> tuple[int, ...]:
    """Take the guests in the order of what an hour of them is worth, each that can still queue."""
    chosen: list[int] = []
    hours = 0.0
    for guest in sorted(candidates, key=lambda guest: (-prices[guest] / item.guest_hours[guest], guest)):
        if hours + item.guest_hours[guest] > problem.month_hours:
            continue
        jobs = [problem.guests[other].job for other in (*chosen, guest)]
        if can_queue(jobs, item.machine.type, problem.month_hours):
            chosen.append(guest)
            hours += item.guest_hours[guest]
    return tuple(sorted(chosen))


def _best_hours(item: Bin, prices: Sequence[float], candidates: Sequence[int], month: float) -> tuple[int, ...]:
    """Return the guests that are worth most together in a month, with hours rounded up."""
    import numpy as np

    table = np.zeros(_STEPS + 1)
    taken = []
    for guest in candidates:
        steps = math.ceil(item.guest_hours[guest] / month * _STEPS - 1e-9)
        candidate = table[: _STEPS + 1 - steps] + prices[guest]
        better = candidate > table[steps:]
        taken.append((guest, steps, better))
        table[steps:] = np.where(better, candidate, table[steps:])
    chosen, left = [], _STEPS
    for guest, steps, better in reversed(taken):
        if left >= steps and better[left - steps]:
            chosen.append(guest)
            left -= steps
    return tuple(sorted(chosen))
