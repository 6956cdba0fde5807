"""AWS's Cost and Usage Report as it is delivered: CSV, gzipped or not, with the column names of either version."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import IO

from launchbay.errors import UsageError

__all__ = ["USAGE_TYPES", "ReportRow", "read_report"]

USAGE_TYPES = ("Usage", "DiscountedUsage", "SavingsPlanCoveredUsage")
"""Types of lines that are for something used; all others are taxes, credits, fees and what takes them back."""

_NEEDED = (
    "line_item_line_item_type",
    "line_item_usage_type",
    "line_item_usage_amount",
    "line_item_unblended_cost",
    "line_item_currency_code",
)
_REGIONS = ("product_region_code", "product_region")
_START, _END = "bill_billing_period_start_date", "bill_billing_period_end_date"
_MOST = Decimal(10) ** 15
"""No line of a report is as large, and sums of what is larger would not be exact."""
_HINT = "a Cost and Usage Report as CSV, from Data Exports in the billing console"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRow:
    """A line of a report, of what is used or of anything else; in US dollars, not blended over accounts."""

    kind: str
    usage_type: str
    region: str
    quantity: Decimal
    usd: Decimal
    period: tuple[str, str]


def read_report(path: Path) -> Iterator[ReportRow]:
    """Yield the lines of a report. Raises UsageError naming file, line and column."""
    try:
        with _open(path) as file:
            yield from _rows(file, path)
    except FileNotFoundError:
        raise UsageError("there is no such file", where=str(path)) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"not a report as CSV: {error}", where=str(path), hint=_HINT) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UsageError(f"the gzip file is damaged or cut off: {error}", where=str(path)) from error
    except OSError as error:
        raise UsageError(f"cannot be read: {(error.strerror or str(error)).lower()}", where=str(path)) from error


def _open(path: Path) -> IO[str]:
    with path.open("rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
    return (
        gzip.open(path, "rt", encoding="utf-8-sig", newline="")
        if is_gzip
        else path.open(encoding="utf-8-sig", newline="")
    )


def _rows(file: IO[str], path: Path) -> Iterator[ReportRow]:
    reader = csv.reader(file)
    head = next(reader, [])
    columns = {_plain(name): place for place, name in enumerate(head)}
    if missing := [name for name in _NEEDED if name not in columns]:
        what = f"not a Cost and Usage Report: it lacks {', '.join(missing)}"
        raise UsageError(what, where=f"{path}:1", hint=_HINT)
    regions = [columns[name] for name in _REGIONS if name in columns]
    kind_at, type_at, amount_at, cost_at, currency_at = (columns[name] for name in _NEEDED)
    period_at = [columns[name] for name in (_START, _END) if name in columns]
    for cells in reader:
        if not cells:
            continue
        where = f"{path}:{reader.line_num}"
        if len(cells) != len(head):
            raise UsageError(f"the line has {len(cells)} columns, and the head has {len(head)}", where=where)
        if (currency := cells[currency_at]) != "USD":
            what = f"{head[currency_at]} must be USD, got {currency!r}: bills here are in US dollars"
            raise UsageError(what, where=where)
        kind = cells[kind_at]
        yield ReportRow(
            kind=kind,
            usage_type=cells[type_at],
            region=next((cells[place] for place in regions if cells[place]), ""),
            quantity=_number(cells, amount_at, head, where, may_lack=kind not in USAGE_TYPES),
            usd=_number(cells, cost_at, head, where, may_lack=False),
            period=_period(cells, period_at),
        )


def _plain(name: str) -> str:
    """Turn ``lineItem/UsageType`` of the older reports into ``line_item_usage_type``, as the newer ones say."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip().replace("/", "_")).lower()


def _number(cells: Sequence[str], place: int, head: Sequence[str], where: str, *, may_lack: bool) -> Decimal:
    text = cells[place].strip()
    if not text and may_lack:
        return Decimal(0)
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or abs(value) >= _MOST:
        raise UsageError(f"{head[place]} must be a number, got {text[:40]!r}", where=where)
    return value


def _period(cells: Sequence[str], places: Sequence[int]) -> tuple[str, str]:
    days = [cells[place][:10] for place in places]
    return (days[0], days[1]) if len(days) == 2 else ("", "")
