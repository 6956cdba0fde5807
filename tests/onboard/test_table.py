from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from launchbay.onboard.table import Refused, Table, read_table, split


def write(path: Path, content: str | bytes) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def refusal(path: str) -> Refused:
    with pytest.raises(Refused) as caught:
        read_table(path)
    return caught.value


@pytest.mark.parametrize(
    ("content", "columns", "rows"),
    [
        ("1,2\n3,4\n", None, [[1, 2], [3, 4]]),
        ("y,x\n1,2\n", ["y", "x"], [[1, 2]]),
        ("y, x 1 \n1,2\n", ["y", "x 1"], [[1, 2]]),
        ("y,400,401\n1,2,3\n", ["y", "400", "401"], [[1, 2, 3]]),
        ("400,401\n1,2\n", None, [[400, 401], [1, 2]]),  # all numbers: data, whatever was meant
        ("#y,(m)\n1,2\n", ["#y", "(m)"], [[1, 2]]),
        ("_y,x_1\n1,2\n", ["_y", "x_1"], [[1, 2]]),
        ("1,2", None, [[1, 2]]),
        ("1\n2\n", None, [[1], [2]]),
        ("\ufeffy,x\r\n1,2\r\n", ["y", "x"], [[1, 2]]),
        ("1,2\n3,4\n\n\r\n  \n", None, [[1, 2], [3, 4]]),
        ('"y","x, or so"\n"1","-2.5e-3"\n', ["y", "x, or so"], [[1, -0.0025]]),
        ('y,"two\nlines"\n1,2\n', ["y", "two\nlines"], [[1, 2]]),
        (" 1 ,\t2\n+.5,-3.\n", None, [[1, 2], [0.5, -3]]),
        ("1e308,1e308\n", None, [[1e308, 1e308]]),  # finite, though their sum is not
    ],
)
def test_reads(tmp_path: Path, content: str, columns: list[str] | None, rows: list[list[float]]) -> None:
    table = read_table(write(tmp_path / "t.csv", content))
    assert (table.columns, table.rows) == (columns, rows)
    assert table.width == len(rows[0])


@pytest.mark.parametrize(("content", "line"), [("1,2\n", 1), ("y,x\n1,2\n", 2), ('y,"a\nb"\n1,2\n', 3)])
def test_knows_the_line_of_the_first_row(tmp_path: Path, content: str, line: int) -> None:
    assert read_table(write(tmp_path / "t.csv", content)).first_line == line


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        ("1,2\n3,abc\n", 2, "column 2 holds 'abc', expected a number"),
        ("y,x\n1,2\n3,abc\n", 3, "column 2 ('x') holds 'abc'"),
        ("y,x\nm,s\n1,2\n", 2, "column 1 ('y') holds 'm'"),
        ("M,0.4\nF,0.3\n", 1, "column 1 holds 'M'"),
        ("?,0.4\n1,0.3\n", 1, "column 1 holds '?'"),
        ('y,"a\nb"\n1,2\n1,x\n', 4, "column 2"),
        ("1,2\n3,\n", 2, "column 2 is empty"),
        ("1,2\n3, \n", 2, "column 2 is empty"),
        ("1,2\nnan,4\n", 2, "column 1 holds 'nan'"),
        ("nan,2\n3,4\n", 1, "column 1 holds 'nan'"),
        ("1,-Infinity\n", 1, "column 2 holds '-Infinity'"),
        ("1,1e999\n", 1, "column 2 holds '1e999'"),
        ("1,2\n1_000,2\n", 2, "column 1 holds '1_000'"),
        ("1,2\n\u0663,2\n", 2, "column 1 holds '\u0663'"),
        ("1,2\n3,4,5\n", 2, "expected 2 columns, got 3"),
        ("1,2\n3\n", 2, "expected 2 columns, got 1"),
        ("1,2\n\n3,4\n", 2, "an empty line between rows"),
        ('1,2\n"a\nb",4\n', 3, "column 1 holds"),  # a cell may span lines: the row ends in line 3
        ('1,2\n3,"4\n5,6\n', 3, "not valid CSV"),
        (",y,x\n0,1,2\n", 1, "column 1 of the header has no name"),
        ("y,1.7x\n1,2\n", 1, "column 2 of the first row holds '1.7x', neither a name nor a number"),
        ("1,1.7x\n1,2\n", 1, "column 2 holds '1.7x'"),
        ('1,2\n"1,5",2\n', 2, "column 1 holds '1,5'"),
        (b"1,2\n3,\xe4\n", 2, "not UTF-8"),
    ],
)
def test_refuses_with_line(tmp_path: Path, content: str | bytes, line: int, says: str) -> None:
    path = write(tmp_path / "t.csv", content)
    refused = refusal(path)
    assert says in refused.what
    assert refused.where == f"{path}:{line}"
    assert refused.hint


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty"),
        ("\n\r\n  \n", "is empty"),
        ("y,x\n", "no rows"),
        ("\n<!DOCTYPE html>\n<html><body>404</body></html>\n", "an HTML page"),
        ("<html>1,2</html>", "an HTML page"),
        (b"\x1f\x8b\x08\0rest", "a gzip file"),
        (b"PK\x03\x04rest", "a zip archive"),
        (b"PAR1rest", "a Parquet file"),
        ("1,2\n".encode("utf-16"), "UTF-16"),
        (b"1,2\n\0\0\n", "binary"),
    ],
)
def test_refuses_what_is_no_table(tmp_path: Path, content: str | bytes, says: str) -> None:
    path = write(tmp_path / "t.csv", content)
    refused = refusal(path)
    assert says in refused.what
    assert refused.where == path


def test_refuses_what_cannot_be_read(tmp_path: Path) -> None:
    assert "No such file" in refusal(str(tmp_path / "none.csv")).what
    assert "directory" in refusal(str(tmp_path)).what


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ("1;2\n", "separate columns by commas"),
        ("1,2\n3;4\n", "separate columns by commas"),
        ('1,2\n"1,5",2\n', "decimals with a point"),
        (",y\n0,1\n", "index=False"),
    ],
)
def test_hints_at_the_usual_causes(tmp_path: Path, content: str, hint: str) -> None:
    assert hint in refusal(write(tmp_path / "t.csv", content)).hint


TABLE = Table("t.csv", ["y", "a", "b"], [[1, 2, 3], [4, 5, 6]])


@pytest.mark.parametrize(
    ("target", "inputs", "targets"),
    [
        ("first", [[2, 3], [5, 6]], [1, 4]),
        ("last", [[1, 2], [4, 5]], [3, 6]),
        ("a", [[1, 3], [4, 6]], [2, 5]),
        ("1", [[1, 3], [4, 6]], [2, 5]),
        (-1, [[1, 2], [4, 5]], [3, 6]),
        (0, [[2, 3], [5, 6]], [1, 4]),
    ],
)
def test_splits(target: str | int, inputs: list[list[float]], targets: list[float]) -> None:
    assert split(TABLE, target) == (inputs, targets)


def test_a_name_goes_before_an_index() -> None:
    assert split(Table("t.csv", ["y", "0"], [[1, 2]]), "0") == ([[1]], [2])


@pytest.mark.parametrize(
    ("table", "target", "says"),
    [
        (TABLE, "z", "no column named 'z'; its columns are y, a, b"),
        (TABLE._replace(columns=None), "y", "no column named 'y'; it has no header"),
        (TABLE, "3", "column index must be -3 to 2, got 3"),
        (TABLE, -4, "column index must be -3 to 2, got -4"),
        (TABLE._replace(columns=["y", "a", "a"]), "a", "two columns are named 'a'"),
        (Table("t.csv", None, [[1.0]]), "first", "one column"),
    ],
)
def test_refuses_a_target_that_is_not_there(table: Table, target: str | int, says: str) -> None:
    with pytest.raises(Refused) as caught:
        split(table, target)
    assert says in caught.value.what
    assert caught.value.where.startswith("t.csv")


def test_a_million_cells_take_seconds_at_most(tmp_path: Path) -> None:
    chance = random.Random(0)
    line = ",".join(repr(chance.uniform(-50, 50)) for _ in range(20)) + "\n"
    path = write(tmp_path / "big.csv", line * 50_000)
    began = time.process_time()
    table = read_table(path)
    assert len(table.rows) == 50_000
    assert time.process_time() - began < 5  # 0.5 s where nothing else runs; a check by cell would take 10
