"""Times as systemd and shutdown write them: spans, and moments of the calendar that come once."""

from __future__ import annotations

import calendar
import re
import time

__all__ = ["moment", "of_day", "span"]

_UNITS = {
    "": 1.0,
    "ms": 0.001,
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "seconds": 1.0,
    "m": 60.0,
    "min": 60.0,
    "minute": 60.0,
    "minutes": 60.0,
    "h": 3600.0,
    "hr": 3600.0,
    "hour": 3600.0,
    "hours": 3600.0,
    "d": 86400.0,
    "day": 86400.0,
    "days": 86400.0,
    "w": 604800.0,
    "week": 604800.0,
    "weeks": 604800.0,
}
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)")
_MOMENT = re.compile(r"(?:[A-Z][a-z]{2} )?(\d{4})-(\d{1,2})-(\d{1,2})[ T](\d{1,2}):(\d{2})(?::(\d{2}))?( UTC|Z)?")


def span(text: str) -> float:
    """Return the seconds of a span such as `90`, `5min` or `1h 30min`. Raises ValueError."""
    position, seconds = 0, 0.0
    while position < len(text.rstrip()):
        part = _PART.match(text, position)
        if not part or part.group(2) not in _UNITS:
            raise ValueError(f"not a span of time: {text!r}")
        seconds += float(part.group(1)) * _UNITS[part.group(2)]
        position = part.end()
    if not position:
        raise ValueError(f"not a span of time: {text!r}")
    return seconds


def moment(text: str) -> float:
    """Return a moment such as `2027-01-31 20:15:00 UTC` or `@1801426500`, in seconds since 1970. Raises ValueError.

    What comes more than once (`daily`, `*-*-* 03:00`) is no moment. Without UTC it is local time.
    """
    if re.fullmatch(r"@\d{1,12}(\.\d+)?", text):
        return float(text[1:])
    found = _MOMENT.fullmatch(text.strip())
    if not found:
        raise ValueError(f"not one moment: {text!r}")
    numbers = [int(item or 0) for item in found.groups()[:6]]
    if found.group(7):
        return float(calendar.timegm((*numbers, 0, 0, 0)))
    return time.mktime((*numbers, 0, 0, -1))  # type: ignore[arg-type]  # nine numbers


def of_day(hour: int, minute: int, now: float) -> float:
    """Return when it is a time of day next, by the local clock."""
    today = time.localtime(now)
    ahead = (hour - today.tm_hour) * 3600 + (minute - today.tm_min) * 60 - today.tm_sec
    return now + ahead % 86400
