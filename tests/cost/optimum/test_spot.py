"""Expected time and price under interruptions: against the published formula's table, and against throwing dice."""

from __future__ import annotations

import math
import random
import statistics

import pytest

from launchbay.cost.optimum.spot import (
    NOTICE_HOURS,
    Interruptions,
    best_interval,
    expect,
    use_notice,
)

RESTART = 5 / 60


def interruptions(mean_hours: float, checkpoint_seconds: float, missed: float = 1.0) -> Interruptions:
    return Interruptions(
        mean_hours=mean_hours, checkpoint_hours=checkpoint_seconds / 3600, restart_hours=RESTART, missed=missed
    )


@pytest.mark.parametrize(
    ("mean_hours", "checkpoint_seconds", "young", "best", "factor", "hourly", "price", "break_even"),
    [
        (1, 10, 4.5, 4.4, 1.172, 1.876, 0.410, 0.853),
        (1, 60, 11.0, 10.3, 1.313, 1.917, 0.459, 0.762),
        (2, 10, 6.3, 6.2, 1.099, 1.357, 0.385, 0.910),
        (2, 60, 15.5, 14.8, 1.190, 1.381, 0.416, 0.841),
        (6, 60, 26.8, 26.2, 1.094, 1.123, 0.383, 0.914),
        (24, 10, 21.9, 21.8, 1.019, 1.028, 0.357, 0.981),
        (24, 60, 53.7, 53.0, 1.042, 1.042, 0.365, 0.960),
    ],
)
def test_a_day_of_work_without_use_of_the_notice(
    *,
    mean_hours: float,
    checkpoint_seconds: float,
    young: float,
    best: float,
    factor: float,
    hourly: float,
    price: float,
    break_even: float,
) -> None:
    kind = interruptions(mean_hours, checkpoint_seconds)
    run = expect(24, kind)
    assert math.sqrt(2 * checkpoint_seconds / 3600 * mean_hours) * 60 == pytest.approx(young, abs=0.05)  # near the best
    assert best_interval(kind) * 60 == pytest.approx(best, abs=0.05)
    assert run.interval_hours == best_interval(kind)
    assert run.factor == pytest.approx(factor, abs=0.001)
    assert expect(24, kind, 1.0).factor == pytest.approx(hourly, abs=0.001)
    assert 0.35 * run.factor == pytest.approx(price, abs=0.0006)
    assert run.break_even == pytest.approx(break_even, abs=0.001)


def throw(work_hours: float, kind: Interruptions, interval: float, chance: random.Random) -> float:
    """Live through one run, event by event, and return its hours."""
    hours = done = 0.0
    while done < work_hours - 1e-9:
        segment = min(interval, work_hours - done)
        worked = 0.0
        while True:
            need = segment + kind.checkpoint_hours - worked
            until = chance.expovariate(1 / kind.mean_hours)
            if until >= need:
                hours += need
                break
            hours += until
            worked += until
            if chance.random() < kind.missed:
                worked = 0.0
            else:
                hours += kind.checkpoint_hours
            while (until := chance.expovariate(1 / kind.mean_hours)) < kind.restart_hours:
                hours += until
            hours += kind.restart_hours
        done += segment
    return hours


@pytest.mark.parametrize(
    ("mean_hours", "checkpoint_seconds", "missed", "segments"),
    [(1, 60, 1.0, 120), (2, 60, 1.0, 90), (1, 60, 0.1, 40), (2, 60, 0.3, 50), (2, 100, 0.0, 4), (0.5, 20, 0.5, 100)],
)
def test_the_formulas_agree_with_throwing_dice(
    mean_hours: float, checkpoint_seconds: float, missed: float, segments: int
) -> None:
    kind, chance, draws = interruptions(mean_hours, checkpoint_seconds, missed), random.Random(5), 3000
    run = expect(24, kind, 24 / segments)
    thrown = [throw(24, kind, 24 / segments, chance) for _ in range(draws)]
    assert statistics.mean(thrown) == pytest.approx(run.hours, abs=4 * run.deviation_hours / math.sqrt(draws))
    assert statistics.stdev(thrown) == pytest.approx(run.deviation_hours, rel=0.06)
    deadline = run.hours + 2 * run.deviation_hours
    assert sum(hours > deadline for hours in thrown) / draws <= run.lateness(deadline)


@pytest.mark.parametrize("missed", [1.0, 0.2])
def test_no_other_interval_is_better_than_the_best(missed: float) -> None:
    kind = interruptions(2, 60, missed)
    best = best_interval(kind)
    assert all(expect(24, kind, best * share).hours > expect(24, kind).hours for share in (0.5, 0.9, 1.1, 2.0))


def test_the_notice_is_used_where_a_checkpoint_fits_into_it() -> None:
    short = use_notice(2.0, NOTICE_HOURS, RESTART, 0.1)
    long = use_notice(2.0, NOTICE_HOURS * 1.01, RESTART, 0.1)
    assert (short.missed, long.missed) == (0.1, 1.0)
    assert expect(24, short).factor < expect(24, long).factor


def test_a_notice_that_is_never_missed_needs_no_checkpoints_between() -> None:
    kind = interruptions(2, 60, missed=0.0)
    assert math.isinf(best_interval(kind))
    run = expect(24, kind)
    assert run.interval_hours == 24
    assert run.hours == pytest.approx((24 + 1 / 60) * (math.exp(RESTART / 2) + (1 / 60) / 2))


def test_a_state_that_costs_nothing_to_save_is_saved_all_the_time() -> None:
    kind = interruptions(2, 0)
    assert best_interval(kind) == 0
    assert expect(24, kind).factor == pytest.approx(math.exp(RESTART / 2), rel=1e-4)


def test_a_run_that_never_gets_through_takes_for_ever() -> None:
    run = expect(500, interruptions(1, 60), 500)
    assert math.isinf(run.hours)
    assert run.lateness(10_000) == 1.0
    assert run.break_even == 0


def test_a_deadline_before_the_expected_end_is_taken_to_be_missed() -> None:
    run = expect(24, interruptions(2, 60))
    assert run.lateness(24.0) == 1.0
    assert run.lateness(1000.0) < 0.001
