"""Pictures of learning curves: in the terminal, and as PNG, SVG or HTML files."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from launchbay.errors import UsageError, UserError
from launchbay.files import explain_os_error, write_atomic
from launchbay.runs.chart import Chart, Line, loss_chart, printable
from launchbay.runs.curves import Curves
from launchbay.runs.diagnosis import format_value
from launchbay.runs.page import render_page
from launchbay.runs.picture import render_picture

__all__ = ["draw_terminal", "write_plot"]


def write_plot(curves: Curves, path: Path) -> None:
    """Write a picture of the loss curves, in one step; the suffix says which kind: .png, .svg or .html.

    An HTML file is complete in itself and needs nothing installed; the others need matplotlib.
    Raises UsageError for another suffix, UserError where matplotlib is missing or the file cannot be written.
    """
    kind = path.suffix.lower()
    if kind == ".html":
        data = render_page(curves).encode()
    elif kind in (".png", ".svg"):
        data = render_picture(curves, kind[1:])
    else:
        raise UsageError(
            f"curves can be written as .png, .svg or .html, got {path.name!r}",
            hint="bay curves RUN -o curves.html",
        )
    try:
        write_atomic(path, data)
    except OSError as error:
        raise explain_os_error(error, f"writing {path}") from error


# --- terminal -------------------------------------------------------------------------------------

_COLORS = (33, 208, 35, 170, 99, 37, 142, 160)  # of the 256; legible on black and on white
_GREY = 244


def draw_terminal(curves: Curves, width: int, height: int, *, color: bool) -> str:
    """Draw the loss curves as text, and say below them what each run shows and by which rule.

    The drawing takes `width` columns (at least 40) and, with its legend, `height` lines (at least 10).
    Validation is bright, training dim; without colour, runs are told apart by letters. Long curves are drawn
    as the medians of the points that share half a column. Raises UserError where plotext cannot be loaded.
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
    legend = _legend(chart, width, max(2, height // 3), color=color)
    figure = plotext.figure
    plotext.terminal.limit(width=False, height=False)  # the caller knows how large its terminal is
    figure.clear()
    figure.theme("colorless")
    figure.canvas("default")
    figure.legend(active=False)
    figure.plot_size(width, max(8, height - len(legend)))
    _draw_axes(plotext, chart)
    for line in sorted(chart.lines, key=lambda line: line.is_strong):
        _draw_line(plotext, line, chart, color=color)
    text = figure.build().string(colorless=not color)
    rows = [row.rstrip() for row in text.splitlines()]
    return "\n".join([*legend, *rows, "", *_say(curves, width, color=color)])


def _draw_axes(plotext: Any, chart: Chart) -> None:
    figure = plotext.figure
    figure.axes(active=False, axis="x", side="upper")
    figure.axes(active=False, axis="y", side="right")
    for name, axis in (("x", chart.x), ("y", chart.y)):
        ruler = figure.ruler(name)
        ruler.lim(axis.scaled(axis.low), axis.scaled(axis.high))
        # plotext takes logarithms of the points but not of the ticks it is given, so both come to it scaled.
        ruler.ticks([axis.scaled(value) for value, _ in axis.ticks], [label for _, label in axis.ticks])
    figure.ruler("y").grid(active=True, style="dotted", pixel=plotext.pixel(_GREY))


def _draw_line(plotext: Any, line: Line, chart: Chart, *, color: bool) -> None:
    lone = len({other.index for other in chart.lines}) == 1
    pixel = plotext.pixel(_COLORS[line.index % len(_COLORS)], None, None if line.is_strong else "dim")
    symbol = "braille" if color or (lone and line.is_strong) else "·" if lone else _letter(line)
    # plotext would draw what leaves the axes at their edge.
    inside = replace(line, values=tuple(value if value >= chart.y.low else math.nan for value in line.values))
    for segment in inside.segments:
        signal = plotext.figure.signal(
            [step for step, _ in segment],
            [chart.y.scaled(value) for _, value in segment],
            marker=plotext.marker(symbol, pixel),
        )
        plotext.figure.draw(signal.lines() if symbol == "braille" else signal)


def _letter(line: Line) -> str:
    letter = chr(ord("a") + line.index % 26)
    return letter.upper() if line.is_strong else letter


def _legend(chart: Chart, width: int, most: int, *, color: bool) -> list[str]:
    """Write a line for the axes and one per run: its signs, its name, and where its curves end."""
    lone = len({line.index for line in chart.lines}) == 1
    rows = [_paint([(f"{chart.metric}{', log scale,' if chart.y.is_log else ''} by step", "")], width, color=color)]
    names = list(dict.fromkeys(line.run for line in chart.lines))
    broad = max((len(printable(name)) for name in names), default=0)
    shown = names if len(names) <= most else names[: most - 1]
    for name in shown:
        lines = [line for line in chart.lines if line.run == name]
        pieces = [(f"{printable(name):<{broad}}", "")]
        for line in reversed(lines):
            style = f"38;5;{_COLORS[line.index % len(_COLORS)]}{'' if line.is_strong else ';2'}"
            pieces += [
                ("  ", ""),
                (_sign(line, lone=lone, color=color), style),
                (f" {_end(line, chart)}", ""),
            ]
        rows.append(_paint(pieces, width, color=color))
    if len(shown) < len(names):
        rows.append(f"and {len(names) - len(shown)} more")
    return rows


def _sign(line: Line, *, lone: bool, color: bool) -> str:
    if color:
        return "━━"
    return ("━━" if line.is_strong else "··") if lone else _letter(line)


def _end(line: Line, chart: Chart) -> str:
    best = [mark.label for mark in chart.marks if mark.index == line.index and not mark.is_bad and line.is_strong]
    return ", ".join([f"{line.role} {format_value(line.last)}", *best])


def _say(curves: Curves, width: int, *, color: bool) -> Iterator[str]:
    """Write what each run shows, by which rule, and what of its files was damaged."""
    for index, (name, run) in enumerate(curves.runs.items()):
        label = "" if len(curves.runs) == 1 else f"{printable(name)}: "
        sentence = textwrap.wrap(printable(label + run.diagnosis.sentence), width)
        style = f"38;5;{_COLORS[index % len(_COLORS)]}" if label else "1"
        yield from (_paint([(line, style)], width, color=color) for line in sentence)
        notes = [f"Rule: {run.diagnosis.rule}.", *(f"Warning: {warning}" for warning in run.warnings)]
        for note in notes:
            lines = textwrap.wrap(printable(note), width, initial_indent="  ", subsequent_indent="  ")
            yield from (_paint([(line, "2")], width, color=color) for line in lines)


def _paint(pieces: Sequence[tuple[str, str]], width: int, *, color: bool) -> str:
    """Join (text, style) pieces into one line of at most `width` columns."""
    line, room = "", width
    for text, style in pieces:
        part, room = text[:room], room - len(text[:room])
        line += f"\x1b[{style}m{part}\x1b[0m" if color and style and part else part
    return line
