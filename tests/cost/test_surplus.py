"""What a job costs on top on a burstable type, by the baselines of EC2's user guide."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from launchbay.catalog.burst import surplus_item, surplus_vcpus
from launchbay.catalog.price import Catalogue
from launchbay.catalog.snapshot import load_snapshot
from tests.cost.prices import SIDE, TYPES, bill_of, make_catalogue

T3 = replace(TYPES["t3.medium"], is_burstable=True, vcpus=2)
JOB = "jobs: [{name: a, hours: 10, runs: 3 a month}]\n"
BOX = "instances: [{name: box, type: t3.medium, disk: 8GiB, hours: 40h a month, runs: [a]"


def known(surplus: str | None = "0.05") -> Catalogue:
    side = SIDE if surplus is None else {**SIDE, "cpu-surplus-t3": surplus}
    found = make_catalogue({"t3.medium on-demand": "0.0416"}, side)
    return replace(found, types={**found.types, "t3.medium": T3})


@pytest.mark.parametrize(
    ("name", "vcpus", "charged"),
    [("t3.medium", 2, "1.6"), ("t3a.2xlarge", 8, "4.8"), ("t2.xlarge", 4, "3.1"), ("t4g.nano", 2, "1.9")],
)
def test_what_is_above_the_baseline(name: str, vcpus: int, charged: str) -> None:
    kind = replace(T3, name=name, vcpus=vcpus)
    assert surplus_vcpus(kind) == Decimal(charged)
    assert surplus_item(kind) == f"cpu-surplus-{name.partition('.')[0]}"


def test_of_a_family_that_is_not_known_nothing_is(tmp_path: Path) -> None:
    kind = replace(T3, name="t9.large")
    assert (surplus_vcpus(kind), surplus_item(kind)) == (None, "")
    assert surplus_item(replace(T3, is_burstable=False)) == ""
    found = make_catalogue({"t3.medium on-demand": "0.0416"})
    odd = replace(found, types={**found.types, "t3.medium": replace(kind, name="t9.large")})
    assert not bill_of(tmp_path, f"{JOB}{BOX}}}]\n", odd).complete


def test_a_job_uses_its_processors_in_full(tmp_path: Path) -> None:
    bill = bill_of(tmp_path, f"{JOB}{BOX}}}]\n", known(), compute_only=True)
    (hours, surplus) = bill.lines
    assert (hours.amount, surplus.amount) == (40 * Decimal("0.0416"), 30 * Decimal("1.6") * Decimal("0.05"))
    assert surplus.what == "t3.medium at full processor, above its baseline"


def test_of_what_stands_nobody_knows_the_load(tmp_path: Path) -> None:
    text = f"endpoints: [{{name: a, hours: 40h a month}}]\n{BOX}}}]\n"
    assert [line.unit for line in bill_of(tmp_path, text, known(), compute_only=True).lines] == ["hour"]


def test_a_surplus_whose_price_or_hours_are_not_known_is_not_0(tmp_path: Path) -> None:
    assert not bill_of(tmp_path, f"{JOB}{BOX}}}]\n", known(None)).complete
    several = f"{JOB}{BOX}}}, {{name: other, type: m6i.large, disk: 8GiB, hours: 20h a month, runs: [a]}}]\n"
    bill = bill_of(tmp_path, several, known())
    assert [line.quantity for line in bill.lines if line.unit == "vCPU-hour"] == [None]


def test_every_burstable_type_of_the_catalogue_that_has_a_price_has_a_baseline() -> None:
    there = load_snapshot(["us-west-2"])
    burstable = [kind for kind in there.types.values() if kind.is_burstable and there.price(kind.name, "us-west-2")]
    assert len(burstable) > 20
    assert [kind.name for kind in burstable if surplus_vcpus(kind) is None] == []
