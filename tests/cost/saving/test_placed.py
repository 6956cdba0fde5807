"""A plan as a workload file: `bay cost` comes to what the optimiser said, to the cent."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from launchbay.cost.bill import make_bill
from launchbay.cost.saving.asked import Asked
from launchbay.cost.saving.ladder import need_of, stated_need
from launchbay.cost.saving.rung import Rung
from launchbay.spec.rewrite import write_instances
from launchbay.spec.workload import Workload, read_workload
from tests.cost.optimum.workloads import no_clock
from tests.cost.saving.world import SPOT, alternatives, catalogue, needed, workload

SEEDS = range(40)


def make_fields(chance: random.Random) -> dict[str, Any]:
    """Return a workload of a few jobs and endpoints that the types of the world can take."""

    def needs() -> dict[str, Any]:
        gpus = chance.choice([0, 0, 1])
        return {
            "vcpus": chance.choice([0.3, 1, 2, 3.5]),
            "memory": chance.choice(["512MiB", "2GiB", "7GiB", "30GiB"]),
            **({"gpus": gpus, "gpu_memory": "10GiB"} if gpus else {}),
            "disk": f"{chance.choice([10, 10, 100])}GiB",
            "public_address": chance.random() < 0.5,
        }

    return {
        "spot": {"below_on_demand": "60%", "interrupted_every": "6h"},
        "disks": [{"name": "data", "size": "33GiB", "hours": "7h a day"}],
        "endpoints": [
            {
                "name": f"e{number}",
                "needs": needs(),
                "replicas": chance.choice([1, 1, 2]),
                "hours": chance.choice(["always", "always", "10h a day", "7.3h a week"]),
            }
            for number in range(chance.randint(0, 4))
        ],
        "jobs": [
            {
                "name": f"j{number}",
                "needs": needs(),
                "hours": chance.choice(["1.7h", "20s", "24h", "400h"]),
                "runs": chance.choice(["4 a week", "1 a month", "1 a day"]) if number else "1 a month",
                "instances": chance.choice([1, 1, 3]),
                **(SPOT if chance.random() < 0.5 else {}),
            }
            for number in range(chance.randint(1, 3))
        ],
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_the_bill_of_the_plan_is_what_the_optimiser_said(tmp_path: Path, seed: int) -> None:
    fields = make_fields(random.Random(seed))
    asked = Asked(workload=workload(tmp_path, **fields), catalogue=catalogue(), clock=no_clock)
    found, answer, _ = stated_need(asked, need_of(asked))
    assert answer is not None
    assert found.workload is not None
    again = reread(tmp_path, found.workload)
    assert make_bill(again, asked.catalogue).monthly_usd == make_bill(found.workload, asked.catalogue).monthly_usd
    assert found.bill is not None
    assert found.bill.complete
    more = found.bill.usd - answer.plan.usd - beside(asked)  # type: ignore[operator]
    assert abs(more) < Decimal("0.001")
    assert sum((item.usd or Decimal(0) for item in found.instances), beside(asked)) == pytest.approx(found.usd)
    assert (found.bound_usd or 0) <= (found.usd or 0)


def reread(folder: Path, plan: Workload) -> Workload:
    """Write a plan into its own workload file, and read that."""
    path = folder / "workload.yaml"
    text = write_instances(path.read_text(encoding="utf-8"), str(path), plan.instances)
    (folder / "plan.yaml").write_text(text, encoding="utf-8")
    return read_workload(folder / "plan.yaml")


def beside(asked: Asked) -> Decimal:
    bare = replace(asked.workload, jobs=(), endpoints=(), instances=())
    return make_bill(bare, asked.catalogue).usd or Decimal(0)


def test_a_job_longer_than_the_month_stands_on_several_instances(tmp_path: Path) -> None:
    long = {"name": "sweep", "needs": {"vcpus": 2, "memory": "8GiB"}, "hours": 400, "runs": "3 a month"}
    found = needed(tmp_path, jobs=[long])
    assert [(item.count, item.hours) for item in found.instances] == [(2, Decimal(1200))]
    found = needed(tmp_path, jobs=[{**long, **SPOT}], spot={"below_on_demand": "60%", "interrupted_every": "6h"})
    assert found.instances[0].count == 2
    assert found.workload is not None
    reread(tmp_path, found.workload)


def test_equal_instances_are_one_entry_and_names_are_told_apart(tmp_path: Path) -> None:
    small = {"vcpus": 2, "memory": "8GiB"}
    endpoints = [{"name": "web", "needs": small, "replicas": 3}]
    running: list[dict[str, Any]] = [
        {"name": "web", "type": "c.small", "count": 3, "runs": ["web"]},
        {"name": "box", "type": "c.small"},
    ]
    found = alternatives(tmp_path, endpoints=endpoints, instances=running).alternatives[2]
    assert [(item.name, item.count) for item in found.instances] == [("box", 1), ("web", 3)]
    running[1]["name"] = "web-2"
    running[0]["name"] = "first"
    running.append({"name": "web", "type": "c.small"})
    found = alternatives(tmp_path, endpoints=endpoints, instances=running).alternatives[2]
    assert [item.name for item in found.instances] == ["web-2", "web", "web-3"]


def test_a_plan_that_was_written_is_a_plan_that_stays(tmp_path: Path) -> None:
    """Asked again about its own plan, the optimiser finds nothing cheaper on any rung."""
    fields = make_fields(random.Random(3))
    plan = needed(tmp_path, **fields)
    assert plan.workload is not None
    again = yaml.safe_load((tmp_path / "workload.yaml").read_text(encoding="utf-8"))
    reread(tmp_path, plan.workload)
    again["instances"] = yaml.safe_load((tmp_path / "plan.yaml").read_text(encoding="utf-8"))["instances"]
    again.pop("region"), again.pop("month")
    found = alternatives(tmp_path, **again)
    last: Rung = found.alternatives[2]
    assert last.bill is not None
    assert plan.bill is not None
    assert last.bill.monthly_usd == plan.bill.monthly_usd
    assert all(abs(step.saves_usd) < Decimal("0.01") for step in found.waterfall.steps)
