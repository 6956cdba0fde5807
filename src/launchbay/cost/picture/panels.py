"""Charts of a bill and its alternatives, by matplotlib. Amounts become floats here and nowhere before."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from launchbay.cost.picture.charts import Charts, Point
from launchbay.cost.saving.waterfall import Waterfall
from launchbay.pictures import DRAWING_HINT, INK, SOFT, draw
from launchbay.units import format_amount, format_usd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PANELS", "draw_all", "draw_one", "panels_of"]

_TODAY, _LEFT, _SAVED, _DEARER = "#64748b", "#0b6bcb", "#0a8f5b", "#c92a2a"
_PALETTE = ("#64748b", "#d9480f", "#7048e8", "#0b6bcb", "#0a8f5b", "#b5179e", "#8a6d00", "#0891a8", "#c92a2a")
_WIDTH = 11.0  # inches
_HEIGHTS = {"waterfall": 3.6, "risk": 3.6, "months": 3.2, "discounts": 3.2}


def panels_of(charts: Charts) -> Sequence[str]:
    """Return the names of the panels that there is something to draw for, in order."""
    return [name for name in PANELS if _has(charts, name)]


def _has(charts: Charts, name: str) -> bool:
    if name == "waterfall":
        return charts.waterfall is not None and bool(charts.waterfall.steps)
    if name == "risk":
        return len(charts.points) > 1
    return bool(getattr(charts, name))


def draw_one(charts: Charts, name: str, kind: Literal["png", "svg"]) -> bytes:
    """Draw one panel by its name. Raises UserError where matplotlib is missing."""
    height = _height(charts, name)

    def paint(figure: Figure) -> None:
        _paint(figure.add_axes(_frame(name, 1.0, 0.0, height)), charts, name)

    return draw(kind, (_WIDTH, height), paint, hint=DRAWING_HINT)


def draw_all(charts: Charts, kind: Literal["png", "svg"]) -> bytes:
    """Draw all panels below each other, under a title. Raises UserError where matplotlib is missing."""
    names = panels_of(charts)
    head, gap = 0.8, 0.15
    heights = [_height(charts, name) + gap for name in names]
    total = head + sum(heights)

    def paint(figure: Figure) -> None:
        figure.text(
            0.3 / _WIDTH, 1 - 0.42 / total, charts.title, fontsize=15, fontweight="bold", color=INK, va="center"
        )
        below = total - head
        for name, height in zip(names, heights, strict=True):
            below -= height
            _paint(figure.add_axes(_frame(name, total, below, height - gap)), charts, name)

    return draw(kind, (_WIDTH, total), paint, hint=DRAWING_HINT)


def _height(charts: Charts, name: str) -> float:
    return _HEIGHTS[name] if name != "lines" else 1.2 + 0.34 * max(len(charts.lines), 2)


def _frame(name: str, total: float, below: float, height: float) -> tuple[float, float, float, float]:
    """Return where the axes of a panel stand, as parts of the figure: left, bottom, width, height."""
    whole = total if total > 1 else height
    left, right = (
        {"lines": 4.4, "waterfall": 1.0}.get(name, 1.0),
        {"risk": 3.6, "months": 2.2, "discounts": 2.2}.get(name, 0.4),
    )
    top, bottom = 0.55, 0.55
    return (
        left / _WIDTH,
        (below + bottom) / whole,
        1 - (left + right) / _WIDTH,
        (height - top - bottom) / whole,
    )


def _paint(axes: Axes, charts: Charts, name: str) -> None:
    title, paint = PANELS[name]
    figure = axes.get_figure(root=True)
    assert figure is not None
    above = axes.get_position().y1 + 0.18 / figure.get_size_inches()[1]
    figure.text(0.3 / _WIDTH, above, title, fontsize=11.5, fontweight="bold", color=INK)
    axes.set_axisbelow(True)
    paint(axes, charts)


def _dollars(value: float, _: object = None) -> str:
    return f"${value:,.0f}" if abs(value) >= 10 or not value else f"${value:,.2f}"


# --- panels -----------------------------------------------------------------------------------------------------------


def _waterfall(axes: Axes, charts: Charts) -> None:
    found = charts.waterfall
    assert found is not None
    assert found.begin_usd is not None
    assert found.end_usd is not None
    bars = _falls(found)
    most = max(begin + max(length, 0.0) for _, begin, length, _ in bars) or 1.0
    for place, (_, begin, length, color) in enumerate(bars):
        axes.bar(place, length, bottom=begin, color=color, width=0.62, zorder=3)
        top = max(begin, begin + length)
        is_total = place in (0, len(bars) - 1)
        amount = begin + length if is_total else length
        words = (
            f"${amount:,.2f}" if is_total else f"{'+' if amount > 0 else '−' if amount < 0 else ''}${abs(amount):,.2f}"
        )
        axes.text(place, top + 0.02 * most, words, ha="center", va="bottom", fontsize=9.5, color=INK)
    for place in range(len(bars) - 1):
        level = bars[place][1] + bars[place][2]
        axes.plot([place + 0.31, place + 0.69], [level, level], color="#9aa1ab", linewidth=0.9, zorder=2)
    axes.set_xticks(range(len(bars)), [textwrap.fill(name, 14) for name, *_ in bars])
    axes.set_ylim(0, most * 1.13)
    axes.yaxis.set_major_formatter(_dollars)
    axes.grid(visible=True, axis="y")
    axes.tick_params(axis="x", length=0, labelcolor=SOFT)


def _falls(found: Waterfall) -> list[tuple[str, float, float, str]]:
    """Return (name, where it begins, how far it goes, colour) of each bar."""
    bars = [("today", 0.0, float(found.begin_usd or 0), _TODAY)]
    for step in found.steps:
        color = _SAVED if step.saves_usd >= 0 else _DEARER
        bars.append((step.name, float(step.left_usd + step.saves_usd), -float(step.saves_usd), color))
    return [*bars, ("then", 0.0, float(found.end_usd or 0), _LEFT)]


def _lines(axes: Axes, charts: Charts) -> None:
    bars = charts.lines
    most = max((float(bar.usd) for bar in bars if bar.usd is not None), default=1.0)
    for place, bar in enumerate(bars):
        if bar.usd is None:
            axes.barh(place, most * 0.12, color="none", edgecolor=_DEARER, hatch="////", linewidth=0.8, height=0.6)
            axes.text(most * 0.135, place, "unknown", va="center", fontsize=9.5, color=_DEARER)
        else:
            axes.barh(place, float(bar.usd), color=_LEFT, height=0.6, zorder=3)
            axes.text(float(bar.usd) + most * 0.012, place, f"${bar.usd:,.2f}", va="center", fontsize=9.5, color=INK)
    axes.set_yticks(range(len(bars)), [textwrap.shorten(bar.label, 52, placeholder=" …") for bar in bars])
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_xlim(0, most * 1.14)
    axes.xaxis.set_major_formatter(_dollars)
    axes.grid(visible=True, axis="x")
    axes.tick_params(axis="y", length=0, labelcolor=INK, labelsize=9.5)


_MARKS = "osD^vPX*hd"


def _risk(axes: Axes, charts: Charts) -> None:
    known = [float(point.risk.interruptions) for point in charts.points if point.risk.interruptions is not None]
    top = max([*known, 1.0])
    names = list(charts.months)
    for place, point in enumerate(charts.points):
        first = point.name.partition(", ")[0]
        shade = names.index(first) if first in names else len(names) + place
        interruptions = point.risk.interruptions
        axes.plot(
            [float(point.usd)],
            [top * 1.15 if interruptions is None else float(interruptions)],
            _MARKS[place % len(_MARKS)],
            color=_PALETTE[shade % len(_PALETTE)],
            markersize=9,
            markeredgecolor="white",
            linestyle="none",
            label=textwrap.fill(_point_words(point), 44),
            zorder=3,
            clip_on=False,
        )
    axes.set_xlim(0, max(float(point.usd) for point in charts.points) * 1.08 or 1.0)
    axes.set_ylim(-0.06 * top, top * 1.25)
    axes.xaxis.set_major_formatter(_dollars)
    axes.grid(visible=True)
    axes.set_xlabel("US dollars a month")
    axes.set_ylabel("interruptions a month")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.02), frameon=False, fontsize=8.5, labelcolor=INK)


def _point_words(point: Point) -> str:
    usd = f"{'' if point.complete else 'at least '}${format_usd(point.usd)}"
    often = point.risk.interruptions
    words = "interruptions not known" if often is None else f"{format_amount(often, most=1)} interruptions"
    return f"{point.name}: {usd}, {words}, {point.risk.together} on one"


def _months(axes: Axes, charts: Charts) -> None:
    _curves(axes, charts, {name: [(float(x) / 24, y) for x, y in curve] for name, curve in charts.months.items()})
    axes.set_xticks([28, 29, 30, 31])
    axes.set_xlabel("days in the month")


def _discounts(axes: Axes, charts: Charts) -> None:
    _curves(axes, charts, {name: [(float(x) * 100, y) for x, y in curve] for name, curve in charts.discounts.items()})
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} %")
    axes.set_xlabel("spot below on demand")


def _curves(axes: Axes, charts: Charts, curves: Mapping[str, Sequence[tuple[float, Decimal]]]) -> None:
    names = list(charts.months)  # every way is there: so each has one colour everywhere
    for name, curve in curves.items():
        place = names.index(name) if name in names else len(names)
        axes.plot(
            [x for x, _ in curve],
            [float(usd) for _, usd in curve],
            marker="o" if len(curve) < 8 else None,
            markersize=4,
            color=_PALETTE[place % len(_PALETTE)],
            linestyle="-" if place % 2 == 0 else (0, (5, 2)),
            linewidth=1.8,
            label=name,
            zorder=3,
        )
    axes.set_ylim(0, 1.12 * max(float(usd) for curve in curves.values() for _, usd in curve) or 1.0)
    axes.yaxis.set_major_formatter(_dollars)
    axes.grid(visible=True, axis="y")
    if len(curves) > 1:
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.02), frameon=False, fontsize=9, labelcolor=INK)


_Paint = Callable[[Any, Charts], None]

PANELS: Mapping[str, tuple[str, _Paint]] = {
    "waterfall": ("From today to what is needed, US dollars a month", _waterfall),
    "lines": ("What the cheapest of them is spent on, US dollars a month", _lines),
    "risk": ("Cost and risk: each way to run it", _risk),
    "months": ("Over the length of the month", _months),
    "discounts": ("Over the discount on spot, where its price is assumed", _discounts),
}
"""The title of each panel and what paints it."""
