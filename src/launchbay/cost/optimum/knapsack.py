"""What a bin could be worth at given prices of its contents: a knapsack, solved for all bins of a group at once. Pure.

Services have a price each (a dual value of the covering model); the worth of a bin is the most that can stand on it. One
table over vCPUs, memory and GPUs holds the answer for every bin that allows the same kinds. Bins too large for a table
get the value of the linear relaxation, which is never below the true one: good enough for a bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launchbay.cost.optimum.guests import GuestTable, choose_guests
from launchbay.cost.optimum.needs import Units
from launchbay.cost.optimum.problem import Pattern, Problem, members
from launchbay.cost.optimum.worth import Worth, value_by_room

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Pricer"]

_MOST_CELLS, _MOST_FINE = 200_000, 1_200_000
"""Cells of one table. Larger ones cost more time than the relaxation loses, which is little on a bin that holds much. Guests
make that more: what they are worth is added at the best room for them, not at the one that services leave. So do GPUs: a bin
with many vCPUs holds few of them, and the relaxation takes parts of a service for the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Bins that allow the same kinds: those that share a table of a size, and those too large for it."""

    kinds: tuple[int, ...]
    size: Units
    tabled: tuple[int, ...]
    large: tuple[int, ...]


class Pricer:
    """Values the bins of a problem, again and again, at other prices."""

    def __init__(self, problem: Problem, most_cells: int | None = None) -> None:
        self._problem = problem
        groups: dict[int, list[int]] = {}
        for number, item in enumerate(problem.bins):
            groups.setdefault(item.allowed, []).append(number)
        self._groups = [
            _group(problem, allowed, bins, _most_cells(problem, allowed) if most_cells is None else most_cells)
            for allowed, bins in groups.items()
        ]

    def worths(self, prices: Sequence[float], limits: Sequence[int]) -> list[Worth]:
        """Return what each bin could be worth at a price for each kind and then for each guest.

        `limits` are how many services of each kind may stand on a bin.
        """
        found: list[Worth] = []
        for group in self._groups:
            items = [kind for kind in group.kinds if prices[kind] > 1e-9 for _ in range(limits[kind])]
            guests = GuestTable(self._problem, (*group.tabled, *group.large), prices[len(self._problem.kinds) :])
            if group.tabled:
                table = _Table(self._problem, items, prices, group.size)
                found += [table.worth(number, guests) for number in group.tabled]
            found += [value_by_room(self._problem, number, items, prices, guests) for number in group.large]
        return found


def _most_cells(problem: Problem, allowed: int) -> int:
    """Return how large the table of a group may be."""
    is_fine = problem.guests or any(problem.kinds[kind].units[2] for kind in members(allowed))
    return _MOST_FINE if is_fine else _MOST_CELLS


def _group(problem: Problem, allowed: int, bins: Sequence[int], most_cells: int) -> _Group:
    """Take bins into one table, the smallest first, as long as it does not grow too large."""
    size, tabled = (0, 0, 0), []
    for number in sorted(bins, key=lambda number: _cells(problem.bins[number].units)):
        units = problem.bins[number].units
        grown = (max(size[0], units[0]), max(size[1], units[1]), max(size[2], units[2]))
        if _cells(grown) <= most_cells:
            size = grown
            tabled.append(number)
    large = tuple(number for number in bins if number not in tabled)
    return _Group(kinds=tuple(members(allowed)), size=size, tabled=tuple(tabled), large=large)


def _cells(units: Units) -> int:
    return (units[0] + 1) * (units[1] + 1) * (units[2] + 1)


class _Table:
    """The most that services are worth together in every room up to a size, and which they are."""

    def __init__(self, problem: Problem, items: Sequence[int], prices: Sequence[float], size: Units) -> None:
        import numpy as np

        self._problem, self._prices = problem, prices
        self.usd = np.zeros((size[0] + 1, size[1] + 1, size[2] + 1))
        self._taken: list[tuple[int, NDArray[np.bool_]]] = []
        flat = [kind for kind in items if not problem.kinds[kind].units[2]]
        if len(flat) < len(items):
            self._fill(flat, slice(0, 1))
            self.usd[:, :, 1:] = self.usd[:, :, :1]
            self._fill([kind for kind in items if problem.kinds[kind].units[2]], slice(None))
        else:
            self._fill(flat, slice(None))

    def _fill(self, items: Sequence[int], layers: slice) -> None:
        """Take each item once wherever that is worth more. Without GPUs one layer is as good as all of them."""
        import numpy as np

        for kind in items:
            vcpus, memory, gpus = self._problem.kinds[kind].units
            room = self.usd[vcpus:, memory:, gpus:][:, :, layers]
            if not room.size:
                continue
            before = self.usd[: self.usd.shape[0] - vcpus, : self.usd.shape[1] - memory, : self.usd.shape[2] - gpus]
            candidate = before[:, :, layers] + self._prices[kind]
            better = candidate > room
            self._taken.append((kind, better))
            np.copyto(room, candidate, where=better)

    def worth(self, number: int, guests: GuestTable) -> Worth:
        """Return what a bin could be worth, with the services and guests that make it so."""
        item = self._problem.bins[number]
        room, usd = item.units, float(self.usd[item.units])
        if guests.guests:
            room, usd = self._split(item.units, guests)
        counts = self._services(room)
        used = self._problem.used(counts)
        left = (item.units[0] - used[0], item.units[1] - used[1], item.units[2] - used[2])
        chosen = choose_guests(self._problem, item, left, self._prices[len(counts) :], guests.guests)
        return Worth(bin=number, most_usd=usd, pattern=Pattern(bin=number, counts=counts, guests=chosen))

    def _split(self, units: Units, guests: GuestTable) -> tuple[Units, float]:
        """Return the room for services, and the worth, at which services and guests are worth most together."""
        import numpy as np

        rooms = [room[room <= most] for room, most in zip(guests.rooms, units, strict=True)]
        left = np.ix_(units[0] - rooms[0], units[1] - rooms[1], units[2] - rooms[2])
        both = self.usd[left] + guests.usd[: len(rooms[0]), : len(rooms[1]), : len(rooms[2])]
        best = np.unravel_index(int(both.argmax()), both.shape)
        vcpus, memory, gpus = (units[axis] - int(rooms[axis][best[axis]]) for axis in range(3))
        return (vcpus, memory, gpus), float(both[best])

    def _services(self, room: Units) -> tuple[int, ...]:
        """Return which services make a room worth what it is."""
        counts = [0] * len(self._problem.kinds)
        vcpus, memory, gpus = room
        for kind, better in reversed(self._taken):
            units = self._problem.kinds[kind].units
            at = (vcpus - units[0], memory - units[1], gpus - units[2])
            if min(at) < 0:
                continue
            layer = min(at[2], better.shape[2] - 1)
            if better[at[0], at[1], layer]:
                counts[kind] += 1
                vcpus, memory, gpus = at
        return tuple(counts)
