"""The steps of the search, each by itself: what goes in stays sound, and what comes out is no dearer."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from launchbay.cost.optimum import closing, patterns
from launchbay.cost.optimum.baselines import baselines
from launchbay.cost.optimum.bound import unit_prices
from launchbay.cost.optimum.budget import Budget
from launchbay.cost.optimum.closing import patterns_within
from launchbay.cost.optimum.columns import Columns, generate
from launchbay.cost.optimum.dive import dive
from launchbay.cost.optimum.dominance import drop_dominated
from launchbay.cost.optimum.knapsack import Pricer
from launchbay.cost.optimum.naming import name_services
from launchbay.cost.optimum.packing import cost, host, is_sound, tidy
from launchbay.cost.optimum.patterns import MOST_WAYS, all_patterns, count_ways
from launchbay.cost.optimum.polish import NEAR, polish
from launchbay.cost.optimum.problem import Pattern, Problem, build_problem
from launchbay.cost.optimum.search import search
from tests.cost.optimum.workloads import job, machine, no_clock, random_jobs, random_machines, random_services, service


def never() -> bool:
    return False


def problem_of(seed: int, *, jobs: int = 0) -> Problem:
    chance = random.Random(seed)
    guests = [(item, chance.uniform(1, 50)) for item in random_jobs(chance, jobs)]
    services = random_services(chance, most=9, most_copies=20)
    whole = build_problem(services, guests, random_machines(chance, 8), 720.0)
    return replace(whole, bins=tuple(drop_dominated(whole.bins)[0]))


@pytest.mark.parametrize("seed", range(20))
def test_a_dive_ends_in_a_packing_and_leaves_the_model_as_it_was(seed: int) -> None:
    problem = problem_of(seed, jobs=4)
    columns, pricer = Columns(problem), Pricer(problem)
    columns.add(baselines(problem)["first-fit-decreasing"])
    relaxed = generate(columns, pricer, is_over=never, upper=1e9)
    before = columns.cover.relax().usd
    packing = dive(columns, pricer, is_over=never)
    assert is_sound(problem, packing)
    assert relaxed.bound <= cost(problem, packing) + 1e-6
    assert columns.cover.relax().usd <= before + 1e-6


@pytest.mark.parametrize("seed", range(20))
def test_polishing_a_bad_packing_makes_it_cheaper_and_keeps_it_sound(seed: int) -> None:
    problem = problem_of(seed, jobs=4)
    columns = Columns(problem)
    first = host(problem, baselines(problem)["cheapest for each service"])
    columns.add(first)
    relaxed = generate(columns, Pricer(problem), is_over=never, upper=1e9)
    packing = polish(problem, first, relaxed.prices, NEAR, enough=0.0, is_over=never)
    assert is_sound(problem, packing)
    usd = search(problem, Budget.start(60, no_clock), good_enough=0.0).usd
    assert usd - 1e-6 <= cost(problem, packing) <= cost(problem, first)
    assert cost(problem, packing) < cost(problem, first) or usd > cost(problem, first) * 0.9
    assert polish(problem, first, relaxed.prices, NEAR, enough=0.0, is_over=lambda: True) == first


def test_polishing_ends_when_it_is_enough() -> None:
    problem = problem_of(3)
    first = baselines(problem)["cheapest for each service"]
    prices = [0.0] * len(problem.demands)
    soon, late = (polish(problem, first, prices, NEAR, enough=enough, is_over=never) for enough in (1e9, 0.0))
    assert cost(problem, late) < cost(problem, soon) < cost(problem, first)


@pytest.mark.parametrize("seed", range(30))
def test_all_that_a_better_packing_could_consist_of_is_listed(seed: int) -> None:
    problem = problem_of(seed)
    exact = search(problem, Budget.start(60, no_clock), good_enough=0.0)
    assert exact.method == "all patterns"
    first = baselines(problem)["first-fit-decreasing"]
    columns = Columns(problem)
    columns.add(first)
    relaxed = generate(columns, Pricer(problem), is_over=never, upper=1e9)
    prices, worths = unit_prices(problem, relaxed.prices, relaxed.worths)
    slack = exact.usd - relaxed.bound + 1e-6
    listed = patterns_within(problem, prices, worths, slack)
    assert listed is not None
    closed = Columns(problem)
    closed.add([*listed, *first])
    whole = closed.cover.solve(seconds=60, nodes=100_000, gap=0.0)
    assert whole is not None
    assert whole.usd == pytest.approx(exact.usd)
    assert len(set(listed)) == len(listed)


def test_what_cannot_be_listed_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = problem_of(3)
    monkeypatch.setattr(patterns, "_MOST_PATTERNS", 1)
    monkeypatch.setattr(closing, "_MOST_PATTERNS", 1)
    found = search(problem, Budget.start(60, no_clock), good_enough=0.0)
    assert found.method == "column generation"
    assert is_sound(problem, found.packing)


@pytest.mark.parametrize("limit", ["_MOST_STEPS", "_MOST_PATTERNS", "_MOST_CELLS"])
def test_a_list_that_would_be_too_long_is_none(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = problem_of(3)
    prices = [0.0] * len(problem.demands)
    worths = Pricer(problem).worths(prices, [len(kind.services) for kind in problem.kinds])
    assert patterns_within(problem, prices, worths, 1e9)
    monkeypatch.setattr(closing, limit, 1)
    assert patterns_within(problem, prices, worths, 1e9) is None


def test_seventeen_different_services_are_too_many_to_list() -> None:
    services = [service(f"s{number}", 0.25 * (number + 1), 1) for number in range(17)]
    there = [machine("c5.large", 8, 64, "0.1")]
    assert count_ways(build_problem(services[:16], [], there, 720.0)) == MOST_WAYS
    assert all_patterns(build_problem(services, [], there, 720.0)) is None
    alike = [service(f"s{number}", 1, 1) for number in range(40)]
    assert count_ways(build_problem(alike, [], there, 720.0)) == 41


def test_first_fit_puts_the_largest_first_and_then_makes_instances_smaller() -> None:
    there = [machine("s.1", 2, 8, "0.1"), machine("m.1", 4, 16, "0.19"), machine("l.1", 8, 32, "0.35")]
    services = [service("a", 3, 8), service("b", 1, 8), service("c", 1, 4), service("d", 4, 16)]
    problem = build_problem(services, [], there, 720.0)
    found = baselines(problem)
    usd = {name: round(cost(problem, packing) / 720, 2) for name, packing in found.items()}
    assert usd == {
        "cheapest for each service": 0.58,
        "first-fit-decreasing": 0.48,
        "best first-fit-decreasing": 0.45,
    }
    assert all(is_sound(problem, packing) for packing in found.values())
    smaller = build_problem(services[:3], [], there, 720.0)
    (big,) = baselines(smaller)["one big instance"]
    assert smaller.bins[big.bin].machine.type == "l.1"


def test_second_copies_stand_on_a_second_big_instance() -> None:
    there = [machine("s.1", 2, 8, "0.1"), machine("l.1", 8, 32, "0.35")]
    problem = build_problem([service("a", 3, 8, 2), service("b", 1, 8)], [], there, 720.0)
    big = baselines(problem)["one big instance"]
    assert is_sound(problem, big)
    assert len(big) == 2


def test_what_covers_too_much_is_trimmed_where_that_saves_most() -> None:
    there = [machine("s.1", 2, 8, "0.1"), machine("m.1", 4, 16, "0.19")]
    problem = build_problem([service("a", 2, 8), service("b", 2, 7)], [], there, 720.0)
    both, single = Pattern(bin=1, counts=(1, 1)), Pattern(bin=0, counts=(1, 0))
    packing = tidy(problem, [both, single])
    assert is_sound(problem, packing)
    assert cost(problem, packing) == pytest.approx(0.19 * 720)


@pytest.mark.parametrize("seed", range(20))
def test_equal_services_get_their_names_back(seed: int) -> None:
    chance = random.Random(seed)
    alike, replicas = chance.randint(2, 6), chance.randint(1, 4)
    services = [service(f"s{number}", 1, 1, replicas) for number in range(alike)]
    problem = build_problem(services, [], [machine("l.1", 8, 32, "0.35")], 720.0)
    left, counts = alike * replicas, []
    while left:
        counts.append(min(left, chance.randint(1, alike)))
        left -= counts[-1]
    if max(counts) > alike or len(counts) < replicas:
        return
    named = name_services(problem, [Pattern(bin=0, counts=(count,)) for count in counts])
    assert [len(names) for names in named] == counts
    assert all(len(set(names)) == len(names) for names in named)
    placed = [name for names in named for name in names]
    assert all(placed.count(item.name) == replicas for item in services)


def test_guests_that_no_instance_hosts_yet_are_taken_in() -> None:
    jobs = [(job("a", 1, 1, 400), 5.0), (job("b", 1, 1, 400), 9.0)]
    problem = build_problem([service("web", 1, 1)], jobs, [machine("c5.large", 2, 4, "0.1")], 720.0)
    (pattern,) = host(problem, (Pattern(bin=0, counts=(1,)),))
    assert pattern.guests == (1,)
    assert cost(problem, (pattern,)) == pytest.approx(72 + 5)


def test_a_budget_is_a_span_of_a_clock() -> None:
    time = [10.0]
    budget = Budget.start(8.0, lambda: time[0])
    half = budget.part(0.5)
    assert (budget.left(), half.left(), half.is_over()) == (8.0, 4.0, False)
    time[0] = 15.0
    assert (budget.left(), half.left(), half.is_over()) == (3.0, 0.0, True)
