"""The formulation that comes to mind first: a binary for each service on each copy of each type. The peer to beat."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from launchbay.cost.optimum.dominance import drop_dominated
from launchbay.cost.optimum.machine import Machine
from launchbay.cost.optimum.needs import Service
from launchbay.cost.optimum.problem import Problem, build_problem

__all__ = ["Plain", "solve_plainly"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """What the plain model came to. Its bound holds for as many copies of a type as it was given, and not beyond."""

    binaries: int
    copies: int
    usd: float | None
    gap: float
    seconds: float


def solve_plainly(
    services: Sequence[Service], machines: Sequence[Machine], month_hours: Decimal, *, seconds: float
) -> Plain:
    """Solve the plain model by HiGHS, on one thread, for so many seconds at most."""
    import highspy

    whole = build_problem(services, [], machines, float(month_hours))
    problem = replace(whole, bins=tuple(drop_dominated(whole.bins)[0]))
    copies = max(service.replicas for service in services)
    highs: Any = highspy.Highs()  # type: ignore[no-untyped-call]
    for option, value in (("output_flag", False), ("threads", 1), ("time_limit", seconds), ("mip_rel_gap", 1e-4)):
        highs.setOptionValue(option, value)
    began = time.perf_counter()
    binaries = _build(highs, problem, copies)
    highs.run()
    info = highs.getInfo()
    is_found = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    usd = info.objective_function_value if is_found else None
    return Plain(
        binaries=binaries,
        copies=copies,
        usd=usd,
        gap=(usd - info.mip_dual_bound) / usd if usd else 1.0,
        seconds=time.perf_counter() - began,
    )


def _build(highs: Any, problem: Problem, copies: int) -> int:
    """Write the model: every copy placed, no two of a service together, nothing too full, copies of a type in order."""
    import highspy

    whole = highspy.HighsVarType.kInteger
    columns = 0

    def binary(usd: float) -> int:
        nonlocal columns
        highs.addCol(usd, 0.0, 1.0, 0, [], [])
        highs.changeColIntegrality(columns, whole)
        columns += 1
        return columns - 1

    def row(least: float, most: float, terms: dict[int, float]) -> None:
        highs.addRow(least, most, len(terms), list(terms), list(terms.values()))

    placed: dict[tuple[int, int], list[int]] = {}
    for item in problem.bins:
        before = None
        for _ in range(copies):
            used = binary(item.usd)
            if before is not None:
                row(0.0, highspy.kHighsInf, {before: 1.0, used: -1.0})
            before = used
            loads: list[dict[int, float]] = [{used: -float(unit)} for unit in item.units]
            for kind, wanted in enumerate(problem.kinds):
                for member in range(len(wanted.services) if item.kinds >> kind & 1 else 0):
                    column = binary(0.0)
                    placed.setdefault((kind, member), []).append(column)
                    row(0.0, highspy.kHighsInf, {used: 1.0, column: -1.0})
                    for axis in range(3):
                        if wanted.units[axis]:
                            loads[axis][column] = float(wanted.units[axis])
            for load in loads:
                if len(load) > 1:
                    row(-highspy.kHighsInf, 0.0, load)
    for (kind, _), there in placed.items():
        row(float(problem.kinds[kind].replicas), float(problem.kinds[kind].replicas), dict.fromkeys(there, 1.0))
    return columns
