"""The covering model over all patterns, solved with only those that matter: column generation. Pure but for its budget.

The model starts with a few patterns. Its solution prices the services; a pattern that is worth more than its bin costs is
added; when there is none left, the solution is that over all patterns (Gilmore and Gomory, Operations Research 9, 1961).
At every step prices prove a bound, so it can be cut off at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from launchbay.cost.optimum.bound import farley_bound, sound_prices
from launchbay.cost.optimum.knapsack import Pricer
from launchbay.cost.optimum.problem import Pattern, Problem
from launchbay.cost.optimum.solver import Cover, Solution
from launchbay.cost.optimum.worth import Worth

__all__ = ["Columns", "Relaxation", "generate"]

_ROUNDS = 600
_CLOSE = 1e-6
_SMOOTH = 0.4
"""How much of the best prices so far stays in the next ones: without it, prices swing from one end to the other."""


class Columns:
    """The model with the patterns found so far, each once, and a column for each guest that runs alone."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.patterns: list[Pattern] = []
        self._places: dict[Pattern, int] = {}
        self.cover = Cover(problem.demands)
        for number, guest in enumerate(problem.guests):
            self.cover.add(guest.alone_usd, {len(problem.kinds) + number: 1})

    def add(self, patterns: Iterable[Pattern]) -> int:
        """Add the patterns that are new; return how many."""
        before = len(self.patterns)
        for pattern in patterns:
            if pattern not in self._places and not pattern.is_empty:
                self._places[pattern] = len(self.patterns)
                self.patterns.append(pattern)
                self.cover.add(self.problem.bins[pattern.bin].usd, self.problem.rows(pattern))
        return len(self.patterns) - before

    def amounts(self, solution: Solution) -> Sequence[float]:
        """Return how many of each pattern a solution takes."""
        return solution.values[len(self.problem.guests) :]

    def values(self, packing: Sequence[Pattern]) -> list[float]:
        """Return a packing as a solution of the model; its patterns are added."""
        self.add(packing)
        hosted = {guest for pattern in packing for guest in pattern.guests}
        values = [float(guest not in hosted) for guest in range(len(self.problem.guests))]
        values += [0.0] * len(self.patterns)
        for pattern in packing:
            values[len(self.problem.guests) + self._places[pattern]] += 1
        return values


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxation:
    """What the model with fractions came to: the best bound, the prices that prove it, what bins are worth at them."""

    bound: float
    prices: tuple[float, ...]
    worths: tuple[Worth, ...]
    rounds: int


def generate(columns: Columns, pricer: Pricer, *, is_over: Callable[[], bool], upper: float) -> Relaxation:
    """Add patterns until none is missing, the bound reaches `upper`, or the time is over."""
    problem = columns.problem
    limits = [len(kind.services) for kind in problem.kinds]
    best = Relaxation(bound=0.0, prices=(0.0,) * len(problem.demands), worths=(), rounds=0)
    rounds = 0
    while rounds < _ROUNDS and not (rounds and is_over()):
        solution = columns.cover.relax()
        duals = sound_prices(problem, solution.duals)
        added = 0
        for share in (_SMOOTH, 0.0) if best.worths else (0.0,):
            prices = [share * old + (1 - share) * new for old, new in zip(best.prices, duals, strict=True)]
            worths = pricer.worths(prices, limits)
            rounds += 1
            bound = farley_bound(problem, prices, worths)
            if bound > best.bound or not best.worths:
                best = Relaxation(bound=bound, prices=tuple(prices), worths=tuple(worths), rounds=rounds)
            added = columns.add(worth.pattern for worth in worths if _is_gain(problem, worth.pattern, duals))
            if added:
                break
        if not added or best.bound >= min(solution.usd * (1 - _CLOSE), upper):
            break
    return Relaxation(bound=best.bound, prices=best.prices, worths=best.worths, rounds=rounds)


def _is_gain(problem: Problem, pattern: Pattern, duals: Sequence[float]) -> bool:
    """Tell whether a pattern would bring the relaxed model down."""
    worth = sum(duals[row] * count for row, count in problem.rows(pattern).items())
    return worth > problem.bins[pattern.bin].usd * (1 + 1e-7)
