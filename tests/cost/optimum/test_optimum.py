"""The cheapest plan is the cheapest: held against trying everything, and against what must be true of any optimum."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from launchbay.cost.optimum.cheapest import CheapestPlan
from launchbay.cost.optimum.machine import Machine
from launchbay.cost.optimum.needs import Job, Service
from tests.cost.optimum.workloads import (
    MONTH,
    cheapest,
    random_jobs,
    random_machines,
    random_services,
    try_everything,
)

CENT = Decimal("0.01")


def workload(seed: int) -> tuple[list[Service], list[Job], list[Machine]]:
    """Return up to six services on up to four types, most with a job or two."""
    chance = random.Random(seed)
    jobs = random_jobs(chance, 2)
    services = random_services(chance, most_copies=8 - len(jobs))
    return services, jobs, random_machines(chance, chance.randint(1, 4))


def check(seed: int) -> None:
    services, jobs, machines = workload(seed)
    plan = cheapest(services, jobs, machines)
    best = try_everything(services, jobs, machines)
    assert abs(plan.usd - best) < CENT / 100, f"seed {seed}: {plan.usd}, by trying everything {best}"
    assert plan.gap == 0
    assert plan.bound_usd <= best + CENT / 100
    hold(plan, services, jobs)


def hold(plan: CheapestPlan, services: list[Service], jobs: list[Job]) -> None:
    """Hold a plan against what makes it one: all copies apart, all jobs once, nothing too full, the sum of its parts."""
    placed = [name for item in plan.instances for name in item.services]
    assert sorted(placed) == sorted(item.name for item in services for _ in range(item.replicas))
    assert all(len(set(item.services)) == len(item.services) for item in plan.instances)
    run = [*(name for item in plan.instances for name in item.hosted), *(option.job for option in plan.alone)]
    assert sorted(run) == sorted(item.name for item in jobs)
    everything: list[Service | Job] = [*services, *jobs]
    needs = {item.name: item.needs for item in everything}
    for item in plan.instances:
        for axis in range(3):
            stands = sum(needs[name].units[axis] for name in item.services)
            assert (
                stands + max((needs[name].units[axis] for name in item.hosted), default=0) <= item.machine.units[axis]
            )
        assert item.hosted_hours <= MONTH
    parts = [*(item.usd for item in plan.instances), *(option.usd for option in plan.alone)]
    assert plan.usd == sum(parts, Decimal(0))
    assert plan.bound_usd <= plan.usd <= min(plan.baselines.values(), default=plan.usd)


@pytest.mark.parametrize("first", range(0, 1000, 100))
def test_it_is_as_cheap_as_by_trying_everything(first: int) -> None:
    for seed in range(first, first + 100):
        check(seed)


@pytest.mark.prove
@pytest.mark.parametrize("first", range(1000, 11_000, 1000))
def test_it_is_as_cheap_as_by_trying_everything_ten_times_as_often(first: int) -> None:
    for seed in range(first, first + 1000):
        check(seed)
