"""How many, as people write it: ``4``, ``4+``, ``2..8``, ``..8``. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from launchbay.errors import UsageError

__all__ = ["Range", "parse_range"]

_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
_UNIT = re.compile(r"(?<=\d) ?(G|GB|GiB)(?=\+|\.\.|\Z)", re.IGNORECASE)
_FORMS = re.compile(rf"(?:{_NUMBER}(\+)?|{_NUMBER}?\.\.{_NUMBER})\Z")
_OPEN = re.compile(rf"{_NUMBER}\.\.\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """From `low` to `high`, both included; None is open."""

    low: float | None = None
    high: float | None = None

    def holds(self, value: float, *, slack: float = 0.0) -> bool:
        """Say whether a value lies in it; with `slack` a value also passes that falls short by that share."""
        if self.low is not None and value < self.low * (1 - slack):
            return False
        return self.high is None or value <= self.high


def parse_range(text: str, *, where: str, unit: str = "", whole: str = "") -> Range:
    """Read a range; `where` is the option or field that it was given to.

    With `unit`, GiB or GB, numbers may have one behind them, in any case. Memory is GiB whatever is written, for that is what
    EC2 counts in; disks are GB, and GiB is refused. A number with decimals means all that are rounded to it. Where only whole
    numbers can be, `whole` is what to say of another. Raises UsageError, with what was probably meant.
    """
    typed = text.strip()
    if unit == "GB" and any(found[1].casefold() == "gib" for found in _UNIT.finditer(typed)):
        raise UsageError(f"{where} is in GB, got {text!r}", hint="1 GiB is 1.074 GB")
    bare = _UNIT.sub("", typed) if unit else typed
    found = _FORMS.match(bare)
    if found is None:
        example = f"{opened[1]}+" if (opened := _OPEN.match(bare)) else "4, 4+, 2..8 or ..8"
        raise UsageError(f"{where} must look like 4, 4+, 2..8 or ..8, got {text!r}", hint=f"{where} {example}")
    if whole and any("." in number for number in found.group(1, 3, 4) if number):
        raise UsageError(f"{where} must be whole, got {text!r}", hint=whole)
    if found[1] is not None:
        return Range(low=_end(found[1], -1), high=None if found[2] else _end(found[1], 1))
    if found[3] is not None and Decimal(found[3]) > Decimal(found[4]):
        raise UsageError(f"{where} must begin below its end, got {text!r}", hint=f"{where} {found[4]}..{found[3]}")
    return Range(low=None if found[3] is None else _end(found[3], -1), high=_end(found[4], 1))


def _end(number: str, side: int) -> float:
    """Return an end of a range: with decimals, half of the last digit beyond them, for that is how far they may be rounded."""
    decimals = len(number.partition(".")[2])
    return float(Decimal(number) + (side * Decimal(5).scaleb(-decimals - 1) if decimals else 0))
