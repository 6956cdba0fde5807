"""The meter: spans by the second, at least a minute each, exactly."""

from __future__ import annotations

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
