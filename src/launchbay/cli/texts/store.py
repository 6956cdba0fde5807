"""The store on EC2 as text: what is in it, what that costs, what stays after a fleet, what was removed. Pure."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import TYPE_CHECKING

from launchbay.cli.table import table
from launchbay.units import count_of, format_amount, format_bytes

if TYPE_CHECKING:
    from launchbay.cloud.store import Removed, StoreView
    from launchbay.planning.store import Stay

__all__ = ["removed_text", "stay_text", "store_text"]

_HASH, _SHOWN = 64, 12
"""How long a tree's hash is, and how much of it tells it from others."""


def store_text(view: StoreView, *, width: int | None = None) -> str:
    """Show each tree of data and each run in the store, and what all of it costs a month."""
    if view.bucket is None:
        return f"There is no store in {view.region}: nothing is kept there, and nothing costs."
    whose = ", your own bucket" if view.is_theirs else ""
    head = f"s3://{view.bucket} in {view.region}{whose}"
    if not view.shelves:
        return f"{head}: nothing is in it."
    rows = [
        (_short(shelf.prefix), str(shelf.objects), format_bytes(shelf.bytes), _day(shelf.first_at), _day(shelf.last_at))
        for shelf in view.shelves
    ]
    listed = table(("WHAT", "OBJECTS", "SIZE", "FIRST", "LAST"), rows, right=(1, 2), width=width)
    total = f"{count_of(view.objects, 'object')}, {format_bytes(view.bytes)}, {_monthly(view.usd_per_month)}"
    return (
        f"{head}\n\n{listed}\n\ntotal     {total}\nremove    bay store remove PREFIX, or --all: nothing goes by itself"
    )


def _short(prefix: str) -> str:
    """Return a prefix as it is typed: of a hash its beginning is enough."""
    parts = prefix.split("/")
    for place, part in enumerate(parts):
        if len(part) == _HASH:
            return "/".join([*parts[:place], part[:_SHOWN]])
    return prefix or "(others)"


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(at))


def _monthly(usd: Decimal | None) -> str:
    if usd is None:
        return "at a price that is not known"
    if Decimal(0) < usd < Decimal("0.01"):
        return "less than 0.01 USD a month"
    return f"{format_amount(usd, most=2, least=2)} USD a month"


def stay_text(stay: Stay) -> str:
    """Say in a line what stays in the store when a fleet ends; empty where nothing does."""
    if not stay.objects:
        return ""
    parts = []
    if stay.runs.objects:
        parts.append(f"{format_bytes(stay.runs.bytes)} of its runs")
    if stay.data.objects:
        parts.append(f"{format_bytes(stay.data.bytes)} of data, which other fleets may use too")
    kept = f"In the store stay {' and '.join(parts)}: {_monthly(stay.usd_per_month)}."
    own = stay.runs.prefix if stay.runs.objects else stay.data.prefix
    return f"{kept} `bay store remove {own}` removes it."


def removed_text(removed: Removed) -> str:
    """Say what was removed for good."""
    what = f"{count_of(removed.objects, 'object')}, {format_bytes(removed.bytes)}"
    bucket = " and the bucket itself" if removed.is_bucket_gone else ""
    return f"Removed {what}{bucket} from s3://{removed.bucket}/{removed.prefix}."
