"""What counts as an event file: the name that TensorBoard asks for, and content that agrees."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from launchbay.onboard.eventfiles import is_event_file
from tests.runs.writing import record

DATA = Path(__file__).parents[1] / "runs" / "data"


@pytest.mark.parametrize("path", sorted(DATA.rglob("*tfevents*")), ids=lambda path: path.parent.name)
def test_what_frameworks_write_is_one_under_any_name_with_the_word(tmp_path: Path, path: Path) -> None:
    assert is_event_file(str(path))
    renamed = tmp_path / "my.tfevents"
    renamed.write_bytes(path.read_bytes())
    assert is_event_file(str(renamed))
    renamed.rename(tmp_path / "my.events")
    assert not is_event_file(str(tmp_path / "my.events"))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", True),  # begun, and nothing written yet
        (record(b""), True),
        (record(b"event")[:12], True),  # still being written
        (record(b"event")[:11], False),
        (bytes(12), False),  # a length of 0, whose checksum is not 0
        (b"import tensorboard\n", False),
    ],
)
def test_its_first_bytes_have_to_agree(tmp_path: Path, content: bytes, *, expected: bool) -> None:
    path = tmp_path / "x_tfevents"
    path.write_bytes(content)
    assert is_event_file(str(path)) is expected


def test_the_name_that_writers_give_is_taken_at_its_word(tmp_path: Path) -> None:
    """It is damaged, and who reads it says so."""
    path = tmp_path / "events.out.tfevents.1.host"
    path.write_bytes(bytes(100))
    assert is_event_file(str(path))


@pytest.mark.timeout(20)
def test_what_is_no_file_is_none_and_stops_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tfevents")
    (tmp_path / "events.out.tfevents.d").mkdir()
    (tmp_path / "events.out.tfevents.link").symlink_to("nowhere")
    names = ("pipe.tfevents", "events.out.tfevents.d", "events.out.tfevents.link", "events.out.tfevents.gone")
    assert not any(is_event_file(str(tmp_path / name)) for name in names)
