"""What a CSV file holds: its shape, and the cells that a model would choke on.

The file is read once, line by line, so its size does not matter. Rows of unequal length are an error; text
and missing numbers are only reported, because a table with names in it is a good table.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite, isinf, isnan
from operator import itemgetter
from pathlib import Path
from typing import IO, Literal, cast

from launchbay.errors import UserError
from launchbay.onboard.header import MISSING, has_header

__all__ = ["CsvShape", "check_csv"]

_SAMPLE = 1 << 16  # bytes looked at to find out what the file is
_SAMPLE_ROWS = 200
_LONGEST = 1 << 24  # characters of one line: a file without line ends must not fill the memory
_PROGRESS_ROWS = 1 << 16
_NAMED = re.compile(r"\.(csv|tsv)(\.gz)?\Z", re.IGNORECASE)
_DELIMITERS = ("\t", ";", ",")  # where several fit, the one that least often stands inside a cell

_Kind = Literal["number", "text", "nan", "empty", "inf"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvShape:
    """What was found in a CSV file.

    `rows` leaves out the header; `header` is None when the first row is data already. NaN and infinite cells
    are counted while their column holds nothing but numbers, empty cells everywhere. `text_columns` are the
    names (or the numbers, from 1) of columns that hold more than numbers. `notes` says the same in sentences,
    with the first place as ``file:line:column``; the column is the cell's, counted from 1.
    """

    delimiter: str
    header: tuple[str, ...] | None
    rows: int
    columns: int
    nan_cells: int = 0
    empty_cells: int = 0
    inf_cells: int = 0
    text_columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def check_csv(path: Path, *, name: str = "", progress: Callable[[int], None] | None = None) -> CsvShape | None:
    """Read a CSV file through and say what it holds; None when it is something else.

    `name` is the file's name if `path` is a temporary one: it decides whether the file must be CSV (.csv and
    .tsv, also with .gz) or merely may be, and it stands in messages. `progress` is called with the bytes
    read. Raises UserError with file and line for rows of unequal length, an open quote, a damaged gzip, or
    bytes that are no text; only for a file that must be CSV: one that merely looked like it is None.
    """
    name = name or path.name
    try:
        return _check(path, name, progress)
    except UserError:
        if _NAMED.search(name):
            raise
        return None


def _check(path: Path, name: str, progress: Callable[[int], None] | None) -> CsvShape | None:
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST))  # a document may be one cell
    with path.open("rb") as raw:
        try:
            encoding, sample = _look(raw, name)
            layout = _find_layout(sample)
            if layout is None:
                raise UserError("there is not one row in it", where=name)
            if not (_NAMED.search(name) or layout.is_plain):
                return None
            raw.seek(0)
            with _open_text(raw, encoding) as file:
                tally = _Tally(name, layout)
                tally.read(file, (lambda: progress(raw.tell())) if progress else None)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise UserError("the gzip file is cut short or damaged", where=name) from error
    return tally.shape()


# --- what kind of file it is ---


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """How the file is laid out; `is_plain` claims that it looks like CSV whatever its name says."""

    delimiter: str
    columns: int
    has_header: bool
    is_plain: bool


def _open_text(raw: IO[bytes], encoding: str) -> io.TextIOWrapper:
    is_packed = raw.read(2) == b"\x1f\x8b"
    raw.seek(0)
    stream = cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if is_packed else raw
    # A file in an old 8-bit encoding still has a shape: replace what is not UTF-8 instead of refusing it.
    return io.TextIOWrapper(stream, encoding=encoding, errors="replace", newline="")


def _look(raw: IO[bytes], name: str) -> tuple[str, str]:
    """Return the encoding and the whole lines at the start."""
    head = raw.read(_SAMPLE)
    if head.startswith(b"\x1f\x8b"):
        raw.seek(0)
        with gzip.GzipFile(fileobj=raw) as packed:
            head = packed.read(_SAMPLE)
    encoding = "utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    if encoding != "utf-16" and b"\0" in head:
        raise UserError("this is not a text file, whatever its name says", where=name)
    text = head.decode(encoding, errors="replace")
    if len(head) == _SAMPLE and "\n" in text:
        text = text[: text.rindex("\n") + 1]
    return encoding, text


def _find_layout(sample: str) -> _Layout | None:
    """Choose the delimiter under which most rows have the same number of cells, and look for a header."""
    best: tuple[float, list[list[str]], int, str] | None = None
    for delimiter in _DELIMITERS:
        rows = _sample_rows(sample, delimiter)
        if not rows:
            return None
        columns, votes = Counter(map(len, rows)).most_common(1)[0]
        if columns > 1 and (best is None or votes / len(rows) > best[0]):
            best = (votes / len(rows), rows, columns, delimiter)
    _, rows, columns, delimiter = best or (1.0, _sample_rows(sample, ","), 1, ",")
    is_code = sample.lstrip()[:1] in tuple("{[<")  # lines of JSON have equal numbers of commas, too
    return _Layout(
        delimiter=delimiter,
        columns=columns,
        has_header=len(rows[0]) == columns and has_header(rows[0], rows[1] if len(rows) > 1 else ()),
        is_plain=columns > 1 and len(rows) > 1 and not is_code,
    )


def _sample_rows(sample: str, delimiter: str) -> list[list[str]]:
    rows: list[list[str]] = []
    for row in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter):
        if any(cell.strip() for cell in row):
            rows.append(row)
        if len(rows) == _SAMPLE_ROWS:
            break
    return rows


def _kind(cell: str) -> _Kind:
    bare = cell.strip()
    if not bare:
        return "empty"
    if bare.lower() in MISSING:
        return "nan"
    try:
        value = float(bare)
    except ValueError:
        return "text"
    if isinf(value):
        return "inf"
    return "nan" if isnan(value) else "number"


# --- reading it through ---


class _Tally:
    """Counts rows and odd cells. A row of plain numbers costs one `sum`; an odd one is looked at by cell."""

    def __init__(self, name: str, layout: _Layout) -> None:
        self.name = name
        self.layout = layout
        self.header: tuple[str, ...] | None = None
        self.rows = 0
        self.counts: Counter[_Kind] = Counter()
        self.first: dict[_Kind, str] = {}
        self.text: dict[int, str] = {}  # column -> its first text and where
        self.pick: Callable[[Sequence[str]], Sequence[str]] = lambda row: row

    def read(self, file: io.TextIOBase, progress: Callable[[], None] | None) -> None:
        reader = csv.reader(self._lines(file), delimiter=self.layout.delimiter, strict=True)
        columns = self.layout.columns
        is_header = self.layout.has_header
        line = 0  # the last line of the row before; a row with quoted line ends has several
        try:
            for row in reader:
                start, line = line + 1, reader.line_num
                if len(row) != columns:
                    self._check_blank(row, start)
                elif is_header:
                    self.header = tuple(cell.strip() for cell in row)
                    is_header = False
                else:
                    self.rows += 1
                    self._add(row, start)
                    if progress and not self.rows % _PROGRESS_ROWS:
                        progress()
        except csv.Error as error:
            where = f"{self.name}:{line + 1}"
            raise UserError(f"the row that begins here is not CSV: {error}", where=where) from error

    def _lines(self, file: io.TextIOBase) -> Iterator[str]:
        number = 0
        while line := file.readline(_LONGEST):
            number += 1
            if len(line) == _LONGEST:
                raise UserError(f"a line is longer than {_LONGEST:,} characters", where=f"{self.name}:{number}")
            yield line

    def _check_blank(self, row: Sequence[str], line: int) -> None:
        if any(cell.strip() for cell in row) or len(row) > 1:
            raise UserError(
                f"expected {self.layout.columns} columns, got {len(row)}",
                where=f"{self.name}:{line}",
                hint="every row must have as many cells as the others; put it right at its source",
            )

    def _add(self, row: Sequence[str], line: int) -> None:
        try:
            # A sum is finite only if all of its terms are. Text columns stay out, and are looked at for gaps.
            if isfinite(sum(map(float, self.pick(row)))) and not (self.text and "" in row):
                return
        except ValueError:
            pass
        for column, cell in enumerate(row):
            kind = _kind(cell)
            if kind == "empty" or (kind in ("nan", "inf") and column not in self.text):
                self.counts[kind] += 1
                self.first.setdefault(kind, self._place(line, column))
            elif kind == "text" and column not in self.text:
                self.text[column] = f"{self._place(line, column)}: {_short(cell)}"
                self.pick = _picker([left for left in range(len(row)) if left not in self.text])

    def _place(self, line: int, column: int) -> str:
        return f"{self.name}:{line}:{column + 1}"

    def shape(self) -> CsvShape:
        return CsvShape(
            delimiter=self.layout.delimiter,
            header=self.header,
            rows=self.rows,
            columns=self.layout.columns,
            nan_cells=self.counts["nan"],
            empty_cells=self.counts["empty"],
            inf_cells=self.counts["inf"],
            text_columns=tuple(self._column(column) for column in sorted(self.text)),
            notes=tuple(self._notes()),
        )

    def _column(self, column: int) -> str:
        return (self.header[column] if self.header else "") or str(column + 1)

    def _notes(self) -> Iterator[str]:
        if not self.rows:
            yield "there are no rows of data"
        kinds: tuple[tuple[_Kind, str], ...] = (("nan", "NaN"), ("empty", "empty"), ("inf", "infinite"))
        for kind, word in kinds:
            if count := self.counts[kind]:
                cells = "cell is" if count == 1 else "cells are"
                yield f"{count:,} {cells} {word}, first at {self.first[kind]}"
        shown = sorted(self.text)[:5]
        for column in shown:
            yield f"column {_short(self._column(column))} holds text, first at {self.text[column]}"
        if len(self.text) > len(shown):
            yield f"{len(self.text) - len(shown)} more columns hold text"


def _picker(columns: Sequence[int]) -> Callable[[Sequence[str]], Sequence[str]]:
    if len(columns) > 1:
        return itemgetter(*columns)
    return lambda row: [row[column] for column in columns]  # itemgetter of one gives the bare cell


def _short(text: str) -> str:
    return repr(text if len(text) <= 24 else f"{text[:23]}…")  # repr: no control characters onto a terminal
