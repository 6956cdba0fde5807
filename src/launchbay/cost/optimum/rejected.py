"""Why a machine is not part of the cheapest plan: the reason that decides, with its dollars where there are some. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from launchbay.cost.optimum.bound import unit_prices
from launchbay.cost.optimum.machine import Machine, why_not
from launchbay.cost.optimum.problem import Bin, Problem
from launchbay.cost.optimum.search import Found
from launchbay.units import format_usd

__all__ = ["Rejected", "list_rejected"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A machine that no service stands on, and why.

    `usd_more` is how much a month would be dearer at least, None where that is not what decides. `cause` is ``price
    unknown``, ``unfit``, ``dominated``, ``dearer`` or ``open``: for the last a plan with it could be cheaper within the gap.
    """

    machine: Machine
    cause: str
    reason: str
    usd_more: Decimal | None = None


def list_rejected(
    machines: Sequence[Machine], problem: Problem, beaten: Sequence[tuple[Bin, Bin]], found: Found
) -> tuple[Rejected, ...]:
    """Return a line for each machine that the packing has no use for; `problem` holds those that were worth a look."""
    used = {problem.bins[pattern.bin].machine.name for pattern in found.packing}
    lines = {line.machine.name: line for line in (*_dominated(beaten), *_open(problem, found))}
    kept = []
    for machine in machines:
        if machine.name in used:
            continue
        if machine.always_on_usd is None:
            kept.append(Rejected(machine=machine, cause="price unknown", reason="its price is unknown"))
        else:
            kept.append(lines.get(machine.name) or _unfit(machine, problem))
    return tuple(kept)


def _unfit(machine: Machine, problem: Problem) -> Rejected:
    """Say what a machine lacks for the service that asks for least of what it lacks."""
    reasons: dict[str, list[str]] = {}
    for kind in sorted(problem.kinds, key=lambda kind: kind.units):
        reasons.setdefault(why_not(kind.needs, machine), []).append(kind.services[0])
    said = [why if len(reasons) == 1 else f"{why} ({names[0]})" for why, names in reasons.items()]
    return Rejected(machine=machine, cause="unfit", reason=f"can run none of the services: {'; '.join(said[:3])}")


def _dominated(beaten: Sequence[tuple[Bin, Bin]]) -> Iterator[Rejected]:
    for item, better in beaten:
        more = (item.machine.always_on_usd or Decimal(0)) - (better.machine.always_on_usd or Decimal(0))
        said = f"${format_usd(more)} a month dearer than" if more else "costs the same as"
        yield Rejected(
            machine=item.machine,
            cause="dominated",
            reason=f"{said} {better.machine.name}, which can take all of this workload that it could",
            usd_more=more,
        )


def _open(problem: Problem, found: Found) -> Iterator[Rejected]:
    """Say how much dearer than the plan any plan with one of a machine is at least: the bound, and what the machine loses."""
    prices, worths = unit_prices(problem, found.prices, found.worths)
    total = sum(price * demand for price, demand in zip(prices, problem.demands, strict=True))
    for worth in worths:
        item = problem.bins[worth.bin]
        more = Decimal(total + item.usd - worth.most_usd - found.usd).quantize(Decimal("0.0001"))
        if more > 0:
            reason = f"any plan with one of it is at least ${format_usd(more)} a month dearer"
            yield Rejected(machine=item.machine, cause="dearer", reason=reason, usd_more=more)
        elif found.usd <= found.bound:
            reason = "no plan with it is cheaper: proven over all plans together"
            yield Rejected(machine=item.machine, cause="dearer", reason=reason)
        else:
            reason = f"no plan with it was found to be cheaper; one could save at most ${format_usd(-more)} a month"
            yield Rejected(machine=item.machine, cause="open", reason=reason)
