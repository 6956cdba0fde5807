"""What a bin could be worth, and how to value one that is too large for a table. Pure.

A large bin is valued by prices of its room: it is worth at most what all its room costs, and what items are worth beyond
the room that they take. Any prices that are not negative give a bound; the best ones give the linear relaxation of the
knapsack, which is close where much goes onto a bin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launchbay.cost.optimum.guests import GuestTable, choose_guests
from launchbay.cost.optimum.problem import Pattern, Problem, fits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Worth", "value_by_room"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """What a bin could be worth: nothing on it is worth more than `most_usd`. `pattern` is the best filling that was found."""

    bin: int
    most_usd: float
    pattern: Pattern


def value_by_room(
    problem: Problem, number: int, items: Sequence[int], prices: Sequence[float], guests: GuestTable
) -> Worth:
    """Value a large bin by prices of its room; `items` holds a kind once for each service of it that may stand there."""
    import numpy as np

    item = problem.bins[number]
    taken = [kind for kind in items if item.kinds >> kind & 1]
    units = np.array([problem.kinds[kind].units for kind in taken], dtype=float).reshape(-1, 3)
    usd = np.array([prices[kind] for kind in taken])
    of_room = _room_prices(units, usd, np.array(item.units, dtype=float))
    cost = units @ of_room
    most = float(of_room @ np.array(item.units)) + float(np.maximum(usd - cost, 0.0).sum())
    order = np.argsort(-usd / np.maximum(cost, 1e-12), kind="stable")
    return Worth(
        bin=number,
        most_usd=most + _of_guests(guests, item.units, of_room),
        pattern=_fill(problem, number, [taken[index] for index in order], prices, guests),
    )


def _of_guests(guests: GuestTable, room: Sequence[int], of_room: NDArray[np.float64]) -> float:
    """Return what guests are worth at most beyond the room that they take together."""
    rooms = [sizes[sizes <= most] for sizes, most in zip(guests.rooms, room, strict=True)]
    vcpus, memory, gpus = (sizes * price for sizes, price in zip(rooms, of_room, strict=True))
    cost = vcpus[:, None, None] + memory[None, :, None] + gpus[None, None, :]
    return float((guests.usd[: len(rooms[0]), : len(rooms[1]), : len(rooms[2])] - cost).max())


def _fill(problem: Problem, number: int, order: Sequence[int], prices: Sequence[float], guests: GuestTable) -> Pattern:
    """Fill a bin in an order, and give what is left to guests."""
    item = problem.bins[number]
    counts, left = [0] * len(problem.kinds), item.units
    for kind in order:
        units = problem.kinds[kind].units
        if fits(units, left):
            counts[kind] += 1
            left = (left[0] - units[0], left[1] - units[1], left[2] - units[2])
    chosen = choose_guests(problem, item, left, prices[len(counts) :], guests.guests)
    return Pattern(bin=number, counts=tuple(counts), guests=chosen)


def _room_prices(
    units: NDArray[np.float64], usd: NDArray[np.float64], room: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return prices of a unit of room that bring the bound down: the duals of the relaxed knapsack, by coordinate descent.

    Along one axis the bound is convex and piecewise linear; its least is at the item that fills the room, best gain first.
    """
    import numpy as np

    prices = np.zeros(3)
    for _ in range(12):
        for axis in range(3):
            rest = usd - units @ prices + units[:, axis] * prices[axis]
            takes = np.flatnonzero((units[:, axis] > 0) & (rest > 0))
            rates = rest[takes] / units[takes, axis]
            order = np.argsort(-rates, kind="stable")
            full = int(np.searchsorted(np.cumsum(units[takes[order], axis]), room[axis], side="right"))
            prices[axis] = float(rates[order[full]]) if full < len(order) else 0.0
    return prices
