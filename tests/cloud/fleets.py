"""A fleet that stands on a twin of its own, for tests of what is done with it: launched once for a module."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from launchbay.cloud.asked import CloudAsked
from launchbay.cloud.launch import launch_cloud
from launchbay.cloud.plan import plan_cloud
from launchbay.cloud.standing import FarInstance, find_far, observe_fleets
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay, open_bay
from launchbay.lifecycle.twin import start_twin, stop_twin
from launchbay.ports import SystemClock
from launchbay.providers.ec2.instances import Row
from launchbay.testing import RecordingReporter
from tests.conftest import STORE

__all__ = ["QuickClock", "far_of", "notes_of", "row_of", "standing_fleet"]


class QuickClock(SystemClock):
    """The system's, but nobody waits long for a twin whose time goes on when it is asked."""

    def sleep(self, seconds: float) -> None:
        time.sleep(min(seconds, 0.2))


@contextlib.contextmanager
def standing_fleet(root: Path, image: Image, **changed: Any) -> Iterator[Bay]:
    """Lend a bay with the tiny image in it, and a fleet `exp` of two on it that stands on a twin on a virtual clock."""
    for folder in (root, *root.parents[:2]):
        folder.chmod(0o755)  # hosts look in as others
    environ = {**os.environ, "LAUNCHBAY_HOME": str(root / "home")}
    bay = replace(open_bay(reporter=RecordingReporter(), environ=environ), clock=QuickClock())
    bay.home.images.mkdir(parents=True)
    (bay.home.images / image.digest).symlink_to(image.folder)
    for path in STORE.glob("tiny*"):
        (root / path.name).write_bytes(path.read_bytes())
    start_twin(bay, clock="virtual", seed=1)
    try:
        plain: dict[str, Any] = {"provider": "twin", "region": "us-east-1", "type": "c5.large", "count": 2}
        launch_cloud(
            bay, plan_cloud(bay, CloudAsked(image=str(root / "tiny.yaml"), fleet="exp", **{**plain, **changed}))
        )
        yield bay
    finally:
        stop_twin(bay, forget=True)


def far_of(bay: Bay, name: str) -> FarInstance:
    """Return an instance of the fleet."""
    (far,) = find_far(bay, name)
    return far


def row_of(bay: Bay, name: str) -> Row:
    """Return how an instance of the fleet stands."""
    return observe_fleets(bay)[name]


def notes_of(bay: Bay) -> list[str]:
    """Return what the person was told, and forget it."""
    assert isinstance(bay.reporter, RecordingReporter)
    told = list(bay.reporter.notes)
    bay.reporter.notes.clear()
    return told
