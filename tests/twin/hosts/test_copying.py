"""All the files of a host, copied: whole, and nothing of the laptop with them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from launchbay.twin.hosts.copying import copy_tree


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """Return descriptors of a folder and of an empty one."""
    made = []
    for name in ("from", "to"):
        (tmp_path / name).mkdir()
        made.append(os.open(tmp_path / name, os.O_RDONLY | os.O_DIRECTORY))
    yield made[0], made[1]
    for descriptor in made:
        os.close(descriptor)


def test_files_come_along_with_times_modes_and_links(tmp_path: Path, pair: tuple[int, int]) -> None:
    source, target = tmp_path / "from", tmp_path / "to"
    (source / "a/b").mkdir(parents=True)
    (source / "a/b/file").write_text("text")
    (source / "a/b/file").chmod(0o640)
    os.utime(source / "a/b/file", ns=(1, 1_700_000_000_123_456_789))
    os.link(source / "a/b/file", source / "same")
    (source / "link").symlink_to("a/b/file")
    (source / "dangling").symlink_to("/nowhere")
    (source / "a/b").chmod(0o555)
    copy_tree(*pair)
    assert (target / "a/b/file").read_text() == "text"
    about = (target / "a/b/file").stat()
    assert (stat.S_IMODE(about.st_mode), about.st_mtime_ns, about.st_nlink) == (0o640, 1_700_000_000_123_456_789, 2)
    assert (target / "same").stat().st_ino == about.st_ino
    assert about.st_ino != (source / "same").stat().st_ino
    assert [os.readlink(target / name) for name in ("link", "dangling")] == ["a/b/file", "/nowhere"]
    assert stat.S_IMODE((target / "a/b").stat().st_mode) == 0o555
    (source / "same").write_text("changed")
    assert (target / "same").read_text() == "text"


def test_what_does_not_belong_along_stays_out(tmp_path: Path, pair: tuple[int, int]) -> None:
    source, target = tmp_path / "from", tmp_path / "to"
    for path in ("etc/ssh/ssh_host_ed25519_key", "etc/ssh/sshd_config", "tmp/x", "home/tmp"):
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).touch()
    os.mkfifo(source / "pipe")
    copy_tree(*pair, without=("etc/ssh/ssh_host_*", "tmp"))
    found = sorted(str(path.relative_to(target)) for path in target.rglob("*"))
    assert found == ["etc", "etc/ssh", "etc/ssh/sshd_config", "home", "home/tmp"]


def test_holes_stay_holes(tmp_path: Path, pair: tuple[int, int]) -> None:
    with open(tmp_path / "from/sparse", "wb") as file:
        file.truncate(1 << 32)
        file.seek(1 << 20)
        file.write(b"here")
    copy_tree(*pair)
    made = tmp_path / "to/sparse"
    assert made.stat().st_size == 1 << 32
    assert made.stat().st_blocks * 512 < 1 << 22
    with open(made, "rb") as file:
        file.seek(1 << 20)
        assert file.read(5) == b"here\0"


@pytest.mark.skipif(os.geteuid() != 0, reason="files of two users are root's to make")
def test_a_file_of_somebody_elses_that_is_linked_in_is_not_read(tmp_path: Path, pair: tuple[int, int]) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of the laptop")
    os.chown(tmp_path / "from", 65534, 65534)
    (tmp_path / "from/mine").write_text("mine")
    os.chown(tmp_path / "from/mine", 65534, 65534)
    os.link(tmp_path / "from/mine", tmp_path / "from/mine-2")
    os.link(secret, tmp_path / "from/stolen")
    copy_tree(*pair, owner=(65534, 65534))
    assert sorted(os.listdir(tmp_path / "to")) == ["mine", "mine-2"]
    assert (tmp_path / "to/mine").stat().st_uid == 65534


def test_a_link_in_the_place_of_a_folder_is_copied_and_not_followed(tmp_path: Path, pair: tuple[int, int]) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_text("of the laptop")
    (tmp_path / "from/folder").symlink_to(tmp_path / "outside")
    copy_tree(*pair)
    assert (tmp_path / "to/folder").is_symlink()
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["folder"]
