"""A range of steps or of values, and where its ticks stand. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from launchbay.runs.shape import HUGE

__all__ = ["Axis", "step_axis", "value_axis"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A range and its ticks (value, label); on an `is_log` axis distances are ratios."""

    low: float
    high: float
    is_log: bool
    ticks: tuple[tuple[float, str], ...]

    def place(self, value: float) -> float:
        """Say where on the axis a value lies: 0 is its low end, 1 its high end."""
        low, high = self.scaled(self.low), self.scaled(self.high)
        return (self.scaled(value) - low) / (high - low)

    def scaled(self, value: float) -> float:
        """Give what is proportional to the distance on paper: the value, or its decimal logarithm."""
        return math.log10(value) if self.is_log else value


def step_axis(steps: Sequence[float]) -> Axis:
    """Make the axis of steps; it begins and ends with a tick.

    A round number close by is its end (500 for the steps 0 to 499), else the last step itself is.
    """
    if not steps:
        return Axis(low=0.0, high=1.0, is_log=False, ticks=())
    low, high = min(steps), max(steps)
    if high == low:
        return Axis(low=low - 0.5, high=high + 0.5, is_log=False, ticks=((low, _step_label(low)),))
    size = max(1.0, _nice((high - low) / 7))
    below, above = math.floor(low / size + 1e-9) * size, math.ceil(high / size - 1e-9) * size
    near = _NEAR * (high - low)
    bottom, top = (below if low - below <= near else low), (above if above - high <= near else high)
    # What stands between the ends keeps half a distance from them, for its label.
    between = [number * size for number in range(math.ceil(bottom / size), math.floor(top / size) + 1)]
    between = [value for value in between if bottom + size / 2 <= value <= top - size / 2]
    ticks = tuple((value, _step_label(value)) for value in (bottom, *between, top))
    return Axis(low=bottom, high=top, is_log=False, ticks=ticks)


def value_axis(values: Sequence[float], *, strong: Sequence[float], is_log: bool | None) -> Axis:
    """Make the axis of values, logarithmic where they span decades and none is zero or less.

    `is_log` wishes for one of the two, where it can be. `strong` are the values that have to stay in sight.
    """
    can_log = bool(values) and min(values) > 1 / HUGE
    wants_log = can_log and max(values) / min(values) >= _DECADES
    if can_log and (wants_log if is_log is None else is_log):
        return _log_axis(max(min(values), min(strong or values) / _DEPTH), max(values))
    return _linear_axis(values)


_NEAR = 0.06
"""How much of the width may stay empty for a round number at the end of the steps."""
_DECADES = 20.0
"""The ratio of highest to lowest from which the end of a curve would lie flat on a linear axis."""
_DEPTH = 1000.0
"""A training loss that falls this far below any validation loss is memorising; it may leave the picture."""
_BELOW, _ABOVE = 0.12, 0.05  # room around the values; below, for the words at the best point


def _linear_axis(values: Sequence[float]) -> Axis:
    if not values:
        return Axis(low=0.0, high=1.0, is_log=False, ticks=())
    low, high = min(values), max(values)
    room = (high - low) or abs(low) / 5 or 1.0
    size = _nice(room / 5)
    bottom, top = low - _BELOW * room, high + _ABOVE * room
    # No tick below zero for what is never negative: the room there is for words.
    first = max(bottom, 0.0) if low >= 0 else bottom
    count = range(math.ceil(first / size - 1e-9), math.floor(top / size + 1e-9) + 1)
    digits = max(0, -math.floor(math.log10(size) + 1e-9))
    ticks = tuple((number * size, _plain_label(number * size, digits)) for number in count)
    return Axis(low=bottom, high=top, is_log=False, ticks=ticks)


def _nice(size: float) -> float:
    """Round up to 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(size))
    return power * next(step for step in (1, 2, 5, 10) if size <= step * power * (1 + 1e-9))


def _step_label(step: float) -> str:
    return f"{step:,.0f}" if abs(step) < 1e9 else f"{step:.4g}"


def _plain_label(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}" if digits < 6 and abs(value) < 1e7 else f"{value:.2g}"


def _log_axis(low: float, high: float) -> Axis:
    ratio = high / low if high > low else 10.0
    low, high = low / ratio**_BELOW, high * ratio**_ABOVE
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = max(1, math.ceil((last - first) / 7))
    steps = (1, 2, 5) if last - first <= 3 else (1, 3) if last - first <= 4 else (1,)
    values = [step * 10.0**power for power in range(first, last + 1) if power % every == 0 for step in steps]
    ticks = tuple((value, _log_label(value)) for value in values if low <= value <= high)
    return Axis(low=low, high=high, is_log=True, ticks=ticks)


def _log_label(value: float) -> str:
    return f"{value:,.0f}" if 1 <= value < 1e6 else f"{value:g}"
