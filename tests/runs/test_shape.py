from __future__ import annotations

import math
import random
from statistics import median, stdev

import pytest

from launchbay.runs.events import Scalar
from launchbay.runs.shape import MIN_POINTS, Shape, find_shape


def scalar(*values: float) -> Scalar:
    return Scalar(steps=tuple(range(0, 10 * len(values), 10)), values=values)


def shape(*values: float) -> Shape:
    found = find_shape(scalar(*values))
    assert found is not None
    return found


def wander(count: int, inertia: float, seed: int) -> list[float]:
    """Make noise of deviation 1 in which each value keeps a share of the one before."""
    chance = random.Random(seed)
    values = [chance.gauss(0, 1)]
    for _ in range(count - 1):
        values.append(inertia * values[-1] + math.sqrt(1 - inertia**2) * chance.gauss(0, 1))
    return values


def test_too_few_points_have_no_shape() -> None:
    assert find_shape(None) is None
    assert find_shape(scalar(*[1.0] * (MIN_POINTS - 1))) is None
    assert find_shape(scalar(*[1.0] * (MIN_POINTS - 1), math.nan, math.inf, 1e300)) is None
    assert find_shape(scalar(*[1.0] * MIN_POINTS)) is not None


def test_a_constant_neither_rises_nor_falls() -> None:
    found = shape(*[2.5] * 100)
    assert (found.low, found.end, found.rise, found.fall, found.noise) == (2.5, 2.5, 0, 0, 0)
    assert not found.has_risen
    assert not found.is_falling
    assert found.flat_from == 0


def test_a_straight_line_is_measured_exactly() -> None:
    found = shape(*[100 - 0.1 * index for index in range(400)])
    assert found.width == 20
    assert found.end == pytest.approx(100 - 0.1 * (380 + 365) / 2, abs=1)
    assert found.fall == pytest.approx(0.1 * 20 * 5, rel=1e-6)  # six blocks of twenty in the last third
    assert found.is_falling
    assert found.noise == pytest.approx(0, abs=1e-9)


def test_the_lowest_block_is_found_by_its_step() -> None:
    found = shape(*[1 + (index - 60) ** 2 / 1000 for index in range(200)])
    assert found.steps[found.lowest] == pytest.approx(600, abs=50)
    assert found.has_risen


def test_single_spikes_do_not_matter() -> None:
    chance = random.Random(1)
    values = [1.0 + chance.gauss(0, 0.01) for _ in range(200)]
    spiked = [value * (1000 if index % 20 == 7 else 1) for index, value in enumerate(values)]
    calm, wild = shape(*values), shape(*spiked)
    assert wild.end == pytest.approx(calm.end, abs=0.01)
    assert not wild.has_risen
    assert not wild.is_falling


def test_values_of_both_signs_are_measured_by_their_span() -> None:
    found = shape(*[-5.0 - 3 * math.exp(-index / 20) * -1 for index in range(200)])
    assert found.span == pytest.approx(2.4, rel=0.05)  # the first block's median has come down already
    assert not found.has_risen
    assert found.relative(1.5, 0.0) == pytest.approx(1.5 / 2.4, rel=0.05)
    assert shape(*[1.0 + index for index in range(50)]).span is None
    assert shape(*[0.0] * 50).relative(1.0, 0.0) == 0.0


@pytest.mark.parametrize("inertia", [0.0, 0.5, 0.8])
def test_the_noise_of_a_median_is_estimated(inertia: float) -> None:
    """Within a third of the truth for white noise, and up to twice, never far below, for lasting noise."""
    width = 25
    true = stdev(median(wander(width, inertia, seed)) for seed in range(2000))
    found = median(shape(*[10 + value for value in wander(500, inertia, -seed - 1)]).noise for seed in range(60))
    assert 0.9 < found / true < (1.35 if inertia == 0 else 2)
