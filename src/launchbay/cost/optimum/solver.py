"""The covering model in HiGHS: the least cost at which columns cover the demand of every row.

HiGHS comes with the extra `solver` and is imported where it is used. It runs on one thread, so that equal models have equal
answers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launchbay.errors import UserError

if TYPE_CHECKING:
    import highspy

__all__ = ["Cover", "Solution", "need_solver"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """What a model came to: a value for each column, the price of a unit of each row (of an LP), and a lower bound.

    `is_timed_out` says that it ended because its seconds were over.
    """

    values: tuple[float, ...]
    duals: tuple[float, ...]
    usd: float
    bound: float
    is_timed_out: bool = False


def need_solver() -> None:
    """Raise UserError where HiGHS is not installed, naming the extra."""
    try:
        import highspy  # noqa: F401
    except ImportError as error:
        raise UserError(
            "the cheapest plan is found by HiGHS, which is not installed",
            hint="pip install 'launchbay[solver]'",
        ) from error


class Cover:
    """A covering model that grows by columns and is solved again from where it stood."""

    def __init__(self, demands: Sequence[float]) -> None:
        self._demands = list(demands)
        self._columns: list[tuple[float, Mapping[int, float]]] = []
        self._highs = _start(self._demands)

    def __len__(self) -> int:
        return len(self._columns)

    def add(self, usd: float, rows: Mapping[int, float]) -> None:
        """Add a column: what one of it costs, and what it contributes to each row."""
        self._columns.append((usd, rows))
        _add(self._highs, usd, rows)

    def demand(self, row: int, amount: float) -> None:
        """Change what a row asks for."""
        import highspy

        self._demands[row] = amount
        self._highs.changeRowBounds(row, amount, highspy.kHighsInf)

    def relax(self) -> Solution:
        """Solve with fractions allowed, from the last basis. All demands must be coverable."""
        self._highs.run()
        return _read(self._highs, self._highs.getInfo().objective_function_value)

    def solve(
        self, *, seconds: float, nodes: int, gap: float, start: Sequence[float] = (), enough: float = -math.inf
    ) -> Solution | None:
        """Solve in whole numbers; return the best found and what no solution can be below, None where none was found.

        It ends after so many seconds or nodes, when the two are within `gap` of each other (a fraction), or when a solution
        costs no more than `enough`. What is solved is
        a fresh copy: a version of HiGHS is known that loses a part of the cost when it starts from a relaxation.
        """
        import highspy

        highs = _start(self._demands)
        for usd, rows in self._columns:
            _add(highs, usd, rows)
        for column in range(len(self)):
            highs.changeColIntegrality(column, highspy.HighsVarType.kInteger)
        for option, value in (("mip_rel_gap", gap), ("mip_abs_gap", 1e-7), ("objective_target", enough)):
            highs.setOptionValue(option, value)
        highs.setOptionValue("mip_max_nodes", nodes)
        highs.setOptionValue("time_limit", max(seconds, 0.1))
        if start:
            first = highspy.HighsSolution()
            first.col_value = list(start)
            highs.setSolution(first)
        highs.run()
        info = highs.getInfo()
        if info.primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
            return None
        found = _read(highs, info.mip_dual_bound)
        whole = tuple(float(round(value)) for value in found.values)
        usd = sum(value * column[0] for value, column in zip(whole, self._columns, strict=True))
        is_sound = abs(usd - found.usd) <= 1e-6 * max(1.0, usd) and found.bound <= usd * (1 + 1e-6)
        return Solution(
            values=whole,
            duals=(),
            usd=usd,
            bound=found.bound if is_sound else 0.0,
            is_timed_out=highs.getModelStatus() == highspy.HighsModelStatus.kTimeLimit,
        )


def _start(demands: Sequence[float]) -> highspy.Highs:
    import highspy

    highs: highspy.Highs = highspy.Highs()  # type: ignore[no-untyped-call]
    for option, value in (("output_flag", False), ("threads", 1), ("parallel", "off"), ("random_seed", 0)):
        highs.setOptionValue(option, value)
    for demand in demands:
        highs.addRow(float(demand), highspy.kHighsInf, 0, [], [])
    return highs


def _add(highs: highspy.Highs, usd: float, rows: Mapping[int, float]) -> None:
    import highspy

    highs.addCol(usd, 0.0, highspy.kHighsInf, len(rows), list(rows), [float(value) for value in rows.values()])


def _read(highs: highspy.Highs, bound: float) -> Solution:
    solution = highs.getSolution()
    return Solution(
        values=tuple(solution.col_value),
        duals=tuple(solution.row_dual),
        usd=highs.getInfo().objective_function_value,
        bound=bound,
    )
