"""How often and how long: hours that something is there, runs of a job. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from launchbay.errors import UsageError
from launchbay.spec.cron import Cron, parse_cron
from launchbay.spec.document import Document
from launchbay.spec.names import closest
from launchbay.units import format_amount, parse_seconds

__all__ = ["ALWAYS", "Hours", "Runs", "read_hours", "read_month", "read_runs", "read_timezone"]

_RATE = r"(?P<amount>\d{1,9}(?:\.\d{1,12})?)(?: ?(?:%s))? ?(?:an?|per|each|/) ?(?P<per>day|week|month)\Z"
_HOURS, _RUNS = (re.compile(_RATE % words, re.ASCII) for words in ("h|hours?", "times|runs?"))
_SPAN = {"day": 24, "week": 168}
_LEAST_MONTH, _MOST_MONTH = 672, 744
_AVERAGE_MONTH = Decimal(730)  # what AWS's own calculator takes for a month


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """How long something is there: so many hours a day, week or month; always where no amount is said."""

    amount: Decimal | None = None
    per: str = "month"

    def in_month(self, month_hours: Decimal) -> Decimal:
        """Return the hours in a month of so many hours."""
        return month_hours if self.amount is None else _in_month(self.amount, self.per, month_hours)

    def __str__(self) -> str:
        return "always" if self.amount is None else f"{format_amount(self.amount)}h a {self.per}"


ALWAYS = Hours()


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """How often a job runs: so many times a day, week or month, or as a line of cron says."""

    amount: Decimal = Decimal(0)
    per: str = "month"
    cron: Cron | None = None
    timezone: str = ""

    def in_month(self, month_hours: Decimal) -> Decimal:
        """Return the runs in a month of so many hours, on average: 4 a week are 17.14 in 720 hours."""
        if self.cron is not None:
            return self.cron.runs_in(month_hours)
        return _in_month(self.amount, self.per, month_hours)

    def __str__(self) -> str:
        return f"cron {self.cron.text}" if self.cron is not None else f"{format_amount(self.amount)} a {self.per}"


def _in_month(amount: Decimal, per: str, month_hours: Decimal) -> Decimal:
    return amount * month_hours / _SPAN[per] if per in _SPAN else amount


def read_month(document: Document, field: str = "month") -> Decimal:
    """Read how many hours the month has. Raises UsageError unless it is 672 to 744: 28 to 31 days."""
    text = document.typed(field)
    if not text:
        return _AVERAGE_MONTH
    hint = f"{field}: 720h for 30 days, 730.001h for the average one"
    try:
        hours = parse_seconds(text) / 3600
    except UsageError as error:
        raise UsageError(f"{field}: {error.what}", where=document.where(field), hint=hint) from None
    if not _LEAST_MONTH <= hours <= _MOST_MONTH:
        what = f"{field} must be {_LEAST_MONTH}h to {_MOST_MONTH}h (28 to 31 days), got {text}"
        raise UsageError(what, where=document.where(field), hint=hint)
    return hours


def read_hours(document: Document, month_hours: Decimal, field: str = "hours") -> Hours:
    """Read ``always`` or ``24h a month``; always where nothing is said. Raises UsageError for more than there are."""
    text = document.typed(field)
    if text in ("", "always"):
        return ALWAYS
    match = _HOURS.match(text)
    where = document.where(field)
    if match is None:
        what = f"{field} must be 'always' or so many a day, week or month, got {text!r}"
        raise UsageError(what, where=where, hint=f"{field}: 24h a month")
    hours = Hours(amount=Decimal(match["amount"]), per=match["per"])
    most = _SPAN.get(hours.per, month_hours)
    if Decimal(match["amount"]) > most:
        what = f"a {hours.per} has {format_amount(Decimal(most))} hours, got {text!r}"
        raise UsageError(f"{field}: {what}", where=where, hint=f"{field}: always")
    return hours


def read_runs(document: Document) -> Runs:
    """Read ``runs: 4 a week`` or ``cron: '0 2 * * *'``, one of them. Raises UsageError for both, none, or no run at all."""
    text, line = document.typed("runs"), document.text("cron")
    timezone = read_timezone(document)
    if bool(text) == bool(line):
        what = "a job needs either 'runs' or 'cron', to say how often it runs" + (", got both" if text else "")
        raise UsageError(what, where=document.where("cron" if line else "name"), hint="runs: 4 a week")
    if line:
        return Runs(cron=parse_cron(line, where=document.where("cron")), timezone=timezone)
    if timezone:
        raise UsageError("timezone belongs to a cron line", where=document.where("timezone"), hint="cron: '0 2 * * *'")
    match = _RUNS.match(text)
    if match is None or not Decimal(match["amount"]):
        what = f"runs must be so many a day, week or month, got {text!r}"
        raise UsageError(what, where=document.where("runs"), hint="runs: 4 a week")
    return Runs(amount=Decimal(match["amount"]), per=match["per"])


def read_timezone(document: Document, field: str = "timezone") -> str:
    """Read the name of a timezone. Raises UsageError for one that nobody knows."""
    from zoneinfo import ZoneInfo, available_timezones  # reads the system's own list; few lines name one

    name = document.text(field)
    if not name:
        return ""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        what = f"there is no timezone named {name!r}{closest(name, available_timezones())}"
        raise UsageError(what, where=document.where(field), hint="timezone: Europe/Berlin") from None
    return name
