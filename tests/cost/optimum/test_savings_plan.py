"""The commitment: against the rule for one usage, against every level, and with rates that are unknown."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from launchbay.cost.optimum.savings_plan import Segment, Usage, choose_commitment, cost_with, stack_jobs
from launchbay.errors import UsageError


def usage(on_demand: str, plan: str | None, name: str = "m6i.large") -> Usage:
    return Usage(name=name, on_demand_usd=Decimal(on_demand), plan_usd=Decimal(plan) if plan else None)


def segment(hours: int, *usages: Usage) -> Segment:
    return Segment(hours=Decimal(hours), usages=usages)


def test_what_always_runs_is_committed_to_in_full() -> None:
    found = choose_commitment([segment(720, usage("0.10", "0.06"), usage("0.20", "0.15"))])
    assert (found.usd_per_hour, found.usd, found.without_usd) == (Decimal("0.21"), Decimal("151.2"), Decimal(216))
    assert found.saved_usd == Decimal("64.8")


@pytest.mark.parametrize(("busy", "level"), [(431, "0"), (433, "0.06")])
def test_it_pays_for_what_runs_longer_than_the_plan_is_cheaper(busy: int, level: str) -> None:
    """At 60 % of the price it pays above 60 % of the 720 hours: 432."""
    found = choose_commitment([segment(busy, usage("0.10", "0.06")), segment(720 - busy)])
    assert found.usd_per_hour == Decimal(level)


def test_a_rate_that_is_unknown_is_no_saving() -> None:
    found = choose_commitment([segment(720, usage("0.10", None))])
    assert (found.usd_per_hour, found.saved_usd) == (Decimal(0), Decimal(0))
    assert found.usd == Decimal(72)


def test_a_rate_that_is_no_cheaper_is_not_used() -> None:
    found = choose_commitment([segment(720, usage("0.10", "0.12"))])
    assert (found.usd_per_hour, found.usd) == (Decimal(0), Decimal(72))


def test_the_highest_saving_is_paid_first() -> None:
    """0.06 dollars of commitment pay for the usage with the higher saving, and leave the other one on demand."""
    segments = [segment(1, usage("0.10", "0.09", "a"), usage("0.10", "0.06", "b"))]
    assert cost_with(segments, Decimal("0.06")) == Decimal("0.16")
    assert cost_with(segments, Decimal("0.03")) == Decimal("0.18")


def test_jobs_of_a_day_alone_do_not_justify_a_commitment() -> None:
    always, job = usage("0.096", "0.06"), usage("0.90", "0.55", "p2.xlarge")
    month = stack_jobs([always], [(job, Decimal(24)), (job, Decimal(24))], Decimal(720))
    assert sum(part.hours for part in month) == 720
    assert choose_commitment(month).usd_per_hour == Decimal("0.06")


def test_jobs_that_fill_the_month_leave_no_hours_without_one() -> None:
    month = stack_jobs([], [(usage("0.9", "0.5"), Decimal(720))], Decimal(720))
    assert [part.hours for part in month] == [720]
    with pytest.raises(UsageError, match="do not fit"):
        stack_jobs([], [(usage("0.9", "0.5"), Decimal(721))], Decimal(720))


@pytest.mark.parametrize("seed", range(20))
def test_no_level_on_a_fine_grid_is_better(seed: int) -> None:
    chance = random.Random(seed)
    usages = [
        usage(f"{usd:.2f}", f"{usd * chance.uniform(0.4, 1.1):.3f}" if chance.random() < 0.8 else None)
        for usd in (chance.uniform(0.05, 2) for _ in range(4))
    ]
    month = [
        segment(chance.randint(1, 300), *chance.sample(usages, chance.randint(0, 4)))
        for _ in range(chance.randint(1, 5))
    ]
    found = choose_commitment(month)
    assert found.usd == cost_with(month, found.usd_per_hour)
    assert found.without_usd == cost_with(month, Decimal(0))
    assert all(cost_with(month, Decimal(level) / 50) >= found.usd for level in range(300))
