from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from launchbay.cost.line import Bill
from launchbay.cost.reconcile import Reconciled, Reconciliation, reconcile
from launchbay.cost.report import read_report
from launchbay.errors import UsageError
from launchbay.jsonable import to_json
from tests.cost.prices import bill_of
from tests.cost.reports import Row, row, write_report

TEXT = """\
instances:
  - {name: api, type: m6i.large, disk: 30GiB, public_address: true}
  - {name: train, type: p2.xlarge, hours: 24h a month, disk: 100GiB, disk_kept: false}
  - {name: idle, type: p2.xlarge, hours: 24h a month, disk: 100GiB, disk_kept: false}
disks: [{name: fast, size: 100GiB, throughput: 253}]
snapshots: [{size: 100GiB}]
transfer: [{internet_out: 150GB}]
"""
ROWS = [
    row("USW2-BoxUsage:m6i.large", "700", "67.2"),
    row("USW2-BoxUsage:m6i.large", "20", "1.92"),
    row("USW2-BoxUsage:p2.xlarge", "50", "45"),
    row("USW2-EBS:VolumeUsage.gp3", "136.6666666667", "10.9333333333"),
    row("USW2-EBS:VolumeP-Throughput.gp3", "0.125", "5.12"),
    row("USW2-PublicIPv4:InUseAddress", "720", "3.6"),
    row("USW2-DataTransfer-Out-Bytes", "100", "0", region=""),
    row("USW2-DataTransfer-Out-Bytes", "60", "5.4", region=""),
    row("USW2-EBS:VolumeUsage.gp2", "8", "0.8"),
    row("", "", "12.34", kind="Tax"),
    row("", "", "-10", kind="Credit"),
    row("", "", "-1", kind="Credit"),
]


def held(folder: Path, rows: list[Row], bill: Bill | None = None) -> Reconciliation:
    path = write_report(folder / "cur.csv", rows)
    return reconcile(bill or bill_of(folder, TEXT), read_report(path), report="cur.csv")


def by_item(found: Reconciliation) -> dict[str, Reconciled]:
    return {item.item: item for item in found.rows}


def test_a_forecast_meets_what_was_billed(tmp_path: Path) -> None:
    found = held(tmp_path, ROWS)
    assert [(item.item, item.state) for item in found.rows] == [
        ("m6i.large on-demand", "both"),
        ("p2.xlarge on-demand", "both"),
        ("gp3", "both"),
        ("gp3-throughput", "both"),
        ("snapshot", "did not occur"),
        ("public-ipv4", "both"),
        ("transfer-out", "both"),
        ("USW2-EBS:VolumeUsage.gp2", "not forecast"),
    ]
    rows = by_item(found)
    trained = rows["p2.xlarge on-demand"]
    assert (trained.forecast_quantity, trained.actual_quantity, trained.difference) == tuple(
        map(Decimal, ("48", "50", "1.8"))
    )
    assert rows["m6i.large on-demand"].difference == 0
    assert abs(rows["gp3"].difference or Decimal(1)) < Decimal("0.000001")
    assert (rows["gp3-throughput"].actual_quantity, rows["gp3-throughput"].difference) == (Decimal(128), Decimal(0))
    assert (rows["transfer-out"].forecast_quantity, rows["transfer-out"].difference) == (Decimal(150), Decimal("0.9"))
    assert (rows["snapshot"].actual_usd, rows["snapshot"].difference) == (Decimal(0), Decimal(-5))
    assert rows["USW2-EBS:VolumeUsage.gp2"].difference == Decimal("0.8")


def test_what_is_not_used_is_told_apart(tmp_path: Path) -> None:
    found = held(tmp_path, ROWS)
    assert found.other_charges == {"Credit": -11, "Tax": Decimal("12.34")}
    assert (found.usage_usd, found.billed) == (Decimal("139.9733333333"), Decimal("141.3133333333"))
    assert found.period == ("2026-11-01", "2026-12-01")
    value = to_json(found)
    assert (value["billed_usd"], value["usage_usd"], value["period"]) == (
        "141.31",
        "139.97",
        ["2026-11-01", "2026-12-01"],
    )
    assert value["other_charges"] == {"Credit": "-11.00", "Tax": "12.34"}
    assert value["rows"][1]["difference_usd"] == "1.80"


def test_what_the_forecast_does_not_know_has_no_difference(tmp_path: Path) -> None:
    spot = bill_of(tmp_path, "instances: [{name: box, type: p2.xlarge, market: spot}]\n")
    found = held(
        tmp_path, [row("USW2-SpotUsage:p2.xlarge", "24", "7.2"), row("USW2-EBS:VolumeUsage.gp3", "8", "0.64")], spot
    )
    box, disk = found.rows
    assert (box.forecast_quantity, box.forecast_usd, box.actual_usd, box.difference) == (
        Decimal(720),
        None,
        Decimal("7.2"),
        None,
    )
    assert (disk.forecast_quantity, disk.forecast_usd, disk.difference) == (None, None, None)
    assert to_json(found)["rows"][0]["forecast_usd"] is None


def test_compute_alone_leaves_out_the_rest_on_both_sides(tmp_path: Path) -> None:
    found = held(tmp_path, ROWS, bill_of(tmp_path, TEXT, compute_only=True))
    assert {item.category for item in found.rows} == {"compute"}
    assert (found.usage_usd, found.other_charges) == (Decimal("114.12"), {})


def test_regions_are_kept_apart(tmp_path: Path) -> None:
    found = held(tmp_path, [row("BoxUsage:m6i.large", "720", "69.12", region="us-east-1")])
    states = {(item.item, item.region): item.state for item in found.rows if item.category == "compute"}
    assert states["m6i.large on-demand", "us-east-1"] == "not forecast"
    assert states["m6i.large on-demand", "us-west-2"] == "did not occur"


def test_what_a_savings_plan_covers_is_used_and_what_takes_it_back_is_not(tmp_path: Path) -> None:
    rows = [
        row("USW2-BoxUsage:m6i.large", "720", "69.12", kind="SavingsPlanCoveredUsage"),
        row("USW2-BoxUsage:m6i.large", "720", "-69.12", kind="SavingsPlanNegation"),
        row("USW2-ComputeSP:1yrNoUpfront", "720", "50", kind="SavingsPlanRecurringFee"),
    ]
    found = held(tmp_path, rows)
    assert by_item(found)["m6i.large on-demand"].actual_usd == Decimal("69.12")
    assert found.other_charges == {"SavingsPlanNegation": Decimal("-69.12"), "SavingsPlanRecurringFee": 50}
    assert found.billed == 50


def test_a_bill_is_held_against_one_month(tmp_path: Path) -> None:
    december = row("BoxUsage:m6i.large", "1", "1", bill_billing_period_start_date="2026-12-01T00:00:00Z")
    with pytest.raises(UsageError, match="one month, and it holds 2 months"):
        held(tmp_path, [ROWS[0], december])
    with pytest.raises(UsageError, match="one month, and it holds no line"):
        held(tmp_path, [])
