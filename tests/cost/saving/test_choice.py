"""What may be rented for a workload: what is left out and why, spot, disks; what is said of a choice."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from launchbay.cost.saving.room import Runtime
from launchbay.errors import NotFound, UsageError, UserError
from tests.cost.prices import SIDE
from tests.cost.saving.world import API, HERE, HOURLY, SPOT, TRAINING, alternatives, catalogue, kind, needed, rung, used

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "small-team"
ASSUMED = {"below_on_demand": "60%", "interrupted_every": "6h"}


def needs(**more: Any) -> dict[str, Any]:
    return {"vcpus": 2, "memory": "8GiB", **more}


# --- what is left out, and why ------------------------------------------------------------------------------------------


def test_a_type_without_a_known_price_is_never_used(tmp_path: Path) -> None:
    found = needed(tmp_path, endpoints=[API])
    assert "unpriced.small" not in [item.type for item in found.instances]
    assert [item.cause for item in found.rejected if item.type == "unpriced.small"] == ["price unknown"]
    assert any("have no known price, so they were not looked at" in reason for reason in found.reasons)


def test_without_the_price_of_what_every_instance_pays_there_is_no_plan(tmp_path: Path) -> None:
    side = {item: usd for item, usd in SIDE.items() if item != "gp3"}
    with pytest.raises(UserError, match="no price of gp3 is known in us-west-2, and every instance would pay it"):
        needed(tmp_path, catalogue(side=side), endpoints=[{"name": "api", "needs": needs(disk="10GiB")}])


def test_a_region_without_prices_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no price of an instance is known in us-west-2"):
        needed(tmp_path, catalogue({}), endpoints=[API])


def test_arm_only_where_the_needs_or_the_image_say_so(tmp_path: Path) -> None:
    def chosen(**more: Any) -> tuple[str, tuple[str, ...]]:
        images = {
            "both": Runtime(architectures=("x86_64", "arm64")),
            "arm": Runtime(architectures=("arm64",)),
            "x86": Runtime(architectures=("x86_64",)),
        }
        found = needed(tmp_path, endpoints=[{"name": "api", "needs": needs(**more)}], how={"images": images})
        return found.instances[0].type, found.reasons

    best, reasons = chosen()
    assert best == "old.small"
    assert "Arm was not considered for api: neither their needs nor an image say that they run there" in reasons
    for said in ({"architecture": "arm64"}, {"image": "both"}, {"image": "arm"}):
        best, reasons = chosen(**said)
        assert best == "arm.small"
        assert "arm.small has Arm processors, on which api can run" in reasons
        assert not any(reason.startswith("Arm was not") for reason in reasons)
    assert chosen(image="x86")[0] == "old.small"


def test_burstable_only_where_the_needs_say_that_one_will_do(tmp_path: Path) -> None:
    found = needed(tmp_path, endpoints=[API])
    assert "burstable types were not considered for api: their needs do not say that one will do" in found.reasons
    found = needed(tmp_path, endpoints=[{"name": "api", "needs": needs(burstable=True)}])
    assert used(found) == [("t.small", "on-demand", ("api",))]
    assert found.reasons[0] == "t.small is burstable: api may be slowed down there, or charged, under lasting load"


def test_a_job_is_not_on_a_burstable_type_whose_surplus_is_not_known(tmp_path: Path) -> None:
    jobs = [{"name": "report", "needs": needs(burstable=True), "hours": 1, "runs": "1 a day"}]
    found = needed(tmp_path, jobs=jobs)
    assert used(found) == [("old.small", "on-demand", ("report",))]
    why = "burstable types were not considered for report: what a burstable type costs on top at full processor is not known"
    assert why in found.reasons


def test_previous_generations_are_a_choice_with_a_reason(tmp_path: Path) -> None:
    found = needed(tmp_path, endpoints=[API])
    assert "old.small is of a previous generation: still offered, and the cheapest that will do" in found.reasons
    found = needed(tmp_path, endpoints=[API], how={"current_only": True})
    assert used(found) == [("c.small", "on-demand", ("api",))]
    assert "bare metal was not looked at, nor were types of previous generations" in found.reasons


@pytest.mark.parametrize(
    ("said", "best"),
    [
        ({"local_disk": "200GB"}, "disk.small"),
        ({"gpus": 1}, "t4.small"),  # not AMD's, and not an eighth of one
        ({"gpu": "a10g"}, "a10g.small"),
        ({"gpu": "radeon pro v520"}, "amd.small"),
        ({"gpu_memory": "24GiB"}, "a10g.small"),  # what is sold as 24 GB shows less
        ({"gpus": 1, "image": "new"}, "a10g.small"),
        ({"image": "new"}, "old.small"),  # without a GPU its capability does not matter
    ],
)
def test_what_a_catalogue_alone_can_tell(tmp_path: Path, said: dict[str, Any], best: str) -> None:
    images = {"new": Runtime(architectures=("x86_64",), capability=(8, 0))}
    found = needed(tmp_path, endpoints=[{"name": "api", "needs": needs(**said)}], how={"images": images})
    assert found.instances[0].type == best


def test_a_need_that_no_type_meets_is_one_error_with_the_nearest(tmp_path: Path) -> None:
    for said, lacks in (
        ({"vcpus": 40}, "t4.four in us-west-2, has 16 vCPUs, 40 needed"),
        ({"gpu_memory": "40GiB"}, "a10g.small in us-west-2, has 22.3516 GiB a GPU, 40 needed"),
        ({"local_disk": "1TB"}, "c.small in us-west-2, is not a type with 1000 GB of local disk"),
    ):
        endpoints = [{"name": "api", "needs": needs(**said)}]
        with pytest.raises(UserError) as caught:
            needed(tmp_path, endpoints=endpoints)
        assert caught.value.what.startswith("api needs more than any type with a known price has; the nearest, ")
        assert lacks in caught.value.what or "old.small in us-west-2, is not a type" in caught.value.what
        assert caught.value.where.endswith("workload.yaml:4")


def test_a_gpu_that_no_type_has_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no GPU named 'T44'; did you mean T4"):
        needed(tmp_path, endpoints=[{"name": "api", "needs": needs(gpu="T44")}])


def test_nothing_to_place(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing is said to run"):
        needed(tmp_path, disks=[{"size": "10GiB"}])


# --- spot -------------------------------------------------------------------------------------------------------------


def test_spot_counts_what_interruptions_cost(tmp_path: Path) -> None:
    found = needed(tmp_path, jobs=[{**TRAINING, **SPOT}], spot=ASSUMED)
    assert used(found) == [("t4.small", "spot", ("training",))]
    hours = found.instances[0].hours
    assert 49 < hours < 50
    assert found.usd == hours * Decimal("0.2")
    assert "a spot instance is interrupted every 6 hours on average, as the workload says" in found.assumptions
    assert any("1.032 times as long on spot" in reason for reason in found.reasons)


@pytest.mark.parametrize(
    ("job", "spot", "why"),
    [
        (SPOT, {"below_on_demand": "60%"}, "spot was not looked at: how often an instance is interrupted is not known"),
        (SPOT, {"interrupted_every": "6h"}, "spot was not looked at: no price of it is known, and none assumed"),
        (SPOT, {}, "spot was not looked at: how often an instance is interrupted is not known"),
        (
            {"interruptible": True, "restart": "1m"},
            ASSUMED,
            "training can be interrupted but does not say its checkpoint",
        ),
        ({}, ASSUMED, ""),
    ],
)
def test_without_all_that_spot_takes_there_is_none(
    tmp_path: Path, job: dict[str, Any], spot: dict[str, str], why: str
) -> None:
    how: dict[str, Any] = {"spot": spot} if spot else {}
    found = needed(tmp_path, jobs=[{**TRAINING, **job}], **how)
    assert used(found) == [("t4.small", "on-demand", ("training",))]
    assert not why or any(reason.startswith(why) for reason in found.reasons)


def test_a_known_spot_price_comes_before_what_is_assumed(tmp_path: Path) -> None:
    known = catalogue({**HOURLY, "t4.small spot": "0.45", "t4.large spot": "0.3"})
    found = needed(tmp_path, known, jobs=[{**TRAINING, **SPOT}], spot=ASSUMED)
    assert used(found) == [("t4.large", "spot", ("training",))]


# --- what is said of it -------------------------------------------------------------------------------------------------


def test_stale_prices_behind_a_choice_are_named(tmp_path: Path) -> None:
    found = needed(tmp_path, catalogue(is_stale=True, method="assumed"), endpoints=[API])
    assert found.stale == ("old.small on-demand",)
    assert "known to have changed since: the prices of old.small on-demand" in found.notes
    assert "taken over from another region or type: the prices of old.small on-demand" in found.notes


def test_every_other_way_says_why_it_lost(tmp_path: Path) -> None:
    found = needed(tmp_path, endpoints=[API], jobs=[TRAINING])
    lost = {(item.type, item.job): item for item in found.rejected}
    assert lost["c.small", ""].usd_more == Decimal("7.2")
    assert lost["t4.large", "training"].reason == "$33.60 a month dearer than t4.small in us-west-2, on demand"
    assert lost["amd.small", ""].cause == "dominated"
    amounts = [item.usd_more for item in found.rejected if item.usd_more is not None]
    assert amounts == sorted(amounts)
    assert {item.region for item in found.rejected} == {HERE}


def test_a_job_beside_a_service_says_what_it_would_cost_alone(tmp_path: Path) -> None:
    small = {"name": "report", "needs": needs(vcpus=1, memory="2GiB"), "hours": 10, "runs": "3 a month"}
    found = needed(tmp_path, endpoints=[{"name": "api", "needs": needs(vcpus=1, memory="4GiB")}], jobs=[small])
    assert used(found) == [("old.small", "on-demand", ("api", "report"))]
    alone = next(item for item in found.rejected if item.job == "report")
    assert alone.reason == "by itself it costs $2.70 a month, on old.small in us-west-2 nothing more"


def test_what_runs_in_one_of_several_regions_moves_only_on_the_last_rung_and_that_is_said(tmp_path: Path) -> None:
    """Everything costs the same in both regions but the small type, which is cheaper in the one where nothing runs."""
    known = catalogue()
    cheaper = known.prices["old.small", "eu-central-1", "on-demand"]
    prices = {
        **known.prices,
        ("old.small", "eu-central-1", "on-demand"): replace(cheaper, usd_per_hour=Decimal("0.05")),
    }
    running = [{"name": "one", "type": "old.small", "runs": ["api"], "disk": "10GiB"}]
    found = alternatives(
        tmp_path,
        replace(known, prices=prices),
        region=None,
        regions=[HERE, "eu-central-1"],
        endpoints=[API],
        instances=running,
    )
    assert [item.instances[0].region for item in found.alternatives] == [HERE, HERE, "eu-central-1"]
    assert any(
        reason.startswith("api moves from us-west-2 to eu-central-1") for reason in found.alternatives[2].reasons
    )


def test_a_plan_is_the_cheapest_also_where_disks_and_addresses_differ(tmp_path: Path) -> None:
    """What shares an instance decides what disk that has: two that want a large one stand together, a third apart."""
    hourly = {**HOURLY, "old.small on-demand": "0.1", "part.small on-demand": "0.4", "c.large on-demand": "0.2"}
    endpoints = [
        {"name": "a", "needs": needs(disk="500GiB")},
        {"name": "b", "needs": needs(disk="500GiB", public_address=True)},
        {"name": "c", "needs": needs(disk="10GiB")},
        {"name": "d", "needs": needs(disk="10GiB")},
    ]
    found = needed(tmp_path, catalogue(hourly), endpoints=endpoints)
    assert used(found)[0] == ("c.large", "on-demand", ("a", "b"))
    assert found.gap == 0
    assert found.usd == Decimal("0.2") * 720 * 2 + 40 + Decimal("0.8") + Decimal("3.6")
    assert not any(item.type == "c.large" for item in found.rejected)  # with another disk it is still the same type


def test_more_sizes_of_disks_than_are_told_apart_leave_a_bound_that_holds(tmp_path: Path) -> None:
    endpoints = [
        {"name": f"e{size}", "needs": needs(vcpus=1, disk=f"{size}GiB")} for size in (10, 20, 40, 80, 160, 320)
    ]
    found = needed(tmp_path, endpoints=endpoints)
    assert found.bill is not None
    assert found.bill.complete
    assert 0 <= (found.gap or 0) < Decimal("0.2")
    apart = sum((needed(tmp_path, endpoints=[item]).usd or Decimal(0) for item in endpoints), Decimal(0))
    assert (found.usd or 0) <= apart


@pytest.mark.parametrize("name", ["t1.micro", "m7i-flex.large"])
def test_what_ec2_slows_down_without_calling_it_burstable_is_not_steady(tmp_path: Path, name: str) -> None:
    known = catalogue({**HOURLY, f"{name} on-demand": "0.01"})
    known = replace(known, types={**known.types, name: kind(name, 2, 8)})
    assert used(needed(tmp_path, known, endpoints=[API])) == [("old.small", "on-demand", ("api",))]
    found = needed(tmp_path, known, endpoints=[{"name": "api", "needs": needs(burstable=True)}])
    assert used(found) == [(name, "on-demand", ("api",))]
    assert found.reasons[0].startswith(f"{name} is burstable: api may be slowed down there")
    running = [{"name": "one", "type": name, "runs": ["api"], "disk": "10GiB"}]
    same = rung("same types", tmp_path, known, endpoints=[API], instances=running)
    assert used(same) == [(name, "on-demand", ("api",))]  # it runs there today
    assert same.gap == 0


def test_a_disk_that_is_unknown_stays_so_beside_one_that_is_known(tmp_path: Path) -> None:
    endpoints = [
        {"name": "a", "needs": needs(vcpus=1, memory="4GiB", disk="100GiB")},
        {"name": "b", "needs": needs(vcpus=1, memory="4GiB")},
    ]
    found = needed(tmp_path, endpoints=endpoints)
    assert used(found) == [("old.small", "on-demand", ("a", "b"))]
    assert not found.complete


def test_the_capability_of_what_runs_on_several_types_is_the_most_of_each(tmp_path: Path) -> None:
    running = [
        {"name": name, "type": name, "hours": "30h a month", "runs": ["training"], "disk": "10GiB"}
        for name in ("t4.small", "c.huge")
    ]
    found = rung("same capability", tmp_path, jobs=[TRAINING], instances=running)
    assert found.needs == {"training": "8 vCPUs, 64 GiB, 1 GPU of 16 GiB, cuda, steady, x86_64"}
    assert used(found) == [("t4.large", "on-demand", ("training",))]


def test_a_part_of_a_gpu_is_none(tmp_path: Path) -> None:
    running = [{"name": "one", "type": "part.small", "runs": ["api"], "disk": "10GiB"}]
    found = rung("same capability", tmp_path, endpoints=[API], instances=running)
    assert found.needs["instance one"].startswith("4 vCPUs, 16 GiB, ")
    assert "GPU" not in found.needs["instance one"]


def test_a_type_that_is_not_on_the_spot_market_has_no_assumed_price_there(tmp_path: Path) -> None:
    known = catalogue()
    firm = replace(known.types["t4.small"], usage_classes=("on-demand",))
    known = replace(known, types={**known.types, "t4.small": firm})
    found = needed(tmp_path, known, jobs=[{**TRAINING, **SPOT}], spot=ASSUMED)
    assert used(found) == [("a10g.small", "spot", ("training",))]


def test_instances_alone_are_chosen_without_a_thought_for_disks(tmp_path: Path) -> None:
    hourly = {**HOURLY, "c.large on-demand": "0.21", "old.small on-demand": "0.1", "part.small on-demand": "0.4"}
    endpoints = [{"name": name, "needs": needs(disk="200GiB")} for name in ("a", "b")]
    found = needed(tmp_path, catalogue(hourly), endpoints=endpoints, how={"compute_only": True})
    assert len(found.instances) == 2
    assert found.usd == 144
    assert found.workload is not None
    assert [item.disk_gib for item in found.workload.instances] == [200, 200]  # they are there all the same


def test_a_job_that_runs_on_a_burstable_type_today_may_stay_there(tmp_path: Path) -> None:
    """Today's bill counts no surplus either; how it compares with types of full speed is left to the last rung."""
    jobs = [{"name": "report", "needs": needs(), "hours": 1, "runs": "1 a day"}]
    running = [{"name": "one", "type": "t.small", "hours": "always", "runs": ["report"], "disk": "10GiB"}]
    found = rung("same types", tmp_path, jobs=jobs, instances=running)
    assert used(found) == [("t.small", "on-demand", ("report",))]
    assert found.instances[0].hours == 30
    assert "t.small is burstable: report may be slowed down there, or charged, under lasting load" in found.reasons


def test_spot_is_assumed_nothing_of_where_nothing_is_on_spot(tmp_path: Path) -> None:
    """A training beside a service costs nothing more: that it could be on spot by itself does not matter."""
    small = {"name": "report", "needs": needs(vcpus=1, memory="2GiB"), "hours": 10, "runs": "3 a month", **SPOT}
    half = {"name": "api", "needs": needs(vcpus=1, memory="4GiB")}
    found = needed(tmp_path, endpoints=[half], jobs=[small], spot=ASSUMED)
    assert used(found) == [("old.small", "on-demand", ("api", "report"))]
    assert not any("spot" in said for said in found.assumptions)
