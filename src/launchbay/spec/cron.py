"""A line of cron, as a number of runs in a month. Pure: no clock, and no month in particular.

How often a line fires differs from month to month. The convention here is the average over the calendar's cycle: 400
years, which are a whole number of weeks and repeat themselves to the day.
"""

from __future__ import annotations

import calendar
import re
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from launchbay.errors import UsageError

__all__ = ["CYCLE_HOURS", "Cron", "parse_cron"]

CYCLE_HOURS = 146_097 * 24
"""How many hours 400 years of the calendar have."""

_SHORT = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name}
_WEEKDAYS = {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _WEEKDAYS),
)
_ITEM = re.compile(r"(?:(?P<all>\*)|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\d+))?\Z")
_HINT = "cron: '0 2 * * 1-5' is every weekday at two"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """When something runs: the minutes, hours and days on which it starts. Weekdays count from Sunday, which is 0.

    Where days of the month and of the week are both restricted, either one is enough, as in Vixie's cron and its heirs;
    a field that begins with ``*`` restricts nothing in that sense.
    """

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool

    def runs_in(self, hours: Decimal) -> Decimal:
        """Return how many runs fall into a month of so many hours, on the average of the calendar's cycle."""
        return hours * self.runs_in_cycle() / CYCLE_HOURS

    def runs_in_cycle(self) -> int:
        """Return how many runs there are in 400 years.

        A run that falls into the hour that summer time leaves out or repeats is one run, so no timezone changes it.
        """
        days = sum(
            count * sum(self.is_on(day, (first + day - 1) % 7) for day in range(1, length + 1))
            for (month, length, first), count in _months_of_cycle().items()
            if month in self.months
        )
        return days * len(self.minutes) * len(self.hours)

    def is_on(self, day: int, weekday: int) -> bool:
        """Say whether it fires on a day of one of its months."""
        if self.either_day:
            return day in self.days or weekday in self.weekdays
        return day in self.days and weekday in self.weekdays


@cache
def _months_of_cycle() -> Counter[tuple[int, int, int]]:
    """Count the months of 400 years by their number, length and first weekday (Sunday is 0)."""
    found: Counter[tuple[int, int, int]] = Counter()
    for year in range(2000, 2400):
        for month in range(1, 13):
            first, length = calendar.monthrange(year, month)
            found[month, length, (first + 1) % 7] += 1
    return found


def parse_cron(text: str, *, where: str = "") -> Cron:
    """Read the five fields of a cron line. Raises UsageError naming the field, and for a line that never fires."""
    typed = _SHORT.get(text.strip().lower(), text)
    parts = typed.split()
    if len(parts) != len(_FIELDS):
        what = f"a cron line has five fields: minute, hour, day of the month, month, day of the week; got {text!r}"
        raise UsageError(what, where=where, hint=_HINT)
    sets = [_read_field(part, *field, text=text, where=where) for part, field in zip(parts, _FIELDS, strict=True)]
    cron = Cron(
        text=text,
        minutes=sets[0],
        hours=sets[1],
        days=sets[2],
        months=sets[3],
        weekdays=frozenset(day % 7 for day in sets[4]),
        either_day=not parts[2].startswith("*") and not parts[4].startswith("*"),
    )
    if not cron.runs_in_cycle():
        raise UsageError(f"the cron line {text!r} never fires: no month has such a day", where=where, hint=_HINT)
    return cron


def _read_field(
    part: str, name: str, least: int, most: int, names: dict[str, int], *, text: str, where: str
) -> frozenset[int]:
    def wrong(why: str) -> UsageError:
        return UsageError(f"the {name} of the cron line {text!r} {why}, got {part!r}", where=where, hint=_HINT)

    def number(word: str) -> int:
        if word.lower() in names:
            return names[word.lower()]
        if not word.isascii() or not word.isdigit() or not least <= int(word) <= most:
            raise wrong(f"must be {least} to {most}")
        return int(word)

    found: set[int] = set()
    for item in part.split(","):
        match = _ITEM.match(item)
        if match is None:
            raise wrong("must be numbers, ranges and steps (5, 1-5, */15)")
        step = int(match["step"]) if match["step"] else 1
        first = least if match["all"] else number(match["first"])
        is_open = match["all"] or (match["step"] and not match["last"])
        last = most if is_open else number(match["last"] or match["first"])
        if step < 1 or last < first:
            raise wrong("counts up, in steps of 1 or more")
        found.update(range(first, last + 1, step))
    return frozenset(found)
