"""What bins are worth: against every way to fill them, whether by a table or by the relaxation, with guests and without."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from decimal import Decimal

import pytest

from launchbay.cost.optimum import guests
from launchbay.cost.optimum.bound import farley_bound, sound_prices, unit_prices
from launchbay.cost.optimum.dominance import drop_dominated
from launchbay.cost.optimum.knapsack import Pricer
from launchbay.cost.optimum.problem import Problem, build_problem, can_queue, fits
from launchbay.cost.optimum.queues import possible_queues, room_of
from tests.cost.optimum.workloads import job, machine, random_jobs, random_machines, random_services, service


def problem_of(seed: int, *, hours: float = 720.0) -> Problem:
    chance = random.Random(seed)
    jobs = [(item, chance.uniform(1, 50)) for item in random_jobs(chance, 4)]
    return build_problem(random_services(chance), jobs, random_machines(chance, 6), hours)


def prices_of(problem: Problem, seed: int) -> list[float]:
    chance = random.Random(seed)
    return [chance.choice([0.0, chance.uniform(1, 300)]) for _ in problem.demands]


def best_filling(problem: Problem, number: int, prices: list[float]) -> float:
    """Return what the best filling of a bin is worth, by trying all."""
    item, best = problem.bins[number], 0.0
    hosted = [guest for guest in range(len(problem.guests)) if item.guests >> guest & 1]
    queues = [
        queue
        for size in range(len(hosted) + 1)
        for queue in itertools.combinations(hosted, size)
        if can_queue([problem.guests[guest].job for guest in queue], item.machine.type, problem.month_hours)
    ]
    for counts in itertools.product(*(range(len(kind.services) + 1) for kind in problem.kinds)):
        if any(count and not item.kinds >> kind & 1 for kind, count in enumerate(counts)):
            continue
        used = problem.used(counts)
        for queue in queues:
            room = room_of(problem, queue)
            if fits((used[0] + room[0], used[1] + room[1], used[2] + room[2]), item.units):
                worth = sum(price * count for price, count in zip(prices, counts, strict=False))
                best = max(best, worth + sum(prices[len(counts) + guest] for guest in queue))
    return best


@pytest.mark.parametrize("most_cells", [1_200_000, 1])
@pytest.mark.parametrize("seed", range(25))
def test_no_filling_is_worth_more_than_is_said(seed: int, most_cells: int) -> None:
    problem = problem_of(seed)
    prices = prices_of(problem, seed)
    worths = Pricer(problem, most_cells).worths(prices, [len(kind.services) for kind in problem.kinds])
    assert sorted(worth.bin for worth in worths) == list(range(len(problem.bins)))
    for worth in worths:
        best = best_filling(problem, worth.bin, prices)
        assert worth.most_usd >= best - 1e-6
        item, pattern = problem.bins[worth.bin], worth.pattern
        used, room = problem.used(pattern.counts), room_of(problem, pattern.guests)
        assert fits((used[0] + room[0], used[1] + room[1], used[2] + room[2]), item.units)
        found = sum(prices[row] * count for row, count in problem.rows(pattern).items())
        assert found <= best + 1e-6
        if most_cells > 1 and not problem.guests:
            assert found == pytest.approx(worth.most_usd)
            assert worth.most_usd == pytest.approx(best)


def test_a_large_bin_with_gpus_is_worth_what_its_best_filling_is() -> None:
    """Not more: what is left beside three of these services is worth nothing, because no part of one can stand there."""
    sizes = {"a": (17.25, 63.5), "b": (20, 80)}
    services = [service(f"{name}{number}", *sizes[name], gpus=1) for name in sizes for number in range(4)]
    problem = build_problem(services, [], [machine("g5.16xlarge", 64, 256, "4.096", gpus=4)], 720.0)
    prices = [100.0, 110.0]
    (worth,) = Pricer(problem).worths(prices, [len(kind.services) for kind in problem.kinds])
    assert worth.most_usd == pytest.approx(best_filling(problem, 0, prices))


@pytest.mark.parametrize("most_cells", [guests._MOST_CELLS, 0])  # noqa: SLF001
@pytest.mark.parametrize("seed", range(25))
def test_no_filling_is_worth_more_where_hours_are_short(
    seed: int, most_cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether hours are in a table, or have prices."""
    monkeypatch.setattr(guests, "_MOST_CELLS", most_cells)
    problem = problem_of(seed, hours=310.0)
    prices = prices_of(problem, seed)
    for worth in Pricer(problem).worths(prices, [len(kind.services) for kind in problem.kinds]):
        assert worth.most_usd >= best_filling(problem, worth.bin, prices) - 1e-6


def test_hours_that_do_not_fit_into_the_month_are_worth_nothing() -> None:
    jobs = [(job(f"j{number}", 1, 1, 300), 10.0) for number in range(4)]
    problem = build_problem([service("web", 1, 1)], jobs, [machine("c5.large", 2, 4, "0.1")], 720.0)
    (worth,) = Pricer(problem).worths([5.0, 10.0, 10.0, 10.0, 10.0], [1])
    assert worth.pattern.counts == (1,)
    assert len(worth.pattern.guests) == 2
    assert 25.0 <= worth.most_usd <= 5 + 10 * 720 / 300 + 1e-9


def test_prices_at_which_bins_are_worth_more_than_they_cost_are_scaled_down() -> None:
    problem = build_problem([service("web", 1, 1, 3)], [], [machine("c5.large", 2, 4, "0.1")], 720.0)
    worths = Pricer(problem).worths([144.0], [1])
    assert farley_bound(problem, [144.0], worths) == pytest.approx(3 * 72)
    prices, scaled = unit_prices(problem, [144.0], worths)
    assert prices[0] == pytest.approx(72)
    assert scaled[0].most_usd <= 72 + 1e-6


def test_prices_of_a_proof_are_not_negative_and_a_guest_is_worth_what_it_costs_alone() -> None:
    problem = build_problem([service("web", 1, 1)], [(job("train", 1, 1, 9), 4.0)], [machine("a.1", 2, 4, "1")], 720.0)
    assert sound_prices(problem, [-1.0, 7.0]) == [0.0, 4.0]


def test_too_many_queues_are_none() -> None:
    def queues(count: int, hours: float) -> int | None:
        jobs = [(job(f"j{number:02}", 0.25 * (number + 1), 1, hours), 1.0) for number in range(count)]
        there = [machine("big.1", 64, 64, "1")]
        found = possible_queues(build_problem([service("web", 1, 1)], jobs, there, 720.0))
        return None if found is None else len(found)

    assert queues(20, 30) == 21
    assert queues(20, 90) is None
    assert queues(10, 200) is not None
    assert queues(300, 0.1) is None


def test_a_dominated_machine_is_dropped_and_says_by_which() -> None:
    small = machine("m5.large", 2, 8, "0.1")
    others = [
        machine("m6.large", 2, 8, "0.1"),
        machine("m6.xlarge", 4, 16, "0.09"),
        machine("arm.large", 2, 8, "0.08", traits=("arm64", "steady")),
        machine("gpu.large", 2, 8, "0.2", gpus=1, gpu_memory_gib=8),
    ]
    problem = build_problem([service("web", 1, 4, requires=frozenset({"x86_64"}))], [], [small, *others], 720.0)
    kept, beaten = drop_dominated(problem.bins)
    assert [item.machine.type for item in kept] == ["m6.xlarge"]
    assert {item.machine.type: better.machine.type for item, better in beaten} == {
        "m5.large": "m6.xlarge",
        "m6.large": "m6.xlarge",
        "gpu.large": "m6.xlarge",
    }


def test_a_machine_on_which_a_guest_is_slower_beats_nothing() -> None:
    fast, slow = machine("fast.1", 2, 8, "0.11"), machine("slow.1", 2, 8, "0.10")
    wanted = job("train", 1, 1, 100, speeds={"fast.1": 2.0})
    problem = build_problem([service("web", 1, 1)], [(wanted, 9.0)], [fast, slow], 720.0)
    assert len(drop_dominated(problem.bins)[0]) == 2
    same = build_problem([service("web", 1, 1)], [(replace(wanted, speeds={}), 9.0)], [fast, slow], 720.0)
    assert len(drop_dominated(same.bins)[0]) == 1


def test_queues_are_those_that_no_other_contains() -> None:
    jobs = [(job("a", 1, 1, 100), 1.0), (job("b", 1, 1, 100), 1.0), (job("big", 2, 1, 600), 1.0)]
    there = [machine("c5.xlarge", 4, 8, "0.2"), replace(machine("c5.large", 2, 4, "0.1"), hourly_usd=Decimal("0.1"))]
    problem = build_problem([service("web", 1, 1)], jobs, there, 720.0)
    assert possible_queues(problem) == [(), (0, 1), (0, 2), (1, 2)]
    shorter = [(item if item.name != "big" else job("big", 2, 1, 60), usd) for item, usd in jobs]
    assert possible_queues(build_problem([service("web", 1, 1)], shorter, there, 720.0)) == [(), (0, 1), (0, 1, 2)]
