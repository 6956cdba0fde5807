"""A packing from a relaxed one: take what is nearly whole, solve the rest again, until nothing is left. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from launchbay.cost.optimum.bound import sound_prices
from launchbay.cost.optimum.columns import Columns
from launchbay.cost.optimum.knapsack import Pricer
from launchbay.cost.optimum.packing import Packing, host, tidy
from launchbay.cost.optimum.problem import Pattern, Problem

__all__ = ["dive"]

_PRICED = 2
"""Rounds of new patterns for each step: the rest of the services fits together in other ways than all of them."""


def dive(columns: Columns, pricer: Pricer, *, is_over: Callable[[], bool]) -> Packing:
    """Return a packing; adds patterns to the columns on the way, and leaves their demands as they were."""
    problem = columns.problem
    left = list(problem.demands)
    fixed: list[Pattern] = []
    kinds = len(problem.kinds)
    while any(left[:kinds]):
        for row, amount in enumerate(left):
            columns.cover.demand(row, amount)
        solution = columns.cover.relax()
        for _ in range(0 if is_over() else _PRICED):
            prices = sound_prices(problem, solution.duals)
            limits = [min(len(kind.services), amount) for kind, amount in zip(problem.kinds, left[:kinds], strict=True)]
            if not columns.add(worth.pattern for worth in pricer.worths(prices, limits)):
                break
            solution = columns.cover.relax()
        for pattern in _take(columns, columns.amounts(solution), left):
            fixed.append(pattern)
            for row, count in problem.rows(pattern).items():
                left[row] = max(left[row] - count, 0)
    for row, amount in enumerate(problem.demands):
        columns.cover.demand(row, amount)
    return host(problem, tidy(problem, fixed))


def _take(columns: Columns, amounts: Sequence[float], left: Sequence[int]) -> list[Pattern]:
    """Return the patterns that the relaxed solution takes whole, or the one that it takes most of."""
    whole = [
        pattern for pattern, amount in zip(columns.patterns, amounts, strict=True) for _ in range(int(amount + 1e-6))
    ]
    if whole:
        return whole
    useful = (number for number, amount in enumerate(amounts) if amount > 1e-6 and _is_useful(columns, number, left))
    return [columns.patterns[max(useful, key=lambda number: (amounts[number], -number))]]


def _is_useful(columns: Columns, number: int, left: Sequence[int]) -> bool:
    problem: Problem = columns.problem
    return any(left[row] for row in problem.rows(columns.patterns[number]) if row < len(problem.kinds))
