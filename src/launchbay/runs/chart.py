"""What a picture of curves shows, whatever draws it: lines, axes, ticks, points to mark. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from launchbay.runs.axis import Axis, step_axis, value_axis
from launchbay.runs.curves import Curves, RunCurves
from launchbay.runs.diagnosis import format_value
from launchbay.runs.events import Scalar
from launchbay.runs.pairs import Pair
from launchbay.runs.shape import HUGE

__all__ = [
    "PALETTE",
    "Chart",
    "Line",
    "Mark",
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
class Chart:
    """One metric of some runs, ready to be drawn. `x` and `y` fit every finite point; there may be none."""

    metric: str
    lines: tuple[Line, ...]
    marks: tuple[Mark, ...]
    x: Axis
    y: Axis

    @property
    def visible(self) -> list[tuple[int, Line]]:
        """List the lines of which something is drawn, each with its number among `lines`."""
        return [
            (number, line)
            for number, line in enumerate(self.lines)
            if any(value >= self.y.low for _, value in line.finite)
        ]


def loss_chart(curves: Curves, *, is_log: bool | None = None, most: int | None = None) -> Chart:
    """Make the chart of the loss (of the first metric, where no run has a loss); a run without it has no line.

    The scale is logarithmic where values span decades and none is zero or less; `is_log` wishes for one of
    the two, where it can be. With `most`, lines are thinned to that many medians.
    """
    shown = [(name, run, run.loss) for name, run in curves.runs.items()]
    metrics = {pair.metric for _, _, pair in shown if pair is not None}
    metric = metrics.pop() if len(metrics) == 1 else "loss"
    if (stand_in := _find_stand_in(curves)) is not None:
        metric, shown = stand_in, [(name, run, _find_pair(run, stand_in)) for name, run in curves.runs.items()]
    return _chart(metric, shown, is_log=is_log, most=most)


def metric_charts(curves: Curves) -> tuple[Chart, ...]:
    """Make a chart of every metric but the loss (or what stands in for it), in the order of their names."""
    others = {pair.metric for run in curves.runs.values() for pair in run.pairs if pair != run.loss}
    charts = []
    for metric in sorted(others - {_find_stand_in(curves)}):
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


def _find_stand_in(curves: Curves) -> str | None:
    """Choose the metric that is drawn where no run has a loss."""
    runs = curves.runs.values()
    if any(run.loss is not None for run in runs):
        return None
    return next((run.pairs[0].metric for run in runs if run.pairs), None)


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
        x=step_axis(steps),
        y=value_axis(
            [value for line in lines for _, value in line.finite],
            strong=[value for line in lines if line.is_strong for _, value in line.finite],
            is_log=is_log,
        ),
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
