"""What no packing can be below, proven from prices alone. Pure.

Give each copy of a service a price, and each guest one of at most what it costs alone. If no bin can hold more worth than
it costs, then no plan costs less than the worth of all together: each instance pays at least for what stands on it. Where bins
can hold up to rho times their cost, all prices divided by rho are such prices (Farley, Operations Research 38, 1990).
Nothing limits how many instances of a type there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from launchbay.cost.optimum.problem import Problem
from launchbay.cost.optimum.worth import Worth

__all__ = ["farley_bound", "sound_prices", "unit_prices"]

_NOISE = 1e-9
"""A float's rounding, relatively and with much to spare, so that a bound stays one."""


def sound_prices(problem: Problem, prices: Sequence[float]) -> list[float]:
    """Return the nearest prices that the proof allows: not negative, a guest's at most what it costs alone."""
    kinds = len(problem.kinds)
    services = [max(price, 0.0) for price in prices[:kinds]]
    guests = [
        min(max(price, 0.0), guest.alone_usd) for price, guest in zip(prices[kinds:], problem.guests, strict=True)
    ]
    return services + guests


def unit_prices(
    problem: Problem, prices: Sequence[float], worths: Sequence[Worth]
) -> tuple[tuple[float, ...], tuple[Worth, ...]]:
    """Return prices at which no bin is worth more than it costs, and what bins are worth at those."""
    share = 1 / _most(problem, worths)
    return (
        tuple(price * share for price in prices),
        tuple(replace(worth, most_usd=worth.most_usd * share) for worth in worths),
    )


def farley_bound(problem: Problem, prices: Sequence[float], worths: Sequence[Worth]) -> float:
    """Return the least that any plan costs, in US dollars: services on instances, and guests hosted or alone."""
    total = sum(price * demand for price, demand in zip(prices, problem.demands, strict=True))
    return total / _most(problem, worths) * (1 - _NOISE)


def _most(problem: Problem, worths: Sequence[Worth]) -> float:
    """Return the largest worth of a bin over its cost, at least 1."""
    most = max((worth.most_usd / problem.bins[worth.bin].usd for worth in worths), default=1.0)
    return max(1.0, most * (1 + _NOISE))
