"""How a bill moves with the month, the discount on spot and interruptions."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from launchbay.cost.bill import make_bill
from launchbay.cost.outlook import DISCOUNTS, MONTHS, at_month, over_discounts, over_months, risk_of
from launchbay.spec.workload import Workload, read_workload
from tests.cost.prices import make_catalogue

KNOWN = make_catalogue()
HEAD = "region: us-west-2\nmonth: 720h\n"
BOX = "instances: [{name: box, type: m6i.large, disk: 10GiB"
JOB = "jobs: [{name: a, hours: 2, runs: 1 a day, interruptible: true, checkpoint: 1s, restart: 1s}]\n"


def workload(folder: Path, text: str) -> Workload:
    path = folder / "w.yaml"
    path.write_text(HEAD + text, encoding="utf-8")
    return read_workload(path)


def test_what_always_runs_costs_as_much_more_as_the_month_is_longer(tmp_path: Path) -> None:
    asked = workload(tmp_path, f"{BOX}}}]\n")
    curve = dict(over_months(asked, KNOWN, compute_only=True))
    assert list(curve) == list(MONTHS)
    assert curve[Decimal(744)] / curve[Decimal(672)] == Decimal(744) / 672
    assert curve[Decimal(720)] == make_bill(asked, KNOWN, compute_only=True).usd


def test_hours_that_were_worked_out_follow_what_runs_and_hours_that_were_said_do_not(tmp_path: Path) -> None:
    """2 hours a day are 60 in a month of 30 days, and a plan says 60: of a month of 31 days that is 62."""
    daily = workload(tmp_path, f"{JOB}{BOX}, hours: 60h a month, runs: [a]}}]\n")
    assert str(at_month(daily, Decimal(744)).instances[0].hours) == "62h a month"
    monthly = workload(tmp_path, f"{JOB.replace('1 a day', '30 a month')}{BOX}, hours: 60h a month, runs: [a]}}]\n")
    assert str(at_month(monthly, Decimal(744)).instances[0].hours) == "60h a month"
    nothing = workload(tmp_path, f"{BOX}, hours: 60h a month}}]\n")
    assert str(at_month(nothing, Decimal(744)).instances[0].hours) == "60h a month"
    assert at_month(daily, Decimal(720)) is daily


def test_a_month_of_its_own_is_there_too(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(f"region: us-west-2\nmonth: 730.001h\n{BOX}}}]\n", encoding="utf-8")
    months = [hours for hours, _ in over_months(read_workload(path), KNOWN, compute_only=False)]
    assert months == sorted([*MONTHS, Decimal("730.001")])


def test_nothing_is_drawn_of_what_is_not_known(tmp_path: Path) -> None:
    asked = workload(tmp_path, "instances: [{name: box, type: unpriced.large, disk: 10GiB}]\n")
    assert list(over_months(asked, KNOWN, compute_only=True)) == []
    spot = workload(tmp_path, f"{JOB}{BOX}, hours: 60h a month, runs: [a], market: spot}}]\n")
    assert list(over_months(spot, KNOWN, compute_only=True)) == []  # no price of spot is known, and none assumed
    assert len(over_discounts(spot, KNOWN, compute_only=True)) == len(DISCOUNTS)


def test_the_discount_on_spot_moves_what_is_on_spot_and_nothing_else(tmp_path: Path) -> None:
    spot = workload(tmp_path, f"{JOB}{BOX}, hours: 60h a month, runs: [a], market: spot}}]\n")
    curve = over_discounts(spot, KNOWN, compute_only=True)
    assert curve[Decimal("0.5")] * 2 == curve[Decimal(0)]
    assert list(curve.values()) == sorted(curve.values(), reverse=True)
    assert over_discounts(workload(tmp_path, f"{BOX}}}]\n"), KNOWN, compute_only=True) == {}
    market = make_catalogue({"m6i.large on-demand": "0.096", "m6i.large spot": "0.04"})
    assert over_discounts(spot, market, compute_only=True) == {}  # what the market asks for is known


def test_risk_is_how_often_and_how_much(tmp_path: Path) -> None:
    spot = workload(tmp_path, f"{JOB}{BOX}, hours: 60h a month, runs: [a], market: spot}}]\n")
    assert (risk_of(spot).interruptions, risk_of(spot).together) == (None, 1)
    known = replace(spot, spot=replace(spot.spot, interrupted_every_seconds=Decimal(6 * 3600)))
    assert risk_of(known).interruptions == 10
    assert risk_of(workload(tmp_path, f"{BOX}}}]\n")).interruptions == 0
