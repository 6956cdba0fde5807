"""The search for a packing and its proof: exact where the services are few, else a bound and a packing close to it. Pure.

The order is: what anybody would try; then, for few services, the model over all patterns; for more, the bound by column
generation, a packing by diving, better ones by polishing and by the model over the patterns found, and at last, where they
can be listed, the model over all patterns that a better packing could consist of. It ends as soon as what is proven suffices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from launchbay.cost.optimum.baselines import baselines
from launchbay.cost.optimum.bound import farley_bound, sound_prices, unit_prices
from launchbay.cost.optimum.budget import Budget
from launchbay.cost.optimum.closing import patterns_within
from launchbay.cost.optimum.columns import Columns, generate
from launchbay.cost.optimum.dive import dive
from launchbay.cost.optimum.hosting import Placing, services_within
from launchbay.cost.optimum.knapsack import Pricer
from launchbay.cost.optimum.packing import Packing, cost, host, tidy
from launchbay.cost.optimum.patterns import all_patterns
from launchbay.cost.optimum.polish import FAR, NEAR, polish
from launchbay.cost.optimum.problem import Pattern, Problem
from launchbay.cost.optimum.solver import Solution
from launchbay.cost.optimum.worth import Worth

__all__ = ["Found", "search"]

_EQUAL = 1e-6
"""What HiGHS tells apart: amounts closer than that, relatively, count as equal."""
_NODES = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A packing, what none can be below, and the prices that show why. `baselines` are the plain ways.

    `method` is ``all patterns`` or ``column generation``. `is_cut_short` says that some step ended because
    its time was over: with more, or on a faster machine, packing and bound may be others.
    """

    packing: Packing
    usd: float
    bound: float
    prices: tuple[float, ...]
    worths: tuple[Worth, ...]
    baselines: Mapping[str, Packing]
    method: str
    patterns: int
    rounds: int
    is_cut_short: bool


def search(problem: Problem, budget: Budget, *, good_enough: float) -> Found:
    """Find a packing whose proven gap is at most `good_enough`, or the best one that the budget allows.

    For few services, `good_enough` does not matter: the answer is exact.
    """
    plain = baselines(problem) if problem.kinds else {}
    first = min(
        (host(problem, packing) for packing in plain.values()), key=lambda item: cost(problem, item), default=()
    )
    patterns = all_patterns(problem)
    if patterns is None:
        return _Search(problem, budget, good_enough, first, plain).generated()
    return _exactly(problem, budget, patterns, first, plain)


def _exactly(
    problem: Problem, budget: Budget, patterns: Sequence[Pattern], first: Packing, plain: Mapping[str, Packing]
) -> Found:
    """Solve the model over all patterns."""
    columns = Columns(problem)
    columns.add(sorted(patterns, key=lambda item: (item.bin, item.counts, item.guests)))
    prices = sound_prices(problem, columns.cover.relax().duals)
    worths = Pricer(problem).worths(prices, [len(kind.services) for kind in problem.kinds])
    solution = columns.cover.solve(
        seconds=budget.left(), nodes=50 * _NODES, gap=0.0, start=columns.values(first) if first else ()
    )
    whole = _packing(columns, solution.values) if solution else first
    best = min(whole, first, key=lambda packing: cost(problem, packing)) if first else whole
    usd = cost(problem, best)
    bound = max(farley_bound(problem, prices, worths), min(solution.bound, usd) if solution else 0.0)
    is_exact = usd - bound <= _EQUAL * usd
    return Found(
        packing=best,
        usd=usd,
        bound=usd if is_exact else bound,
        prices=tuple(prices),
        worths=tuple(worths),
        baselines=plain,
        method="all patterns",
        patterns=len(columns.patterns),
        rounds=0,
        is_cut_short=not is_exact,
    )


def _packing(columns: Columns, values: Sequence[float]) -> Packing:
    """Return the packing that a whole solution stands for."""
    guests = len(columns.problem.guests)
    chosen = [
        pattern for pattern, amount in zip(columns.patterns, values[guests:], strict=True) for _ in range(round(amount))
    ]
    return host(columns.problem, tidy(columns.problem, chosen))


class _Search:
    """The steps of a search for more services than all patterns can be listed for; keeps the best packing and bound."""

    def __init__(
        self, problem: Problem, budget: Budget, good_enough: float, first: Packing, plain: Mapping[str, Packing]
    ) -> None:
        self._problem, self._budget, self._good_enough, self._plain = problem, budget, good_enough, plain
        self._best, self._usd = first, cost(problem, first)
        self._columns, self._pricer = Columns(problem), Pricer(problem)
        self._columns.add(first)
        half = budget.part(0.5)
        self._relaxed = generate(self._columns, self._pricer, is_over=half.is_over, upper=self._usd)
        self._bound, self._is_cut_short = self._relaxed.bound, half.is_over()

    def generated(self) -> Found:
        """Run the steps until what is proven suffices or the time is over."""
        for step in (self._dive, self._polish_near, self._combine, self._polish_far, self._close):
            step()
            if self._usd <= self._enough() or self._budget.is_over():
                break
        is_exact = self._usd - self._bound <= _EQUAL * self._usd
        return Found(
            packing=self._best,
            usd=self._usd,
            bound=self._usd if is_exact else self._bound,
            prices=self._relaxed.prices,
            worths=self._relaxed.worths,
            baselines=self._plain,
            method="column generation",
            patterns=len(self._columns.patterns),
            rounds=self._relaxed.rounds,
            is_cut_short=self._is_cut_short or (self._usd > self._enough() and self._budget.is_over()),
        )

    def _enough(self) -> float:
        """Return the cost at which the search may end, as the bound stands now."""
        return self._bound / (1 - self._good_enough)

    def _offer(self, packing: Packing) -> None:
        usd = cost(self._problem, packing)
        if usd < self._usd - _EQUAL:
            self._best, self._usd = packing, usd

    def _take(self, columns: Columns, solution: Solution | None) -> None:
        """Look at what a model in whole numbers came to, and at whether it had the time it wanted."""
        if solution:
            self._offer(_packing(columns, solution.values))
            self._is_cut_short |= solution.is_timed_out

    def _dive(self) -> None:
        """Go from fractions to a packing."""
        self._offer(dive(self._columns, self._pricer, is_over=self._budget.part(0.5).is_over))

    def _polish_near(self) -> None:
        """Solve a few instances at a time anew."""
        self._polish(NEAR)

    def _polish_far(self) -> None:
        """Solve more instances at a time anew, which takes longer for each."""
        self._polish(FAR)

    def _polish(self, reach: tuple[int, int]) -> None:
        part, enough = self._budget.part(0.5), self._enough()
        self._offer(polish(self._problem, self._best, self._relaxed.prices, reach, enough=enough, is_over=part.is_over))
        self._is_cut_short |= part.is_over()

    def _combine(self) -> None:
        """Solve the model over the patterns that were found, starting from the best packing."""
        start, seconds = self._columns.values(self._best), self._budget.left() / 3
        solution = self._columns.cover.solve(
            seconds=seconds, nodes=_NODES, gap=1e-4, start=start, enough=self._enough()
        )
        self._take(self._columns, solution)

    def _close(self) -> None:
        """Solve the model over all patterns of which a better packing could consist, where there are few enough."""
        prices, worths = unit_prices(self._problem, self._relaxed.prices, self._relaxed.worths)
        if self._problem.guests:
            self._close_with_guests(prices)
            return
        patterns = patterns_within(self._problem, prices, worths, self._usd - self._relaxed.bound)
        if patterns is None:
            return
        closed = Columns(self._problem)
        closed.add(sorted(patterns, key=lambda item: (item.bin, item.counts)))
        start = closed.values(self._best)
        solution = closed.cover.solve(seconds=self._budget.left(), nodes=50 * _NODES, gap=0.0, start=start)
        self._take(closed, solution)
        if solution:
            self._bound = max(self._bound, min(solution.bound, self._usd))

    def _close_with_guests(self, prices: Sequence[float]) -> None:
        patterns = services_within(self._problem, prices, self._usd - self._relaxed.bound)
        if patterns is None:
            return
        known = {replace(pattern, guests=()) for pattern in self._best}
        placing = Placing(self._problem, [*patterns, *sorted(known - set(patterns), key=lambda item: item.counts)])
        solution = placing.solve(self._best, seconds=self._budget.left(), nodes=50 * _NODES)
        if solution:
            self._offer(placing.packing(solution))
            self._is_cut_short |= solution.is_timed_out
            self._bound = max(self._bound, min(solution.bound, self._usd))
