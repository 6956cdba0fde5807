"""What pictures of a bill and its alternatives show, as values: bars, points and curves. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from launchbay.catalog.price import Catalogue
from launchbay.cost.bill import make_bill
from launchbay.cost.line import Bill
from launchbay.cost.outlook import DISCOUNTS, Risk, over_discounts, over_months, risk_of
from launchbay.cost.saving.cheapest import Cheapest
from launchbay.cost.saving.trim import clean_up
from launchbay.cost.saving.waterfall import BEFORE_SPOT, Waterfall
from launchbay.spec.workload import Workload
from launchbay.units import format_usd

__all__ = ["Bar", "Charts", "Point", "charts_of_bill", "charts_of_plans"]

_MOST_BARS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """What one thing costs a month, in US dollars; None where that is not known."""

    label: str
    usd: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A way to run a workload: what it costs, at least where `complete` is false, and what it risks."""

    name: str
    usd: Decimal
    complete: bool
    risk: Risk


@dataclass(frozen=True, slots=True, kw_only=True)
class Charts:
    """Everything that is drawn. Curves go by the name of a way: over the month in hours, over the discount as a part of 1.

    `bill` is the one whose lines are shown. `waterfall` is None where only a bill was asked for.
    """

    title: str
    bill: Bill
    lines: tuple[Bar, ...]
    points: tuple[Point, ...]
    months: Mapping[str, Sequence[tuple[Decimal, Decimal]]]
    discounts: Mapping[str, Sequence[tuple[Decimal, Decimal]]]
    waterfall: Waterfall | None = None


def charts_of_bill(workload: Workload, bill: Bill, catalogue: Catalogue) -> Charts:
    """Return what is to be drawn of a bill alone."""
    return _charts(f"{bill.workload}: {_total(bill)} a month", bill, {"as it is": workload}, catalogue)


def charts_of_plans(cheapest: Cheapest, today: Workload, catalogue: Catalogue) -> Charts:
    """Return what is to be drawn of a bill and its alternatives; `today` is the workload that was asked about.

    Lines are those of the cheapest plan. Raises ValueError where there is neither a bill nor a plan.
    """
    ways: dict[str, Workload] = {"today": today} if cheapest.bill is not None else {}
    ways |= {rung.name: rung.workload for rung in cheapest.alternatives if rung.workload is not None}
    best = cheapest.best
    bill = best.bill if best is not None and best.bill is not None else cheapest.bill
    if bill is None:
        raise ValueError("neither a bill nor a plan")
    title = f"{cheapest.workload}: {_total(bill)} a month{' at the least' if bill.complete else ''}"
    if (saved := cheapest.waterfall.committed_usd) > 0:
        title += f" (${format_usd(saved)} less under a Savings Plan)"
    if cheapest.bill is not None:
        title += f", {_total(cheapest.bill)} today"
    return _charts(title, bill, ways, catalogue, cheapest.waterfall)


def _charts(
    title: str,
    bill: Bill,
    ways: Mapping[str, Workload],
    catalogue: Catalogue,
    waterfall: Waterfall | None = None,
) -> Charts:
    only = bill.compute_only
    months = {name: tuple(over_months(item, catalogue, compute_only=only)) for name, item in ways.items()}
    discounts = {name: tuple(over_discounts(item, catalogue, compute_only=only).items()) for name, item in ways.items()}
    discounts = {name: curve for name, curve in discounts.items() if curve}
    rival = _without_spot(waterfall)
    if discounts and rival is not None:
        usd = make_bill(rival, catalogue, compute_only=only).usd or Decimal(0)
        discounts["all on demand"] = tuple((below, usd) for below in (DISCOUNTS[0], DISCOUNTS[-1]))
    return Charts(
        title=title,
        bill=bill,
        lines=tuple(_bars(bill)),
        points=tuple(_points({**ways, **_stages(waterfall)}, catalogue, compute_only=only)),
        months={name: curve for name, curve in months.items() if curve},
        discounts=discounts,
        waterfall=waterfall,
    )


def _without_spot(waterfall: Waterfall | None) -> Workload | None:
    """Return what spot has to beat: the plan on demand, with disks that go as those of the plan do. None where none is."""
    for step in () if waterfall is None else waterfall.steps:
        if step.name == BEFORE_SPOT and step.workload is not None:
            on_spot = any(item.market == "spot" for item in step.workload.instances)
            return None if on_spot else clean_up(step.workload)[0]
    return None


def _total(bill: Bill) -> str:
    if bill.usd is None:
        return "an amount that is not known"
    usd = f"${Decimal(format_usd(bill.usd)):,}"
    return usd if bill.complete else f"at least {usd}"


def _bars(bill: Bill) -> Iterator[Bar]:
    """Yield the lines that cost something, the dearest first and what is not known last; many small ones as one."""
    known = sorted(
        ((line.amount, f"{line.name}: {line.what}") for line in bill.lines if line.amount),
        key=lambda pair: (-pair[0], pair[1]),
    )
    shown = known if len(known) <= _MOST_BARS else known[: _MOST_BARS - 1]
    yield from (Bar(label=label, usd=usd) for usd, label in shown)
    if rest := known[len(shown) :]:
        yield Bar(label=f"{len(rest)} smaller ones", usd=sum((usd for usd, _ in rest), Decimal(0)))
    yield from (Bar(label=f"{line.name}: {line.what}", usd=None) for line in bill.unknown)


def _stages(waterfall: Waterfall | None) -> dict[str, Workload]:
    """Return the ways between today and the cheapest plan, by the step that leads there."""
    steps = () if waterfall is None else waterfall.steps
    return {f"after {step.name}": step.workload for step in steps if step.saves_usd and step.workload is not None}


def _points(ways: Mapping[str, Workload], catalogue: Catalogue, *, compute_only: bool) -> Iterator[Point]:
    """Yield each way once: those that cost and risk the same as one point with both names."""
    found: dict[tuple[Decimal, bool, Decimal | None, int], list[str]] = {}
    for name, workload in ways.items():
        bill, risk = make_bill(workload, catalogue, compute_only=compute_only), risk_of(workload)
        if bill.usd is not None:
            found.setdefault((bill.usd, bill.complete, risk.interruptions, risk.together), []).append(name)
    for (usd, complete, interruptions, together), names in found.items():
        risk = Risk(interruptions=interruptions, together=together)
        yield Point(name=", ".join(names), usd=usd, complete=complete, risk=risk)
