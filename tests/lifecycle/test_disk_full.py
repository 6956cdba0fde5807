"""A full disk must not keep anybody from what makes room on it."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from launchbay.api.fleet import execute
from launchbay.errors import UserError
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.end import change_power, terminate
from launchbay.lifecycle.images import remove_image
from launchbay.lifecycle.launch import launch_fleet
from launchbay.providers.processes import instance_processes
from launchbay.testing import RecordingReporter

pytestmark = pytest.mark.all


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)
    assert shutil.disk_usage(path.parent).free == 0


def test_stop_terminate_and_remove_work_on_a_full_disk(
    bay: Bay,
    reporter: RecordingReporter,
    mount: Callable[[Path, int], None],
    with_image: Callable[[str], Image],
    tmp_path: Path,
) -> None:
    mount(bay.home.root, 80_000)
    image = with_image("tiny")
    own = bay.home.images / image.digest
    own.unlink()
    shutil.copytree(image.folder, own, symlinks=True)
    launched = launch_fleet(bay, str(tmp_path / "tiny.yaml"), count=2, name="exp")
    first, second = launched.instances
    detached = "import os, time; os.fork() and os._exit(0); os.close(1); os.close(2); time.sleep(600)"
    execute(bay, first.name, ["python", "-c", detached], capture=True)
    fill(second.root / "work" / "large")
    assert len(instance_processes([first.id])) == 1
    with pytest.raises(UserError, match="could not be written down: No space left"):
        change_power(bay, "stop", "exp")
    until = time.monotonic() + 5
    while instance_processes([first.id]) and time.monotonic() < until:
        time.sleep(0.02)
    assert instance_processes([first.id]) == [], "what runs is ended all the same"
    terminate(bay, "exp")
    assert list(bay.provider.observe()) == []
    assert any("going on without it" in note for note in reporter.notes)
    fill(bay.home.root / "large")
    remove_image(bay, image.digest)
    assert not own.exists()
