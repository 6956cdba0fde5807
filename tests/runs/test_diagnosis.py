"""What the diagnosis says of curves whose truth is known, over 200 seeds of noise each; and of real ones."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from launchbay.runs.diagnosis import Diagnosis, diagnose, format_value
from launchbay.runs.events import Scalar

DATA = Path(__file__).parent / "data"
SEEDS = 200
RIGHT = 0.95
"""The share of right answers that every kind of curve has to reach."""

Curve = Callable[[float], float]  # of the share of the run that is over, 0 to 1


def scalar(values: list[float], every: int = 1) -> Scalar:
    return Scalar(steps=tuple(range(0, every * len(values), every)), values=tuple(values))


def noisy(curve: Curve, count: int, noise: float, inertia: float, seed: str) -> Scalar:
    """Sample a curve with noise relative to its level, each step's keeping a share of the one before."""
    chance = random.Random(seed)
    values, rest = [], 0.0
    for index in range(count):
        rest = inertia * rest + math.sqrt(1 - inertia**2) * chance.gauss(0, 1)
        values.append(curve(index / (count - 1)) * math.exp(noise * rest))
    return scalar(values)


def rate(kind: str, count: int, noise: float, inertia: float) -> float:
    """Measure how often a kind of curve is recognised."""
    training, validation, expected = KINDS[kind]
    right = 0
    for seed in range(SEEDS):
        found = diagnose(
            training=noisy(training, count, noise / 2, inertia, f"training {seed}"),
            validation=noisy(validation, count, noise, inertia, f"validation {seed}"),
        )
        right += found.verdict == expected
    return right / SEEDS


def decay(height: float, floor: float, speed: float) -> Curve:
    return lambda time: floor + height * math.exp(-speed * time)


def turning(at: float, slope: float) -> Curve:
    return lambda time: 0.5 + 2 * math.exp(-12 * time) + slope * max(0.0, time - at)


KINDS: dict[str, tuple[Curve, Curve, str]] = {
    "flat, as the reference model": (decay(400, 2.4, 40), decay(300, 2.9, 40), "flat"),
    "flat, as a classifier": (decay(1.8, 0.3, 15), decay(1.7, 0.5, 15), "flat"),
    "flat from the start": (lambda _: 0.693, lambda _: 0.693, "flat"),
    "still falling": (decay(2, 0.1, 1.2), decay(2, 0.4, 1.2), "falling"),
    "overfitting early": (decay(2, 0.05, 4), turning(0.25, 0.6), "overfitting"),
    "overfitting late": (decay(2, 0.05, 4), turning(0.7, 1.2), "overfitting"),
    "diverging": (turning(0.6, 6), turning(0.6, 7), "diverged"),
}
# Points, noise of one validation value relative to its level, inertia of the noise. 15 % at 500 points is the
# reference model's 0.43 around 2.9; the last one is what Adam's oscillations look like.
NOISES = {
    "a few clean epochs": (20, 0.01, 0.0),
    "40 epochs": (40, 0.03, 0.0),
    "100 epochs": (100, 0.05, 0.0),
    "500 epochs": (500, 0.05, 0.0),
    "500 oscillating epochs": (500, 0.05, 0.7),
}


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_answer_is_right(kind: str, noise: str) -> None:
    assert rate(kind, *NOISES[noise]) >= RIGHT


@pytest.mark.parametrize("kind", ["flat, as the reference model", "flat, as a classifier", "diverging"])
def test_jitter_as_of_the_reference_model_is_no_overfitting(kind: str) -> None:
    assert rate(kind, count=500, noise=0.15, inertia=0.0) >= RIGHT


@pytest.mark.parametrize("seed", range(20))
def test_the_step_of_overfitting_is_where_validation_turned(seed: int) -> None:
    found = diagnose(
        training=noisy(decay(2, 0.05, 4), 400, 0.02, 0.0, f"t{seed}"),
        validation=noisy(turning(0.4, 1.0), 400, 0.02, 0.0, f"v{seed}"),
    )
    assert found.verdict == "overfitting"
    assert found.since_step == pytest.approx(160, abs=30)
    assert f"step {found.since_step}" in found.sentence


# --- real runs ---


def real(name: str) -> Diagnosis:
    losses = json.loads((DATA / "losses.json").read_text())[name]
    return diagnose(training=scalar(losses["training"]), validation=scalar(losses["validation"]))


def test_the_reference_run_is_flat() -> None:
    found = real("calm")
    assert found.verdict == "flat"
    assert found.sentence == "Flat since about step 91: the validation loss stays near 2.54."
    assert (found.best_step, found.best_value) == (133, 2.44)


def test_a_jittery_seed_of_the_reference_run_is_flat_too() -> None:
    found = real("jittery")
    assert found.verdict == "flat"
    assert "within its noise of ±" in found.sentence


def test_a_real_run_that_memorises_is_overfitting() -> None:
    found = real("memorising")
    assert found.verdict == "overfitting"
    assert found.since_step == pytest.approx(28, abs=5)


# --- single rules ---


def test_nan_from_a_step_on() -> None:
    good = [1 / (1 + index) for index in range(40)]
    found = diagnose(training=scalar([*good, *[math.nan] * 5], every=10), validation=scalar(good, every=10))
    assert (found.verdict, found.since_step) == ("diverged", 400)
    assert "the training loss is NaN from step 400 on (the last good value was 0.025)" in found.sentence
    assert found.best_value == pytest.approx(0.025)


def test_nan_from_the_start_leaves_no_best_value() -> None:
    lost = scalar([math.nan] * 30)
    found = diagnose(training=lost, validation=lost)
    assert (found.verdict, found.since_step, found.best_step, found.best_value) == ("diverged", 0, None, None)


def test_infinity_in_the_validation_loss_alone() -> None:
    good = scalar([1.0] * 30)
    found = diagnose(training=good, validation=scalar([1.0] * 29 + [math.inf]))
    assert (found.verdict, found.since_step) == ("diverged", 29)
    assert "validation loss is infinite" in found.sentence


def test_a_passing_infinity_is_no_divergence() -> None:
    values = [2.0 + math.exp(-index / 5) for index in range(60)]
    values[3] = math.inf
    values[20] = math.nan
    assert diagnose(training=scalar(values), validation=None).verdict == "flat"


def test_huge_numbers_are_survived() -> None:
    values = [10.0 ** min(300, 3 * index) for index in range(120)]
    found = diagnose(training=scalar(values), validation=scalar(values))
    assert (found.verdict, found.since_step) == ("diverged", 34)
    assert "is 1e+102 from step 34 on" in found.sentence


def test_a_loss_that_grows_without_bound_diverges_though_no_noise_can_be_told_from_it() -> None:
    values = [1 + math.exp(-index / 5) + 2.0 ** max(-60, index - 150) for index in range(200)]
    found = diagnose(training=scalar(values), validation=scalar(values))
    assert found.verdict == "diverged"


def test_a_training_loss_that_creeps_up_is_rising_not_overfitting() -> None:
    up = [1 - 0.5 * min(1, index / 50) + 0.0006 * max(0, index - 50) for index in range(200)]
    found = diagnose(training=scalar(up), validation=scalar([value + 0.2 for value in up]))
    assert found.verdict == "rising"
    assert "the training loss itself rose" in found.sentence


def test_training_alone() -> None:
    found = diagnose(training=scalar([math.exp(-index / 100) for index in range(200)]), validation=None)
    assert found.verdict == "falling"
    assert "the training loss fell" in found.sentence
    assert found.sentence.endswith("; there is no validation loss, so overfitting cannot be seen.")


def test_validation_alone_may_overfit() -> None:
    up = [1.0 + 0.01 * max(0, index - 30) for index in range(100)]
    found = diagnose(training=None, validation=scalar(up))
    assert found.verdict == "overfitting"
    assert "no training loss to compare with" in found.rule


def test_flat_validation_under_a_falling_training_loss_is_told() -> None:
    training = scalar([math.exp(-index / 60) for index in range(200)])
    found = diagnose(training=training, validation=scalar([0.5 + math.exp(-index / 10) for index in range(200)]))
    assert found.verdict == "flat"
    assert found.sentence.endswith("; the training loss still falls.")


@pytest.mark.parametrize(("count", "words"), [(1, "1 point."), (11, "11 points.")])
def test_too_short(count: int, words: str) -> None:
    found = diagnose(training=scalar([1.0] * count), validation=None)
    assert found.verdict == "short"
    assert found.sentence.endswith(words)
    assert found.rule == f"short: {words[:-1]}, at least 12 are needed"


def test_too_short_counts_the_finite_points_of_the_longer_loss() -> None:
    sparse = scalar([1.0, *[math.nan] * 30, 1.0])
    assert diagnose(training=scalar([1.0] * 7), validation=sparse).sentence == "Too short to say: 7 points."
    assert diagnose(training=None, validation=sparse).sentence == "Too short to say: 2 finite points."


def test_a_loss_that_is_too_short_beside_the_other_is_told_from_one_that_is_missing() -> None:
    long, short = scalar([math.exp(-index / 100) for index in range(200)]), scalar([1.0] * 3)
    said = diagnose(training=long, validation=short).sentence
    assert said.endswith("overfitting cannot be seen, as the validation loss has fewer than 12 finite points.")
    up = scalar([1.0 + 0.01 * max(0, index - 30) for index in range(100)])
    assert "there is too little of a training loss to compare with" in diagnose(training=short, validation=up).rule


def test_nothing_at_all() -> None:
    empty = scalar([])
    assert diagnose(training=None, validation=None).verdict == "unknown"
    assert diagnose(training=empty, validation=empty).verdict == "unknown"


def test_a_loss_below_zero_is_judged_by_its_span() -> None:
    falling = [-3 * (1 - math.exp(-index / 300)) for index in range(300)]
    assert diagnose(training=scalar(falling), validation=scalar(falling)).verdict == "falling"
    turned = [-3 + 3 * math.exp(-index / 10) + 0.01 * max(0, index - 100) for index in range(300)]
    assert diagnose(training=scalar(falling), validation=scalar(turned)).verdict == "overfitting"


def test_a_share_of_the_range_is_called_one() -> None:
    up = diagnose(training=scalar([float(index) for index in range(30)]), validation=None)  # 0 is no level
    assert "rose from 1 to 27;" in up.sentence
    assert up.rule.endswith("end above their lowest by 96.3% of their range, more than 50%")
    down = diagnose(training=scalar([-float(index) for index in range(30)]), validation=None)
    assert "fell by 22% of its range over" in down.sentence
    assert "fall by 22.2% of their range over" in down.rule
    turned = diagnose(training=None, validation=scalar([abs(index - 20) - 5.0 for index in range(60)]))
    assert "rose from -4 to 30 (+92% of its range);" in turned.sentence
    still = diagnose(training=scalar([-5.0] * 30), validation=None)
    assert (
        "neither fell by 3% of their range over their last third nor end above their lowest by 5% of it" in still.rule
    )


def test_a_share_of_the_level_is_one_of_the_lowest() -> None:
    found = diagnose(training=scalar([1.0 + index for index in range(30)]), validation=None)
    assert "rose from 2 to 28;" in found.sentence
    assert "end 1,300.0% above their lowest, more than 50%" in found.rule


def test_what_rounding_alone_does_is_no_noise() -> None:
    found = diagnose(training=scalar([0.1 * index for index in range(30)]), validation=None)
    assert "(no noise)" in found.rule
    assert "times the noise" not in found.rule


def test_a_rise_that_counts_whatever_the_noise_does_not_claim_to_be_beyond_it() -> None:
    values = [1 + math.exp(-index / 5) + 2.0 ** max(-60, index - 150) for index in range(200)]
    rule = diagnose(training=scalar(values), validation=None).rule
    assert "times the noise" not in rule
    assert rule.endswith(
        "end over 1,000,000% above their lowest, more than 100%, with every point of the last block above every point "
        "of the lowest"
    )


def test_a_rise_that_three_digits_do_not_show_is_written_with_more() -> None:
    found = diagnose(training=scalar([-1000 - 0.0001 * (59 - index) for index in range(60)]), validation=None)
    assert "rose from -1,000.01 to -1,000.00;" in found.sentence


def test_the_last_good_value_before_the_end_is_good() -> None:
    values = [1.0, math.nan, *[1.0] * 4, 7.0, math.nan, math.nan]
    found = diagnose(training=scalar(values), validation=None)
    assert found.since_step == 7
    assert "(the last good value was 7)" in found.sentence


@pytest.mark.parametrize("seed", range(40))
def test_a_share_that_is_over_a_limit_is_written_over_it(seed: int) -> None:
    chance = random.Random(seed)
    slope, level = chance.uniform(0.0, 0.002), chance.choice([0.0, 1.0, -1.0])
    values = [level + math.exp(-index / 4) + slope * index for index in range(100)]
    rule = diagnose(training=scalar(values), validation=scalar([-value for value in values])).rule
    for share, least in re.findall(r"([\d.,]+)%[^%]* more than (\d+)%", rule):
        assert float(share.replace(",", "")) > float(least)


@pytest.mark.parametrize("verdict", ["flat", "falling", "overfitting", "diverged"])
def test_the_sentence_is_one_and_the_rule_names_its_numbers(verdict: str) -> None:
    training, validation, _ = next(kind for kind in KINDS.values() if kind[2] == verdict)
    found = diagnose(training=noisy(training, 200, 0.01, 0.0, "t"), validation=noisy(validation, 200, 0.01, 0.0, "v"))
    assert found.verdict == verdict
    assert found.sentence.endswith(".")
    assert ". " not in found.sentence
    assert found.rule.startswith(f"{verdict}: ")
    assert "%" in found.rule


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.5312, "2.53"),
        (402.9, "403"),
        (1234.5, "1,234"),
        (0.0125, "0.0125"),
        (0.0, "0"),
        (-1.5, "-1.5"),
        (4.31e-11, "4.31e-11"),
        (1.5e7, "1.5e+07"),
        (math.nan, "NaN"),
        (math.inf, "infinite"),
    ],
)
def test_values_are_written_with_three_digits(value: float, text: str) -> None:
    assert format_value(value) == text
