"""Prices that fall with the amount: which part of a month's traffic is billed at which. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

__all__ = ["Tier", "split_tiers"]

Tier = tuple[int, str]
"""From how many GB of a month on which item counts; no item is free."""


def split_tiers(start: Decimal, amount: Decimal, tiers: Sequence[Tier]) -> Iterator[tuple[str, Decimal]]:
    """Yield each item with its part of an amount that begins at `start`: what came before has used up its tiers."""
    end = start + amount
    for place, (begin, item) in enumerate(tiers):
        above = Decimal(tiers[place + 1][0]) if place + 1 < len(tiers) else end
        part = min(end, above) - max(start, Decimal(begin))
        if part > 0:
            yield item, part
