"""From today to the cheapest plan: steps that add up, each with its dollars, its reason and its risk."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from launchbay.cost.saving.waterfall import STEPS, Waterfall
from tests.cost.saving.test_placed import make_fields
from tests.cost.saving.world import API, HERE, SPOT, TRAINING, alternatives, catalogue, steps

NEEDS = {"vcpus": 2, "memory": "8GiB"}
TYPES = ("c.huge", "t4.large", "t4.four", "gone.gpu")


def falls(folder: Path, instances: list[dict[str, Any]], **fields: Any) -> Waterfall:
    return alternatives(folder, instances=instances, **fields).waterfall


def texts(found: Waterfall) -> dict[str, str]:
    return {step.name: step.what for step in found.steps}


def risks(found: Waterfall) -> dict[str, str]:
    return {step.name: step.risk for step in found.steps if step.risk}


@pytest.mark.parametrize("seed", range(30))
def test_the_steps_add_up_exactly(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    fields = make_fields(chance)
    standing = [item["name"] for item in fields["endpoints"]]
    running = [
        {
            "name": name,
            "type": chance.choice(TYPES),
            "count": 60,
            "hours": "always",
            "runs": [name],
            "disk": "50GiB",
            "market": chance.choice(["on-demand", "spot"]),
        }
        for name in (*standing, *(item["name"] for item in fields["jobs"]))
    ]
    found = falls(tmp_path, running, **fields)
    assert [step.name for step in found.steps] == list(STEPS)
    assert found.begin_usd is not None
    left = found.begin_usd
    for step in found.steps:
        assert left - step.saves_usd == step.left_usd
        left = step.left_usd
    assert left == found.end_usd
    assert sum(step.saves_usd for step in found.steps) == found.begin_usd - left
    for step in (*found.steps[:2], found.steps[5]):
        assert step.saves_usd >= 0, "what is there is never made dearer"
    for step in found.steps:
        assert step.what
        assert step.saves_usd or step.what, "nothing saved, and the reason is said"


def test_an_instance_that_is_too_large(tmp_path: Path) -> None:
    found = falls(tmp_path, [{"name": "one", "type": "c.huge", "runs": ["api"], "disk": "10GiB"}], endpoints=[API])
    assert steps(found) == {
        "right-size": "295.20",
        "schedule": "0.00",
        "clean-up": "0.00",
        "split or share": "0.00",
        "spot": "0.00",
        "Savings Plan": "0.00",
    }
    assert texts(found)["right-size"] == "one: old.small in the place of c.huge"
    assert texts(found)["clean-up"] == "no disk stays while its instance is off"
    assert texts(found)["Savings Plan"] == "its rates are not known, and what is not known is no saving"
    assert risks(found)["right-size"] == "less room for peaks than today"


def test_an_instance_that_stands_for_a_job_is_scheduled_and_then_its_disk_goes_too(tmp_path: Path) -> None:
    running = [{"name": "gpu", "type": "t4.small", "hours": "always", "runs": ["training"], "disk": "100GiB"}]
    found = falls(tmp_path, running, jobs=[TRAINING])
    saved = steps(found)
    assert saved["right-size"] == "0.00"
    assert saved["schedule"] == f"{(720 - 48) * Decimal('0.5'):.2f}"
    assert saved["clean-up"] == f"{100 * Decimal('0.08') * (720 - 48) / 720:.2f}"
    assert texts(found)["schedule"] == "gpu: 48 hours instead of 720"
    assert texts(found)["clean-up"] == "training: its disk of 100 GiB is there only while it runs"
    assert risks(found)["clean-up"].startswith("what is on a disk is gone with its instance")


def test_two_that_fit_together_share_an_instance(tmp_path: Path) -> None:
    running = [{"name": name, "type": "old.small", "runs": [name], "disk": "100GiB"} for name in ("a", "b")]
    endpoints = [{"name": name, "needs": {"vcpus": 1, "memory": "4GiB"}} for name in ("a", "b")]
    found = falls(tmp_path, running, endpoints=endpoints)
    assert steps(found)["split or share"] == "72.80"
    assert texts(found)["split or share"] == "a, b on old.small, always"
    assert "fails together" in risks(found)["split or share"]


def test_spot_comes_after_the_split_and_says_its_risk(tmp_path: Path) -> None:
    running = [{"name": "gpu", "type": "t4.small", "runs": ["training"], "disk": "10GiB", "disk_kept": False}]
    spot = {"below_on_demand": "60%", "interrupted_every": "6h"}
    found = falls(tmp_path, running, jobs=[{**TRAINING, **SPOT}], spot=spot)
    assert steps(found)["split or share"] == "0.00"
    assert Decimal(steps(found)["spot"]) > 14
    assert risks(found)["spot"] == "a run is interrupted every 6 hours on average, and may have to wait for an instance"
    running[0]["market"] = "spot"
    found = falls(tmp_path, running, jobs=[{**TRAINING, **SPOT}], spot=spot)
    assert (steps(found)["spot"], texts(found)["spot"]) == ("0.00", "what can be interrupted is on spot already")
    assert "and on spot hours for interruptions" in texts(found)["split or share"]  # which today's bill leaves out


def test_what_is_not_known_is_no_saving(tmp_path: Path) -> None:
    running = [{"name": "gpu", "type": "t4.small", "hours": "always", "runs": ["training"], "disk": "10GiB"}]
    found = falls(tmp_path, running, jobs=[{**TRAINING, **SPOT}])
    assert steps(found)["spot"] == "0.00"
    assert texts(found)["spot"].startswith("spot was not looked at: how often an instance is interrupted is not known")
    running[0].pop("disk")
    found = falls(tmp_path, running, jobs=[TRAINING])
    assert (found.steps, found.begin_usd) == ((), None)
    assert found.missing == "today's bill holds amounts that are not known, and what is not known is no saving"


def test_an_unpriced_type_is_not_right_sized_into(tmp_path: Path) -> None:
    known = catalogue({"c.small on-demand": "0.1", "t4.small on-demand": "0.5"})
    running = [{"name": "one", "type": "c.small", "runs": ["api"], "disk": "10GiB"}]
    found = alternatives(tmp_path, known, endpoints=[API], instances=running).waterfall
    assert texts(found)["right-size"] == "nothing that meets the needs of what runs there costs less"


def test_an_instance_stays_in_its_region_and_on_a_type_that_is_offered_there(tmp_path: Path) -> None:
    known = catalogue()
    elsewhere = replace(known.types["old.small"], regions=frozenset({"eu-central-1"}))
    known = replace(known, types={**known.types, "old.small": elsewhere})
    running = [{"name": "one", "type": "c.small", "runs": ["api"], "disk": "10GiB"}]
    regions = [HERE, "eu-central-1"]
    found = alternatives(tmp_path, known, region=None, regions=regions, endpoints=[API], instances=running).waterfall
    assert texts(found)["right-size"] == "nothing that meets the needs of what runs there costs less"


def test_a_service_that_may_burst_is_right_sized_into_a_burstable_type_and_a_job_is_not(tmp_path: Path) -> None:
    endpoints = [{"name": "api", "needs": {**NEEDS, "burstable": True}}]
    running = [{"name": "one", "type": "c.small", "hours": "always", "runs": ["api"], "disk": "10GiB"}]
    assert texts(falls(tmp_path, running, endpoints=endpoints))["right-size"] == "one: t.small in the place of c.small"
    jobs = [{"name": "api", "needs": {**NEEDS, "burstable": True}, "hours": 1, "runs": "1 a day"}]
    assert texts(falls(tmp_path, running, jobs=jobs))["right-size"] == "one: old.small in the place of c.small"


def test_what_several_entries_run_keeps_its_hours(tmp_path: Path) -> None:
    running = [
        {"name": name, "type": "t4.small", "hours": "100h a month", "runs": ["training"], "disk": "10GiB"}
        for name in ("a", "b")
    ]
    found = falls(tmp_path, running, jobs=[TRAINING])
    assert texts(found)["schedule"] == "every instance runs as long as what it runs"


def test_a_plan_that_is_dearer_than_today_says_so_in_the_step_that_is(tmp_path: Path) -> None:
    """Three vCPUs of need stand on two today: what meets the need costs more."""
    endpoints = [{"name": "api", "needs": {"vcpus": 3, "memory": "8GiB"}}]
    running = [{"name": "one", "type": "c.small", "runs": ["api"], "disk": "10GiB"}]
    found = falls(tmp_path, running, endpoints=endpoints)
    assert steps(found)["split or share"] == "-72.00"
    assert "dearer, for here everything gets what it needs as that is stated" in texts(found)["split or share"]


def test_a_savings_plan_is_for_what_runs_long_at_rates_that_are_known(tmp_path: Path) -> None:
    running = [{"name": name, "type": "old.small", "runs": [name], "disk": "10GiB"} for name in ("a", "b")]
    endpoints = [{"name": name, "needs": NEEDS} for name in ("a", "b")]

    def last(rates: dict[tuple[str, str], str]) -> tuple[str, str, str]:
        known = {key: Decimal(usd) for key, usd in rates.items()}
        found = alternatives(tmp_path, endpoints=endpoints, instances=running, how={"savings_rates": known})
        step = found.waterfall.steps[4]
        assert found.waterfall.end_usd == found.waterfall.steps[5].left_usd == step.left_usd
        return f"{step.saves_usd:.2f}", step.what, step.risk

    usd, what, risk = last({("old.small", HERE): "0.06"})
    assert usd == f"{2 * Decimal('0.03') * 720:.2f}"
    assert what == "commit to $0.12 an hour"
    assert risk == "a commitment is paid for its whole term, whatever runs"
    assert last({("old.small", HERE): "0.1"}) == ("0.00", "nothing runs for so many hours that a commitment pays", "")
    assert last({("c.small", HERE): "0.01"})[:1] == ("0.00",)
    found = alternatives(tmp_path, jobs=[TRAINING], instances=[{**running[0], "runs": ["training"]}])
    assert texts(found.waterfall)["Savings Plan"] == "its rates are not known, and what is not known is no saving"
    found = alternatives(
        tmp_path,
        endpoints=[{"name": "a", "needs": NEEDS, "replicas": 2}],
        instances=[{**running[0], "count": 2}],
        how={"savings_rates": {("old.small", HERE): Decimal("0.06")}},
    )
    assert found.waterfall.steps[4].saves_usd == 2 * Decimal("0.03") * 720  # two in one entry


@pytest.mark.parametrize(("hours", "saves"), [("20h a day", "10.80"), ("16h a day", "0.00"), ("12h a day", "0.00")])
def test_a_commitment_pays_for_part_of_a_month_if_that_is_long_enough(tmp_path: Path, hours: str, saves: str) -> None:
    """0.09 an hour on demand against 0.06 for every hour of 720: from 480 hours on."""
    endpoints = [{"name": "a", "needs": NEEDS, "hours": hours}]
    running = [{"name": "a", "type": "old.small", "runs": ["a"], "disk": "10GiB", "hours": hours}]
    how = {"savings_rates": {("old.small", HERE): Decimal("0.06")}, "savings_plan": "Compute Savings Plan"}
    found = alternatives(tmp_path, endpoints=endpoints, instances=running, how=how).waterfall
    assert steps(found)["Savings Plan"] == saves
    assert ("commit to $0.06 an hour (Compute Savings Plan)" in texts(found)["Savings Plan"]) is (saves != "0.00")
