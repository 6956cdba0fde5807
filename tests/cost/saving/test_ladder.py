"""The three rungs: what each leaves open, what it counts, and what it says of what it leaves out."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from launchbay.catalog.snapshot import load_snapshot
from launchbay.cost.saving.asked import Asked
from launchbay.cost.saving.cheapest import Cheapest, find_alternatives
from launchbay.cost.saving.room import Runtime
from launchbay.errors import NotFound, UsageError, UserError
from launchbay.spec.needs import Needs
from launchbay.spec.workload import read_workload
from tests.cost.optimum.workloads import no_clock
from tests.cost.prices import SIDE
from tests.cost.saving.world import API, HERE, HOURLY, SPOT, TRAINING, alternatives, catalogue, kind, needed, rung, used

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "small-team"
ASSUMED = {"below_on_demand": "60%", "interrupted_every": "6h"}


def of_example(name: str, **how: Any) -> Cheapest:
    asked = read_workload(EXAMPLES / f"{name}.yaml")
    known = load_snapshot(set(asked.regions))
    return find_alternatives(Asked(workload=asked, catalogue=known, clock=no_clock, **how))


def totals(found: Cheapest) -> dict[str, str | None]:
    return {item.name: item.bill.monthly_usd if item.bill else None for item in found.alternatives}


def needs(**more: Any) -> dict[str, Any]:
    return {"vcpus": 2, "memory": "8GiB", **more}


# --- the small team ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("example", "compute_only", "today", "expected"),
    [
        ("today", True, "648.00", ("648.00", "866.88", "76.83")),
        ("today", False, "659.60", ("659.60", "878.48", "83.62")),
        ("eight-gpus", True, "5184.00", ("5184.00", None, None)),
        ("spot", True, "86.40", ("86.40", None, "76.83")),
    ],
)
def test_the_small_team_on_three_rungs(
    example: str,
    compute_only: bool,  # noqa: FBT001 - pytest fills it in by its name
    today: str,
    expected: tuple[str | None, ...],
) -> None:
    """Beside $86.40 with spot, and $648.00 without a thought; in full the same with disks and addresses."""
    found = of_example(example, compute_only=compute_only)
    assert found.bill is not None
    assert found.bill.monthly_usd == today
    for name, usd in zip(totals(found).values(), expected, strict=True):
        assert usd is None or name == usd
    best = found.best
    assert best is not None
    assert best.name == "stated need"
    assert best.gap == 0


def test_a_rung_that_is_dearer_than_today_is_shown_and_says_so() -> None:
    found = of_example("today")
    dear = found.alternatives[1]
    assert found.saves_usd(dear) == Decimal("-218.88")
    assert used(dear) == [("g4dn.4xlarge", "on-demand", ("api", "training"))]  # the K80's 61 GiB beside a newer GPU


# --- what each rung leaves open ---------------------------------------------------------------------------------------

TODAY: dict[str, Any] = {
    "endpoints": [API],
    "jobs": [TRAINING],
    "instances": [
        {"name": "gpu", "type": "gone.gpu", "hours": "always", "runs": ["api", "training"], "disk": "100GiB"}
    ],
}


def test_the_rungs_say_what_they_need_and_leave_more_and_more_open(tmp_path: Path) -> None:
    same, capable, stated = alternatives(tmp_path, **TODAY).alternatives
    assert used(same) == [("gone.gpu", "on-demand", ("api", "training"))]
    assert "gone.gpu is a type that AWS no longer lists: another one like it may not be had" in same.reasons
    assert capable.needs == {"instance gpu": "4 vCPUs, 61 GiB, 1 GPU of 12 GiB, cuda, steady, x86_64"}
    assert used(capable) == [("t4.large", "on-demand", ("api", "training"))]
    assert stated.needs["training"] == "2 vCPUs, 16 GiB, 1 GPU of 12 GiB, cuda, steady, x86_64"
    assert used(stated) == [("old.small", "on-demand", ("api",)), ("t4.small", "on-demand", ("training",))]


def test_the_same_capability_has_as_many_gpus_with_as_much_memory_each(tmp_path: Path) -> None:
    running = [{"name": "gpu", "type": "t4.four", "runs": ["training"], "disk": "10GiB"}]
    found = rung("same capability", tmp_path, jobs=[TRAINING], instances=running)
    assert used(found) == [("t4.four", "on-demand", ("training",))]
    running[0]["type"] = "a10g.small"  # 22 GiB on its GPU: no T4 will do
    found = rung("same capability", tmp_path, jobs=[TRAINING], instances=running)
    assert used(found) == [("a10g.small", "on-demand", ("training",))]


def test_on_the_same_types_something_may_share_go_on_spot_or_run_less(tmp_path: Path) -> None:
    running = [
        {"name": "one", "type": "c.large", "runs": ["api"], "disk": "10GiB"},
        {"name": "two", "type": "c.large", "runs": ["web"], "disk": "10GiB"},
        {"name": "gpu", "type": "t4.small", "hours": "always", "runs": ["training"], "disk": "10GiB"},
    ]
    found = rung(
        "same types",
        tmp_path,
        endpoints=[API, {"name": "web", "needs": needs()}],
        jobs=[{**TRAINING, **SPOT}],
        instances=running,
        spot=ASSUMED,
    )
    assert used(found) == [("c.large", "on-demand", ("api", "web")), ("t4.small", "spot", ("training",))]


def test_what_runs_today_is_a_plan_on_the_same_types_even_where_its_needs_say_it_could_not(tmp_path: Path) -> None:
    crowded = {**TODAY, "jobs": [{**TRAINING, "needs": {**TRAINING["needs"], "vcpus": 3}}]}
    found = rung("same types", tmp_path, **crowded)
    assert found.bill is not None
    assert found.bill.monthly_usd == "656.00"
    assert (found.bound_usd, found.gap) == (None, None)  # nothing is proven of it
    assert found.reasons[0] == "everything stays as it is"
    assert "$" in found.reasons[1]


def test_without_what_runs_today_only_the_last_rung_is_there(tmp_path: Path) -> None:
    found = alternatives(tmp_path, endpoints=[API])
    assert found.bill is None
    assert [item.missing for item in found.alternatives[:2]] == [("what runs today is not said (instances)",)] * 2
    assert found.waterfall.missing == "what runs today is not said (instances)"
    assert found.best is found.alternatives[2]


def test_needs_that_are_missing_are_named_and_not_guessed(tmp_path: Path) -> None:
    jobs = [{**TRAINING, "needs": {"gpus": 1}}]
    found = alternatives(tmp_path, **{**TODAY, "jobs": jobs})
    missing = ("training does not say its vcpus and memory",)
    assert [item.missing for item in found.alternatives] == [missing, (), missing]
    assert found.waterfall.missing == missing[0]
    assert found.best is found.alternatives[1]  # for the capability of a type, nobody has to say anything


def test_measured_needs_stand_in_the_place_of_stated_ones(tmp_path: Path) -> None:
    jobs = [{**TRAINING, "needs": {"like": "run-1", "architecture": "x86_64"}}]
    assert needed(tmp_path, jobs=jobs).missing == (
        "training needs what run-1 did, and what that was is not known here",
    )
    measured = Needs(vcpus=Decimal(2), memory_mib=6000)
    found = needed(tmp_path, jobs=jobs, how={"measured": {"run-1": measured}})
    assert used(found) == [("old.small", "on-demand", ("training",))]
    tight = Needs(vcpus=Decimal(2), memory_mib=6000, gpus=1, gpu_memory_mib=23000)  # measured: no name on a box
    with pytest.raises(UserError, match=r"a10g.small in us-west-2, has 22.3516 GiB a GPU, 22.4609 needed"):
        needed(tmp_path, jobs=jobs, how={"measured": {"run-1": tight}})


def test_an_instance_that_runs_nothing_named_stays_and_is_counted(tmp_path: Path) -> None:
    more = {"name": "box", "type": "c.small", "hours": "always", "disk": "10GiB"}
    found = alternatives(tmp_path, **{**TODAY, "instances": [*TODAY["instances"], more]})
    plain = alternatives(tmp_path, **TODAY)
    for item, other in zip(found.alternatives, plain.alternatives, strict=True):
        assert item.usd == (other.usd or 0) + Decimal("72.8")
        assert item.bound_usd == (other.bound_usd or 0) + Decimal("72.8")
    assert "box runs nothing that is named, so it stays as it is" in found.alternatives[2].reasons


# --- what is counted ----------------------------------------------------------------------------------------------------


def test_disks_and_addresses_are_in_the_total_and_in_the_choice(tmp_path: Path) -> None:
    """Two small instances would be cheaper than a large one by themselves; with a disk each they are not."""
    cheap = {**HOURLY, "c.large on-demand": "0.21", "old.small on-demand": "0.1", "part.small on-demand": "0.4"}
    endpoints = [{"name": name, "needs": needs()} for name in ("a", "b")]
    assert len(used(needed(tmp_path, catalogue(cheap), endpoints=endpoints))) == 2
    big = [{"name": name, "needs": needs(disk="200GiB", public_address=True)} for name in ("a", "b")]
    found = needed(tmp_path, catalogue(cheap), endpoints=big)
    assert used(found) == [("c.large", "on-demand", ("a", "b"))]
    assert found.usd == Decimal("0.21") * 720 + 16 + Decimal("3.6")
    assert found.gap == 0


def test_the_disk_of_today_is_that_of_the_plan_unless_the_needs_say_another(tmp_path: Path) -> None:
    found = rung("stated need", tmp_path, **TODAY)
    assert found.workload is not None
    assert [item.disk_gib for item in found.workload.instances] == [100, 100]
    smaller = {**API, "needs": needs(disk="20GiB")}
    found = rung("stated need", tmp_path, **{**TODAY, "endpoints": [smaller]})
    assert found.workload is not None
    assert [(item.disk_gib, item.disk_kept) for item in found.workload.instances] == [(20, True), (100, False)]
    assert found.gap == 0


def test_a_disk_that_nobody_said_makes_the_plan_a_lower_bound(tmp_path: Path) -> None:
    found = alternatives(tmp_path, endpoints=[API])
    best = found.alternatives[2]
    assert not best.complete
    assert [item.usd for item in best.instances] == [None]
    running = [{"name": "one", "type": "c.huge", "runs": ["api"]}]
    found = alternatives(tmp_path, endpoints=[API], instances=running)
    assert [found.saves_usd(item) for item in found.alternatives] == [None] * 3  # what is not known is no saving
    assert found.as_json()["complete"] is False


def test_software_is_in_the_price_of_what_needs_it(tmp_path: Path) -> None:
    running = [{"name": "one", "type": "c.small", "runs": ["api"], "disk": "10GiB", "software_usd_per_hour": "0.5"}]
    found = rung("stated need", tmp_path, endpoints=[API], instances=running)
    assert found.usd == Decimal("0.09") * 720 + 360 + Decimal("0.8")
    assert found.gap == 0


def test_what_the_workload_pays_beside_is_in_the_total_and_in_the_bound(tmp_path: Path) -> None:
    plain = needed(tmp_path, endpoints=[{"name": "api", "needs": needs(disk="10GiB")}])
    beside = needed(
        tmp_path,
        endpoints=[{"name": "api", "needs": needs(disk="10GiB")}],
        disks=[{"name": "data", "size": "500GiB"}],
        addresses=[{"name": "kept"}],
    )
    assert (beside.usd or 0) - (plain.usd or 0) == Decimal("43.6")
    assert (beside.bound_usd or 0) - (plain.bound_usd or 0) == Decimal("43.6")


def test_an_endpoint_with_hours_is_paid_for_these(tmp_path: Path) -> None:
    office = {"name": "office", "needs": needs(disk="72GiB"), "hours": "10h a day", "replicas": 2}
    found = needed(tmp_path, endpoints=[office])
    assert used(found) == [("old.small", "on-demand", ("office",))]
    assert found.instances[0].hours == 600
    assert found.usd == 600 * Decimal("0.09") + 2 * 72 * Decimal("0.08") * 300 / 720
    with pytest.raises(UsageError, match="office stands 0h a day"):
        needed(tmp_path, endpoints=[{**office, "hours": "0h a day"}])


def test_endpoints_with_hours_do_not_wait_for_each_other_beside_a_service(tmp_path: Path) -> None:
    """Two that stand ten hours a day do so at once: only one finds room beside the service."""
    hourly = {**HOURLY, "c.large on-demand": "0.1"}
    endpoints = [API, *({"name": name, "needs": needs(), "hours": "10h a day"} for name in ("a", "b"))]
    found = needed(tmp_path, catalogue(hourly), endpoints=endpoints)
    hosts = [item.runs for item in found.instances if len(item.runs) > 1]
    assert [len(runs) for runs in hosts] == [2]


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
        ({"gpu_memory": "40GiB"}, "a10g.small in us-west-2, has 22.3516 GiB a GPU, 37.2 needed"),
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
