"""Two bills side by side: what each entry costs in the one and in the other. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from launchbay.cost.line import CATEGORIES, Bill, Line, total_of
from launchbay.units import format_amount, format_usd

__all__ = ["Comparison", "Difference", "compare_bills"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What an entry costs here and there, in one category; 0 where it is not in the workload, None where it is not known."""

    name: str
    category: str
    usd: Decimal | None
    other_usd: Decimal | None

    @property
    def difference(self) -> Decimal | None:
        """How much more it costs here; None unless both are known."""
        return None if self.usd is None or self.other_usd is None else self.usd - self.other_usd

    def as_json(self) -> Mapping[str, Any]:
        """Return the fields that `--json` shows."""
        return {
            "name": self.name,
            "category": self.category,
            "usd": _exact(self.usd),
            "other_usd": _exact(self.other_usd),
            "difference_usd": _exact(self.difference),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A bill against another one."""

    other: Bill
    differences: tuple[Difference, ...]
    difference: Decimal | None
    notes: tuple[str, ...] = ()

    def as_json(self) -> Mapping[str, Any]:
        """Return the fields that `--json` shows."""
        return {
            "workload": self.other.workload,
            "monthly_usd": self.other.monthly_usd,
            "complete": self.other.complete,
            "difference_usd": None if self.difference is None else format_usd(self.difference),
            "differences": self.differences,
            "notes": self.notes,
        }


def _exact(amount: Decimal | None) -> str | None:
    return None if amount is None else format_amount(amount, least=2)


def compare_bills(bill: Bill, other: Bill) -> Comparison:
    """Join two bills by the names of entries and by category.

    The difference is what the first costs more than the other, and is not known where either has an unknown line: what is
    unknown is never a saving.
    """
    keys = dict.fromkeys((line.category, line.name) for side in (bill, other) for line in side.lines)
    differences = tuple(
        Difference(category=category, name=name, usd=_sum(bill, category, name), other_usd=_sum(other, category, name))
        for category, name in sorted(keys, key=lambda key: CATEGORIES.index(key[0]))
    )
    total, other_total = bill.usd, other.usd
    is_known = bill.complete and other.complete and total is not None and other_total is not None
    notes = []
    if bill.month_hours != other.month_hours:
        here, there = format_amount(bill.month_hours), format_amount(other.month_hours)
        notes.append(f"the months differ: {here} hours here, {there} hours in {other.workload}")
    return Comparison(
        other=other,
        differences=differences,
        difference=total - other_total if is_known and total is not None and other_total is not None else None,
        notes=tuple(notes),
    )


def _sum(bill: Bill, category: str, name: str) -> Decimal | None:
    """Return what an entry costs in a category; None where any of it is not known."""
    lines: list[Line] = [line for line in bill.lines if (line.category, line.name) == (category, name)]
    return None if any(line.amount is None for line in lines) else total_of(lines)
