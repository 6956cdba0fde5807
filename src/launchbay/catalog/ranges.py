"""How many, as people write it: ``4``, ``4+``, ``2..8``, ``..8``. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from launchbay.errors import UsageError

__all__ = ["Range", "parse_range"]

_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
_UNIT = r"(?: ?(?:G|GB|GiB))?"
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


def parse_range(text: str, *, where: str, has_unit: bool = False) -> Range:
    """Read a range; `where` is the option or field that it was given to.

    With `has_unit` numbers may have ``GiB``, ``GB`` or ``G`` behind them, which all mean GiB: that is what EC2 counts in.
    Raises UsageError, with what was probably meant.
    """
    typed = text.strip()
    bare = re.sub(rf"(?<=\d){_UNIT}(?=\+|\.\.|\Z)", "", typed) if has_unit else typed
    found = _FORMS.match(bare)
    if found is None:
        example = f"{opened[1]}+" if (opened := _OPEN.match(bare)) else "4, 4+, 2..8 or ..8"
        raise UsageError(f"{where} must look like 4, 4+, 2..8 or ..8, got {text!r}", hint=f"{where} {example}")
    if found[1] is not None:
        return Range(low=float(found[1]), high=None if found[2] else float(found[1]))
    low, high = float(found[3]) if found[3] else None, float(found[4])
    if low is not None and low > high:
        raise UsageError(f"{where} must begin below its end, got {text!r}", hint=f"{where} {found[4]}..{found[3]}")
    return Range(low=low, high=high)
