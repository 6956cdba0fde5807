"""The meter: what runs from when until when at which price, and what that comes to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

__all__ = ["Billable", "Ledger", "Span"]

_MINIMUM = timedelta(seconds=60)
_MONTH_S = Decimal(30 * 86400)  # as the bill of a workload has it: a month of 720 hours
_SECONDS = {
    "hour": Decimal(3600),
    "GiB-month": _MONTH_S,
    "IOPS-month": _MONTH_S,
    "MiBps-month": _MONTH_S,
}
_ONCE = "GiB"
"""The unit of what is billed once, however long it is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Billable:
    """Something that costs as long as it is as it is: `quantity` units of an item at `usd` a unit; None for no known price.

    `unit` is ``hour``, ``GiB-month``, ``IOPS-month``, ``MiBps-month``, or
    ``GiB`` for what is billed once; `owner` is the instance that it belongs to, as far as it belongs to one.
    """

    resource: str
    item: str
    quantity: Decimal
    unit: str
    usd: Decimal | None
    owner: str = ""
    region: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What it is, whatever it costs."""
        return self.resource, self.item


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A billable from when until when; `end` is None while it goes on.

    What becomes dearer, or somebody else's, goes on in another span: `before` is how long it had lasted by then, and
    `is_followed` is true of all spans of it but the last.
    """

    what: Billable
    begin: datetime
    end: datetime | None = None
    before: timedelta = timedelta()
    is_followed: bool = False

    def seconds(self, now: datetime) -> Decimal:
        """Return for how long it is billed: by the second, 60 of them at least, as Linux instances and gp3 volumes are.

        The minimum is that of the whole, not of each part: what is missing is billed with the last one.
        """
        lasted = (self.end or now) - self.begin
        if not self.is_followed:
            lasted = max(lasted, _MINIMUM - self.before)
        return Decimal(lasted.days * 86400 + lasted.seconds) + Decimal(lasted.microseconds) / 1_000_000

    def amount(self, now: datetime) -> Decimal | None:
        """Return what it came to by now, in US dollars and exactly; None where the price is not known."""
        if self.what.usd is None:
            return None
        if self.what.unit == _ONCE:
            return Decimal(0) if self.before else self.what.usd * self.what.quantity
        return self.what.usd * self.what.quantity * self.seconds(now) / _SECONDS[self.what.unit]


@dataclass(slots=True)
class Ledger:
    """All spans, in the order in which they began. It is told what stands, and sees itself what began and what ended."""

    spans: list[Span] = field(default_factory=list)
    going: dict[tuple[str, str], int] = field(default_factory=dict)

    def observe(self, standing: Iterable[Billable], now: datetime) -> None:
        """Begin a span for what is new or costs otherwise than before, and end those of what stands no more."""
        there = {item.key: item for item in standing}
        for key, place in list(self.going.items()):
            item, span = there.get(key), self.spans[place]
            if item != span.what:
                self.spans[place] = replace(span, end=now, is_followed=item is not None)
                del self.going[key]
                if item is not None:
                    self._begin(Span(what=item, begin=now, before=span.before + (now - span.begin)))
        for key, item in there.items():
            if key not in self.going:
                self._begin(Span(what=item, begin=now))

    def _begin(self, span: Span) -> None:
        self.going[span.what.key] = len(self.spans)
        self.spans.append(span)

    def running(self) -> int:
        """Return how many billables go on; what is billed once does not."""
        return sum(self.spans[place].what.unit != _ONCE for place in self.going.values())

    def usd(self, now: datetime) -> Decimal:
        """Return what all that has a known price comes to by now, exactly."""
        return sum((span.amount(now) or Decimal(0) for span in self.spans), Decimal(0))

    def as_json(self, now: datetime) -> Mapping[str, Any]:
        """Return the bill: what goes on, the total in dollars and cents, and each span."""
        return {
            "running": self.running(),
            "usd": _cents(self.usd(now)),
            "complete": all(span.what.usd is not None for span in self.spans),
            "usd_per_hour": _text(sum((_hourly(self.spans[place].what) for place in self.going.values()), Decimal(0))),
            "now": now.isoformat(),
            "lines": list(self._lines(now)),
        }

    def _lines(self, now: datetime) -> Iterator[Mapping[str, Any]]:
        for span in self.spans:
            amount = span.amount(now)
            yield {
                "resource": span.what.resource,
                "owner": span.what.owner or None,
                "region": span.what.region,
                "item": span.what.item,
                "quantity": _text(span.what.quantity),
                "unit": span.what.unit,
                "usd_per_unit": None if span.what.usd is None else _text(span.what.usd),
                "begin": span.begin.isoformat(),
                "end": span.end.isoformat() if span.end else None,
                "seconds": float(span.seconds(now)),
                "usd": None if amount is None else _text(amount.quantize(Decimal("0.000001"))),
            }


def _hourly(what: Billable) -> Decimal:
    return (
        Decimal(0) if what.usd is None or what.unit == _ONCE else what.usd * what.quantity * 3600 / _SECONDS[what.unit]
    )


def _cents(amount: Decimal) -> str:
    return str(amount.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP))


def _text(amount: Decimal) -> str:
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
