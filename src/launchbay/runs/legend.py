"""The legend of a chart in a terminal: which sign is which run, and where its curves end. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from launchbay.runs.chart import Chart, Line, printable
from launchbay.runs.curves import Curves
from launchbay.runs.diagnosis import format_value

__all__ = ["Pen", "Piece", "list_legend", "paint"]

Piece: TypeAlias = tuple[str, str]
"""Words and the style they are written in, as the terminal's number for it; "" for none."""

_COLORS = (33, 208, 35, 170, 99, 37, 142, 160)  # of the 256; legible on black and on white


@dataclass(frozen=True, slots=True, kw_only=True)
class Pen:
    """What can be drawn with: colours or none, all signs or ASCII; `is_lone` where there is one run to draw."""

    color: bool
    unicode: bool
    is_lone: bool

    def hue(self, index: int) -> int:
        """Give a run its colour."""
        return _COLORS[index % len(_COLORS)]

    def symbol(self, line: Line) -> str:
        """Say what a line is drawn with: braille dots, which join, or one character for each point."""
        if not self.unicode or not (self.color or self.is_lone):
            return _letter(line)
        return "braille" if self.color or line.is_strong else "·"

    def sign(self, line: Line) -> Piece:
        """Give the sign that stands for a line in the legend."""
        style = f"38;5;{self.hue(line.index)}{'' if line.is_strong else ';2'}"
        symbol = self.symbol(line)
        return {"braille": "━━", "·": "··"}.get(symbol, symbol), style


def list_legend(curves: Curves, chart: Chart, pen: Pen, width: int, most: int) -> list[str]:
    """Write a line for the axes, and below it at most `most` lines for the runs.

    A run has one line where that is broad enough for all runs, else a line for its name and more for its
    curves; best values are left out before runs are.
    """
    title = f"{printable(chart.metric)}{', log scale,' if chart.y.is_log else ''} by step"
    blocks = min(_layouts(curves, chart, pen, width), key=lambda blocks: max(most, sum(map(len, blocks))))
    shown = len(blocks)
    while shown > 1 and sum(map(len, blocks[:shown])) + (shown < len(blocks)) > most:
        shown -= 1
    rows = [row for block in blocks[:shown] for row in block]
    if shown < len(blocks):
        rows.append([(f"and {len(blocks) - shown} more", "")])
    return [line if len(line) <= width else f"{line[: width - 1]}…" for line in [title]] + [
        paint(row, pen) for row in rows
    ]


def paint(pieces: Sequence[Piece], pen: Pen) -> str:
    """Join words into one line, in their styles where there are colours."""
    return "".join(f"\x1b[{style}m{text}\x1b[0m" if pen.color and style and text else text for text, style in pieces)


# --- layouts --------------------------------------------------------------------------------------

_Row: TypeAlias = list[Piece]


def _layouts(curves: Curves, chart: Chart, pen: Pen, width: int) -> list[list[list[_Row]]]:
    """Lay out the rows of every run in each of the ways that fit the width, the best one first."""
    # What was drawn last, validation, is read first.
    groups = {name: [line for line in reversed(chart.lines) if line.run == name] for name in curves.runs}
    runs = [(_title(name, curves), lines) for name, lines in groups.items() if lines]
    broad = max((len(name) for name, _ in runs), default=0)
    layouts = []
    for has_best in (True, False):
        ends = [[_units(line, chart, pen, has_best=has_best) for line in lines] for _, lines in runs]
        flat = [_flatten(f"{name:<{broad}}", of_run) for (name, _), of_run in zip(runs, ends, strict=True)]
        if all(sum(len(text) for text, _ in row) <= width for row in flat):
            layouts.append([[row] for row in flat])
        # Without best values the two curves of a run find room beside each other.
        rows = ends if has_best else [[[unit for units in of_run for unit in units]] for of_run in ends]
        layouts.append([_stack(name, of_run, width) for (name, _), of_run in zip(runs, rows, strict=True)])
    return layouts


def _title(name: str, curves: Curves) -> str:
    note = curves.runs[name].note
    return printable(f"{name}  {note}" if note else name)


def _flatten(name: str, of_run: Sequence[Sequence[_Row]]) -> _Row:
    return [(name, ""), *(piece for units in of_run for unit in units for piece in unit)]


def _stack(name: str, of_run: Sequence[Sequence[_Row]], width: int) -> list[_Row]:
    head: list[_Row] = [[(text, "")] for text in textwrap.wrap(name, width)]
    return [*head, *(row for units in of_run for row in _wrap(units, width))]


def _units(line: Line, chart: Chart, pen: Pen, *, has_best: bool) -> list[_Row]:
    """Say where a line ends and what its best value was, in parts between which a row may be broken."""
    best = [mark.label for mark in chart.marks if mark.index == line.index and not mark.is_bad]
    said = best if has_best and line.is_strong else []
    end = f" {line.role} {format_value(line.last)}{',' if said else ''}"
    return [[("  ", ""), pen.sign(line), (end, "")], *([(f" {label}", "")] for label in said)]


def _wrap(units: Sequence[_Row], width: int) -> list[_Row]:
    """Fill rows with parts, each whole; a row that goes on begins further in."""
    rows: list[_Row] = []
    for unit in units:
        if rows and sum(len(text) for text, _ in [*rows[-1], *unit]) <= width:
            rows[-1] += unit
        elif rows:
            (first, style), *rest = unit
            rows.append([("    " + first.lstrip(), style), *rest])
        else:
            rows.append(list(unit))
    return rows


def _letter(line: Line) -> str:
    letter = chr(ord("a") + line.index % 26)
    return letter.upper() if line.is_strong else letter
