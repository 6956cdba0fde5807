"""A forecast held against what AWS billed: line by line, what was not forecast, and what did not occur. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from launchbay.catalog.items import ITEMS, TRANSFER_OUT
from launchbay.cost.line import CATEGORIES, Bill, Line
from launchbay.cost.report import USAGE_TYPES, ReportRow
from launchbay.cost.usage import read_usage_type
from launchbay.errors import UsageError
from launchbay.units import format_amount, format_usd

__all__ = ["Reconciled", "Reconciliation", "reconcile"]

_Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """What is billed as one thing in one region: how much of it was forecast, and how much there was.

    Forecast amounts are None where the forecast does not know them. `state` is ``both``, ``not forecast`` or
    ``did not occur``.
    """

    category: str
    item: str
    region: str
    unit: str
    state: str
    forecast_quantity: Decimal | None
    actual_quantity: Decimal
    forecast_usd: Decimal | None
    actual_usd: Decimal

    @property
    def difference(self) -> Decimal | None:
        """How much more was billed than was forecast; None where the forecast does not know."""
        return None if self.forecast_usd is None else self.actual_usd - self.forecast_usd

    def as_json(self) -> Mapping[str, Any]:
        """Return the fields that `--json` shows."""
        return {
            "category": self.category,
            "item": self.item,
            "region": self.region,
            "unit": self.unit,
            "state": self.state,
            "forecast_quantity": None if self.forecast_quantity is None else format_amount(self.forecast_quantity),
            "actual_quantity": format_amount(self.actual_quantity),
            "forecast_usd": _exact(self.forecast_usd),
            "actual_usd": _exact(self.actual_usd),
            "difference_usd": _exact(self.difference),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """A forecast against a report. `other_charges` are taxes, credits, fees by AWS's names; `usage_usd` is all but them."""

    report: str
    period: tuple[str, str]
    rows: tuple[Reconciled, ...]
    usage_usd: Decimal
    other_charges: Mapping[str, Decimal]

    @property
    def billed(self) -> Decimal:
        """All that was billed."""
        return self.usage_usd + sum(self.other_charges.values(), Decimal(0))

    def as_json(self) -> Mapping[str, Any]:
        """Return the fields that `--json` shows."""
        begin, end = self.period
        return {
            "report": self.report,
            "period": [begin, end] if begin else None,
            "usage_usd": format_usd(self.usage_usd),
            "other_charges": {kind: format_usd(usd) for kind, usd in self.other_charges.items()},
            "billed_usd": format_usd(self.billed),
            "rows": self.rows,
        }


def _exact(amount: Decimal | None) -> str | None:
    return None if amount is None else format_amount(amount, least=2)


def reconcile(bill: Bill, rows: Iterable[ReportRow], *, report: str) -> Reconciliation:
    """Hold a bill against the lines of a report. Raises UsageError for a report of several months, or of nothing.

    A report knows no names of ours, so both sides are added up by what is billed, and where.
    """
    quantities: dict[_Key, Decimal] = {}
    amounts: dict[_Key, Decimal] = {}
    other: dict[str, Decimal] = {}
    periods: set[tuple[str, str]] = set()
    is_wanted = {CATEGORIES[0]} if bill.compute_only else {*CATEGORIES, "other"}
    for row in rows:
        periods.add(row.period)
        if row.kind not in USAGE_TYPES:
            other[row.kind] = other.get(row.kind, Decimal(0)) + row.usd
            continue
        billed = read_usage_type(row.usage_type, row.region)
        if billed.category in is_wanted:
            key = (billed.category, billed.item, billed.region)
            quantities[key] = quantities.get(key, Decimal(0)) + row.quantity * billed.scale
            amounts[key] = amounts.get(key, Decimal(0)) + row.usd
    if len(periods) != 1:
        months = f"it holds {len(periods)} months" if periods else "it holds no line"
        raise UsageError(f"a bill is held against one month, and {months}", where=report)
    return Reconciliation(
        report=report,
        period=periods.pop(),
        rows=_join(_forecast(bill), quantities, amounts),
        usage_usd=sum(amounts.values(), Decimal(0)),
        other_charges={} if bill.compute_only else dict(sorted(other.items())),
    )


def _forecast(bill: Bill) -> dict[_Key, list[Line]]:
    """Gather a bill's lines by what is billed; the tiers of what goes out to the internet are one thing in a report."""
    found: dict[_Key, list[Line]] = {}
    for line in bill.lines:
        item = TRANSFER_OUT if line.item.startswith(TRANSFER_OUT) else line.item
        found.setdefault((line.category, item, line.region), []).append(line)
    return found


def _join(
    forecast: Mapping[_Key, list[Line]], quantities: Mapping[_Key, Decimal], amounts: Mapping[_Key, Decimal]
) -> tuple[Reconciled, ...]:
    order = (*CATEGORIES, "other")
    keys = sorted({*forecast, *amounts}, key=lambda key: (order.index(key[0]), key))
    rows = []
    for key in keys:
        lines, nothing = forecast.get(key, []), Decimal(0)
        known_quantities = [line.quantity for line in lines if line.quantity is not None]
        known_amounts = [line.amount for line in lines if line.amount is not None]
        unit = (
            lines[0].unit if lines else ITEMS[key[1]][0] if key[1] in ITEMS else "hour" if key[0] == "compute" else ""
        )
        rows.append(
            Reconciled(
                category=key[0],
                item=key[1],
                region=key[2],
                unit=unit,
                state="not forecast" if not lines else "both" if key in amounts else "did not occur",
                forecast_quantity=sum(known_quantities, nothing) if len(known_quantities) == len(lines) else None,
                actual_quantity=quantities.get(key, nothing),
                forecast_usd=sum(known_amounts, nothing) if len(known_amounts) == len(lines) else None,
                actual_usd=amounts.get(key, nothing),
            )
        )
    return tuple(rows)
