"""Files reached without following a link."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from launchbay.twin.hosts import tree


@pytest.fixture
def base(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "base").mkdir()
    descriptor = os.open(tmp_path / "base", os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_text("of the laptop")
    return tmp_path / "outside"


def test_a_file_is_read(base: int, tmp_path: Path) -> None:
    (tmp_path / "base/a/b").mkdir(parents=True)
    (tmp_path / "base/a/b/file").write_text("text")
    assert tree.read(base, "a/b/file") == b"text"
    assert tree.read(base, "a/b/file", most=3) is None
    assert tree.read(base, "a/b/other") is None
    assert tree.read(base, "a/b") is None


def test_links_are_not_read_through(base: int, tmp_path: Path, outside: Path) -> None:
    (tmp_path / "base/link").symlink_to(outside / "file")
    (tmp_path / "base/folder").symlink_to(outside)
    assert tree.read(base, "link") is None
    assert tree.read(base, "folder/file") is None
    os.link(outside / "file", tmp_path / "base/hard")
    assert tree.read(base, "hard") is None


@pytest.mark.parametrize("path", ["../outside/file", "a/../../outside/file", "", "/etc/hostname", "a//b"])
def test_paths_lead_down_only(base: int, outside: Path, path: str) -> None:
    assert outside.exists()
    assert tree.read(base, path) is None
    with pytest.raises(OSError, match=r".*"):
        tree.make_folder(base, path)


def test_what_is_no_plain_file_is_not_waited_for(base: int, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "base/pipe")
    late = threading.Timer(2, lambda: (tmp_path / "base/pipe").open("r+b").close())
    late.start()  # so that a reader who waits does not wait for ever
    began = time.monotonic()
    assert tree.read(base, "pipe") is None
    assert time.monotonic() - began < 1
    late.cancel()


def test_a_file_is_written_over_what_had_its_name(base: int, tmp_path: Path, outside: Path) -> None:
    (tmp_path / "base/name").symlink_to(outside / "file")
    tree.write(base, "name", b"new", mode=0o600)
    assert (tmp_path / "base/name").read_text() == "new"
    assert (tmp_path / "base/name").stat().st_mode & 0o777 == 0o600
    assert (outside / "file").read_text() == "of the laptop"
    assert os.listdir(base) == ["name"]


def test_nothing_is_made_through_a_link(base: int, tmp_path: Path, outside: Path) -> None:
    (tmp_path / "base/folder").symlink_to(outside)
    with pytest.raises(OSError, match=r".*"):
        tree.make_folder(base, "folder/made")
    with pytest.raises(OSError, match=r".*"):
        tree.make_mountpoint(base, "folder/made", is_folder=False)
    (tmp_path / "base/file").symlink_to(outside / "made")
    with pytest.raises(OSError, match=r".*"):
        tree.make_mountpoint(base, "file", is_folder=False)
    assert os.listdir(outside) == ["file"]


def test_mountpoints_are_made_once(base: int, tmp_path: Path) -> None:
    for _ in range(2):
        tree.make_mountpoint(base, "a/folder", is_folder=True)
        tree.make_mountpoint(base, "b/file", is_folder=False)
    assert (tmp_path / "base/a/folder").is_dir()
    assert (tmp_path / "base/b/file").is_file()


def test_removing_takes_all_of_a_tree_and_nothing_else(base: int, tmp_path: Path, outside: Path) -> None:
    top = tmp_path / "base/top"
    (top / "a/b").mkdir(parents=True)
    (top / "a/file").touch()
    (top / "b").mkdir()  # the same name in two places
    (top / "link").symlink_to(outside)
    (top / "a/b/link").symlink_to(outside / "file")
    os.mkfifo(top / "pipe")
    (top / "closed").mkdir()
    (top / "closed/inner").mkdir()
    (top / "closed").chmod(0)
    tree.remove(base, "top")
    assert os.listdir(base) == []
    assert os.listdir(outside) == ["file"]
    tree.remove(base, "top")


def test_removing_a_link_leaves_what_it_names(base: int, tmp_path: Path, outside: Path) -> None:
    (tmp_path / "base/top").symlink_to(outside)
    tree.remove(base, "top")
    assert os.listdir(base) == []
    assert os.listdir(outside) == ["file"]


@pytest.mark.parametrize("name", ["..", ".", "", "a/b"])
def test_only_a_name_can_be_removed(base: int, name: str) -> None:
    with pytest.raises(OSError, match="not a name"):
        tree.remove(base, name)
