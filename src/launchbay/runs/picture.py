"""The loss curves as a PNG or SVG picture, by matplotlib."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from launchbay.errors import UserError
from launchbay.runs.chart import PALETTE, Chart, Line, label_rows, loss_chart, printable, thin
from launchbay.runs.curves import Curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["render_picture"]

_MOST_POINTS = 2000  # per line: more than the picture has pixels
_FEW = 3  # runs whose sentences and best values still fit
_INK, _SOFT = "#1c2330", "#4a5160"
_STYLE: Any = {
    "svg.hashsalt": "launchbay",  # equal curves make equal files
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9aa1ab",
    "axes.labelcolor": _SOFT,
    "xtick.color": "#6b7280",
    "ytick.color": "#6b7280",
    "grid.color": "#e5e8ec",
    "font.size": 10.5,
    "text.parse_math": False,  # a dollar sign in a run's name is a dollar sign
}


def render_picture(curves: Curves, kind: str) -> bytes:
    """Draw the loss curves as "png" or "svg". Raises UserError where matplotlib is missing."""
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError(
            f"a .{kind} picture needs matplotlib, which is not installed",
            hint="pip install 'launchbay[plot]' (an .html file needs nothing)",
        ) from error
    chart = loss_chart(curves)
    words = list(_words(curves))
    is_few = len(curves.runs) <= _FEW
    # In inches: what stands above, left of, below and right of the axes.
    top, left, bottom, right = (
        0.65 + 0.23 * len(words) + (0.1 if not is_few else 0.35 if len(curves.runs) == 1 else 0.55),
        0.85,
        0.6,
        0.3 if is_few else 2.2,
    )
    width, height = 10.0, 4.3 + top + bottom
    with mpl.rc_context():
        mpl.rcdefaults()  # whatever a matplotlibrc of the person's says
        mpl.rcParams.update(_STYLE)
        figure = Figure(figsize=(width, height), dpi=160)
        axes = figure.add_axes((left / width, bottom / height, 1 - (left + right) / width, 1 - (top + bottom) / height))
        _plot_lines(axes, chart)
        _plot_marks(axes, chart, is_few=is_few)
        _plot_legend(axes, curves, chart, is_few=is_few)
        _write_words(figure, curves, words)
        stream = io.BytesIO()
        figure.savefig(stream, format=kind, metadata={"Date": None} if kind == "svg" else None)
    return stream.getvalue()


def _words(curves: Curves) -> Iterator[tuple[str, str]]:
    """Give each line of what a few runs show, with its colour."""
    if len(curves.runs) > _FEW:
        return
    for index, (name, run) in enumerate(curves.runs.items()):
        is_lone = len(curves.runs) == 1
        text = run.diagnosis.sentence if is_lone else f"{_short(name)}: {run.diagnosis.sentence}"
        for line in textwrap.wrap(text, 125):
            yield line, _SOFT if is_lone else PALETTE[index % len(PALETTE)]


def _short(name: str) -> str:
    return textwrap.shorten(printable(name), 30, placeholder="…") if len(name) > 30 else printable(name)


def _write_words(figure: Figure, curves: Curves, words: list[tuple[str, str]]) -> None:
    names = list(curves.runs)
    title = f"Learning curves of {_short(names[0]) if len(names) == 1 else f'{len(names)} runs'}"
    height = figure.get_figheight()
    figure.text(0.03, 1 - 0.38 / height, title, fontsize=14, fontweight="bold", color=_INK, va="center")
    for row, (line, color) in enumerate(words):
        figure.text(0.03, 1 - (0.72 + 0.23 * row) / height, line, fontsize=10, color=color, va="center")


def _plot_lines(axes: Axes, chart: Chart) -> None:
    for line in chart.lines:
        for segment in line.segments:
            points = thin(segment, _MOST_POINTS)
            steps, values = [step for step, _ in points], [value for _, value in points]
            axes.plot(steps, values, zorder=3 if line.is_strong else 2, **_look(line))
    axes.set_yscale("log" if chart.y.is_log else "linear")
    axes.set_xlim(chart.x.low, chart.x.high)
    axes.set_ylim(chart.y.low, chart.y.high)
    axes.set_xticks([value for value, _ in chart.x.ticks], [label for _, label in chart.x.ticks])
    axes.set_yticks([value for value, _ in chart.y.ticks], [label for _, label in chart.y.ticks])
    axes.minorticks_off()
    axes.grid(visible=True, axis="y")
    axes.set_axisbelow(True)
    axes.set_xlabel("step")
    axes.set_ylabel(f"{printable(chart.metric)}{' (log scale)' if chart.y.is_log else ''}")
    if not any(line.finite for line in chart.lines):
        axes.text(0.5, 0.5, "no finite value to draw", transform=axes.transAxes, ha="center", color=_SOFT)


def _look(line: Line) -> dict[str, Any]:
    return {
        "color": PALETTE[line.index % len(PALETTE)],
        "linestyle": "-" if line.index < len(PALETTE) else (0, (5, 2)),
        "linewidth": 1.7 if line.is_strong else 1.1,
        "alpha": None if line.is_strong else 0.5,
    }


def _plot_marks(axes: Axes, chart: Chart, *, is_few: bool) -> None:
    from matplotlib.patheffects import withStroke

    for mark, row in label_rows(chart, 0.17):
        color, place = PALETTE[mark.index % len(PALETTE)], chart.x.place(mark.step)
        symbol = "X" if mark.is_bad else "o"
        axes.plot(
            [mark.step],
            [mark.value],
            symbol,
            color=color,
            markersize=7 if is_few else 5,
            markeredgecolor="white",
            zorder=4,
            clip_on=False,
        )
        if is_few:
            axes.annotate(
                mark.label,
                (mark.step, mark.value),
                xytext=(0, -9 - 13 * row),
                textcoords="offset points",
                ha="right" if place > 0.93 else "left" if place < 0.07 else "center",
                va="top",
                fontsize=9,
                color=color,
                path_effects=[withStroke(linewidth=3, foreground="white")],
                zorder=5,
            )


def _plot_legend(axes: Axes, curves: Curves, chart: Chart, *, is_few: bool) -> None:
    """Name a few runs' lines above the axes, many runs and what they show beside them."""
    from matplotlib.lines import Line2D

    is_lone = len(curves.runs) == 1
    handles = []
    for line in chart.lines:
        verdict = curves.runs[line.run].diagnosis.verdict
        label = line.role if is_lone else f"{_short(line.run)} {line.role if is_few else f'({verdict})'}"
        if is_few or line.is_strong:
            handles.append(Line2D([], [], label=label, **_look(line)))
    if not handles:
        return
    if is_few:
        columns = len(handles) if is_lone else len(curves.runs)
        place: dict[str, Any] = {
            "loc": "lower right",
            "bbox_to_anchor": (1, 1),
            "ncols": columns,
            "fontsize": 9.5,
        }
    else:
        title = "validation; training lighter"
        place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1), "title": title, "fontsize": 8.5}
    axes.legend(handles=handles, frameon=False, labelcolor=_INK, title_fontsize=8.5, **place)
