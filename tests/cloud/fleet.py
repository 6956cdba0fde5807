"""A fleet that stands on a twin of its own, for the tests of one module: its bay, the ways to it, and its end."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from launchbay.cloud.launch import launch_cloud
from launchbay.cloud.plan import CloudAsked, plan_cloud
from launchbay.cloud.services import end_services
from launchbay.cloud.standing import find_far, find_one_far, observe_fleets, open_machine
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay, open_bay
from launchbay.lifecycle.cloud import open_cloud
from launchbay.lifecycle.twin import start_twin, stop_twin
from launchbay.ports import SystemClock
from launchbay.providers.ec2.client import Client
from launchbay.providers.ec2.instances import Row, watch
from launchbay.testing import RecordingReporter
from tests.conftest import STORE

__all__ = ["QuickClock", "client_of", "exec_there", "row_of", "set_power", "standing_fleet"]


class QuickClock(SystemClock):
    """The system's, but nobody waits long for a twin whose time goes on when it is asked."""

    def sleep(self, seconds: float) -> None:
        time.sleep(min(seconds, 0.2))


@contextmanager
def standing_fleet(
    root: Path, image_store: Callable[[str], Image], images: Sequence[str], *, count: int, kind: str = "c5.large"
) -> Iterator[Bay]:
    """Lend a bay with a fleet ``exp`` of the first of these images, on a twin whose hosts see all of them."""
    root.chmod(0o755)
    environ = {**os.environ, "LAUNCHBAY_HOME": str(root / "home")}
    bay = replace(open_bay(reporter=RecordingReporter(), environ=environ), clock=QuickClock())
    bay.home.images.mkdir(parents=True)
    for name in images:
        image = image_store(name)
        (bay.home.images / image.digest).symlink_to(image.folder)
        for path in STORE.glob(f"{name}*"):
            if path.is_file():
                (root / path.name).write_bytes(path.read_bytes())
    start_twin(bay, clock="virtual", seed=1)
    try:
        asked = CloudAsked(
            image=recipe_of(bay, images[0]),
            fleet="exp",
            provider="twin",
            region="us-east-1",
            type=kind,
            count=count,
        )
        launch_cloud(bay, plan_cloud(bay, asked))
        yield bay
    finally:
        end_services(bay, find_far(bay, "exp"))
        stop_twin(bay, forget=True)


def recipe_of(bay: Bay, name: str) -> str:
    """Return how an image is named to a verb."""
    own = bay.home.root.parent / f"{name}.yaml"
    return str(own) if own.exists() else name


def client_of(bay: Bay) -> Client:
    """Return the way to the twin."""
    return open_cloud(bay, "twin", "us-east-1")


def row_of(bay: Bay, name: str) -> Row:
    """Return how an instance stands."""
    return observe_fleets(bay)[name]


def set_power(bay: Bay, name: str, verb: str) -> None:
    """Stop, start, reboot or terminate an instance behind Launchbay's back, and wait until it is so."""
    client, row = client_of(bay), row_of(bay, name)
    client.act(f"{verb}_instances", InstanceIds=[row.id])
    state = {"stop": "stopped", "terminate": "terminated"}.get(verb, "running")
    watch(client, [row.id], state, clock=bay.clock, poll_s=1.0, timeout_s=600.0)


def exec_there(bay: Bay, name: str, *command: str) -> Any:
    """Run a command inside an instance, by the verb over there; return its value."""
    far = find_one_far(bay, name)
    assert far is not None
    with open_machine(bay, far) as machine:
        return machine.call(["exec", name, "--", *command])
