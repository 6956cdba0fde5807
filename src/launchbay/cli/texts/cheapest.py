"""Alternatives to a bill as text for people: the rungs, the plan behind each, the steps from today. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from launchbay.api.cost import Cost
from launchbay.cli.table import table
from launchbay.cli.texts.cost import BAR, bar_length, cost_text, signed_text
from launchbay.units import count_of, format_amount, format_usd

if TYPE_CHECKING:
    from launchbay.cost.line import Line
    from launchbay.cost.saving.cheapest import Cheapest
    from launchbay.cost.saving.lost import Lost
    from launchbay.cost.saving.rung import Rung, Used
    from launchbay.cost.saving.waterfall import Waterfall

__all__ = ["cheapest_text"]

_LOST = 5
_UNKNOWN = "unknown"


def cheapest_text(cheapest: Cheapest, *, now: float, width: int | None, block: str) -> str:
    """Show today's bill, what it would be on each rung, the plans, and the steps from today to the last of them."""
    parts = []
    if cheapest.bill is not None:
        parts.append(cost_text(Cost(bill=cheapest.bill), now=now, width=width, block=block))
    parts.append(_rungs_text(cheapest, width))
    parts += [_plan_text(rung, width) for rung in cheapest.alternatives]
    parts.append(_grounds_text(cheapest.alternatives))
    parts.append(_waterfall_text(cheapest.waterfall, block))
    return "\n\n".join(filter(None, parts))


def _rungs_text(cheapest: Cheapest, width: int | None) -> str:
    """Show the rungs side by side: what each costs, against today, and what no plan costs less than."""
    rows = []
    for rung in cheapest.alternatives:
        saves = cheapest.saves_usd(rung)
        rows.append(
            (
                rung.name,
                _total(rung),
                signed_text(None if saves is None else -saves),
                "-" if rung.bound_usd is None else format_usd(rung.bound_usd),
                _gap(rung),
                _remark(cheapest, rung, saves),
            )
        )
    head = ("ON", "USD A MONTH", "AGAINST TODAY", "NO PLAN BELOW", "GAP", "")
    commits = "; without any commitment" if cheapest.waterfall.committed_usd > 0 else ""
    return f"{cheapest.workload}, at the least{commits}:\n\n{table(head, rows, right=(1, 2, 3, 4), width=width)}"


def _total(item: Rung | Used) -> str:
    if item.usd is None:
        return _UNKNOWN
    return format_usd(item.usd) if item.complete else f">= {format_usd(item.usd)}"


def _gap(rung: Rung) -> str:
    gap = rung.gap
    return "-" if gap is None else f"{format_amount(gap * 100, most=2)} %"


def _remark(cheapest: Cheapest, rung: Rung, saves: Decimal | None) -> str:
    if rung.missing:
        return "could not be worked out"
    if rung.unmet:
        return "does not meet all needs"
    if saves is not None and saves < 0:
        return "dearer than today"
    return "the cheapest" if rung is cheapest.best else ""


def _plan_text(rung: Rung, width: int | None) -> str:
    lines = [f"{rung.name}:"]
    lines += [f"missing   {item}" for item in rung.missing]
    lines += [f"needs     {name}: {text}" for name, text in rung.needs.items()]
    if rung.instances:
        rows = [
            (
                item.name,
                item.type if item.count == 1 else f"{item.count} × {item.type}",
                item.region,
                item.market,
                ", ".join(item.runs) or "-",
                format_amount(item.hours, most=1),
                _total(item),
            )
            for item in rung.instances
        ]
        head = ("NAME", "TYPE", "REGION", "MARKET", "RUNS", "HOURS", "USD")
        lines += ["", table(head, rows, right=(5, 6), width=width, least=("REGION",)), ""]
    lines += [f"unmet     {item}" for item in rung.unmet]
    lines += [f"unknown   {line.category} of {line.name} ({line.what}){_cure(line)}" for line in rung.unknown]
    lines += [f"why       {item}" for item in rung.reasons]
    lines += _lost_lines(rung.rejected)
    if rung.gap and not rung.is_cut_short:
        lines.append(
            "proof     the gap is what neither the search nor the bound could close; more time changes nothing"
        )
    if rung.is_cut_short:
        lines.append("proof     the time was over: more of it (--seconds) could find a cheaper plan or prove this one")
    lines += [f"stale     {item}: its price is known to have changed since" for item in rung.stale]
    return "\n".join(lines)


def _cure(line: Line) -> str:
    return ": needs: {disk: 50GiB} says it" if line.category == "disk" and line.quantity is None else ""


def _grounds_text(rungs: Sequence[Rung]) -> str:
    """Show what all of it rests on, each sentence once."""
    assumed = dict.fromkeys(item for rung in rungs for item in rung.assumptions)
    notes = dict.fromkeys(item for rung in rungs for item in rung.notes)
    return "\n".join([*(f"assumed   {item}" for item in assumed), *(f"note      {item}" for item in notes)])


def _lost_lines(rejected: Iterable[Lost]) -> Iterator[str]:
    """Show what came nearest, and count the rest by why it lost."""
    found = list(rejected)
    near = [item for item in found if item.usd_more is not None][:_LOST]
    for item in near:
        whom = f" for {item.job or 'what always stands'}"
        market = ", spot" if item.market == "spot" else ""
        yield f"lost      {item.type} in {item.region}{market}{whom}: {item.reason}"
    causes: dict[str, int] = {}
    for item in found:
        if item not in near:
            causes[item.cause] = causes.get(item.cause, 0) + 1
    if causes:
        said = ", ".join(f"{count} {cause}" for cause, count in sorted(causes.items(), key=lambda pair: -pair[1]))
        yield f"lost      {count_of(sum(causes.values()), 'more offer')}: {said} (--json has each)"


def _waterfall_text(waterfall: Waterfall, block: str) -> str:
    """Show the steps as bars: each begins where the one before ended."""
    if waterfall.begin_usd is None or waterfall.end_usd is None:
        return f"from today to what is needed: {waterfall.missing}"
    most = max([waterfall.begin_usd, *(step.left_usd for step in waterfall.steps)])
    rows = [("today", format_usd(waterfall.begin_usd), 0, bar_length(waterfall.begin_usd, most))]
    for step in waterfall.steps:
        ends = (bar_length(step.left_usd + step.saves_usd, most), bar_length(step.left_usd, most))
        length = max(abs(ends[1] - ends[0]), 1) if step.saves_usd else 0
        rows.append((step.name, signed_text(-step.saves_usd), min(*ends, BAR - length), length))
    rows.append(("then", format_usd(waterfall.end_usd), 0, bar_length(waterfall.end_usd, most)))
    names, sizes = max(len(row[0]) for row in rows), max(len(row[1]) for row in rows)
    bars = [
        f"{name:{names}}  {usd:>{sizes}}  {' ' * begin}{block * length}".rstrip() for name, usd, begin, length in rows
    ]
    steps = [f"step      {step.name}: {step.what}" for step in waterfall.steps]
    risks = [f"risk      {step.name}: {step.risk}" for step in waterfall.steps if step.risk]
    return "\n".join(["from today to what is needed:", "", *bars, "", *steps, *risks])
