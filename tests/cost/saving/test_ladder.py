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
from launchbay.cost.saving.ladder import MEASURED
from launchbay.errors import UsageError, UserError
from launchbay.spec.needs import Measured
from launchbay.spec.workload import read_workload
from tests.cost.optimum.workloads import no_clock
from tests.cost.saving.world import API, HOURLY, SPOT, TRAINING, alternatives, catalogue, needed, rung, used, workload

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
    assert rung(MEASURED, tmp_path, jobs=jobs).missing == (
        "training needs what the run run-1 did, and there is no such run here (`bay runs`)",
    )
    took = Measured(run="run-1", seconds=Decimal(7200), vcpus=Decimal(2), memory_mib=6000, said=("it took 2 h",))
    found = rung(MEASURED, tmp_path, jobs=jobs, measure=lambda *_: took)
    assert used(found) == [("old.small", "on-demand", ("training",))]
    assert "training: it took 2 h" in found.assumptions
    assert any("far slower than what a run was measured on" in reason for reason in found.reasons)
    tight = replace(took, gpus=1, gpu_memory_mib=23000)  # measured: no name on a box
    with pytest.raises(UserError, match=r"a10g.small in us-west-2, has 22.3516 GiB a GPU, 22.4609 needed"):
        rung(MEASURED, tmp_path, jobs=jobs, measure=lambda *_: tight)
    greedy = replace(tight, said=("1 GB was taken; less may do",))
    with pytest.raises(UserError) as caught:
        rung(MEASURED, tmp_path, jobs=jobs, measure=lambda *_: greedy)
    said = "say vcpus, memory, gpus and gpu_memory in the place of `like: run-1`; 1 GB was taken; less may do"
    assert caught.value.hint == said


def test_a_job_takes_as_long_as_the_run_that_it_is_like_where_it_says_no_hours(tmp_path: Path) -> None:
    jobs = [{"name": "training", "runs": "2 a month", "needs": {"like": "run-1"}}]
    took = Measured(run="run-1", seconds=Decimal(7200), vcpus=Decimal(2), memory_mib=6000)
    found = rung(MEASURED, tmp_path, jobs=jobs, measure=lambda *_: took)
    assert [item.hours for item in found.instances] == [4]
    assert "training takes 2h 00m a run, as run-1 did" in found.assumptions
    with pytest.raises(UsageError, match=r"how long a run takes: the run that it is like, run-1, is not here"):
        workload(tmp_path, jobs=jobs)


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
    assert [(str(item.usd.normalize()), item.complete) for item in best.instances if item.usd] == [("64.8", False)]
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


# --- what a plan does not meet ----------------------------------------------------------------------------------------


def test_a_gpu_that_is_asked_for_by_name_is_so_on_every_rung_below_today(tmp_path: Path) -> None:
    """A T4 with as much of everything would be cheaper than the A10G that is asked for."""
    endpoints = [{"name": "api", "needs": needs(gpu="A10G", disk="10GiB")}]
    running = [{"name": "box", "type": "a10g.small", "runs": ["api"], "disk": "10GiB"}]
    found = alternatives(tmp_path, endpoints=endpoints, instances=running)
    assert [used(item)[0][0] for item in found.alternatives] == ["a10g.small"] * 3
    assert [item.unmet for item in found.alternatives] == [(), (), ()]


def test_what_does_not_meet_all_needs_is_never_the_cheapest(tmp_path: Path) -> None:
    endpoints = [{"name": "api", "needs": {**needs(), "vcpus": 8, "disk": "10GiB"}}]
    running = [{"name": "box", "type": "c.small", "runs": ["api"], "disk": "10GiB"}]
    found = alternatives(tmp_path, endpoints=endpoints, instances=running)
    same, _, stated = found.alternatives
    assert same.unmet == ("api: c.small has 2 vCPUs, and api needs 8",)
    assert (same.usd or 0) < (stated.usd or 0)
    assert found.best is stated


def test_of_equal_prices_the_region_that_was_named_first_is_taken(tmp_path: Path) -> None:
    known = catalogue()
    types = {
        name: replace(kind, regions=frozenset({"us-west-2", "eu-central-1"})) for name, kind in known.types.items()
    }
    for regions in (["us-west-2", "eu-central-1"], ["eu-central-1", "us-west-2"]):
        found = needed(tmp_path, replace(known, types=types), region=None, regions=regions, endpoints=[API])
        assert [item.region for item in found.instances] == regions[:1]


def test_what_is_not_known_of_a_plan_is_named(tmp_path: Path) -> None:
    found = needed(tmp_path, endpoints=[API])
    assert [(line.category, line.name) for line in found.unknown] == [("disk", "api")]
    assert found.as_json()["unknown"] == ["disk of api (gp3, size not said)"]
