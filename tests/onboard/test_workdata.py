"""The data of an instance: what is seen of it, and that looking takes bounded time."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from launchbay.onboard import workdata
from launchbay.onboard.workdata import BLOCK, WHOLE, print_data


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "work" / "data"
    (folder / "more").mkdir(parents=True)
    (folder / "a.csv").write_text("1\n", encoding="utf-8")
    (folder / "more" / "b.csv").write_text("2\n", encoding="utf-8")
    return folder


def look(data: Path) -> dict[str, str]:
    return print_data(str(data), str(data.parent.parent))


def test_files_are_named_by_their_path_and_hashed(data: Path) -> None:
    assert look(data) == {
        "data/a.csv": "sha256:" + hashlib.sha256(b"1\n").hexdigest(),
        "data/more/b.csv": "sha256:" + hashlib.sha256(b"2\n").hexdigest(),
    }


def test_where_there_is_none_there_is_nothing(tmp_path: Path) -> None:
    assert print_data(str(tmp_path / "data"), str(tmp_path)) == {}
    (tmp_path / "data").write_text("a file", encoding="utf-8")
    assert print_data(str(tmp_path / "data"), str(tmp_path)) == {}


def test_times_and_hidden_files_do_not_count(data: Path) -> None:
    before = look(data)
    os.utime(data / "a.csv", (1, 1))
    (data / ".ipynb_checkpoints").mkdir()
    (data / ".ipynb_checkpoints" / "a.csv").write_text("", encoding="utf-8")
    (data / ".a.csv.part").write_text("", encoding="utf-8")
    assert look(data) == before


@pytest.mark.parametrize("place", [0, BLOCK - 1, WHOLE // 2, WHOLE, 2 * WHOLE - 1])
def test_a_large_file_is_looked_at_in_places(data: Path, place: int) -> None:
    """The middle of this one is not among them: that is what bounded time costs, and the documentation says it."""
    with (data / "large").open("wb") as file:
        file.truncate(2 * WHOLE)
    before = look(data)["data/large"]
    assert before.startswith(f"{2 * WHOLE} bytes blocks:")
    with (data / "large").open("r+b") as file:
        file.seek(place)
        file.write(b"x")
    gap = (2 * WHOLE - BLOCK) / (workdata.BLOCKS - 1)
    is_seen = any(int(gap * number) <= place < int(gap * number) + BLOCK for number in range(workdata.BLOCKS))
    assert (look(data)["data/large"] != before) == is_seen


def test_another_size_is_always_seen(data: Path) -> None:
    with (data / "large").open("wb") as file:
        file.truncate(2 * WHOLE)
    before = look(data)["data/large"]
    os.truncate(data / "large", 2 * WHOLE - 1)
    assert look(data)["data/large"] != before


def test_of_very_many_files_sizes_alone_are_seen(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workdata, "MOST_READ", 1)
    assert look(data)["data/more/b.csv"] == "2 bytes"


def test_many_files_are_told_by_the_folder_they_lie_in(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workdata, "MOST_NAMED", 1)
    before = look(data)
    assert before.keys() == {"data/a.csv", "data/more"}
    (data / "more" / "b.csv").write_text("3\n", encoding="utf-8")
    after = look(data)
    assert [name for name in before if before[name] != after[name]] == ["data/more"]


def test_a_link_is_what_it_points_to(data: Path, tmp_path: Path) -> None:
    (data / "shared.csv").symlink_to("/srv/shared.csv")
    (data / "folder").symlink_to("/srv/folder")
    (data / "own.csv").symlink_to("../own.csv")
    found = look(data)
    assert found["data/shared.csv"] == "link:/srv/shared.csv"
    assert found["data/own.csv"] == f"link:<instance>/{data.parent.name}/own.csv"
    other = tmp_path / "other" / "work"
    other.mkdir(parents=True)
    (other / "data").symlink_to("/srv/data")
    assert look(other / "data") == {"data": "link:/srv/data"}


@pytest.mark.timeout(20)
def test_a_pipe_is_not_waited_for(data: Path) -> None:
    os.mkfifo(data / "pipe")
    assert look(data)["data/pipe"] == "special:p"
