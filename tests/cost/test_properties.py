"""What holds of every bill: over many workloads made by chance from a seed, so that one that fails can be made again."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from launchbay.cost.bill import make_bill
from launchbay.cost.compare import compare_bills
from launchbay.cost.line import Bill, total_of
from launchbay.spec.workload import Workload, read_workload
from tests.cost.prices import HOURLY, SIDE, make_catalogue

SEEDS = range(60)
TYPES = ("p2.xlarge", "p2.8xlarge", "m6i.large", "p3.2xlarge", "t3.medium")


def make_workload(chance: random.Random) -> dict[str, Any]:
    """Return a workload of up to five entries of each kind, in two regions."""
    regions = ["us-west-2", "eu-central-1"]

    def entries(kind: str, *fields: tuple[str, Any]) -> list[dict[str, Any]]:
        return [
            {
                "name": f"{kind}-{number}",
                "region": chance.choice(regions),
                **{name: chance.choice(values) for name, values in fields},
            }
            for number in range(chance.randint(0, 5))
        ]

    hours = ("hours", ("always", "24h a month", "7h a week", "1.5h a day"))
    count = ("count", (1, 2, 7))
    whole = {
        "regions": regions,
        "month": chance.choice(["720h", "730.001h", "744h"]),
        "spot": {"below_on_demand": chance.choice(["60%", "33.3%"])},
        "instances": entries(
            "box",
            ("type", TYPES),
            count,
            hours,
            ("market", ("on-demand", "spot")),
            ("disk", ("8GiB", "33GB")),
            ("disk_kept", (True, False)),
            ("public_address", (True, False)),
            ("software_usd_per_hour", (0.1, 0.0333)),
        ),
        "disks": entries(
            "disk", ("size", ("1GiB", "500GiB")), ("iops", (3000, 7001)), ("throughput", (125, 333)), hours
        ),
        "addresses": entries("address", count, hours),
        "snapshots": entries("snapshot", ("size", ("105GiB", "7GiB")), count, hours),
        "nat_gateways": entries("nat", ("traffic", ("1GB", "333.333GB")), count, hours),
        "buckets": entries("bucket", ("size", ("500GB", "60TB"))),
        "transfer": entries("transfer", ("internet_out", ("30GB", "99.9GB", "11TB")), ("cross_zone", ("0GB", "7GB"))),
    }
    if not any(whole[kind] for kind in ("instances", "disks", "addresses", "snapshots", "nat_gateways", "buckets")):
        whole["disks"] = [{"size": "8GiB"}]
    return whole


def load(folder: Path, whole: dict[str, Any]) -> Workload:
    path = folder / "workload.yaml"
    path.write_text(yaml.safe_dump(whole, sort_keys=False), encoding="utf-8")
    return read_workload(path)


def shuffled(whole: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """Return the same workload with its fields and the entries of its lists in another order."""
    fields = list(whole.items())
    chance.shuffle(fields)
    return {name: chance.sample(value, len(value)) if name != "regions" and isinstance(value, list) else value
            for name, value in fields}  # fmt: skip


def same(one: Decimal | None, other: Decimal | None) -> bool:
    """Say whether two amounts are equal, or both unknown: far below a cent, the 28 digits of a division differ."""
    return one is other or (one is not None and other is not None and abs(one - other) < Decimal("1e-9"))


@pytest.mark.parametrize("seed", SEEDS)
def test_no_total_depends_on_an_order(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    whole = make_workload(chance)
    bill = make_bill(load(tmp_path, whole), make_catalogue())
    other = make_bill(load(tmp_path, shuffled(whole, chance)), make_catalogue())
    assert (other.usd, other.complete, len(other.lines)) == (bill.usd, bill.complete, len(bill.lines))
    assert total_of(chance.sample(bill.lines, len(bill.lines))) == bill.usd
    assert all(item.difference == 0 for item in compare_bills(bill, other).differences if item.usd is not None)


@pytest.mark.parametrize("seed", SEEDS)
def test_prices_that_are_scaled_scale_the_bill(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    whole = make_workload(chance)
    for box in whole["instances"]:
        del box["software_usd_per_hour"]  # what the workload says is no price of the catalogue's
    workload, scale = load(tmp_path, whole), Decimal(chance.randint(2, 999)) / 100
    bill = make_bill(workload, make_catalogue())
    scaled = make_bill(workload, make_catalogue(scale=scale))
    for line, larger in zip(bill.lines, scaled.lines, strict=True):
        assert same(larger.amount, None if line.amount is None else line.amount * scale)
    assert same(scaled.usd, None if bill.usd is None else bill.usd * scale)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_price_that_is_not_known_never_counts_as_nothing(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    workload = load(tmp_path, make_workload(chance))
    known = make_bill(workload, make_catalogue())
    gone = chance.choice([*HOURLY, *SIDE])
    without = make_catalogue(
        {name: usd for name, usd in HOURLY.items() if name != gone},
        {name: usd for name, usd in SIDE.items() if name != gone},
    )
    bill = make_bill(workload, without)
    touched = [line for line in known.lines if line.item == gone or (line.item == gone.replace("on-demand", "spot"))]
    assert all(line.amount is None for line in bill.lines if line.item in {item.item for item in touched})
    if touched:
        assert not bill.complete
        assert bill.usd is None or known.usd is None or bill.usd <= known.usd
    assert bill.complete == all(line.amount is not None for line in bill.lines)
    assert all(line.as_json()["amount_usd"] is None for line in bill.unknown)
    assert compare_bills(bill, bill).difference == (0 if bill.complete else None)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_total_is_the_sum_of_its_lines_in_fractions(tmp_path: Path, seed: int) -> None:
    """Fractions round nothing: the exact sum of what the lines say is within a trillionth of the bill's."""
    from fractions import Fraction

    bill: Bill = make_bill(load(tmp_path, make_workload(random.Random(seed))), make_catalogue())
    exact = sum(
        (Fraction(line.quantity) * Fraction(line.unit_usd) for line in bill.lines
         if line.quantity is not None and line.unit_usd is not None),
        Fraction(0),
    )  # fmt: skip
    assert bill.usd is None or abs(Fraction(bill.usd) - exact) < Fraction(1, 10**11)


def test_compute_alone_is_a_part_of_the_whole(tmp_path: Path) -> None:
    for seed in SEEDS:
        workload = load(tmp_path, make_workload(random.Random(seed)))
        whole = make_bill(workload, make_catalogue())
        alone = make_bill(workload, make_catalogue(), compute_only=True)
        assert alone.lines == tuple(line for line in whole.lines if line.category == "compute")
        assert replace(alone, lines=()).usd == 0
