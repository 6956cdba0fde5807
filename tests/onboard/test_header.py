from __future__ import annotations

from pathlib import Path

import pytest

from launchbay.onboard.header import has_header, is_name
from launchbay.onboard.table import read_table
from launchbay.store.csvcheck import check_csv


@pytest.mark.parametrize("cell", ["y", " x 1 ", "_y", "#y", "(m)", "größe", "information", "e5"])
def test_a_name(cell: str) -> None:
    assert is_name(cell)


@pytest.mark.parametrize(
    "cell", ["", " ", "1", "-1.5e3", "+x", ".5", "2020-01-01", "1st", "nan", "NaN", "#N/A", "?", "null", "inf", "٣"]
)
def test_no_name(cell: str) -> None:
    assert not is_name(cell)


@pytest.mark.parametrize(
    ("first", "second", "is_header"),
    [
        ("y,x", "1,2", True),
        ("y,x", "", True),
        ("city,country", "Oslo,Norway", True),
        (",y,x", "0,1,2", True),
        ("y,2020,2021", "1.5,3,4", True),
        ("id,1stFlr,2ndFlr", "1,800,600", True),
        ("day,2020", "2020-01-01,5", True),
        ("1,2", "3,4", False),
        ("nan,?", "3,4", False),
        ("", "", False),
        ("5.1,3.5,setosa", "4.9,3.0,virginica", False),
        ("M,0.4", "F,0.3", False),
        ("M,0.4", "?,0.3", False),  # a gap tells nothing
        ("M,0.4", ",0.3", False),
        ("y,2020", "", False),  # nothing below that would tell
    ],
)
def test_a_header(first: str, second: str, is_header: bool) -> None:  # noqa: FBT001
    assert has_header(first.split(","), second.split(",") if second else []) == is_header


@pytest.mark.parametrize(
    "text", ["y,2020,2021\n1.5,3,4\n2.5,5,6\n", "1,2\n3,4\n", "y,x\n1,2\n", "400,401\n1,2\n", "y,401\n1,2\n"]
)
def test_fetching_and_evaluating_count_the_same_rows(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8")
    table, shape = read_table(str(path)), check_csv(path)
    assert shape is not None
    assert (len(table.rows), table.columns) == (shape.rows, list(shape.header) if shape.header else None)
