"""Sizes, durations and money as people write them: parse and format. Pure."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal

from launchbay.errors import UsageError

__all__ = [
    "count_of",
    "format_amount",
    "format_bytes",
    "format_duration",
    "format_number",
    "format_usd",
    "parse_bytes",
    "parse_duration",
    "parse_seconds",
]

_NUMBER = r"(?P<number>\d{1,12}(?:\.\d{1,12})?)"  # more digits are a slip, and too large for what follows
_DURATION = re.compile(_NUMBER + r"(?P<unit>ms|s|m|h|d)?\Z", re.ASCII)
_SIZE = re.compile(_NUMBER + r" ?(?P<unit>[kMGT]i?B)\Z", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def count_of(count: int, noun: str) -> str:
    """Write how many there are of something: ``1 instance``, ``3 instances``, ``2 processes``."""
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{count} {noun if count == 1 else plural}"


def format_number(value: float) -> str:
    """Write a number with four decimals; one that these do not show by its power of ten: ``5.2296e+59``, ``3.2000e-06``."""
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e7 else f"{value:.4e}"


def format_bytes(count: float) -> str:
    """Write a number of bytes with a decimal unit, as package indexes do: ``545.9 MB``."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < (1000 if unit == "B" else 999.95):  # 999.96 kB is written 1.0 MB
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.2f} TB"


def parse_bytes(text: str) -> int:
    """Read ``4GB`` (a thousand millions each) or ``4GiB`` (1024 to the third) as bytes. Raises UsageError on anything else."""
    match = _SIZE.match(text.strip())
    size = 0.0
    if match is not None:
        power = "kMGT".index(match["unit"][0]) + 1
        size = float(match["number"]) * (1024 if "i" in match["unit"] else 1000) ** power
    if size < 1:
        raise UsageError(f"a size must look like 500MB, 4GB or 4GiB, got {text!r}")
    return int(size)


def format_duration(seconds: float) -> str:
    """Write seconds in the two units that matter: ``35 ms``, ``2.5 s``, ``3m 05s``, ``2h 14m``, ``3d 4h``."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, second = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {second:02d}s"
    hours, minute = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h {minute:02d}m"
    days, hour = divmod(hours, 24)
    return f"{days}d {hour}h"


def parse_duration(text: str) -> float:
    """Read ``90``, ``90s``, ``1.5h`` or ``2d`` as seconds. Raises UsageError on anything else."""
    match = _DURATION.match(text.strip())
    if match is None:
        raise UsageError(f"a duration must look like 90s, 15m, 8h or 2d, got {text!r}")
    return float(match["number"]) * _SECONDS[match["unit"]]


def parse_seconds(text: str) -> Decimal:
    """Read ``730.001h`` or ``90s`` as seconds, exactly; the unit has to be there. Raises UsageError on anything else."""
    match = _DURATION.match(text.strip())
    if match is None or match["unit"] is None:
        raise UsageError(f"a duration must look like 90s, 15m, 8h or 2d, got {text!r}")
    return Decimal(match["number"]) * Decimal(str(_SECONDS[match["unit"]]))


def format_amount(amount: Decimal, *, most: int = 10, least: int = 0) -> str:
    """Write a number plainly, with at most and at least so many decimals: ``17.1428571429``, ``0.005``, ``720``."""
    text = f"{amount.quantize(Decimal(1).scaleb(-most), rounding=ROUND_HALF_UP):f}"
    whole, _, decimals = text.partition(".")
    decimals = decimals.rstrip("0").ljust(least, "0")
    return f"{whole}.{decimals}" if decimals else whole


def format_usd(amount: Decimal) -> str:
    """Write an amount of US dollars with two decimals, half a cent rounded up (away from zero)."""
    return str(amount.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP))
