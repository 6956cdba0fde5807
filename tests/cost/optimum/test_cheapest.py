"""The plan as a whole: what it hosts, what it proves, why the rest lost, and what it says when there is none."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import pytest

from benchmarks._workloads import made_up_machines, random_jobs, random_services
from launchbay.cost.optimum import search as searching
from launchbay.cost.optimum.cheapest import CheapestPlan, find_cheapest
from launchbay.cost.optimum.machine import Machine
from launchbay.cost.optimum.needs import Job, Service
from launchbay.errors import UsageError, UserError
from tests.cost.optimum.test_optimum import CENT, hold, workload
from tests.cost.optimum.workloads import MONTH, cheapest, job, machine, no_clock, service, try_everything

LARGE = machine("m6i.large", 2, 8, "0.096")
XLARGE = machine("m6i.xlarge", 4, 16, "0.192")
P2 = machine("p2.xlarge", 4, 61, "0.90", gpus=1, gpu_memory_gib=12)


def used(plan: CheapestPlan) -> list[str]:
    return [item.machine.type for item in plan.instances]


def test_a_service_and_two_days_of_a_gpu() -> None:
    """The small team's case, without disks and addresses: an m6i.large day and night, two p2.xlarge for a day each."""
    gpu_needs = replace(job("a", 4, 16, 24).needs, gpus=1)
    jobs = [replace(job(name, 4, 16, 24), needs=gpu_needs) for name in ("evaluate", "train")]
    plan = cheapest([service("notebook", 2, 8)], jobs, [LARGE, XLARGE, P2])
    assert plan.usd == plan.bound_usd == Decimal("112.32")
    assert used(plan) == ["m6i.large"]
    assert [(option.job, option.machine.type, option.usd) for option in plan.alone] == [
        ("evaluate", "p2.xlarge", Decimal("21.60")),
        ("train", "p2.xlarge", Decimal("21.60")),
    ]


def test_replicas_stand_apart_and_services_together() -> None:
    plan = cheapest([service("web", 1, 4, 2), service("api", 1, 4, 2)], [], [LARGE, XLARGE])
    assert [(item.machine.type, item.services) for item in plan.instances] == [("m6i.large", ("api", "web"))] * 2


def test_equal_services_are_told_apart_again() -> None:
    services = [service(name, 1, 4, 2) for name in "abc"]
    plan = cheapest(services, [], [LARGE])
    hold(plan, services, [])
    assert used(plan) == ["m6i.large"] * 3


def test_a_job_is_hosted_where_there_is_room_and_costs_nothing_more() -> None:
    jobs = [job("report", 1, 4, 10, 30)]
    plan = cheapest([service("web", 1, 4)], jobs, [LARGE, XLARGE])
    assert plan.usd == Decimal("69.12")
    assert plan.instances[0].hosted == ("report",)
    assert plan.instances[0].hosted_hours == 300
    assert plan.options["report"][0].usd == Decimal("28.80")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (job("report", 1, 4, 10, 30, can_share=False), "it must not share"),
        (job("report", 1.25, 4, 10, 30), "there is no room"),
        (job("report", 1, 4, 10, 73), "its hours do not fit into the month"),
        (job("report", 0.5, 2, 10, 30, instances=2), "it takes two machines at a time"),
    ],
)
def test_a_job_is_not_hosted_where(changed: Job, why: str) -> None:
    assert cheapest([service("web", 1, 4)], [changed], [LARGE]).instances[0].hosted == (), why


def test_hosted_jobs_queue_so_their_hours_add_up() -> None:
    jobs = [job("a", 1, 4, 400), job("b", 1, 4, 400)]
    plan = cheapest([service("web", 1, 4)], jobs, [LARGE, XLARGE])
    assert sorted(len(item.hosted) for item in plan.instances) == [1]
    assert len(plan.alone) == 1


def test_a_hosted_job_may_wait_for_the_others_and_still_meets_its_deadline() -> None:
    jobs = [job("long", 1, 4, 50), job("urgent", 1, 4, 2, deadline_hours=10)]
    plan = cheapest([service("web", 1, 4)], jobs, [LARGE])
    assert plan.instances[0].hosted == ("long",)
    patient = [jobs[0], replace(jobs[1], deadline_hours=52.0)]
    assert cheapest([service("web", 1, 4)], patient, [LARGE]).instances[0].hosted == ("long", "urgent")


def test_nothing_is_hosted_on_a_burstable_type_that_charges_a_surplus() -> None:
    there = replace(LARGE, surplus_usd=Decimal("0.05"))
    assert cheapest([service("web", 1, 4)], [job("report", 1, 4, 10)], [there]).instances[0].hosted == ()


def test_a_larger_instance_is_taken_where_what_it_hosts_pays_for_it() -> None:
    jobs = [job(f"j{number}", 2, 8, 100) for number in range(7)]
    dear = [machine("small.1", 1, 4, "0.05"), machine("big.1", 4, 16, "0.15"), machine("job.1", 2, 8, "0.20")]
    plan = cheapest([service("web", 1, 4)], jobs, dear)
    assert used(plan) == ["big.1"]
    assert len(plan.instances[0].hosted) == 7


@pytest.mark.parametrize("seed", range(40))
def test_asking_for_more_never_costs_less(seed: int) -> None:
    services, jobs, machines = workload(seed)
    usd = cheapest(services, jobs, machines).usd
    chance = random.Random(seed)
    first, *others = chance.sample(services, len(services))
    more: list[list[Service]] = [
        [*services, service("more", 0.25, 0.5)],
        [replace(first, replicas=first.replicas + 1), *others],
        [replace(first, needs=replace(first.needs, vcpus=first.needs.vcpus + 0.5)), *others],
        [replace(first, needs=replace(first.needs, memory_gib=first.needs.memory_gib * 1.5)), *others],
        [replace(first, needs=replace(first.needs, requires=first.needs.requires | {"x86_64"})), *others],
    ]
    for asked in more:
        assert cheapest(asked, jobs, machines).usd >= usd - CENT / 100
    assert cheapest(services, [*jobs, job("more", 0.25, 0.5, 5)], machines).usd >= usd - CENT / 100
    assert cheapest(services, jobs, machines[:1]).usd >= usd - CENT / 100


@pytest.mark.parametrize("seed", range(10))
def test_prices_scale_and_order_does_not_matter(seed: int) -> None:
    services, jobs, machines = workload(seed)
    plan = cheapest(services, jobs, machines)
    threefold = [
        replace(item, always_on_usd=item.always_on_usd * 3, hourly_usd=item.hourly_usd * 3)
        for item in machines
        if item.always_on_usd is not None and item.hourly_usd is not None
    ]
    assert cheapest(services, jobs, threefold).usd == 3 * plan.usd
    chance = random.Random(seed)
    again = cheapest(*(chance.sample(items, len(items)) for items in (services, jobs, machines)))  # type: ignore[arg-type]
    assert (again.instances, again.alone, again.usd) == (plan.instances, plan.alone, plan.usd)


@pytest.mark.parametrize("seed", range(60))
def test_a_bound_by_column_generation_is_one(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    services, jobs, machines = workload(seed)
    exact = cheapest(services, jobs, machines)
    monkeypatch.setattr(searching, "all_patterns", lambda _: None)
    plan = cheapest(services, jobs, machines, good_enough=0.0)
    assert plan.method == "column generation"
    hold(plan, services, jobs)
    assert plan.bound_usd <= exact.usd + CENT / 100
    assert plan.usd >= exact.usd - CENT / 100


@pytest.mark.parametrize(("seed", "gpus"), [(1, 0.2), (2, 0.2), (3, 0.0)])
def test_fourteen_services_are_exact_on_all_types_of_two_regions(seed: int, gpus: float) -> None:
    services = random_services(14, seed, gpus=gpus)
    plan = cheapest(services, [], made_up_machines(seed))
    hold(plan, services, [])
    assert (plan.gap, plan.method) == (Decimal(0), "all patterns")
    assert plan.usd < min(plan.baselines.values())


def test_25_services_are_within_one_percent() -> None:
    services = random_services(25, 1)
    plan = cheapest(services, [], made_up_machines(1))
    hold(plan, services, [])
    assert 0 < plan.gap < Decimal("0.01")
    assert not plan.is_cut_short
    again = cheapest(services[::-1], [], made_up_machines(1)[::-1])
    assert again.instances == plan.instances


def test_few_services_are_exact_beside_many_jobs_that_compete_for_hours() -> None:
    services, jobs = random_services(3, 2), random_jobs(40, 2)
    plan = cheapest(services, jobs, made_up_machines(1))
    hold(plan, services, jobs)
    assert (plan.gap, plan.method) == (Decimal(0), "column generation")


def test_without_time_there_is_still_a_plan_and_a_bound() -> None:
    services = random_services(25, 1)
    machines = made_up_machines(1)
    plan = find_cheapest(services, [], machines, month_hours=MONTH, clock=no_clock, seconds=0.0)
    hold(plan, services, [])
    assert plan.is_cut_short
    assert 0 < plan.bound_usd < plan.usd


def test_a_plan_for_jobs_alone_needs_no_instance() -> None:
    plan = cheapest([], [job("train", 2, 8, 10)], [LARGE])
    assert (plan.usd, plan.gap) == (Decimal("0.96"), Decimal(0))
    assert not plan.instances
    assert not plan.baselines


def test_a_plan_for_nothing_costs_nothing() -> None:
    plan = cheapest([], [], [LARGE])
    assert (plan.usd, plan.bound_usd, plan.gap) == (Decimal(0), Decimal(0), Decimal(0))


def test_everything_that_lost_says_why() -> None:
    machines = [
        LARGE,
        machine("m5.large", 2, 8, "0.10"),
        machine("m5a.large", 2, 8, "0.096"),
        machine("m6g.large", 2, 8, "0.077", traits=("arm64", "steady")),
        machine("t3.large", 2, 8, "0.083", traits=("x86_64",)),
        machine("m6i.medium", 1, 4, "0.048"),
        replace(XLARGE, always_on_usd=Decimal(200)),
        Machine(type="m9.large", region="us-west-2", vcpus=2, memory_gib=8, traits=LARGE.traits),
    ]
    wanted = service("web", 2, 8, 2, requires=frozenset({"x86_64", "steady"}))
    plan = cheapest([wanted], [], machines)
    assert used(plan) == ["m5a.large"] * 2
    said = {line.machine.type: (line.cause, line.reason, line.usd_more) for line in plan.rejected}
    assert said == {
        "m6i.large": (
            "dominated",
            "costs the same as m5a.large in us-west-2, which can take all of this workload that it could",
            Decimal(0),
        ),
        "m5.large": (
            "dominated",
            "$2.88 a month dearer than m5a.large in us-west-2, which can take all of this workload that it could",
            Decimal("2.88"),
        ),
        "m6g.large": ("unfit", "can run none of the services: is not x86_64", None),
        "t3.large": ("unfit", "can run none of the services: is not steady", None),
        "m6i.medium": ("unfit", "can run none of the services: has 1 vCPUs, 2 needed", None),
        "m6i.xlarge": (
            "dominated",
            "$130.88 a month dearer than m5a.large in us-west-2, which can take all of this workload that it could",
            Decimal("130.880"),
        ),
        "m9.large": ("price unknown", "its price is unknown", None),
    }


def test_what_was_worth_a_look_says_how_much_dearer_a_plan_with_it_is() -> None:
    services = [service("web", 2, 8), service("api", 2, 8)]
    plan = cheapest(services, [], [LARGE, replace(XLARGE, always_on_usd=Decimal(150))])
    (line,) = plan.rejected
    assert (line.cause, line.usd_more) == ("dearer", Decimal("11.7600"))
    assert line.reason == "any plan with one of it is at least $11.76 a month dearer"


def test_a_plan_with_what_lost_is_at_least_so_much_dearer() -> None:
    """Held against the least cost, by trying everything, of a plan that has one instance of it."""
    said = 0
    for seed in range(150):
        services, jobs, machines = workload(seed)
        plan = cheapest(services, jobs, machines)
        for line in plan.rejected:
            if line.cause == "dearer":
                least = try_everything(services, jobs, machines, with_one_of=line.machine)
                assert least - plan.usd >= (line.usd_more or 0) - CENT / 100, f"seed {seed}: {line}"
                said += 1
    assert said > 50


def test_the_alternatives_of_a_job_come_in_order() -> None:
    plan = cheapest([], [job("train", 1, 4, 10)], [XLARGE, LARGE, P2])
    ways = plan.options["train"]
    assert [way.machine.type for way in ways] == ["m6i.large", "m6i.xlarge", "p2.xlarge"]
    assert all(first.usd <= second.usd for first, second in pairwise(ways))


def test_what_is_assumed_is_said() -> None:
    plan = cheapest([service("web", 1, 4)], [job("report", 1, 4, 10, 30)], [LARGE])
    assert any("0.25 vCPU" in line for line in plan.assumptions)
    assert any("one after another" in line for line in plan.assumptions)
    assert any("without measured speeds" in line for line in plan.assumptions)
    there = replace(LARGE, spot_usd=Decimal("0.04"), spot_mean_hours=10.0)
    on_spot = cheapest([], [job("train", 2, 8, 10, can_be_interrupted=True, checkpoint_hours=0.01)], [there])
    assert any("constant rate" in line for line in on_spot.assumptions)


def test_a_service_that_fits_nowhere_says_what_is_in_the_way() -> None:
    unpriced = replace(P2, always_on_usd=None)
    with pytest.raises(UserError) as refused:
        cheapest([service("web", 8, 8)], [], [LARGE, XLARGE, unpriced])
    assert str(refused.value) == (
        "none of 2 machines with a known price can run the service 'web'\n"
        "  Try: 1 of them: has 2 vCPUs, 8 needed; 1 of them: has 4 vCPUs, 8 needed"
    )


@pytest.mark.parametrize("how", [{"good_enough": 1.0}, {"good_enough": -0.1}, {"missed": 1.1}, {"missed": -0.1}])
def test_a_fraction_is_one(how: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="are fractions of 1"):
        cheapest([service("web", 1, 1)], [], [LARGE], **how)


def test_a_month_without_hours_is_refused() -> None:
    with pytest.raises(UsageError, match="a month must have more than 0 hours, got 0"):
        find_cheapest([], [], [], month_hours=Decimal(0), clock=no_clock)
