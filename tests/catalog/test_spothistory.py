from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from launchbay.catalog.live import SpotHistory
from launchbay.catalog.spothistory import read_spot_history
from tests.catalog.world import NOW, REGION, spot_row


def history(*rows: dict[str, Any], days: int = 2) -> tuple[dict[str, SpotHistory], dict[str, str]]:
    """Return what is known of each type and zone, and why others are not."""
    found, left_out = read_spot_history(rows, REGION, days=days, now=NOW)
    return {f"{item.type} {item.zone_id}": item for item in found}, {item.what: item.why for item in left_out}


def test_a_mean_is_weighted_by_time_within_the_days_asked_for() -> None:
    """Of 48 hours: 12 at the price that held at their beginning, 24 at 0.40 and the last 12 at 0.50."""
    found, _ = history(
        spot_row("g5.xlarge", "usw2-az1", "2026-11-26T00:00:00", "0.5000"),
        spot_row("g5.xlarge", "usw2-az1", "2026-11-10T00:00:00", "0.2000"),
        spot_row("g5.xlarge", "usw2-az1", "2026-11-25T00:00:00", "0.4000"),
    )
    item = found["g5.xlarge usw2-az1"]
    assert item.usd_per_hour == Decimal("0.5")
    assert (item.mean_usd, item.low_usd, item.high_usd) == (Decimal("0.375000"), Decimal("0.2"), Decimal("0.5"))
    assert (item.days, item.as_of, item.region) == (2, NOW.date(), REGION)


def test_what_ended_before_the_days_asked_for_counts_for_nothing() -> None:
    found, _ = history(
        spot_row("g5.xlarge", "usw2-az1", "2026-11-01T00:00:00", "0.0100"),
        spot_row("g5.xlarge", "usw2-az1", "2026-11-10T00:00:00", "0.2000"),
        spot_row("g5.xlarge", "usw2-az1", "2026-11-02T00:00:00", "7.0000"),
    )
    item = found["g5.xlarge usw2-az1"]
    assert (item.mean_usd, item.low_usd, item.high_usd) == (Decimal("0.200000"), Decimal("0.2"), Decimal("0.2"))


def test_a_price_that_began_within_the_days_is_not_stretched_over_them() -> None:
    found, _ = history(
        spot_row("g5.xlarge", "usw2-az1", "2026-11-26T06:00:00", "0.3000"),
        spot_row("g5.xlarge", "usw2-az1", "2026-11-26T00:00:00", "0.1000"),
    )
    assert found["g5.xlarge usw2-az1"].mean_usd == Decimal("0.200000")


def test_a_price_that_changed_this_very_second_is_the_latest() -> None:
    found, _ = history(spot_row("g5.xlarge", "usw2-az1", NOW.replace(tzinfo=None).isoformat(), "0.3000"))
    item = found["g5.xlarge usw2-az1"]
    assert (item.usd_per_hour, item.mean_usd) == (Decimal("0.3"), Decimal("0.300000"))


def test_zones_and_types_are_apart_and_other_systems_are_not_read() -> None:
    found, left_out = history(
        spot_row("g5.xlarge", "usw2-az1", "2026-11-20T00:00:00", "0.3"),
        spot_row("g5.xlarge", "usw2-az2", "2026-11-20T00:00:00", "0.4"),
        spot_row("m6i.large", "usw2-az1", "2026-11-20T00:00:00", "0.05"),
        spot_row("m6i.large", "usw2-az1", "2026-11-25T00:00:00", "9.9", ProductDescription="Windows"),
        spot_row(
            "m6i.large", "usw2-az2", "2006-01-01T00:00:00", "0.00001", ProductDescription="Linux/UNIX (Amazon VPC)"
        ),
    )
    assert {place: str(item.usd_per_hour) for place, item in found.items()} == {
        "g5.xlarge usw2-az1": "0.3",
        "g5.xlarge usw2-az2": "0.4",
        "m6i.large usw2-az1": "0.05",
    }
    assert left_out == {}


@pytest.mark.parametrize(
    ("changed", "what", "why"),
    [
        ({"SpotPrice": "0.0000"}, "g5.xlarge in usw2-az1", "its price is no amount above 0: '0.0000'"),
        ({"SpotPrice": "cheap"}, "g5.xlarge in usw2-az1", "its price is no amount above 0: 'cheap'"),
        ({"SpotPrice": None}, "g5.xlarge in usw2-az1", "its price is no amount above 0: 'None'"),
        ({"Timestamp": "yesterday"}, "g5.xlarge in usw2-az1", "its time cannot be read: 'yesterday'"),
        (
            {"AvailabilityZoneId": None},
            "g5.xlarge in an unnamed zone",
            "it has no zone id, and a zone's name means another one in each account",
        ),
        ({"InstanceType": None}, "a row in usw2-az1", "it names no instance type"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(changed: dict[str, Any], what: str, why: str) -> None:
    found, left_out = history(
        spot_row("g5.xlarge", "usw2-az2", "2026-11-20T00:00:00", "0.3"),
        spot_row("g5.xlarge", "usw2-az1", "2026-11-25T00:00:00", "0.4", **changed)
        if "SpotPrice" not in changed
        else {**spot_row("g5.xlarge", "usw2-az1", "2026-11-25T00:00:00", "0.4"), **changed},
    )
    assert left_out == {what: why}
    assert list(found) == ["g5.xlarge usw2-az2"]


def test_a_zone_with_a_row_that_cannot_be_read_has_no_price_because_that_row_may_be_the_latest() -> None:
    found, left_out = history(
        spot_row("g5.xlarge", "usw2-az1", "2026-11-20T00:00:00", "0.3"),
        spot_row("g5.xlarge", "usw2-az1", "2026-11-25T00:00:00", "?"),
    )
    assert found == {}
    assert list(left_out) == ["g5.xlarge in usw2-az1"]
