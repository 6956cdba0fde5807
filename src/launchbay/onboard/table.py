"""A CSV table of numbers, read strictly: every cell is a finite number, or the error says which one is not."""

from __future__ import annotations

import csv
import io
import math
import re
from typing import Any, NamedTuple

from .header import has_header, is_name
from .refused import Refused

__all__ = ["Refused", "Table", "find_column", "read_table", "split"]

_PACKED = (
    (b"\x1f\x8b", "a gzip file"),
    (b"PK\x03\x04", "a zip archive"),
    (b"PAR1", "a Parquet file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
)
_CSV_HINT = "save it as comma-separated text in UTF-8"


class Table(NamedTuple):
    """Rows of finite numbers, all of one length; `columns` is None where the file has no header.

    `first_line` is the line of the file in which the first row stands; each of the others has the next one.
    """

    path: str
    columns: list[str] | None
    rows: list[list[float]]
    first_line: int = 1

    @property
    def width(self) -> int:
        """Return the number of columns."""
        return len(self.rows[0])


def read_table(path: str) -> Table:
    """Read a CSV file of numbers, with or without a header.

    The first row is a header when it holds names (`has_header`); a row of numbers is data, whatever was meant.
    A byte order mark, CRLF, quoted cells and blank lines at the end are accepted. Raises Refused with file,
    line and column for anything else. About 32 bytes of memory per cell.
    """
    text = _read_text(path)
    stream = io.StringIO(text, newline="")
    reader = csv.reader(stream, strict=True)
    columns = None
    try:
        first, second = next(reader, []), next(reader, [])
        stream.seek(0)
        reader = csv.reader(stream, strict=True)
        if has_header(first, second):
            columns = _header(next(reader), path)
        start, line = stream.tell(), reader.line_num + 1
        rows = _rows(reader, len(first), columns, path, is_odd=_is_odd(text, start))
    except csv.Error as error:
        where = "{}:{}".format(path, reader.line_num)
        raise Refused("not valid CSV: {}".format(error), where, "look for an open quote") from error
    if not rows:
        raise Refused("the table has column names but no rows", path, "a row of numbers under the names")
    return Table(path, columns, rows, line)


def split(table: Table, target: str | int = "first") -> tuple[list[list[float]], list[float]]:
    """Split off the target column; return (inputs, targets).

    `target` is "first", "last", a column's name, or its index (from 0; negative from the end). Raises Refused
    when there is no such column, two of that name, or nothing left to predict from.
    """
    if table.width < 2:
        raise Refused(
            "the table has one column; a target and at least one input are needed", table.path, "add the input columns"
        )
    index = find_column(table, target)
    if index == 0:
        return [row[1:] for row in table.rows], [row[0] for row in table.rows]
    return [row[:index] + row[index + 1 :] for row in table.rows], [row[index] for row in table.rows]


def _read_text(path: str) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise Refused("cannot be read: {}".format(error.strerror), path, "check the path") from error
    for magic, kind in _PACKED:
        if data.startswith(magic):
            raise Refused("expected a CSV file, got {}".format(kind), path, _CSV_HINT)
    if not data.strip():
        raise Refused("the file is empty", path, "fetch or export it again")
    if b"\0" in data:
        raise Refused("expected a CSV file, got binary data", path, _CSV_HINT)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Refused("not UTF-8 text", "{}:{}".format(path, line), _CSV_HINT) from error
    if re.match(r"\s*<(!|\?|html|head|body)", text, re.IGNORECASE):
        raise Refused(
            "expected a CSV file, got an HTML page", path, "the link leads to a page, not to the file behind it"
        )
    return text


def _is_odd(text: str, start: int) -> bool:
    """Say whether float() could accept what no CSV means: 1_000, or the digits of another script."""
    return "_" in text[start:] or not text.isascii()


def _header(cells: list[str], path: str) -> list[str]:
    """Return the names in the header."""
    names = [cell.strip() for cell in cells]
    for index, name in enumerate(names):
        if not name:
            raise Refused(
                "column {} of the header has no name".format(index + 1),
                "{}:1".format(path),
                "an index column saved with the table? Save it without (pandas: to_csv(..., index=False))",
            )
        if not is_name(name) and _problem(name):
            raise Refused(
                "column {} of the first row holds {}, neither a name nor a number".format(index + 1, _short(name)),
                "{}:1".format(path),
                "names in every column of the header, or no header",
            )
    return names


def _rows(reader: Any, width: int, columns: list[str] | None, path: str, *, is_odd: bool) -> list[list[float]]:
    """Convert all rows. The common case costs one map and one sum; only a row that fails is looked at by cell."""
    rows: list[list[float]] = []
    append, isfinite = rows.append, math.isfinite
    blank = 0
    for cells in reader:
        try:
            row = list(map(float, cells))
            is_good = len(row) == width and isfinite(sum(row)) and not is_odd and not blank
        except ValueError:
            is_good = False
        if not is_good:
            line = reader.line_num
            if not cells or (len(cells) == 1 and width > 1 and not cells[0].strip()):
                blank = blank or line
                continue
            if blank:
                raise Refused("an empty line between rows", "{}:{}".format(path, blank), "remove it")
            _check_row(cells, width, columns, "{}:{}".format(path, line))
            row = [float(cell) for cell in cells]
        append(row)
    return rows


def _check_row(cells: list[str], width: int, columns: list[str] | None, where: str) -> None:
    if len(cells) != width:
        raise Refused("expected {} columns, got {}".format(width, len(cells)), where, _width_hint(cells))
    for index, cell in enumerate(cells):
        problem = _problem(cell)
        if problem:
            name = " ({})".format(_short(columns[index])) if columns else ""
            what = "column {}{} {}, expected a number".format(index + 1, name, problem)
            raise Refused(what, where, _cell_hint(cells))


def _problem(cell: str) -> str:
    """Say what is wrong with a cell; empty when it is a finite number."""
    bare = cell.strip()
    if not bare:
        return "is empty"
    try:
        value = float(bare)
    except ValueError:
        return "holds {}".format(_short(bare))
    if not math.isfinite(value) or "_" in bare or not bare.isascii():
        return "holds {}".format(_short(bare))
    return ""


def _cell_hint(cells: list[str]) -> str:
    if len(cells) == 1 and (";" in cells[0] or "\t" in cells[0]):
        return "separate columns by commas"
    if any(re.match(r"\s*[+-]?\d+,\d+\s*\Z", cell) for cell in cells):
        return "write decimals with a point"
    return "put the cell right at its source, or leave the row out"


def _width_hint(cells: list[str]) -> str:
    if any(";" in cell or "\t" in cell for cell in cells):
        return "separate columns by commas and write decimals with a point"
    return "every row must have as many cells as the first"


def find_column(table: Table, target: str | int) -> int:
    """Return the index of the target column. Raises Refused when there is no such column, or two of that name."""
    columns = table.columns or []
    if target == "first":
        return 0
    if target == "last":
        return table.width - 1
    if columns.count(str(target)) > 1:
        raise Refused("two columns are named {}".format(_short(str(target))), table.path + ":1", "rename one of them")
    if target in columns:
        return columns.index(str(target))
    try:
        index = int(target)
    except ValueError:
        known = "its columns are {}".format(", ".join(columns[:20])) if columns else "it has no header"
        raise Refused(
            "there is no column named {}; {}".format(_short(str(target)), known),
            table.path + ":1" if columns else table.path,
            "--target first, last, a name, or an index from 0",
        ) from None
    if not -table.width <= index < table.width:
        raise Refused(
            "column index must be {} to {}, got {}".format(-table.width, table.width - 1, index),
            table.path,
            "--target first, last, a name, or an index from 0",
        )
    return index % table.width


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:39] + "\u2026")
