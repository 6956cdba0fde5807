"""One chart as inline SVG for the page, coloured by the page's style sheet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from launchbay.runs.chart import PALETTE, Chart, Line, printable, thin
from launchbay.runs.label import place_labels

__all__ = ["Frame", "color_class", "draw_svg", "thin_for_page"]

_LEFT, _TOP, _RIGHT, _BOTTOM = 64, 12, 16, 44  # room around the axes, for the ticks


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Where a chart's axes lie in a drawing of `width` by `height`, in its own units."""

    chart: Chart
    width: int
    height: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Give the left, top, right and bottom of the axes."""
        return _LEFT, _TOP, self.width - _RIGHT, self.height - _BOTTOM

    def x(self, step: float) -> float:
        """Place a step."""
        left, _, right, _ = self.box
        return left + self.chart.x.place(step) * (right - left)

    def y(self, value: float) -> float:
        """Place a value."""
        _, top, _, bottom = self.box
        return bottom - self.chart.y.place(value) * (bottom - top)


def color_class(index: int) -> str:
    """Name the style of a run; when the colours are used up they come again, dashed."""
    return f"c{index % len(PALETTE)}" + (" again" if index >= len(PALETTE) else "")


def thin_for_page(points: Sequence[tuple[int, float]], lines: int) -> list[tuple[int, float]]:
    """Keep as many points as a page of so many lines can bear."""
    return thin(points, 1200 if lines <= 6 else 400)


def draw_svg(frame: Frame, *, has_words: bool) -> str:
    """Draw the chart; `has_words` writes the best values beside their points. Reads without JavaScript."""
    chart = frame.chart
    scale = "log" if chart.y.is_log else "linear"
    parts = [
        f'<svg viewBox="0 0 {frame.width} {frame.height}" role="img" ',
        f'aria-label="{escape(printable(chart.metric))} by step" ',
        f'data-y="{chart.y.low!r} {chart.y.high!r} {scale}">',
        *_draw_axes(frame),
        *_draw_lines(frame),
        *_draw_marks(frame, has_words=has_words),
    ]
    if not any(line.finite for line in chart.lines):
        place = f'x="{frame.width / 2}" y="{frame.height / 2}"'
        parts.append(f'<text class="tick mid" {place}>no finite value to draw</text>')
    return "".join([*parts, "</svg>"])


def _draw_axes(frame: Frame) -> Iterator[str]:
    left, _, right, bottom = frame.box
    for value, label in frame.chart.y.ticks:
        y = frame.y(value)
        yield f'<path class="grid" d="M{left} {y:.1f}H{right}"/>'
        yield f'<text class="tick end" x="{left - 9}" y="{y + 4:.1f}">{label}</text>'
    for value, label in frame.chart.x.ticks:
        x = frame.x(value)
        yield f'<path class="axis" d="M{x:.1f} {bottom}v5"/>'
        # A long label at the right end would leave the drawing.
        place = f'end" x="{frame.width - 2}' if x + 4 * len(label) > frame.width else f'mid" x="{x:.1f}'
        yield f'<text class="tick {place}" y="{bottom + 19}">{label}</text>'
    yield f'<path class="axis" d="M{left} {bottom}H{right}"/>'
    yield f'<text class="tick mid" x="{(left + right) / 2:.0f}" y="{frame.height - 4}">step</text>'


def _draw_lines(frame: Frame) -> Iterator[str]:
    left, top, right, bottom = frame.box
    # An inner svg cuts off what leaves the axes; a hair wider than they are, for the thickness of lines.
    x, y, width, height = left - 2, top - 2, right - left + 4, bottom - top + 2
    yield f'<svg x="{x}" y="{y}" width="{width}" height="{height}" viewBox="{x} {y} {width} {height}">'
    for number, line in sorted(enumerate(frame.chart.lines), key=lambda item: item[1].is_strong):
        look = f"line {'strong' if line.is_strong else 'light'} {color_class(line.index)}"
        yield f'<path class="{look}" data-line="{number}" d="{_path(frame, line)}"/>'
    yield "</svg>"


def _path(frame: Frame, line: Line) -> str:
    path = ""
    for segment in line.segments:
        points = thin_for_page(segment, len(frame.chart.lines))
        # A lone point is a dot: a line of no length, which a round cap shows.
        points = points if len(points) > 1 else [*points, *points]
        path += "M" + "L".join(f"{frame.x(step):.1f} {frame.y(value):.1f}" for step, value in points)
    return path


def _draw_marks(frame: Frame, *, has_words: bool) -> Iterator[str]:
    chart = frame.chart
    for mark in chart.marks:
        x, y = frame.x(mark.step), frame.y(mark.value)
        look = f"mark {color_class(mark.index)}{' bad' if mark.is_bad else ''}"
        yield f'<circle class="{look}" cx="{x:.1f}" cy="{y:.1f}" r="4.5">'
        yield f"<title>{escape(mark.label)}</title></circle>"
    if not has_words:
        return
    left, top, right, bottom = frame.box
    for label in place_labels(chart, width=right - left, height=bottom - top, size=_LETTERS):
        color = color_class(label.mark.index)
        x, y = left + label.x, bottom - label.y
        if label.is_apart:
            to_x, to_y = frame.x(label.mark.step), frame.y(label.mark.value)
            yield f'<path class="lead {color}" d="M{x:.1f} {y:.1f}L{to_x:.1f} {to_y:.1f}"/>'
        place = f'x="{x:.1f}" y="{y + _LETTERS / 3:.1f}"'
        yield f'<text class="best {_SIDES[label.anchor]} {color}" {place}>{escape(label.mark.label)}</text>'


_LETTERS = 12.5  # the size that the page's style sheet gives to text in a chart
_SIDES = {"start": "start", "middle": "mid", "end": "end"}
