from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.planning.fleet import Instance
from launchbay.providers.processes import end_marked, instance_processes
from launchbay.services.standing import MARK
from launchbay.store.service import drop_sockets, list_services
from tests.runs.conftest import project as project  # noqa: PLC0414 - a fixture
from tests.runs.running import make_instance


@pytest.fixture(autouse=True)
def _end_all(bay: Bay) -> Iterator[None]:
    """End whatever a test left standing."""
    yield
    for service in list_services(bay.home):
        end_marked([f"{MARK}={service.folder}"])
        drop_sockets(service)


@pytest.fixture
def instance(bay: Bay, with_image: Callable[[str], Image]) -> Instance:
    """Return an instance of the tiny image."""
    return make_instance(bay, with_image("tiny"))


@pytest.fixture
def taken() -> Iterator[int]:
    """Return a port that somebody else listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield int(other.getsockname()[1])


def holds(folder: Path, text: str) -> list[str]:
    """Return the files in and under a folder that hold a text."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sorted(path.name for path in files if text.encode() in path.read_bytes())


def left_running(instance: Instance) -> list[int]:
    """Return what runs in an instance."""
    return instance_processes([instance.id])
