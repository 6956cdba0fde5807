from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from launchbay.catalog.snapshot import load_snapshot
from launchbay.cost.bill import make_bill
from launchbay.cost.line import Bill
from launchbay.errors import NotFound, UsageError
from launchbay.jsonable import to_json
from launchbay.spec.workload import read_workload
from tests.cost.prices import DAY, HOURLY, SIDE, bill_of, make_catalogue

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "small-team"
BOX = "instances: [{name: box, type: m6i.large, disk: 10GiB"


def amounts(bill: Bill) -> dict[str, str]:
    return {
        f"{line.name} {line.item}": "unknown" if line.amount is None else f"{line.amount:.4f}" for line in bill.lines
    }


@pytest.mark.parametrize("source", ["by hand", "packaged"])
@pytest.mark.parametrize(
    ("example", "compute", "full"),
    [
        ("one-gpu", "648.00", "659.60"),
        ("eight-gpus", "5184.00", "5195.60"),
        ("split", "112.32", "119.09"),
        ("spot", "86.40", "93.17"),
    ],
)
def test_the_small_team_pays_what_is_well_known(example: str, compute: str, full: str, source: str) -> None:
    workload = read_workload(EXAMPLES / f"{example}.yaml")
    catalogue = make_catalogue() if source == "by hand" else load_snapshot(workload.regions)
    alone = make_bill(workload, catalogue, compute_only=True)
    whole = make_bill(workload, catalogue)
    assert (alone.monthly_usd, alone.complete) == (compute, True)
    assert (whole.monthly_usd, whole.complete) == (full, True)
    assert {line.category for line in alone.lines} == {"compute"}
    assert {line.category for line in whole.lines} == {"compute", "disk", "address"}


def test_a_line_says_what_it_is_made_of(tmp_path: Path) -> None:
    line = bill_of(tmp_path, f"{BOX}, count: 2, hours: 10h a day}}]\n").lines[0]
    assert (line.what, line.quantity) == ("2 × m6i.large, on demand", Decimal(600))
    assert (line.unit, line.unit_usd) == ("hour", Decimal("0.096"))
    assert (line.amount, line.source, line.as_of, line.method) == (Decimal("57.6"), "by hand", DAY, "scraped")


def test_hours_follow_what_is_said(tmp_path: Path) -> None:
    hours = {
        "always": 720,
        "24h a month": 24,
        "7h a day": 210,
        "84h a week": 360,
    }
    for said, expected in hours.items():
        assert bill_of(tmp_path, f"{BOX}, hours: {said}}}]\n").lines[0].quantity == expected


def test_without_hours_jobs_say_how_long_and_a_run_is_billed_a_minute_at_least(tmp_path: Path) -> None:
    text = f"{BOX}, disk_kept: false, public_address: true, runs: [a]}}]\njobs: [{{name: a, hours: %s, runs: 300 a month}}]\n"
    long = bill_of(tmp_path, text % "1.5h")
    assert [line.quantity for line in long.lines] == [450, Decimal("6.25"), 450]
    assert bill_of(tmp_path, text % "61s").lines[0].quantity == Decimal(300 * 61) / 3600
    assert bill_of(tmp_path, text % "12s").lines[0].quantity == 5
    beside = bill_of(
        tmp_path, f"{BOX}, runs: [a, b]}}]\njobs: [{{name: a, hours: 1, runs: 1 a month}}]\nendpoints: [{{name: b}}]\n"
    )
    assert beside.lines[0].quantity == 720


def test_a_disk_costs_while_its_instance_is_off_unless_it_goes_with_it(tmp_path: Path) -> None:
    kept = bill_of(tmp_path, f"{BOX}, hours: 72h a month, public_address: true}}]\n")
    gone = bill_of(tmp_path, f"{BOX}, hours: 72h a month, public_address: true, disk_kept: false}}]\n")
    assert amounts(kept) == {"box m6i.large on-demand": "6.9120", "box gp3": "0.8000", "box public-ipv4": "0.3600"}
    assert amounts(gone) == {"box m6i.large on-demand": "6.9120", "box gp3": "0.0800", "box public-ipv4": "0.3600"}
    assert kept.lines[1].what == "gp3, 10 GiB, all month"


def test_a_disk_that_is_not_said_makes_the_bill_a_lower_bound(tmp_path: Path) -> None:
    bill = bill_of(tmp_path, "instances: [{name: box, type: m6i.large}]\n")
    assert (bill.monthly_usd, bill.complete) == ("69.12", False)
    assert [line.what for line in bill.unknown] == ["gp3, size not said"]
    assert bill_of(tmp_path, "instances: [{name: box, type: m6i.large}]\n", compute_only=True).complete


def test_software_costs_what_the_workload_says(tmp_path: Path) -> None:
    bill = bill_of(tmp_path, f"{BOX}, count: 2, software_usd_per_hour: 0.10}}]\n")
    line = bill.lines[1]
    assert (line.category, line.amount, line.method) == ("software", Decimal("144.00"), "said")
    assert line.source == f"{tmp_path / 'workload.yaml'}:3"


SPOT = "instances: [{name: box, type: p2.xlarge, market: spot, disk: 8GiB}]\n"


def test_spot_is_the_market_price_where_there_is_one(tmp_path: Path) -> None:
    market = make_catalogue({**HOURLY, "p2.xlarge spot": "0.3"})
    bill = bill_of(tmp_path, "spot: {below_on_demand: 60%}\n" + SPOT, market)
    assert (bill.lines[0].unit_usd, bill.lines[0].method) == (Decimal("0.3"), "scraped")
    assert not any("spot" in sentence for sentence in bill.assumptions)


def test_spot_is_assumed_where_the_workload_says_so_and_that_is_printed(tmp_path: Path) -> None:
    bill = bill_of(tmp_path, "spot: {below_on_demand: 60%}\n" + SPOT)
    line = bill.lines[0]
    assert (line.unit_usd, line.method, line.as_of) == (Decimal("0.36"), "assumed", DAY)
    assert line.source == f"60 % below on demand ({tmp_path / 'workload.yaml'}); on demand: by hand"
    assert (
        "spot 60 % below on demand, as the workload says, for p2.xlarge: no market price is known" in bill.assumptions
    )


def test_spot_is_unknown_where_nothing_is_said(tmp_path: Path) -> None:
    bill = bill_of(tmp_path, SPOT, compute_only=True)
    assert (bill.monthly_usd, bill.complete, bill.lines[0].amount) == (None, False, None)
    unpriced = "spot: {below_on_demand: 60%}\n" + SPOT.replace("p2.xlarge", "unpriced.large")
    assert bill_of(tmp_path, unpriced).lines[0].amount is None


def test_what_runs_on_no_instance_costs_something_unknown(tmp_path: Path) -> None:
    text = "jobs: [{name: a, hours: 1, runs: 1 a day}]\nendpoints: [{name: b}]\ndisks: [{size: 100GiB}]\n"
    bill = bill_of(tmp_path, text)
    assert [(line.name, line.what) for line in bill.unknown] == [
        ("a", "no instance chosen"),
        ("b", "no instance chosen"),
    ]
    assert (bill.monthly_usd, bill.complete) == ("8.00", False)


def test_what_costs_beside_the_instances(tmp_path: Path) -> None:
    text = """\
disks: [{size: 500GiB, iops: 4000, throughput: 225, count: 2, hours: 360h a month}]
snapshots: [{size: 100GiB, count: 2, hours: 72h a month}]
addresses: [{count: 3}]
nat_gateways: [{traffic: 200GB, count: 2}]
buckets: [{size: 500GB}]
transfer: [{internet_out: 350GB, cross_zone: 10GB, between_regions: 5GB}]
"""
    assert amounts(bill_of(tmp_path, text)) == {
        "disk gp3": "40.0000",
        "disk gp3-iops": "5.0000",
        "disk gp3-throughput": "4.0000",
        "snapshot snapshot": "1.0000",
        "address public-ipv4": "10.8000",
        "nat public-ipv4": "7.2000",
        "nat nat-gateway": "64.8000",
        "nat nat-gateway-data": "18.0000",
        "bucket s3-standard": "11.5000",
        "transfer transfer-out-free": "0.0000",
        "transfer transfer-out": "22.5000",
        "transfer transfer-cross-zone": "0.2000",
        "transfer transfer-inter-region": "0.1000",
    }


def test_a_gateway_of_a_private_network_has_no_address(tmp_path: Path) -> None:
    bill = bill_of(tmp_path, "nat_gateways: [{public_address: false}]\n")
    assert amounts(bill) == {"nat nat-gateway": "32.4000"}


def test_tiers_begin_behind_the_free_allowance_and_one_without_a_price_is_unknown(tmp_path: Path) -> None:
    assert amounts(bill_of(tmp_path, "transfer: [{internet_out: 100GB}]\n")) == {"transfer transfer-out-free": "0.0000"}
    bill = bill_of(tmp_path, "transfer: [{internet_out: 60TB}]\n")
    assert amounts(bill) == {
        "transfer transfer-out-free": "0.0000",
        "transfer transfer-out": "921.6000",
        "transfer transfer-out-from-10tb": "3481.6000",
        "transfer transfer-out-from-50tb": "unknown",
    }
    assert (bill.monthly_usd, bill.complete) == ("4403.20", False)


def test_the_free_allowance_is_one_for_all_regions_and_goes_to_the_cheapest(tmp_path: Path) -> None:
    catalogue = make_catalogue()
    dear = replace(catalogue.side["transfer-out", "eu-central-1"], usd=Decimal("0.20"))
    catalogue = replace(catalogue, side={**catalogue.side, ("transfer-out", "eu-central-1"): dear})
    entries = ["{name: a, region: eu-central-1, internet_out: 80GB}", "{name: b, internet_out: 80GB}"]
    for order in (entries, entries[::-1]):
        text = f"regions: [us-west-2, eu-central-1]\ntransfer: [{', '.join(order)}]\n"
        bill = bill_of(tmp_path, text, catalogue)
        assert {f"{line.name} {line.item} {line.quantity}" for line in bill.lines} == {
            "b transfer-out-free 80",
            "a transfer-out-free 20",
            "a transfer-out 60",
        }
        assert bill.monthly_usd == "12.00"


def test_a_bucket_above_the_tier_that_is_known_is_a_lower_bound(tmp_path: Path) -> None:
    bill = bill_of(tmp_path, "buckets: [{size: 51TB}]\n")
    assert (bill.monthly_usd, bill.complete) == ("1177.60", False)
    assert bill_of(tmp_path, "buckets: [{size: 50TB}]\n").complete


def test_the_total_is_rounded_once_and_half_a_cent_goes_up(tmp_path: Path) -> None:
    half = bill_of(tmp_path, "nat_gateways: [{traffic: 1GB, public_address: false}]\n")
    assert (half.usd, half.monthly_usd) == (Decimal("32.445"), "32.45")
    text = "jobs: [{name: a, hours: 1, runs: 1 a week}]\n" + BOX + ", runs: [a]}]\n"
    sevenths = bill_of(tmp_path, text, make_catalogue({"m6i.large on-demand": "0.0035"}), compute_only=True)
    assert sevenths.lines[0].quantity is not None
    assert sevenths.monthly_usd == "0.02"  # 30/7 hours at 0.0035 are exactly a cent and a half
    many = ", ".join(f"{{name: d{n}, size: 1GiB, hours: 45h a month}}" for n in range(10))
    assert bill_of(tmp_path, f"disks: [{many}]\n").monthly_usd == "0.05"  # ten times half a cent, and not ten cents


def test_the_month_is_what_the_workload_says(tmp_path: Path) -> None:
    text = "region: us-west-2\nmonth: 730.001h\n" + BOX + "}]\n"
    assert bill_of(tmp_path, text, compute_only=True).lines[0].quantity == Decimal("730.001")
    assert bill_of(tmp_path, text).lines[1].quantity == 10  # a month of storage is the month that is billed


@pytest.mark.parametrize(
    ("text", "error", "what"),
    [
        ("region: us-west-3\n" + BOX + "}]\n", NotFound, "there is no region named 'us-west-3'; did you mean .*us-west-2"),
        (BOX.replace("m6i.large", "m6i.lagre") + "}]\n", NotFound, "named 'm6i.lagre'; did you mean .*m6i.large"),
        (BOX.replace("m6i.large", "zz.zz") + "}]\n", NotFound, "there is no instance type named 'zz.zz'"),
        (BOX.replace("m6i.large", "mac1.metal") + ", market: spot}]\n", UsageError, "mac1.metal cannot be had as spot"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_named_with_its_line(tmp_path: Path, text: str, error: type[Exception], what: str) -> None:
    with pytest.raises(error, match=what) as caught:
        bill_of(tmp_path, text)
    path, _, line = getattr(caught.value, "where", "").rpartition(":")
    assert (path, line.isdigit()) == (str(tmp_path / "workload.yaml"), True)


def test_a_person_is_told_what_to_look_at(tmp_path: Path) -> None:
    work = "needs: {vcpus: 8, memory: 100GiB, gpus: 2, gpu_memory: 20GiB, architecture: arm64}"
    text = f"instances: [{{name: box, type: p2.xlarge, disk: 8GiB, runs: [a]}}]\nendpoints: [{{name: a, {work}}}]\n"
    bill = bill_of(tmp_path, text, make_catalogue(method="repaired", is_stale=True))
    assert bill.notes == (
        "box: p2.xlarge has 4 vCPUs, and a needs 8",
        "box: p2.xlarge has 62464 MiB of memory, and a needs 102400",
        "box: p2.xlarge has 1 GPUs, and a needs 2",
        "box: p2.xlarge has 12288 MiB on each GPU, and a needs 20480",
        "box: p2.xlarge has the architecture x86_64, and a needs arm64",
        "known to have changed since: the prices of p2.xlarge on-demand",
        "chosen among contradicting sources: the prices of p2.xlarge on-demand",
    )
    assert bill_of(tmp_path, BOX + "}]\n").notes == ()


def test_a_type_that_is_going_or_is_not_offered_there_is_told(tmp_path: Path) -> None:
    catalogue = make_catalogue()
    for change, note in (
        ({"is_retired": True}, "box: m6i.large is a type that AWS no longer lists"),
        ({"regions": frozenset()}, "box: m6i.large was not offered in us-west-2 when the catalogue was made"),
    ):
        types = {**catalogue.types, "m6i.large": replace(catalogue.types["m6i.large"], **change)}
        assert bill_of(tmp_path, BOX + "}]\n", replace(catalogue, types=types)).notes == (note,)


def test_json_holds_texts_and_nulls(tmp_path: Path) -> None:
    side = {item: usd for item, usd in SIDE.items() if item != "gp3"}
    value = to_json(bill_of(tmp_path, BOX + ", hours: 1h a week}]\n", make_catalogue(side=side)))
    assert (value["monthly_usd"], value["complete"], value["month_hours"]) == ("0.41", False, "720")
    assert value["by_category"] == {
        "compute": {"usd": "0.41", "complete": True},
        "disk": {"usd": None, "complete": False},
    }
    compute, disk = value["lines"]
    assert compute["quantity"] == "4.2857142857"
    assert (compute["unit_usd"], compute["amount_usd"], compute["as_of"]) == ("0.096", "0.4114285714", "2026-01-02")
    assert (disk["quantity"], disk["unit_usd"], disk["amount_usd"], disk["source"]) == ("10", None, None, None)
    assert value["assumptions"] == ["a month of 720 hours"]
