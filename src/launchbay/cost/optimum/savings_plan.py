"""How much to commit to by the hour under a Savings Plan. Pure.

A commitment of q dollars an hour is paid every hour. In each hour it pays for usage at the plan's rates, the usage with the
highest saving first, as AWS applies it; what it does not reach is paid on demand. The cost over a month is convex in q and
made of straight pieces, which meet where q pays for whole usages in some hour: the best q is one of those.
Nothing is approximated. A rate that is unknown is paid on demand, whatever the commitment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

__all__ = ["Commitment", "Segment", "Usage", "choose_commitment"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """So many of something that run, each in US dollars an hour: on demand, and at the plan's rate; None is unknown."""

    name: str
    on_demand_usd: Decimal
    plan_usd: Decimal | None
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Hours of a month, anywhere in it, in which the same things run."""

    hours: Decimal
    usages: tuple[Usage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """The best commitment, in US dollars an hour, and the month's cost with it and without any."""

    usd_per_hour: Decimal
    usd: Decimal
    without_usd: Decimal

    @property
    def saved_usd(self) -> Decimal:
        """What a month is cheaper by."""
        return self.without_usd - self.usd


def choose_commitment(segments: Sequence[Segment]) -> Commitment:
    """Return the commitment at which the month is cheapest, the least one of several that are equal; 0 where none pays."""
    levels = {Fraction(0)}
    for segment in segments:
        level = Fraction(0)
        for _, plan in _covered(segment):
            level += plan
            levels.add(level)
    costs = [(_cost(segments, level), level) for level in sorted(levels)]
    usd, level = min(costs)
    return Commitment(usd_per_hour=_decimal(level), usd=_decimal(usd), without_usd=_decimal(costs[0][0]))


def _covered(segment: Segment) -> list[tuple[Fraction, Fraction]]:
    """Return the on-demand and plan rates of usages that a plan makes cheaper, the highest saving first."""
    pairs = [
        (Fraction(usage.on_demand_usd) * usage.count, Fraction(usage.plan_usd) * usage.count)
        for usage in segment.usages
        if usage.plan_usd is not None and usage.plan_usd < usage.on_demand_usd
    ]
    return sorted(pairs, key=lambda pair: (pair[1] / pair[0], pair))


def _cost(segments: Sequence[Segment], level: Fraction) -> Fraction:
    total = Fraction(0)
    for segment in segments:
        an_hour = level + sum((Fraction(usage.on_demand_usd) * usage.count for usage in segment.usages), Fraction(0))
        left = level
        for on_demand, plan in _covered(segment):
            share = min(left / plan, Fraction(1)) if plan else Fraction(1)
            an_hour -= on_demand * share
            left -= plan * share
        total += an_hour * Fraction(segment.hours)
    return total


def _decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)
