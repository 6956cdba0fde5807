"""Curves for tests that no picture may break on, and a plain one."""

from __future__ import annotations

import math
import random
from pathlib import Path

from launchbay.runs.curves import Curves
from tests.runs.writing import curves_of

__all__ = ["ODD", "decay", "odd_curves", "random_curves"]


def decay(count: int = 200, floor: float = 0.1) -> list[float]:
    return [floor + 10 * math.exp(-index / 20) for index in range(count)]


ODD: dict[str, list[float]] = {
    "one point": [2.0],
    "constant": [2.0] * 30,
    "zero": [0.0] * 30,
    "nothing finite": [math.nan, math.inf, -math.inf],
    "gaps": [math.nan if index % 3 else 1.0 + index for index in range(60)],
    "infinite": [1.0, math.inf, 2.0, -math.inf, 3.0],
    "huge": [10.0**power for power in range(-38, 39)],
    "both signs": [index - 50.0 for index in range(100)],
    "tiny": [1e-38 * (index + 1) for index in range(50)],
    "then nan": [*decay(50), math.nan, math.nan],
}


def odd_curves(folder: Path, name: str) -> Curves:
    """Write odd values for training and validation, beside a run like any other."""
    return curves_of(folder, odd={"loss": ODD[name], "val_loss": ODD[name]}, good={"loss": decay()})


def random_curves(folder: Path, seed: int) -> Curves:
    """Write some runs of values of any size, with strange ones among them."""
    chance = random.Random(seed)

    def series() -> list[float]:
        scale = 10.0 ** chance.randrange(-30, 30)
        strange = [math.nan, math.inf, -math.inf, 0.0, -1.0, 1e30, 1e-30]
        return [
            chance.choice(strange) if chance.random() < 0.1 else scale * chance.expovariate(1)
            for _ in range(chance.randrange(1, 80))
        ]

    runs = {f"run{index}": {"loss": series(), "val_loss": series()} for index in range(chance.randrange(1, 6))}
    return curves_of(folder, **runs)
