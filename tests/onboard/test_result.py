from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from launchbay.onboard.result import free_room, keep_room, write_json, write_result


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing reach the disk any more."""

    def refuse(_: int) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(os, "fsync", refuse)


def test_room_is_really_taken_and_given_back(tmp_path: Path) -> None:
    keep_room(str(tmp_path))
    assert (tmp_path / "result.reserve").stat().st_blocks * 512 >= 1 << 16
    free_room(str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    free_room(str(tmp_path))


def test_a_record_is_on_the_disk_before_it_has_its_name_and_then_its_name_is(
    tmp_path: Path, disk_steps: list[str]
) -> None:
    write_json(str(tmp_path / "result.json"), {})
    assert disk_steps == ["file", "rename", "folder"]


@pytest.mark.usefixtures("full")
def test_what_cannot_be_written_leaves_nothing_behind_and_the_old_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text('{"old": 1}')
    with pytest.raises(OSError, match="quota"):
        write_json(str(tmp_path / "result.json"), {"new": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]
    assert json.loads((tmp_path / "result.json").read_text()) == {"old": 1}


@pytest.mark.usefixtures("full")
def test_when_even_the_room_is_gone_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "result.reserve").touch()
    with pytest.raises(OSError, match="quota"):
        write_result(str(tmp_path), {"state": "done"})
    assert list(tmp_path.iterdir()) == []
