"""Spot prices over time, as DescribeSpotPriceHistory answers them: one row for each change, in each zone. Pure.

The answer holds every change within the time asked for, and the last one before it, which is what held at its beginning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from launchbay.catalog.live import LeftOut, SpotHistory
from launchbay.catalog.pricelist import read_usd

__all__ = ["LINUX", "MOST_DAYS", "read_spot_history"]

SOURCE = "AWS DescribeSpotPriceHistory"
LINUX = "Linux/UNIX"
MOST_DAYS = 90
"""How far back AWS remembers."""

_MILLIONTH = Decimal("0.000001")
_Change = tuple[datetime, Decimal]


def read_spot_history(
    rows: Iterable[Mapping[str, Any]], region: str, *, days: int, now: datetime
) -> tuple[list[SpotHistory], list[LeftOut]]:
    """Return the latest price of each type in each zone with the mean, lowest and highest of the last `days`.

    A type with a row that cannot be read in a zone has no price there: the missing row may be the latest.
    """
    changes: dict[tuple[str, str], list[_Change]] = {}
    faults: dict[tuple[str, str], str] = {}
    for row in rows:
        if row.get("ProductDescription") == LINUX:
            place = (str(row.get("InstanceType", "")), str(row.get("AvailabilityZoneId", "")))
            change, why = _read_change(row)
            if change is None:
                faults[place] = why
            else:
                changes.setdefault(place, []).append(change)
    since = now - timedelta(days=days)
    found = [
        _summary(name, region, zone, sorted(items), since=since, now=now, days=days)
        for (name, zone), items in sorted(changes.items())
        if (name, zone) not in faults
    ]
    left_out = [
        LeftOut(kind="spot", what=f"{name or 'a row'} in {zone or 'an unnamed zone'}", why=why)
        for (name, zone), why in sorted(faults.items())
    ]
    return found, left_out


def _read_change(row: Mapping[str, Any]) -> tuple[_Change | None, str]:
    usd, at = read_usd(row.get("SpotPrice")), row.get("Timestamp")
    if not row.get("InstanceType"):
        return None, "it names no instance type"
    if not row.get("AvailabilityZoneId"):
        return None, "it has no zone id, and a zone's name means another one in each account"
    if usd is None:
        return None, f"its price is no amount above 0: {str(row.get('SpotPrice'))[:40]!r}"
    if not isinstance(at, datetime):
        return None, f"its time cannot be read: {str(at)[:40]!r}"
    return (at.astimezone(UTC), usd), ""


def _summary(
    name: str, region: str, zone: str, changes: Sequence[_Change], *, since: datetime, now: datetime, days: int
) -> SpotHistory:
    held = _held(changes, since, now)
    total = sum(seconds for seconds, _ in held)
    mean = sum((usd * seconds for seconds, usd in held), Decimal(0)) / total if total else changes[-1][1]
    return SpotHistory(
        type=name,
        region=region,
        zone_id=zone,
        usd_per_hour=changes[-1][1],
        mean_usd=mean.quantize(_MILLIONTH, rounding=ROUND_HALF_EVEN),
        low_usd=min(usd for _, usd in held),
        high_usd=max(usd for _, usd in held),
        days=days,
        as_of=now.date(),
        source=SOURCE,
    )


def _held(changes: Sequence[_Change], since: datetime, now: datetime) -> list[tuple[int, Decimal]]:
    """Return for how many seconds each price held within the time asked for; the last one is always there."""
    ends = [at for at, _ in changes[1:]] + [now]
    held = [
        (max(0, int((min(end, now) - max(at, since)).total_seconds())), usd)
        for (at, usd), end in zip(changes, ends, strict=True)
    ]
    return [item for item in held[:-1] if item[0] > 0] + held[-1:]
