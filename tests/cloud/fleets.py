"""Where fleets are tried: a bay with images in it, a twin on a virtual clock whose hosts see them, and a fleet on that."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from launchbay.cloud.asked import CloudAsked
from launchbay.cloud.end import CloudEnded, end_cloud, plan_end_cloud
from launchbay.cloud.launch import launch_cloud
from launchbay.cloud.plan import plan_cloud
from launchbay.cloud.services import end_services
from launchbay.cloud.standing import FarInstance, find_far, find_one_far, observe_fleets, open_machine
from launchbay.cloud.training import running_runs, stop_far
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay, open_bay
from launchbay.lifecycle.cloud import open_cloud
from launchbay.lifecycle.twin import ask_twin, start_twin, stop_twin
from launchbay.ports import SystemClock
from launchbay.providers.ec2.client import Client
from launchbay.providers.ec2.instances import Row, watch
from launchbay.testing import RecordingReporter
from tests.conftest import STORE
from tests.twin_process import let_others_in

__all__ = [
    "REGION",
    "QuickClock",
    "asked",
    "client_of",
    "end",
    "exec_there",
    "far_of",
    "left",
    "lend_place",
    "let_in_from",
    "make_endpoint",
    "make_place",
    "notes_of",
    "recipe_of",
    "remove_endpoint",
    "row_of",
    "set_power",
    "standing_fleet",
    "stop_all",
]

REGION = "us-east-1"


class QuickClock(SystemClock):
    """The system's, on which a sleep goes by at once: the twin's own time goes on when it is asked."""

    def __init__(self) -> None:
        self._slept = 0.0

    def now(self) -> float:
        return super().now() + self._slept

    def sleep(self, seconds: float) -> None:
        self._slept += seconds
        time.sleep(min(seconds, 0.02))  # what is waited for may be a real host


def make_place(root: Path, *images: Image, has_hosts: bool = True) -> Bay:
    """Return a bay with these images in it, and a twin on a virtual clock whose hosts see them; `stop_twin` ends that."""
    let_others_in(root)
    environ = {**os.environ, "LAUNCHBAY_HOME": str(root / "home")}
    bay = replace(open_bay(reporter=RecordingReporter(), environ=environ), clock=QuickClock())
    bay.home.images.mkdir(parents=True)
    for image in images:
        (bay.home.images / image.digest).symlink_to(image.folder)
        for path in STORE.glob(f"{image.name}*"):
            if path.is_file():
                (root / path.name).write_bytes(path.read_bytes())
    start_twin(bay, clock="virtual", seed=1, has_hosts=has_hosts)
    return bay


@contextmanager
def lend_place(root: Path, *images: Image, has_hosts: bool = True) -> Iterator[Bay]:
    """Lend such a bay, and end its twin."""
    bay = make_place(root, *images, has_hosts=has_hosts)
    try:
        yield bay
    finally:
        stop_twin(bay, forget=True)


@contextmanager
def standing_fleet(root: Path, image: Image, **changed: Any) -> Iterator[Bay]:
    """Lend such a bay with a fleet ``exp`` of two of an image on its twin."""
    with lend_place(root, image) as bay:
        launch_cloud(bay, plan_cloud(bay, asked(bay, **{"image": recipe_of(bay, image.name), "count": 2, **changed})))
        try:
            yield bay
        finally:
            end_services(bay, find_far(bay, "exp"))


def asked(bay: Bay, **changed: Any) -> CloudAsked:
    """Return what is asked for: one small instance of the tiny image on the twin, unless it is said otherwise."""
    plain: dict[str, Any] = {
        "image": recipe_of(bay, "tiny"),
        "fleet": "exp",
        "provider": "twin",
        "region": REGION,
        "type": "c5.large",
    }
    return CloudAsked(**{**plain, **changed})


def recipe_of(bay: Bay, name: str) -> str:
    """Return how an image is named to a verb."""
    own = bay.home.root.parent / f"{name}.yaml"
    return str(own) if own.exists() else name


def client_of(bay: Bay) -> Client:
    """Return the way to the twin."""
    return open_cloud(bay, "twin", REGION)


def left(bay: Bay) -> int:
    """Return how much stands in the twin."""
    count: int = ask_twin(bay.home, "left")["left"]
    return count


def end(bay: Bay, name: str = "exp") -> CloudEnded | None:
    """Terminate a fleet, or one of it; None where there is none of that name."""
    plan = plan_end_cloud(bay, name)
    return None if plan is None else end_cloud(bay, plan)


def far_of(bay: Bay, name: str) -> FarInstance:
    """Return an instance of a fleet."""
    (far,) = find_far(bay, name)
    return far


def row_of(bay: Bay, name: str) -> Row:
    """Return how an instance stands."""
    return observe_fleets(bay)[name]


def notes_of(bay: Bay) -> list[str]:
    """Return what the person was told, and forget it."""
    assert isinstance(bay.reporter, RecordingReporter)
    told = list(bay.reporter.notes)
    bay.reporter.notes.clear()
    return told


def let_in_from(bay: Bay, address: str) -> int:
    """Count the instances whose SSH server says anything to a caller with that address."""
    count = 0
    for host in ask_twin(bay.home, "hosts")["hosts"].values():
        with (
            contextlib.suppress(OSError),
            socket.create_connection((host["address"], host["port"]), timeout=1, source_address=(address, 0)) as caller,
        ):
            count += caller.recv(4) == b"SSH-"
    return count


def make_endpoint(bay: Bay, **more: Any) -> str:
    """Make an Instance Connect Endpoint in a default subnet, and let the twin's time pass until it stands; return its id."""
    client = client_of(bay)
    subnet = client.ask("describe_subnets")["Subnets"][0]["SubnetId"]
    made = client.act("create_instance_connect_endpoint", SubnetId=subnet, **more)["InstanceConnectEndpoint"]
    ask_twin(bay.home, "advance", seconds=130)
    return str(made["InstanceConnectEndpointId"])


def remove_endpoint(bay: Bay, endpoint: str) -> None:
    """Delete an Instance Connect Endpoint, and let the twin's time pass until it is gone."""
    client_of(bay).act("delete_instance_connect_endpoint", InstanceConnectEndpointId=endpoint)
    ask_twin(bay.home, "advance", seconds=70)


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


def stop_all(bay: Bay, name: str = "exp") -> list[str]:
    """Stop every run of a fleet that goes on, and bring it home; return how each ended."""
    return [stop_far(bay, run).state for run in running_runs(bay, far_of(bay, f"{name}-1").fleet)]
