"""Learning curves as text for a terminal, by plotext."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from launchbay.errors import UserError
from launchbay.runs.axis import Axis
from launchbay.runs.chart import Chart, Line, loss_chart, printable
from launchbay.runs.curves import Curves
from launchbay.runs.legend import Pen, list_legend, paint

__all__ = ["draw_terminal"]

_GREY = 244


def draw_terminal(curves: Curves, width: int, height: int, *, color: bool, unicode: bool = True) -> str:
    """Draw the loss curves as text, and say below them what each run shows and by which rule.

    The drawing takes `width` columns (at least 40) and, with its legend, `height` lines (at least 10).
    Validation is bright, training dim; without colour, runs are told apart by letters. Without `unicode`, all
    of it is ASCII. Long curves are drawn as the medians of the points that share half a column. Raises
    UserError where plotext cannot be loaded.
    """
    try:
        import plotext  # type: ignore[import-untyped]
    except ImportError as error:
        raise UserError(
            f"the terminal chart needs plotext, which cannot be loaded: {error}",
            hint="bay curves RUN -o curves.html",
        ) from error
    width, height = max(40, width), max(10, height)
    chart = loss_chart(curves, most=2 * width)
    pen = Pen(color=color, unicode=unicode, is_lone=len({line.index for line in chart.lines}) == 1)
    legend = list_legend(curves, chart, pen, width, max(2, min(height // 3 + 1, height - 10)))
    figure = plotext.figure
    plotext.terminal.limit(width=False, height=False)  # the caller knows how large its terminal is
    figure.clear()
    figure.theme("colorless")
    figure.canvas("default")
    figure.legend(active=False)
    figure.plot_size(width, height - len(legend))
    _draw_axes(plotext, chart, width)
    for line in sorted(chart.lines, key=lambda line: line.is_strong):
        _draw_line(plotext, line, chart, pen)
    text = figure.build().string(colorless=not color)
    rows = [row.rstrip() for row in text.splitlines()]
    drawn = "\n".join([*legend, *rows, "", *_say(curves, width, pen)])
    return drawn if unicode else _to_ascii(drawn)


def _draw_axes(plotext: Any, chart: Chart, width: int) -> None:
    figure = plotext.figure
    figure.axes(active=False, axis="x", side="upper")
    figure.axes(active=False, axis="y", side="right")
    broad = max((len(label) for _, label in chart.y.ticks), default=0)
    for name, axis in (("x", _thin_ticks(chart.x, width - broad - 1)), ("y", chart.y)):
        ruler = figure.ruler(name)
        ruler.lim(axis.scaled(axis.low), axis.scaled(axis.high))
        # plotext takes logarithms of the points but not of the ticks it is given, so both come to it scaled.
        ruler.ticks([axis.scaled(value) for value, _ in axis.ticks], [label for _, label in axis.ticks])
    figure.ruler("y").grid(active=True, style="dotted", pixel=plotext.pixel(_GREY))


def _thin_ticks(axis: Axis, columns: int) -> Axis:
    """Drop ticks whose labels would touch; the first and the last one stay."""
    ends = (*axis.ticks[:1], *axis.ticks[1:][-1:])

    def is_apart(tick: tuple[float, str], other: tuple[float, str]) -> bool:
        # A label at an end does not go beyond it: all of it lies on one side of its tick.
        broad = len(tick[1]) / 2 + len(other[1]) / (1 if other in ends else 2)
        return abs(axis.place(tick[0]) - axis.place(other[0])) * columns > broad + 1

    kept = list(ends[:1])
    for tick in axis.ticks[1:-1]:
        if is_apart(tick, kept[-1]) and is_apart(tick, ends[-1]):
            kept.append(tick)
    return replace(axis, ticks=(*kept, *ends[1:]))


def _draw_line(plotext: Any, line: Line, chart: Chart, pen: Pen) -> None:
    pixel = plotext.pixel(pen.hue(line.index), None, None if line.is_strong else "dim")
    symbol = pen.symbol(line)
    # plotext would draw what leaves the axes at their edge.
    inside = replace(line, values=tuple(value if value >= chart.y.low else math.nan for value in line.values))
    for segment in inside.segments:
        signal = plotext.figure.signal(
            [step for step, _ in segment],
            [chart.y.scaled(value) for _, value in segment],
            marker=plotext.marker(symbol, pixel),
        )
        plotext.figure.draw(signal.lines() if symbol == "braille" else signal)


def _say(curves: Curves, width: int, pen: Pen) -> Iterator[str]:
    """Write what each run shows, by which rule, and what of its files was damaged."""

    def wrap(text: str, indent: str = "") -> list[str]:
        clean = printable(text) if pen.unicode else _to_ascii(printable(text))
        return textwrap.wrap(clean, width, initial_indent=indent, subsequent_indent=indent)

    for index, (name, run) in enumerate(curves.runs.items()):
        label = "" if len(curves.runs) == 1 else f"{name}: "
        style = f"38;5;{pen.hue(index)}" if label else "1"
        yield from (paint([(line, style)], pen) for line in wrap(label + run.diagnosis.sentence))
        for note in (f"Rule: {run.diagnosis.rule}.", *(f"Warning: {warning}" for warning in run.warnings)):
            yield from (paint([(line, "2")], pen) for line in wrap(note, "  "))


# --- ASCII ----------------------------------------------------------------------------------------

_PLAIN = str.maketrans(
    {
        **dict.fromkeys("│┊┆", "|"),
        **dict.fromkeys("─", "-"),
        **dict.fromkeys("┈┄", "."),
        **dict.fromkeys("┼┬┴├┤┌┐└┘", "+"),
        "±": "+/-",
        "…": ".",
    }
)


def _to_ascii(text: str) -> str:
    """Draw axes with what every terminal has; a letter of a name that is still none of ASCII becomes a ``?``."""
    return text.translate(_PLAIN).encode("ascii", "replace").decode("ascii")
