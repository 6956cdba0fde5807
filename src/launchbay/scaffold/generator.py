"""A small regression dataset, the same on every machine for the same seed."""

from __future__ import annotations

import random
from collections.abc import Mapping

__all__ = ["NOISE", "SPLITS", "generate_rows", "generate_tables"]

SPLITS: Mapping[str, int] = {"train": 640, "validation": 160, "test": 200}
"""The files and how many rows each has."""

NOISE = 1.5
"""Standard deviation of the noise: no model can be expected to reach a mean squared error below its square."""


def generate_tables(*, seed: int = 42) -> dict[str, str]:
    """Return the CSV text of every split: no header, the target first, then one input."""
    rows = generate_rows(sum(SPLITS.values()), seed=seed)
    tables = {}
    for name, count in SPLITS.items():
        tables[name] = "".join(f"{target:.6f},{value:.2f}\n" for target, value in rows[:count])
        rows = rows[count:]
    return tables


def generate_rows(count: int, *, seed: int = 42) -> list[tuple[float, float]]:
    """Return (target, input) pairs: inputs uniform over -50 to 50, targets a smooth wave plus noise.

    Only additions, multiplications and divisions are used, which IEEE 754 defines to the last bit; a sine or a
    logarithm differs between C libraries.
    """
    chance = random.Random(seed)  # noqa: S311 - data, not secrets
    rows = []
    for _ in range(count):
        value = round(chance.uniform(-50, 50), 2)
        rows.append((_curve(value) + NOISE * _normal(chance), value))
    return rows


def _curve(value: float) -> float:
    """Rise with the input, with a wave of Lorentzian slopes around zero."""
    scaled = value / 15
    return 10 + value / 2 - 30 * scaled / (1 + scaled * scaled)


def _normal(chance: random.Random) -> float:
    """Return a nearly normal number of mean 0 and variance 1: twelve uniform ones, less 6 (Irwin-Hall)."""
    total = -6.0
    for _ in range(12):
        total += chance.random()  # not sum(), which rounds otherwise since Python 3.12
    return total
