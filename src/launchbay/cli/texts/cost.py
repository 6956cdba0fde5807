"""Bills as text for people. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from launchbay.cli.table import table
from launchbay.units import count_of, format_amount, format_usd

if TYPE_CHECKING:
    from launchbay.api.cost import Cost
    from launchbay.cost.compare import Comparison
    from launchbay.cost.line import Bill, Line
    from launchbay.cost.reconcile import Reconciliation

__all__ = ["BAR", "age_text", "bar_length", "cost_text", "signed_text"]

BAR = 30
"""The blocks of the longest bar."""
_UNKNOWN = "unknown"


def cost_text(cost: Cost, *, now: float, width: int | None, block: str) -> str:
    """Show a bill, and below it what it was held against. `now` is in seconds since 1970, `block` is what bars are made of."""
    today = datetime.fromtimestamp(now, UTC).date()
    parts = [_bill_text(cost.bill, today, width, block)]
    if cost.against is not None:
        parts.append(_comparison_text(cost.bill, cost.against, width))
    if cost.reconciled is not None:
        parts.append(_reconciliation_text(cost.bill, cost.reconciled, width))
    return "\n\n".join(parts)


def _bill_text(bill: Bill, today: date, width: int | None, block: str) -> str:
    only = ", instances alone" if bill.compute_only else ""
    head = f"{bill.workload}: {', '.join(bill.regions)}, a month of {format_amount(bill.month_hours)} hours{only}"
    rows = [_line_row(line, today) for line in bill.lines]
    names = ("NAME", "FOR", "WHAT", "QUANTITY", "UNIT", "PRICE", "USD", "AGE", "SOURCE")
    least = ("SOURCE", "UNIT", "FOR", "AGE")
    lines = [head, ""]
    if rows:
        lines += [table(names, rows, right=(3, 5, 6), width=width, least=least), ""]
    lines += _category_lines(bill, block)
    lines.append(_total_line(bill))
    missing = [f"{line.category} of {line.name} ({line.what})" for line in bill.unknown]
    lines += [f"unknown   {item}" for item in missing]
    lines += [f"assumed   {item}" for item in bill.assumptions]
    return "\n".join([*lines, *(f"note      {item}" for item in bill.notes)])


def _line_row(line: Line, today: date) -> Sequence[str]:
    price = _UNKNOWN if line.unit_usd is None else str(line.unit_usd)
    return (
        line.name,
        line.category,
        line.what,
        _UNKNOWN if line.quantity is None else format_amount(line.quantity, most=2),
        line.unit,
        price,
        _usd(line.amount),
        _age_of(line, today),
        line.source or "-",
    )


def _age_of(line: Line, today: date) -> str:
    """Say how old a price is and how it came about, as far as that is not simply that somebody read it."""
    age = "" if line.as_of is None else age_text(line.as_of, today)
    how = "" if line.method in ("scraped", "cited", "live") else line.method
    return ", ".join(filter(None, (age, how, "stale" if line.is_stale else ""))) or "-"


def age_text(day: date, today: date) -> str:
    """Say how long ago a day was, in the unit that matters: ``12 days``, ``20 months``, ``4.7 years``."""
    days = max((today - day).days, 0)
    if days < 60:
        return count_of(days, "day")
    months = round(days / 30.44)
    return count_of(months, "month") if months < 36 else f"{days / 365.25:.1f} years"


def _category_lines(bill: Bill, block: str) -> list[str]:
    """Show what each category comes to as a bar; of one alone a bar would say nothing."""
    parts = bill.by_category()
    most = max((part.usd for part in parts if part.usd is not None), default=Decimal(0))
    if len(parts) < 2 or not most:
        return []
    shown = [_bounded(part.usd, is_complete=part.complete) for part in parts]
    size = max(map(len, shown))
    return [
        f"{part.category:10}{usd:>{size}}  {block * bar_length(part.usd, most)}".rstrip()
        for part, usd in zip(parts, shown, strict=True)
    ]


def _bounded(amount: Decimal | None, *, is_complete: bool) -> str:
    """Write an amount, as a lower bound unless it is complete."""
    return _usd(amount) if is_complete or amount is None else f">= {format_usd(amount)}"


def bar_length(total: Decimal | None, most: Decimal) -> int:
    """Return the length of a bar: at least a block for whatever costs anything."""
    return max(round(BAR * total / most), 1) if most and total and total > 0 else 0


def _total_line(bill: Bill) -> str:
    if bill.monthly_usd is None:
        return "total     unknown: no price of it is known"
    if bill.complete:
        return f"total     {bill.monthly_usd} USD a month"
    return f"total     at least {bill.monthly_usd} USD a month: {count_of(len(bill.unknown), 'line')} unknown"


def _comparison_text(bill: Bill, against: Comparison, width: int | None) -> str:
    rows = [
        (item.name, item.category, _usd(item.usd), _usd(item.other_usd), signed_text(item.difference))
        for item in against.differences
    ]
    rows.append(("total", "", _total(bill), _total(against.other), signed_text(against.difference)))
    own, other = bill.workload, against.other.workload
    head = ("NAME", "FOR", *(("HERE", "THERE") if own == other else (own, other)), "DIFFERENCE")
    lines = [f"against {against.other.workload}:", "", table(head, rows, right=(2, 3, 4), width=width)]
    if against.difference is None:
        lines.append("note      what is unknown is no saving: without it there is no difference")
    return "\n".join([*lines, *(f"note      {note}" for note in against.notes)])


def _total(bill: Bill) -> str:
    return _bounded(bill.usd, is_complete=bill.complete)


def _reconciliation_text(bill: Bill, found: Reconciliation, width: int | None) -> str:
    begin, end = found.period
    month = f", {begin} to {end}" if begin else ""
    rows = [
        (
            row.item,
            row.category,
            row.region,
            _UNKNOWN if row.forecast_quantity is None else format_amount(row.forecast_quantity, most=2),
            format_amount(row.actual_quantity, most=2),
            _usd(row.forecast_usd),
            _usd(row.actual_usd),
            signed_text(row.difference),
            "" if row.state == "both" else row.state,
        )
        for row in found.rows
    ]
    head = ("ITEM", "FOR", "REGION", "FORECAST", "BILLED", "USD", "BILLED USD", "DIFFERENCE", "")
    lines = [f"held against {found.report}{month}:", ""]
    lines.append(table(head, rows, right=(3, 4, 5, 6, 7), width=width, least=("REGION", "FOR")))
    lines += ["", f"used      {format_usd(found.usage_usd)} USD; forecast: {_total(bill)}"]
    lines += [f"besides   {format_usd(usd)} USD: {kind}" for kind, usd in found.other_charges.items()]
    return "\n".join([*lines, f"billed    {format_usd(found.billed)} USD"])


def _usd(amount: Decimal | None) -> str:
    return _UNKNOWN if amount is None else format_usd(amount)


def signed_text(amount: Decimal | None) -> str:
    """Write a difference with its sign; ``unknown`` where it is not known."""
    if amount is None:
        return _UNKNOWN
    text = format_usd(amount)
    return f"+{text}" if amount > 0 and text != "0.00" else text.replace("-0.00", "0.00")
