"""The commitment: against the rule for one usage, against every level, and with rates that are unknown."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from launchbay.cost.optimum.savings_plan import Segment, Usage, choose_commitment


def usage(on_demand: str, plan: str | None, name: str = "m6i.large") -> Usage:
    return Usage(name=name, on_demand_usd=Decimal(on_demand), plan_usd=Decimal(plan) if plan else None)


def segment(hours: int, *usages: Usage) -> Segment:
    return Segment(hours=Decimal(hours), usages=usages)


def cost_with(month: Sequence[Segment], level: Decimal) -> Decimal:
    """Return what a month costs with a commitment, as AWS's user guide applies it: the highest saving first."""
    total = Decimal(0)
    for part in month:
        left, an_hour = level, level
        for item in sorted(part.usages, key=lambda item: (item.plan_usd or item.on_demand_usd) / item.on_demand_usd):
            plan = item.plan_usd
            paid = min(left / plan, Decimal(1)) if plan is not None and plan < item.on_demand_usd else Decimal(0)
            left -= (plan or Decimal(0)) * paid
            an_hour += item.on_demand_usd * (1 - paid)
        total += an_hour * part.hours
    return total


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
    month = [segment(672, always), segment(48, always, job)]
    assert choose_commitment(month).usd_per_hour == Decimal("0.06")


def test_many_of_one_are_as_many_by_themselves() -> None:
    one = usage("0.10", "0.06")
    found = choose_commitment([segment(720, replace(one, count=1000)), segment(24, one)])
    assert found == choose_commitment([segment(720, *[one] * 1000), segment(24, one)])
    assert found.usd_per_hour == 60


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
    close = Decimal("1e-15")
    assert abs(found.usd - cost_with(month, found.usd_per_hour)) < close
    assert abs(found.without_usd - cost_with(month, Decimal(0))) < close
    assert all(cost_with(month, Decimal(level) / 50) >= found.usd - close for level in range(300))
