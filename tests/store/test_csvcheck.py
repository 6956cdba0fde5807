from __future__ import annotations

import gzip
import random
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from launchbay.errors import UserError
from launchbay.store.csvcheck import CsvShape, check_csv


def check(folder: Path, text: str | bytes, name: str = "x.csv") -> CsvShape | None:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return check_csv(path)


def shape(folder: Path, text: str | bytes, name: str = "x.csv") -> CsvShape:
    found = check(folder, text, name)
    assert found is not None
    return found


# --- shape ---


@pytest.mark.parametrize(
    ("text", "rows", "columns"),
    [
        ("1,2\n3,4\n5,6\n", 3, 2),
        ("1,2\n3,4", 2, 2),
        ("1,2\r\n3,4\r\n", 2, 2),
        ("1,2\r3,4\r", 2, 2),
        ("1\n2\n3\n", 3, 1),
        ("1,2\n\n3,4\n   \n\n", 2, 2),
        ("a,b\n1,2\n", 1, 2),
        (",price\n0,2.5\n1,2.5\n", 2, 2),
        ('name,text\n1,"one\ntwo, three"\n2,x\n', 2, 2),
        ("1;2;3\n4;5;6\n", 2, 3),
        ("1\t2\n3\t4\n", 2, 2),
        ("1,5;2,5\n3,5;4,5\n", 2, 2),
        ("\ufeffa,b\n1,2\n", 1, 2),
        ("1e-3, -2\n+.5,1E9\n", 2, 2),
    ],
)
def test_rows_and_columns(tmp_path: Path, text: str, rows: int, columns: int) -> None:
    found = shape(tmp_path, text)
    assert (found.rows, found.columns) == (rows, columns)


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("size,price\n1,2\n", ("size", "price")),
        ("\ufeffsize, price\n1,2\n", ("size", "price")),
        ("1,2\n3,4\n", None),
        ("nan,nan\n3,4\n", None),
        ("Oslo,1\nBern,2\n", None),
        ("city,country\nOslo,Norway\n", ("city", "country")),
        ("y,2020,2021\n1.5,3,4\n", ("y", "2020", "2021")),
        (",price\n0,2.5\n", ("", "price")),
        ("x;1,5\n2,5;3,5\n", ("x", "1,5")),
        ("y,2020\n", None),
    ],
)
def test_a_header_is_told_from_data(tmp_path: Path, text: str, header: tuple[str, ...] | None) -> None:
    assert shape(tmp_path, text).header == header


def test_only_a_header_is_said(tmp_path: Path) -> None:
    found = shape(tmp_path, "a,b\n")
    assert found.rows == 0
    assert found.notes == ("there are no rows of data",)


def test_utf_16_and_old_encodings_have_a_shape(tmp_path: Path) -> None:
    assert shape(tmp_path, "a,b\n1,2\n".encode("utf-16")).header == ("a", "b")
    assert shape(tmp_path, "name,x\nJosé,1\n".encode("latin-1")).rows == 1


def test_a_packed_file_is_read(tmp_path: Path) -> None:
    found = shape(tmp_path, gzip.compress(b"1,2\n3,4\n"), "x.csv.gz")
    assert (found.rows, found.columns) == (2, 2)


# --- what is reported ---


def test_odd_cells_are_counted_with_their_first_place(tmp_path: Path) -> None:
    found = shape(tmp_path, "1,2,3\n4,nan,6\n,8,inf\nNA,-Infinity,\n1,2,3\n")
    assert (found.nan_cells, found.empty_cells, found.inf_cells) == (2, 2, 2)
    assert found.notes == (
        "2 cells are NaN, first at x.csv:2:2",
        "2 cells are empty, first at x.csv:3:1",
        "2 cells are infinite, first at x.csv:3:3",
    )
    assert found.text_columns == ()


@pytest.mark.parametrize("word", ["nan", "NaN", "NA", "n/a", "#N/A", "null", "None", "?", "-nan", " nan "])
def test_every_way_to_write_nan_is_seen(tmp_path: Path, word: str) -> None:
    assert shape(tmp_path, f"1,2\n3,{word}\n").nan_cells == 1


def test_numbers_whose_sum_overflows_are_plain_numbers(tmp_path: Path) -> None:
    found = shape(tmp_path, "1e308,1e308\n-1e308,1e308\n")
    assert (found.inf_cells, found.nan_cells, found.notes) == (0, 0, ())


def test_infinities_that_cancel_are_seen(tmp_path: Path) -> None:
    found = shape(tmp_path, "1,2\ninf,-inf\n")
    assert (found.inf_cells, found.nan_cells) == (2, 0)


def test_text_is_a_note_with_the_columns_name(tmp_path: Path) -> None:
    found = shape(tmp_path, "size,city,price\n1,Oslo,2\n3,Bern,4\n5,,six\n")
    assert found.text_columns == ("city", "price")
    assert found.empty_cells == 1
    assert found.notes == (
        "1 cell is empty, first at x.csv:4:2",
        "column 'city' holds text, first at x.csv:2:2: 'Oslo'",
        "column 'price' holds text, first at x.csv:4:3: 'six'",
    )


def test_columns_without_a_name_are_numbered(tmp_path: Path) -> None:
    assert shape(tmp_path, "1,2\n3,x\n").text_columns == ("2",)


def test_numbers_beside_text_are_still_looked_at(tmp_path: Path) -> None:
    found = shape(tmp_path, "1,a\n2,b\nnan,c\ninf,d\n")
    assert (found.nan_cells, found.inf_cells) == (1, 1)
    assert found.text_columns == ("2",)


def test_a_gap_in_a_text_column_is_seen(tmp_path: Path) -> None:
    assert shape(tmp_path, "1,a\n2,b\n3,\n4,d\n").empty_cells == 1


def test_many_text_columns_are_summed_up(tmp_path: Path) -> None:
    found = shape(tmp_path, "1," + ",".join("abcdefgh") + "\n")
    assert len(found.text_columns) == 8
    assert found.notes[-1] == "3 more columns hold text"


def test_notes_carry_no_control_characters(tmp_path: Path) -> None:
    found = shape(tmp_path, "1,2\n3,\x1b[2Jgone and a very long tail behind it\n")
    assert all(note.isprintable() for note in found.notes)
    assert max(map(len, found.notes)) < 100


# --- what is refused ---


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("1,2\n3,4\n5,6,7\n", "x.csv:3", "expected 2 columns, got 3"),
        ("1,2\n3\n5,6\n", "x.csv:2", "expected 2 columns, got 1"),
        ("My table\n1,2\n3,4\n5,6\n", "x.csv:1", "expected 2 columns, got 1"),
        ('a,b\n1,"x\ny"\n\n2\n', "x.csv:5", "expected 2 columns, got 1"),
        ("1;2\n3;4\n5,6\n", "x.csv:3", "expected 2 columns, got 1"),
    ],
)
def test_a_ragged_row_is_an_error_with_its_line(tmp_path: Path, text: str, where: str, what: str) -> None:
    with pytest.raises(UserError) as caught:
        check(tmp_path, text)
    assert (caught.value.what, caught.value.where) == (what, where)
    assert caught.value.hint


def test_a_ragged_row_far_behind_the_sample_is_found(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected 2 columns, got 1") as caught:
        check(tmp_path, "1,2\n" * 100_000 + "3\n")
    assert caught.value.where == "x.csv:100001"


@pytest.mark.parametrize("text", ['a,b\n1,2\n3,"open\n4,5\n', 'a,b\n1,2\n3,"x"y\n'])
def test_a_quote_that_goes_wrong_is_an_error_with_its_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match="not CSV") as caught:
        check(tmp_path, text)
    assert caught.value.where == "x.csv:3"


@pytest.mark.parametrize(
    ("data", "name", "what"),
    [
        (b"PK\x03\x04\0\0\0\0", "x.csv", "not a text file"),
        (b"\n\n \n", "x.csv", "not one row"),
        (gzip.compress(b"1,2\n" * 90_000)[:-20], "x.csv.gz", "cut short or damaged"),
        (b"\x1f\x8bnonsense", "x.csv.gz", "cut short or damaged"),
        (gzip.compress(b"PK\x03\x04\0\0"), "x.csv.gz", "not a text file"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, data: bytes, name: str, what: str) -> None:
    with pytest.raises(UserError, match=what) as caught:
        check(tmp_path, data, name)
    assert caught.value.where == name


def test_the_given_name_stands_in_messages(tmp_path: Path) -> None:
    path = tmp_path / ".x.part"
    path.write_text("1,2\n3\n")
    with pytest.raises(UserError) as caught:
        check_csv(path, name="data.csv")
    assert caught.value.where == "data.csv:2"


# --- other names: only what plainly is a table ---


@pytest.mark.parametrize("name", ["iris.data", "table", "x.txt", "x.tab"])
def test_a_table_under_another_name_is_known(tmp_path: Path, name: str) -> None:
    assert shape(tmp_path, "5.1,3.5,setosa\n4.9,3.0,setosa\n", name).columns == 3


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b'{"a": 1, "b": 2}\n{"a": 3, "b": 4}\n', "x.jsonl"),
        (b"[1, 2,\n3, 4]\n", "x.json"),
        (b"Dear all,\nhere, as promised, is it.\n", "x.txt"),
        (b"1,2\n" * 30_000 + b"3\n", "x.txt"),
        (b"one line, with a comma", "x.txt"),
        (b"PK\x03\x04\0\0\0\0", "x.zip"),
        (b"\x93NUMPY\x01\0v\0{'descr'", "x.npy"),
        (b"\x1f\x8bnonsense", "x.gz"),
        (b"", "x.bin"),
    ],
)
def test_what_is_something_else_is_left_alone(tmp_path: Path, data: bytes, name: str) -> None:
    assert check(tmp_path, data, name) is None


# --- any size ---


def test_progress_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("1,2\n" * 200_000)
    seen: list[int] = []
    check_csv(path, progress=seen.append)
    assert len(seen) == 3
    assert seen == sorted(seen)
    assert 0 < seen[0] < seen[-1] <= path.stat().st_size


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    with path.open("w", encoding="ascii") as file:
        file.writelines("1.25,2.5\n" * 10_000 for _ in range(200))  # 18 MB
    code = (
        "import resource, sys; from pathlib import Path; from launchbay.store.csvcheck import check_csv\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak(); shape = check_csv(Path(sys.argv[1])); print(shape.rows, peak() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True, timeout=120
    )
    rows, grown_kib = map(int, done.stdout.split())
    assert rows == 2_000_000
    assert grown_kib < 4_000


def test_a_file_without_line_ends_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"1,2\n" + b"7" * (40 << 20))
    with pytest.raises(UserError, match="longer than") as caught:
        check_csv(path)
    assert caught.value.where == "x.csv:2"


def test_a_million_cells_take_about_a_second(tmp_path: Path) -> None:
    seeded = random.Random(7)
    block = "".join(f"{seeded.random()!r},{seeded.random()!r}\n" for _ in range(1000))
    path = tmp_path / "x.csv"
    path.write_text(block * 500)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    assert check_csv(path) is not None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - before < 4  # 0.8 s measured; room for a slow one
