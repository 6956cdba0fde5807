"""Machines that another one makes superfluous: it can take whatever they can, and costs no more. Pure.

Nothing of the optimum is lost: in any plan the better machine can stand in the place of the other.
"""

from __future__ import annotations

from collections.abc import Sequence

from launchbay.cost.optimum.problem import Bin, fits, members

__all__ = ["drop_dominated"]


def drop_dominated(bins: Sequence[Bin]) -> tuple[list[Bin], list[tuple[Bin, Bin]]]:
    """Return the bins that are worth a look, and pairs of one that is not and the one that beats it.

    The bins come in the order of their rank; of equal ones the first stays.
    """
    kept: list[Bin] = []
    beaten: list[tuple[Bin, Bin]] = []
    for item in bins:
        better = next((other for other in kept if _beats(other, item)), None)
        if better is None:
            kept.append(item)
        else:
            beaten.append((item, better))
    return kept, beaten


def _beats(other: Bin, item: Bin) -> bool:
    """Tell whether a bin that costs no more takes everything that the other takes, and hosts its guests as fast."""
    if item.kinds & ~other.kinds or item.guests & ~other.guests or not fits(item.units, other.units):
        return False
    if other.guest_hours == item.guest_hours:
        return True
    return all(other.guest_hours[guest] <= item.guest_hours[guest] for guest in members(item.guests))
