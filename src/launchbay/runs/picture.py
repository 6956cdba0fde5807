"""The loss curves as a PNG or SVG picture, by matplotlib."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from launchbay.pictures import DRAWING_HINT, INK, SOFT, draw
from launchbay.runs.chart import PALETTE, Chart, Line, loss_chart, printable, thin
from launchbay.runs.curves import Curves
from launchbay.runs.label import place_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["render_picture"]

_MOST_POINTS = 2000  # per line: more than the picture has pixels
_FEW = 3  # runs whose sentences and best values still fit


def render_picture(curves: Curves, kind: Literal["png", "svg"]) -> bytes:
    """Draw the loss curves as "png" or "svg". Raises UserError where matplotlib is missing."""
    chart = loss_chart(curves)
    room = _measure(curves, chart)

    def paint(figure: Figure) -> None:
        axes = figure.add_axes(
            (
                room.left / _WIDTH,
                room.bottom / room.height,
                1 - (room.left + room.right) / _WIDTH,
                1 - (room.top + room.bottom) / room.height,
            )
        )
        _plot_lines(axes, chart)
        _plot_marks(axes, chart, room, has_words=len(curves.runs) <= _FEW)
        _write_head(figure, curves, chart, room)
        if len(curves.runs) > _FEW:
            _plot_legend(axes, curves, chart)

    return draw(kind, (_WIDTH, room.height), paint, hint=f"{DRAWING_HINT} (an .html file needs nothing)")


# --- room -----------------------------------------------------------------------------------------

_WIDTH = 10.0  # in inches, as all that follows
_EDGE = 0.3  # where the title, and all that stands below it, begins
_ROW = 0.23  # a line of words
_AXES = 4.3  # the least height of the axes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Room:
    """What stands above, left of, below and right of the axes, and the whole height."""

    top: float
    left: float
    bottom: float
    right: float
    height: float


def _measure(curves: Curves, chart: Chart) -> _Room:
    widest = max((len(label) for _, label in chart.y.ticks), default=0)
    last = len(chart.x.ticks[-1][1]) if chart.x.ticks else 0
    right, axes = max(_EDGE, 0.05 * last), _AXES
    if len(curves.runs) > _FEW:
        labels = [_legend_title(chart), *(label for label, _ in _list_runs(curves, chart))]
        rows = [row for label in labels for row in label.splitlines()]
        right, axes = 0.6 + 0.072 * max(map(len, rows)), max(_AXES, 0.4 + 0.165 * len(rows))
    # A few runs have a row for what their lines mean; above many there is a little air.
    top = 0.65 + _ROW * len(list(_words(curves))) + (0.38 if len(curves.runs) <= _FEW else 0.15)
    return _Room(top=top, left=0.55 + 0.095 * widest, bottom=0.6, right=right, height=axes + top + 0.6)


# --- words ----------------------------------------------------------------------------------------

_ELSEWHERE = (
    "What each run shows, in a sentence and by which rule, is said by `bay curves` without -o, and by an .html file."
)


def _words(curves: Curves) -> Iterator[tuple[int | None, str]]:
    """Give each line of what a few runs show; with the number of a run, where its words begin."""
    if len(curves.runs) > _FEW:
        yield None, _ELSEWHERE
        return
    for index, (name, run) in enumerate(curves.runs.items()):
        is_lone = len(curves.runs) == 1
        title = f"{_short(name)} {run.note}".rstrip()
        text = run.diagnosis.sentence if is_lone else f"{title}: {run.diagnosis.sentence}"
        for row, line in enumerate(textwrap.wrap(printable(text), 125 if is_lone else 121)):
            yield (None if row or is_lone else index), line


def _short(name: str) -> str:
    return textwrap.shorten(printable(name), 30, placeholder="…") if len(name) > 30 else printable(name)


def _write_head(figure: Figure, curves: Curves, chart: Chart, room: _Room) -> None:
    """Write the title, below it what the runs show, and for a few runs what their lines mean."""
    from matplotlib.lines import Line2D

    names = list(curves.runs)
    title = f"Learning curves of {_short(names[0]) if len(names) == 1 else f'{len(names)} runs'}"
    left = _EDGE / _WIDTH
    figure.text(left, 1 - 0.38 / room.height, title, fontsize=14, fontweight="bold", color=INK, va="center")
    drawn = {line.index: line for _, line in chart.visible}
    is_listing = 1 < len(names) <= _FEW
    for row, (index, text) in enumerate(_words(curves)):
        y = 1 - (0.72 + _ROW * row) / room.height
        x = left + (0.38 / _WIDTH if is_listing else 0.0)
        figure.text(x, y, text, fontsize=10, color=INK if is_listing else SOFT, va="center")
        if index in drawn:
            look = {**_look(drawn[index]), "linewidth": 2.0, "alpha": None}
            figure.add_artist(Line2D([left, left + 0.28 / _WIDTH], [y, y], **look))
    if len(names) > _FEW:
        return
    handles = []
    for line, role in _roles(chart):
        look = _look(line) if len(names) == 1 else {**_look(line), "color": SOFT, "linestyle": "-"}
        handles.append(Line2D([], [], label=role, **look))
    if handles:
        figure.legend(
            handles=handles,
            loc="center left",
            bbox_to_anchor=(left, 1 - (room.top - 0.19) / room.height),
            ncols=len(handles),
            fontsize=9.5,
            borderpad=0,
            borderaxespad=0,
            frameon=False,
            labelcolor=INK,
        )


def _roles(chart: Chart) -> Iterator[tuple[Line, str]]:
    """Say what the strong lines are and what the light ones, each with a line that looks so."""
    for is_strong in (True, False):
        lines = [line for _, line in chart.visible if line.is_strong is is_strong]
        roles = {line.role for line in lines}
        if roles:
            yield lines[0], "validation, or training where there is no other" if len(roles) > 1 else roles.pop()


# --- lines ----------------------------------------------------------------------------------------


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
    label = f"{printable(chart.metric)}{' (log scale)' if chart.y.is_log else ''}"
    # At the edge of the picture and not beside the ticks, whose labels are now short and now long.
    figure = axes.get_figure(root=True)
    assert figure is not None
    middle = (axes.get_position().y0 + axes.get_position().y1) / 2
    figure.text(_EDGE / _WIDTH, middle, label, rotation=90, ha="center", va="center", color=SOFT)
    if not any(line.finite for line in chart.lines):
        axes.text(0.5, 0.5, "no finite value to draw", transform=axes.transAxes, ha="center", color=SOFT)


def _look(line: Line) -> dict[str, Any]:
    return {
        "color": PALETTE[line.index % len(PALETTE)],
        "linestyle": "-" if line.index < len(PALETTE) else (0, (5, 2)),
        "linewidth": 1.7 if line.is_strong else 1.1,
        "alpha": None if line.is_strong else 0.5,
    }


def _plot_marks(axes: Axes, chart: Chart, room: _Room, *, has_words: bool) -> None:
    from matplotlib.patheffects import withStroke

    for mark in chart.marks:
        axes.plot(
            [mark.step],
            [mark.value],
            "X" if mark.is_bad else "o",
            color=PALETTE[mark.index % len(PALETTE)],
            markersize=7 if has_words else 5,
            markeredgecolor="white",
            zorder=4,
            clip_on=False,
        )
    if not has_words:
        return
    width, height = 72 * (_WIDTH - room.left - room.right), 72 * (room.height - room.top - room.bottom)
    for label in place_labels(chart, width=width, height=height, size=9):
        point = chart.x.place(label.mark.step) * width, chart.y.place(label.mark.value) * height
        color = PALETTE[label.mark.index % len(PALETTE)]
        axes.annotate(
            label.mark.label,
            (label.mark.step, label.mark.value),
            xytext=(label.x - point[0], label.y - point[1]),
            textcoords="offset points",
            ha={"start": "left", "middle": "center", "end": "right"}[label.anchor],
            va="center",
            fontsize=9,
            color=color,
            path_effects=[withStroke(linewidth=3, foreground="white")],
            arrowprops={"arrowstyle": "-", "color": color, "linewidth": 0.8, "shrinkB": 4} if label.is_apart else None,
            zorder=5,
        )


# --- many runs ------------------------------------------------------------------------------------

_MOST_NAMES = 40


def _list_runs(curves: Curves, chart: Chart) -> list[tuple[str, Line | None]]:
    """Name many runs, with the line of each and what it shows in a word; None for a run that has no curve."""
    drawn = {line.index: line for _, line in sorted(chart.visible, key=lambda item: item[1].is_strong)}
    rows: list[tuple[str, Line | None]] = []
    for index, (name, run) in enumerate(curves.runs.items()):
        aside = "" if index in drawn else ", no curve"
        note = f"\n{printable(run.note)}" if run.note else ""
        rows.append((f"{_short(name)} ({run.diagnosis.verdict}{aside}){note}", drawn.get(index)))
    if len(rows) > _MOST_NAMES:
        rows = [*rows[: _MOST_NAMES - 1], (f"and {len(rows) - _MOST_NAMES + 1} more", None)]
    return rows


def _legend_title(chart: Chart) -> str:
    words = "; ".join(role if line.is_strong else f"{role} lighter" for line, role in _roles(chart))
    return "\n".join(textwrap.wrap(words, 40))


def _plot_legend(axes: Axes, curves: Curves, chart: Chart) -> None:
    """Name many runs, and what they show in a word, beside the axes."""
    from matplotlib.lines import Line2D

    blank: dict[str, Any] = {"linestyle": "none"}
    rows = _list_runs(curves, chart)
    axes.legend(
        handles=[Line2D([], [], label=label, **(blank if line is None else _look(line))) for label, line in rows],
        title=_legend_title(chart),
        loc="upper left",
        bbox_to_anchor=(1.01, 1),
        alignment="left",
        fontsize=8.5,
        title_fontsize=8.5,
        frameon=False,
        labelcolor=INK,
    )
