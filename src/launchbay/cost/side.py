"""A line for something that the catalogue has a side price of. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Protocol

from launchbay.catalog.items import ITEMS
from launchbay.catalog.price import Catalogue
from launchbay.cost.line import Line

__all__ = ["Entry", "side_line"]


class Entry(Protocol):
    """**Protocol:** an entry of a workload: it has a name and stands in a region."""

    @property
    def name(self) -> str:
        """What it is called in the bill."""

    @property
    def region(self) -> str:
        """Where it is."""


def side_line(
    item: str, entry: Entry, catalogue: Catalogue, *, category: str, what: str, quantity: Decimal | None
) -> Line:
    """Return a line at the catalogue's price; without one the price is unknown, and so is the amount."""
    price = catalogue.side_price(item, entry.region)
    return Line(
        name=entry.name,
        category=category,
        item=item,
        region=entry.region,
        what=what,
        quantity=quantity,
        unit=ITEMS[item][0],
        unit_usd=None if price is None else price.usd,
        source="" if price is None else price.source,
        as_of=None if price is None else price.as_of,
        method="" if price is None else price.method,
    )
