from __future__ import annotations

from pathlib import Path

import pytest

from launchbay.errors import NotFound, UsageError
from launchbay.scaffold import find_splits


@pytest.mark.parametrize(
    "names",
    [
        ("train.csv", "validation.csv", "test.csv"),
        ("training_data.csv", "validation_data.csv", "test_data.csv"),
        ("Train.CSV", "val.csv", "TEST-2.csv"),
    ],
)
def test_finds_the_three(tmp_path: Path, names: tuple[str, str, str]) -> None:
    for name in (*names, "notes.csv", "train.txt"):
        (tmp_path / name).touch()
    (tmp_path / "tests.csv.d").mkdir()
    splits = find_splits(tmp_path)
    assert (splits.train.name, splits.validation.name, splits.test.name) == names


def test_says_which_is_missing(tmp_path: Path) -> None:
    (tmp_path / "train.csv").touch()
    with pytest.raises(NotFound, match=r"no val\*\.csv; the folder holds train\.csv") as caught:
        find_splits(tmp_path)
    assert caught.value.where == str(tmp_path)
    with pytest.raises(NotFound, match="no such folder"):
        find_splits(tmp_path / "none")


def test_says_which_are_too_many(tmp_path: Path) -> None:
    for name in ("train.csv", "val.csv", "test.csv", "test-old.csv"):
        (tmp_path / name).touch()
    with pytest.raises(UsageError, match=r"expected one test\*\.csv, got 2: test-old\.csv, test\.csv"):
        find_splits(tmp_path)
