"""Where the words at the marked points of a chart stand: beside their point, and not on each other. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from launchbay.runs.chart import Chart, Mark, thin

__all__ = ["Anchor", "Label", "place_labels"]

Anchor: TypeAlias = Literal["start", "middle", "end"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """The words at a mark.

    `x` and `y` count from the lower left corner of the axes; `anchor` says which end of the words lies at `x`,
    and their middle lies at `y`. `is_apart` words are so far off that a line should lead to their point.
    """

    mark: Mark
    x: float
    y: float
    anchor: Anchor
    is_apart: bool


def place_labels(chart: Chart, *, width: float, height: float, size: float) -> tuple[Label, ...]:
    """Find a place for the words of every mark, on axes of `width` by `height` and in letters of that `size`.

    Never on other words while there is room at all; on lines and points only where going further off would be
    worse. Words for which there is no room are left out.
    """
    marks = [mark for mark in chart.marks if mark.value >= chart.y.low]
    points = [(chart.x.place(mark.step) * width, chart.y.place(mark.value) * height) for mark in marks]
    taken = _Taken(cells=_find_cells(chart, width, height, size / 3), cell=size / 3)
    labels: list[Label] = []
    boxes: list[_Box] = []
    for mark, point in zip(marks, points, strict=True):
        spots = [
            spot
            for spot in _find_spots(point, mark.label, size)
            if spot.box.is_within(width, height) and not any(spot.box.meets(box) for box in boxes)
        ]
        if spots:
            best = min(
                spots,
                key=lambda spot: (
                    spot.far / size + _cost(spot.box, taken, [other for other in points if other != point], size)
                ),
            )
            boxes.append(best.box)
            labels.append(Label(mark=mark, x=best.x, y=best.y, anchor=best.anchor, is_apart=best.far > size))
    return tuple(labels)


# --- places ---------------------------------------------------------------------------------------

_LETTER = 0.62  # width of a letter, as a share of the size; digits are broad
_LINE = 1.25
_GAP = 0.55  # from a point to its words: the point has a size too
_ROWS = 8  # how far words may go


class _Box(NamedTuple):
    left: float
    bottom: float
    right: float
    top: float

    def is_within(self, width: float, height: float) -> bool:
        return self.left >= 0 and self.bottom >= 0 and self.right <= width and self.top <= height

    def meets(self, other: _Box) -> bool:
        across = self.left < other.right and other.left < self.right
        return across and self.bottom < other.top and other.bottom < self.top

    def holds(self, point: tuple[float, float], around: float) -> bool:
        x, y = point
        return self.left - around < x < self.right + around and self.bottom - around < y < self.top + around


class _Spot(NamedTuple):
    x: float
    y: float
    anchor: Anchor
    far: float
    box: _Box


def _find_spots(point: tuple[float, float], words: str, size: float) -> Iterator[_Spot]:
    """List places around a point, the nearest first, and of those as near below before above before beside."""
    long, tall = _LETTER * size * len(words), _LINE * size
    sides: tuple[tuple[int, int, Anchor], ...] = (
        (0, -1, "middle"),
        (0, 1, "middle"),
        (1, -1, "start"),
        (-1, -1, "end"),
        (1, 1, "start"),
        (-1, 1, "end"),
        (1, 0, "start"),
        (-1, 0, "end"),
    )
    for row in range(_ROWS):
        far = row * tall
        for across, up, anchor in sides:
            # Words to one side need not go further sideways than their gap, when they also go up or down.
            aside = _GAP * size + (far if up == 0 else far / 2)
            x = point[0] + across * aside
            y = point[1] + up * (_GAP * size + tall / 2 + far)
            left = x - long * {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor]
            box = _Box(left, y - tall / 2, left + long, y + tall / 2)
            yield _Spot(x, y, anchor, far + (0.0 if across == 0 else size / 4), box)


# --- what is there already ------------------------------------------------------------------------

_ON_LINES = 14.0  # lines under all of the words are worth going so many sizes away
_ON_POINT = 20.0


@dataclass(frozen=True, slots=True)
class _Taken:
    cells: frozenset[tuple[int, int]]
    cell: float


def _cost(box: _Box, taken: _Taken, others: Sequence[tuple[float, float]], size: float) -> float:
    columns = range(math.floor(box.left / taken.cell), math.ceil(box.right / taken.cell))
    rows = range(math.floor(box.bottom / taken.cell), math.ceil(box.top / taken.cell))
    under = sum((column, row) in taken.cells for column in columns for row in rows)
    covered = sum(box.holds(point, size / 3) for point in others)
    close = sum(box.holds(point, 2 * size) for point in others)  # whose words are they?
    return _ON_LINES * under / (len(columns) * len(rows)) + _ON_POINT * covered + 2 * close


def _find_cells(chart: Chart, width: float, height: float, cell: float) -> frozenset[tuple[int, int]]:
    """List the cells of a grid through which lines go."""
    cells = set()
    for line in chart.lines:
        for segment in line.segments:
            placed = [
                (chart.x.place(step) * width / cell, chart.y.place(value) * height / cell)
                for step, value in thin(segment, 800)
                if value >= chart.y.low
            ]
            for (x, y), (to_x, to_y) in zip(placed, placed[1:] or placed, strict=False):
                count = max(1, math.ceil(max(abs(to_x - x), abs(to_y - y))))
                cells |= {
                    (math.floor(x + (to_x - x) * at / count), math.floor(y + (to_y - y) * at / count))
                    for at in range(count + 1)
                }
    return frozenset(cells)
