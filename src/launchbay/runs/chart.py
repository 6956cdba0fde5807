"""What a picture of curves shows, whatever draws it: lines, axes, ticks, points to mark. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from launchbay.runs.curves import Curves, RunCurves
from launchbay.runs.diagnosis import format_value
from launchbay.runs.events import Scalar
from launchbay.runs.pairs import Pair
from launchbay.runs.shape import HUGE

__all__ = [
    "PALETTE",
    "Axis",
    "Chart",
    "Line",
    "Mark",
    "label_rows",
    "loss_chart",
    "metric_charts",
    "printable",
    "thin",
]


PALETTE = ("#0b6bcb", "#d9480f", "#0a8f5b", "#b5179e", "#7048e8", "#0891a8", "#8a6d00", "#c92a2a")
"""Colours of runs on white."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One curve: `index` counts runs, for the colour; `is_strong` is validation, or training on its own."""

    run: str
    role: str
    index: int
    is_strong: bool
    steps: tuple[int, ...]
    values: tuple[float, ...]
    last: float  # the last value as it was written, however the line was thinned

    @property
    def finite(self) -> list[tuple[int, float]]:
        """List the points that can be drawn."""
        return [point for point in zip(self.steps, self.values, strict=True) if abs(point[1]) < HUGE]

    @property
    def segments(self) -> list[list[tuple[int, float]]]:
        """Split the line where values are not finite: nothing is drawn across such a gap."""
        parts: list[list[tuple[int, float]]] = [[]]
        for step, value in zip(self.steps, self.values, strict=True):
            if abs(value) < HUGE:
                parts[-1].append((step, value))
            elif parts[-1]:
                parts.append([])
        return [part for part in parts if part]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A point worth a word: the best of a validation curve, or the last good one before NaN."""

    index: int
    step: int
    value: float
    label: str
    is_bad: bool


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One metric of some runs, ready to be drawn. `x` and `y` fit every finite point; there may be none."""

    metric: str
    lines: tuple[Line, ...]
    marks: tuple[Mark, ...]
    x: Axis
    y: Axis


def loss_chart(curves: Curves, *, is_log: bool | None = None, most: int | None = None) -> Chart:
    """Make the chart of the loss (of the first metric, for a run without one).

    The scale is logarithmic where values span decades and none is zero or less; `is_log` wishes for one of
    the two, where it can be. With `most`, lines are thinned to that many medians.
    """
    shown = [(name, run, run.loss or (run.pairs[0] if run.pairs else None)) for name, run in curves.runs.items()]
    metrics = {pair.metric for _, _, pair in shown if pair is not None}
    return _chart(metrics.pop() if len(metrics) == 1 else "loss", shown, is_log=is_log, most=most)


def metric_charts(curves: Curves) -> tuple[Chart, ...]:
    """Make a chart of every metric but the loss, in the order of their names."""
    others = {pair.metric for run in curves.runs.values() for pair in run.pairs if pair != run.loss}
    charts = []
    for metric in sorted(others):
        shown = [(name, run, _find_pair(run, metric)) for name, run in curves.runs.items()]
        charts.append(_chart(metric, shown))
    return tuple(charts)


def printable(text: str) -> str:
    """Replace control characters, which a log folder's name may hold, so that no picture obeys them."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def thin(points: Sequence[tuple[int, float]], most: int) -> list[tuple[int, float]]:
    """Keep at most about `most` points, with the lowest and the highest of every stretch: spikes stay."""
    if len(points) <= most:
        return list(points)
    width = math.ceil(2 * len(points) / most)
    kept = [points[0]]
    for start in range(0, len(points), width):
        block = points[start : start + width]
        ends = {min(block, key=lambda point: point[1]), max(block, key=lambda point: point[1])}
        kept += sorted(ends - {points[0], points[-1]})
    return [*kept, points[-1]]


# --- lines ----------------------------------------------------------------------------------------

_Shown = Sequence[tuple[str, RunCurves, Pair | None]]


def _find_pair(run: RunCurves, metric: str) -> Pair | None:
    return next((pair for pair in run.pairs if pair.metric == metric and pair != run.loss), None)


def _chart(metric: str, shown: _Shown, *, is_log: bool | None = None, most: int | None = None) -> Chart:
    lines = [line for index, (name, run, pair) in enumerate(shown) for line in _lines(index, name, run, pair)]
    marks = [mark for line in lines for mark in _marks(line, is_loss=_is_loss(metric, shown))]
    steps = [float(step) for line in lines for step in line.steps]
    lines = lines if most is None else [_smooth(line, most) for line in lines]
    return Chart(
        metric=metric,
        lines=tuple(lines),
        marks=tuple(marks),
        x=_linear_axis(steps, is_whole=True),
        y=_value_axis(lines, is_log=is_log),
    )


def _is_loss(metric: str, shown: _Shown) -> bool:
    return any(pair is not None and pair == run.loss for _, run, pair in shown) or metric == "loss"


def _lines(index: int, name: str, run: RunCurves, pair: Pair | None) -> list[Line]:
    if pair is None:
        return []
    halves: list[tuple[str, Scalar | None]] = [
        ("training", run.find(pair.training)),
        ("validation", run.find(pair.validation)),
    ]
    is_alone = any(scalar is None for _, scalar in halves)
    return [
        Line(
            run=name,
            role=role,
            index=index,
            is_strong=is_alone or role == "validation",
            steps=scalar.steps,
            values=scalar.values,
            last=scalar.values[-1],
        )
        for role, scalar in halves
        if scalar is not None and scalar.steps
    ]


def _smooth(line: Line, most: int) -> Line:
    """Keep at most `most` points, each the median of a stretch: noise goes, the curve stays."""
    width = math.ceil(len(line.steps) / most)
    if width <= 1:
        return line
    steps, values = [], []
    for start in range(0, len(line.steps), width):
        block = [value for value in line.values[start : start + width] if abs(value) < HUGE]
        steps.append(line.steps[min(start + width // 2, len(line.steps) - 1)])
        values.append(median(block) if block else math.nan)
    return replace(line, steps=tuple(steps), values=tuple(values))


def _marks(line: Line, *, is_loss: bool) -> list[Mark]:
    finite = line.finite
    if not finite:
        return []
    marks = []
    if not abs(line.last) < HUGE:
        step, value = finite[-1]
        label = f"{format_value(line.last)} after step {step}"
        marks.append(Mark(index=line.index, step=step, value=value, label=label, is_bad=True))
    if is_loss and line.is_strong:  # of an accuracy the lowest would be the worst
        step, value = min(finite, key=lambda point: point[1])
        label = f"best {format_value(value)} at {step}"
        marks.append(Mark(index=line.index, step=step, value=value, label=label, is_bad=False))
    return marks


def label_rows(chart: Chart, spread: float) -> list[tuple[Mark, int]]:
    """Give each mark's words a row below its point; those closer than `spread` of the width share none."""
    rows: list[tuple[Mark, int]] = []
    for mark in sorted(chart.marks, key=lambda mark: mark.step):
        near = [row for other, row in rows if chart.x.place(mark.step) - chart.x.place(other.step) < spread]
        rows.append((mark, next(row for row in range(len(near) + 1) if row not in near)))
    return rows


# --- axes -----------------------------------------------------------------------------------------

_DECADES = 20.0
"""The ratio of highest to lowest from which the end of a curve would lie flat on a linear axis."""
_DEPTH = 1000.0
"""A training loss that falls this far below any validation loss is memorising; it may leave the picture."""


def _value_axis(lines: Sequence[Line], *, is_log: bool | None) -> Axis:
    values = [value for line in lines for _, value in line.finite]
    can_log = bool(values) and min(values) > 1 / HUGE
    wants_log = can_log and max(values) / min(values) >= _DECADES
    if can_log and (wants_log if is_log is None else is_log):
        strong = [value for line in lines if line.is_strong for _, value in line.finite] or values
        return _log_axis(max(min(values), min(strong) / _DEPTH), max(values))
    return _linear_axis(values, is_whole=False)


_BELOW, _ABOVE = 0.12, 0.05  # room around the values; below, for the words at the best point


def _linear_axis(values: Sequence[float], *, is_whole: bool) -> Axis:
    if not values:
        return Axis(low=0.0, high=1.0, is_log=False, ticks=())
    low, high = min(values), max(values)
    room = (high - low) or abs(low) / 5 or 1.0
    size = _nice((high - low or room) / 5)
    if is_whole:
        size = max(1.0, size)
        bottom, top = (low, high) if high > low else (low - 0.5, high + 0.5)
    else:
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
