"""What a handful of measurements says: spread, ratios, and how sure a difference of medians is. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles

__all__ = ["Difference", "Spread", "compare_medians", "ratios", "spread"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Five numbers of a sample, and how many measurements it holds."""

    count: int
    low: float
    lower_quartile: float
    median: float
    upper_quartile: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Return the five numbers of a sample that is not empty."""
    lower, middle, upper = quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
    return Spread(
        count=len(values),
        low=min(values),
        lower_quartile=lower,
        median=middle,
        upper_quartile=upper,
        high=max(values),
    )


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Return the ratio of each pair: measurements of the same round, which met the same machine."""
    return [first / second for first, second in zip(above, below, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A difference of two medians (first less second) with its bootstrap interval, and both relative to the second."""

    difference: float
    interval: tuple[float, float]
    relative: float
    relative_interval: tuple[float, float]
    confidence: float
    draws: int
    seed: int


def compare_medians(
    first: Sequence[float], second: Sequence[float], *, seed: int, draws: int = 10_000, confidence: float = 0.95
) -> Difference:
    """Compare two samples by their medians, with a percentile bootstrap (B. Efron, The Annals of Statistics 7, 1979).

    Each draw resamples both with replacement and independently: equal seeds do not make two frameworks draw the same
    weights, so there are no pairs. The second sample must be positive.
    """
    chance = random.Random(seed)
    differences, relatives = [], []
    for _ in range(draws):
        below = median(chance.choices(second, k=len(second)))
        difference = median(chance.choices(first, k=len(first))) - below
        differences.append(difference)
        relatives.append(difference / below)
    whole = median(first) - median(second)
    return Difference(
        difference=whole,
        interval=_middle(differences, confidence),
        relative=whole / median(second),
        relative_interval=_middle(relatives, confidence),
        confidence=confidence,
        draws=draws,
        seed=seed,
    )


def _middle(values: Sequence[float], share: float) -> tuple[float, float]:
    """Return the ends of the middle `share` of the values."""
    ordered, last = sorted(values), len(values) - 1
    tail = (1 - share) / 2
    return ordered[round(tail * last)], ordered[round((1 - tail) * last)]
