"""Prices as facts: an amount, for what, since when, and who says so. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from launchbay.catalog.type import InstanceType

__all__ = ["Before", "Catalogue", "Price", "SidePrice"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What a price that changes was over the `days` before: its mean by time, lowest and highest, in US dollars an hour."""

    days: int
    mean_usd: Decimal
    low_usd: Decimal
    high_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What an hour of a Linux instance on shared tenancy costs, in US dollars; always above 0.

    `market` is ``on-demand`` or ``spot``; `zone_id` and `before` are given for spot prices, which hold in one zone. `method` says
    how the figure came about: ``scraped`` (read as it stands), ``repaired`` (chosen among contradicting sources by a rule),
    ``live`` (asked of AWS) or ``assumed`` (derived from a stated assumption). `is_stale` marks one known to have changed since.
    """

    type: str
    region: str
    market: str
    usd_per_hour: Decimal
    as_of: date
    source: str
    method: str
    is_stale: bool = False
    zone_id: str = ""
    before: Before | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SidePrice:
    """What something beside the instance costs, in US dollars a `unit`: a disk, an address, traffic.

    `unit` is in full: ``GiB-month``, ``hour``, ``GB``. A month of AWS's storage prices is the month billed, whatever its length.
    """

    item: str
    region: str
    usd: Decimal
    unit: str
    as_of: date
    source: str
    method: str = "scraped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """All that is known at one moment: the types by name, the best price of each (type, region, market), side prices.

    What is not in it is unknown; unknown is never 0.
    """

    types: Mapping[str, InstanceType]
    prices: Mapping[tuple[str, str, str], Price]
    side: Mapping[tuple[str, str], SidePrice]
    regions: tuple[str, ...]

    def price(self, type_name: str, region: str, market: str = "on-demand") -> Price | None:
        """Return the price of a type in a region and market, or None where it is not known."""
        return self.prices.get((type_name, region, market))

    def side_price(self, item: str, region: str) -> SidePrice | None:
        """Return what something beside the instance costs in a region, or None where it is not known."""
        return self.side.get((item, region))
