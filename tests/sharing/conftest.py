from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from launchbay.lifecycle.bay import Bay
from launchbay.sharing.place import Place
from launchbay.sharing.share import Shared, share_fleet
from launchbay.spec.people import Person, parse_key
from tests.services.conftest import _end_all as _end_all  # noqa: PLC0414 - a fixture
from tests.sharing.server import Server, make_key, start_server

Share = Callable[[str, Sequence[str]], Shared]
"""Hand a fleet to people of these names, each with a key of their own beside the server."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Return an SSH server that lets in whom its own `authorized_keys` says."""
    folder = tmp_path / "ssh"
    folder.mkdir(mode=0o700)
    started = start_server(folder)
    if started is None:
        pytest.skip("needs an SSH server (apt-get install openssh-server)")
    yield started
    started.close()


@pytest.fixture
def keys(tmp_path: Path) -> Callable[[str], Person]:
    """Return a function that makes a person with a key of their own."""
    folder = tmp_path / "ssh"
    folder.mkdir(mode=0o700, exist_ok=True)

    def make(name: str) -> Person:
        public = folder / f"{name}.pub"
        text = public.read_text(encoding="ascii") if public.exists() else make_key(folder, name)
        return Person(name=name, key=parse_key(text.strip()), where=f"bay.yaml:{name}")

    return make


@pytest.fixture
def place(tmp_path: Path, keys: Callable[[str], Person]) -> Place:
    """Return this machine, as a server with a key of its own that does not run."""
    keys("other-host")
    public = (tmp_path / "ssh" / "other-host.pub").read_text(encoding="ascii")
    return Place(host="gpu.example.org", port=1, user="ml", host_key=parse_key(public.strip()))


@pytest.fixture
def share(bay: Bay, keys: Callable[[str], Person], place: Place, tmp_path: Path) -> Share:
    """Return a function that hands a fleet out, with the tests' own `authorized_keys`."""

    def hand_out(fleet: str, names: Sequence[str]) -> Shared:
        people = [keys(name) for name in names]
        file = tmp_path / "ssh" / "authorized_keys"
        return share_fleet(bay, fleet, people, place, output=tmp_path / "sheets", authorized_keys=file)

    return hand_out
