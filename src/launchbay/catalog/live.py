"""What asking AWS about one region brought, as values. Pure.

What AWS would not say is None and has its reason in `unknown`; what it said and nobody can use is in `left_out`.
Nothing here is ever 0 for want of an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from launchbay.catalog.price import Price, SidePrice
from launchbay.catalog.type import InstanceType

__all__ = ["LeftOut", "Live", "SavingsRate", "SpotHistory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Something that AWS answered and that is not stored: of which kind, what it is about, and why."""

    kind: str
    what: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotHistory:
    """What an hour of a type on the spot market cost in one zone, in US dollars, over the `days` before `as_of`.

    `usd_per_hour` is the latest. The mean is weighted by how long each price held, to a millionth of a dollar.
    Zones go by id: the same name means another zone in another account.
    """

    type: str
    region: str
    zone_id: str
    usd_per_hour: Decimal
    mean_usd: Decimal
    low_usd: Decimal
    high_usd: Decimal
    days: int
    as_of: date
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SavingsRate:
    """What an hour of a type costs under a Savings Plan, in US dollars, all payments spread over its hours.

    `plan` is ``Compute`` or ``EC2Instance``, `payment` is ``No Upfront``, ``Partial Upfront`` or ``All Upfront``.
    """

    type: str
    region: str
    plan: str
    payment: str
    years: int
    usd_per_hour: Decimal
    as_of: date
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """One region as AWS describes it: types, the zones (by id) of each type that it offers, and prices.

    `zones` has all that is offered, also a type whose description cannot be read and that is none of `types`. Types, zones,
    on-demand and side prices belong together and are always there. `spot` and `savings` are None where
    AWS would not say them; `unknown` says why, by kind.
    """

    region: str
    as_of: date
    types: tuple[InstanceType, ...]
    zones: Mapping[str, tuple[str, ...]]
    prices: tuple[Price, ...]
    side: tuple[SidePrice, ...]
    spot: tuple[SpotHistory, ...] | None
    savings: tuple[SavingsRate, ...] | None
    unknown: Mapping[str, str]
    left_out: tuple[LeftOut, ...]
