"""The meter: spans by the second, at least a minute each, exactly."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from launchbay.twin.ledger import Billable, Ledger

START = datetime(2026, 11, 27, tzinfo=UTC)


def thing(name: str = "i-1", *, usd: str | None = "3.06", item: str = "p3.2xlarge", unit: str = "hour") -> Billable:
    return Billable(resource=name, item=item, quantity=Decimal(1), unit=unit, usd=None if usd is None else Decimal(usd))


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_what_stands_is_billed_from_when_it_is_seen_until_it_is_seen_no_more() -> None:
    ledger = Ledger()
    ledger.observe([thing()], START)
    ledger.observe([thing()], after(1000))
    ledger.observe([], after(7200))
    ledger.observe([], after(9999))
    assert ledger.running() == 0
    assert ledger.usd(after(10**6)) == Decimal("6.12")


def test_a_minute_is_billed_at_least() -> None:
    ledger = Ledger()
    ledger.observe([thing()], START)
    ledger.observe([], after(1))
    assert ledger.usd(after(1)) == Decimal("3.06") / 60


def test_another_price_begins_another_span() -> None:
    ledger = Ledger()
    ledger.observe([thing(usd="1")], START)
    ledger.observe([thing(usd="2")], after(3600))
    assert len(ledger.spans) == 2
    assert ledger.usd(after(7200)) == Decimal(3)


def test_a_month_is_720_hours() -> None:
    ledger = Ledger()
    disk = Billable(resource="v", item="gp3", quantity=Decimal(100), unit="GiB-month", usd=Decimal("0.08"))
    ledger.observe([disk], START)
    assert ledger.usd(after(720 * 3600)) == Decimal("8.00")


def test_what_is_unknown_is_null_and_makes_the_total_a_lower_bound() -> None:
    ledger = Ledger()
    ledger.observe([thing(), thing("i-2", usd=None)], START)
    shown = ledger.as_json(after(3600))
    assert (shown["usd"], shown["complete"], shown["running"]) == ("3.06", False, 2)
    assert [line["usd"] for line in shown["lines"]] == ["3.06", None]


def test_cents_are_rounded_once_and_half_up() -> None:
    ledger = Ledger()
    ledger.observe([thing(str(number), usd="0.005") for number in range(3)], START)
    assert ledger.as_json(after(3600))["usd"] == "0.02"
    ledger.observe([], after(3600))
    assert ledger.as_json(after(7200))["usd"] == "0.02"


def test_the_minute_is_that_of_the_whole_and_not_of_each_price() -> None:
    ledger = Ledger()
    ledger.observe([thing(usd="3600")], START)  # a dollar a second
    ledger.observe([thing(usd="7200")], after(10))
    ledger.observe([thing(usd="10800")], after(30))
    assert ledger.usd(after(30)) == 10 * 1 + 20 * 2 + 30 * 3  # what is missing of the minute is billed as it is now
    ledger.observe([], after(40))
    assert ledger.usd(after(999)) == 10 * 1 + 20 * 2 + 30 * 3
    assert [line["seconds"] for line in ledger.as_json(after(999))["lines"]] == [10, 20, 30]


def test_what_ends_and_begins_anew_has_a_minute_each_time() -> None:
    ledger = Ledger()
    for begin in (0, 100):
        ledger.observe([thing(usd="3600")], after(begin))
        ledger.observe([], after(begin + 10))
    assert ledger.usd(after(999)) == 120


def test_after_its_minute_a_price_is_billed_for_its_seconds() -> None:
    ledger = Ledger()
    ledger.observe([thing(usd="3600")], START)
    ledger.observe([thing(usd="7200")], after(100))
    ledger.observe([], after(101))
    assert ledger.usd(after(999)) == 102


def test_what_is_billed_once_costs_the_same_however_long_it_is_there_and_whoever_has_it() -> None:
    ledger = Ledger()
    filled = Billable(resource="v", item="filled", quantity=Decimal(60), unit="GiB", usd=Decimal("0.01"), owner="i-1")
    ledger.observe([filled], START)
    assert (ledger.running(), ledger.as_json(after(1))["usd_per_hour"]) == (0, "0")
    ledger.observe([replace(filled, owner="")], after(3600))
    ledger.observe([], after(10**6))
    assert ledger.usd(after(10**7)) == Decimal("0.60")


def test_the_speed_of_a_disk_is_billed_by_the_month() -> None:
    ledger = Ledger()
    speed = Billable(
        resource="v", item="gp3 operations", quantity=Decimal(1000), unit="IOPS-month", usd=Decimal("0.005")
    )
    ledger.observe([speed], START)
    assert ledger.usd(after(720 * 3600)) == Decimal("5.00")
