from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from launchbay.database import is_damage, is_full, primary_code, set_aside


def failure(path: Path, statement: str = "SELECT * FROM sqlite_master") -> sqlite3.Error:
    """Return what sqlite says when it is asked about a file."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(statement)
    except sqlite3.Error as error:
        return error
    raise AssertionError("it worked")


def test_a_file_that_is_no_database_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"no database " * 100)
    error = failure(tmp_path / "x.db")
    assert (is_damage(error), is_full(error)) == (True, False)


def test_a_table_that_is_missing_is_damage(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "x.db").close()
    assert is_damage(failure(tmp_path / "x.db", "SELECT * FROM prices"))


def test_a_file_that_cannot_be_opened_is_not_damaged(tmp_path: Path) -> None:
    (tmp_path / "x.db").mkdir()
    assert not is_damage(failure(tmp_path / "x.db"))


def test_a_full_disk_is_not_damage() -> None:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    assert (is_damage(error), is_full(error)) == (False, True)
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR | (7 << 8)  # a detailed code: its lowest byte is the primary one
    assert (primary_code(error), is_full(error)) == (sqlite3.SQLITE_IOERR, True)


def test_text_that_is_not_utf_8_any_more_counts_as_damage() -> None:
    with pytest.raises(UnicodeDecodeError) as caught:
        b"\xff".decode()
    assert is_damage(caught.value)


def test_what_is_set_aside_takes_what_lies_beside_it_and_never_a_name_that_is_taken(tmp_path: Path) -> None:
    for number in (1, 2):
        for suffix in ("", "-wal", "-shm", "-journal"):
            (tmp_path / f"x.db{suffix}").write_text(str(number), encoding="utf-8")
        assert set_aside(tmp_path / "x.db") == tmp_path / f"x.db.damaged-{number}"
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == {
        f"x.db.damaged-{number}{suffix}": str(number)
        for number in (1, 2)
        for suffix in ("", "-wal", "-shm", "-journal")
    }
