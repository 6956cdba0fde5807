"""A bill as values: its lines, what they come to, and what is not known. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from launchbay.units import format_amount, format_usd

__all__ = ["CATEGORIES", "Bill", "Line", "Part", "total_of"]

CATEGORIES = ("compute", "software", "disk", "snapshot", "address", "nat", "bucket", "transfer")
"""What a line can be for, in the order of the bill. The first is what `--compute-only` keeps."""

_FINEST = Decimal("1e-12")  # far below a cent, far above what 28 digits of a sum lose


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of a bill: so many units of something, at a price that somebody said at some time.

    `name` is the entry of the workload that it is for, `item` what is billed: a type and its market, or an item of the
    catalogue. `quantity` and `unit_usd` are None where they are not known, and so is the amount then. `method` says how the
    price came about, as in the catalogue; besides, ``assumed`` for an assumption of the workload, ``said`` for a price that
    stands in the workload itself, ``free`` for what AWS gives to everybody.
    """

    name: str
    category: str
    item: str
    region: str
    what: str
    quantity: Decimal | None
    unit: str
    unit_usd: Decimal | None = None
    source: str = ""
    as_of: date | None = None
    method: str = ""
    is_stale: bool = False

    @property
    def amount(self) -> Decimal | None:
        """What it comes to in US dollars, exactly; None where quantity or price is not known."""
        return None if self.quantity is None or self.unit_usd is None else self.quantity * self.unit_usd

    def as_json(self) -> Mapping[str, Any]:
        """Return the fields that `--json` shows: amounts as texts, unknown as null."""
        amount = self.amount
        return {
            "name": self.name,
            "category": self.category,
            "item": self.item,
            "region": self.region,
            "what": self.what,
            "quantity": None if self.quantity is None else format_amount(self.quantity),
            "unit": self.unit,
            "unit_usd": None if self.unit_usd is None else str(self.unit_usd),
            "amount_usd": None if amount is None else format_amount(amount, least=2),
            "source": self.source or None,
            "as_of": None if self.as_of is None else self.as_of.isoformat(),
            "method": self.method or None,
            "stale": self.is_stale,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a category comes to: a lower bound unless it is complete, None where nothing of it is known."""

    category: str
    usd: Decimal | None
    complete: bool

    def as_json(self) -> Mapping[str, Any]:
        """Return the fields that `--json` shows."""
        return {"usd": None if self.usd is None else format_usd(self.usd), "complete": self.complete}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What a workload costs in a month. `compute_only` leaves out all but the instances themselves.

    `assumptions` are sentences on what was taken for given, `notes` on what a person should look at.
    """

    workload: str
    regions: tuple[str, ...]
    month_hours: Decimal
    lines: tuple[Line, ...]
    compute_only: bool = False
    assumptions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def usd(self) -> Decimal | None:
        """The exact sum of what is known; None where lines are there and the amount of none is known."""
        return total_of(self.lines)

    @property
    def monthly_usd(self) -> str | None:
        """The sum with two decimals, half a cent rounded up: once, and here. A lower bound unless the bill is complete."""
        total = self.usd
        return None if total is None else format_usd(total)

    @property
    def complete(self) -> bool:
        """Say whether every amount is known."""
        return not self.unknown

    @property
    def unknown(self) -> tuple[Line, ...]:
        """The lines whose amount is not known."""
        return tuple(line for line in self.lines if line.amount is None)

    def by_category(self) -> tuple[Part, ...]:
        """Return what each category comes to that has a line, in the order of the bill."""
        parts = ((name, [line for line in self.lines if line.category == name]) for name in CATEGORIES)
        return tuple(
            Part(category=name, usd=total_of(lines), complete=all(line.amount is not None for line in lines))
            for name, lines in parts
            if lines
        )

    def as_json(self) -> Mapping[str, Any]:
        """Return the fields that `--json` shows."""
        return {
            "workload": self.workload,
            "regions": self.regions,
            "month_hours": format_amount(self.month_hours),
            "monthly_usd": self.monthly_usd,
            "complete": self.complete,
            "compute_only": self.compute_only,
            "by_category": {part.category: part for part in self.by_category()},
            "lines": self.lines,
            "assumptions": self.assumptions,
            "notes": self.notes,
        }


def total_of(lines: Iterable[Line]) -> Decimal | None:
    """Return the exact sum of the amounts that are known, whatever the order of the lines; None where none of them is."""
    amounts = [line.amount for line in lines]
    known = [amount for amount in amounts if amount is not None]
    if amounts and not known:
        return None
    return sum(known, Decimal(0)).quantize(_FINEST, rounding=ROUND_HALF_EVEN)
