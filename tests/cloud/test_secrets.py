"""Secrets are planted, one is launched on the twin, and every byte that was written or sent is searched for them.

Files that are meant to hold a key hold theirs alone, for their owner alone. The host key that an instance begins with is the one
secret in user data, and is worth nothing once the instance was reached.
"""

from __future__ import annotations

import base64
import shutil
import stat
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote_to_bytes

import pytest
from botocore.httpsession import URLLib3Session
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from launchbay.cloud.fleet import door_of, find_fleet, keys_of, know, known_by
from launchbay.cloud.launch import launch_cloud
from launchbay.cloud.plan import plan_cloud
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.cloud import open_cloud
from launchbay.lifecycle.twin import ask_twin, stop_twin
from launchbay.providers.ec2.instances import Row, list_ours
from launchbay.store.journal import open_journal
from launchbay.testing import RecordingReporter
from launchbay.transport.trouble import HostKeyRefused
from launchbay.transport.waiting import wait_for_ssh
from tests.cloud.fleets import REGION, asked, make_place

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="hosts need bubblewrap")

PLANTED = {
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY+/1",
    "AWS_SESSION_TOKEN": "IQoJb3JpZ2luX2VjEPlantedSessionTokenThatIsLong//////////wEaCXVz",
    "JUPYTER_TOKEN": "planted-notebook-token-6f1d2c3b4a59687",
    "DATABASE_PASSWORD": "correct horse & battery=staple?",
    "LAUNCHBAY_TWIN_KEYS": "AKIAPLANTED:planted/secret+of/a+user+of/the+twin00",
}
"""What stands in the person's environment."""

FLEETS_KEY, HOST_KEY = "the fleet's key", "the given host key"
OWN_FILES = {"cloud/exp/key": {FLEETS_KEY}, "cloud/exp/host_key": {HOST_KEY}}
"""Files that are meant to hold a key, and which."""

IN_USER_DATA = ("state.db", "twin/state.pickle")
"""What holds requests whole, with their user data: the journal, in which they are frozen, and the twin's own EC2."""


@dataclass
class Watched:
    """What was sent to EC2, and the command lines of all processes, while a launch ran."""

    sent: list[bytes] = field(default_factory=list)
    commands: set[bytes] = field(default_factory=set)


@dataclass(frozen=True)
class Launched:
    bay: Bay
    row: Row
    watched: Watched
    said: bytes
    secrets: Mapping[str, bytes]
    given_key: str


def seed_of(private: str) -> bytes:
    """Return the 32 bytes that are a key."""
    key = load_ssh_private_key(private.encode(), None)
    assert isinstance(key, Ed25519PrivateKey)
    return key.private_bytes_raw()


def spellings(secret: bytes) -> list[bytes]:
    """Return how a secret can be written: as it is, as part of an address, in hex, and within base64."""
    found = [secret, quote(secret, safe="").encode(), secret.hex().encode()]
    for before, start in ((0, 0), (1, 2), (2, 3)):
        text = base64.b64encode(b"\0" * before + secret)
        found.append(text[start : (before + len(secret)) * 8 // 6])
    return found


def forms(data: bytes) -> Iterator[bytes]:
    """Yield bytes as they are, and without what folds a long line or writes a letter as a number."""
    yield data
    yield b"".join(data.replace(b"\\n", b"").split())
    if b"%" in data:
        yield unquote_to_bytes(data)


def find(secrets: Mapping[str, bytes], data: bytes) -> set[str]:
    """Return the names of the secrets that are in some bytes."""
    texts = list(forms(data))
    return {
        name
        for name, secret in secrets.items()
        if any(spelled in text for spelled in spellings(secret) for text in texts)
    }


def leaks(launched: Launched) -> list[str]:
    """Return where a secret is that must not be there, each with which."""
    found = []
    for place, data, allowed in places(launched):
        found += [f"{place}: {name}" for name in sorted(find(launched.secrets, data) - allowed)]
    return found


def places(launched: Launched) -> Iterator[tuple[str, bytes, set[str]]]:
    """Yield all that was written, sent or shown, with what may be in it."""
    bay, nothing = launched.bay, set[str]()
    for path in sorted(Path(bay.home.root).rglob("*")):
        if path.is_file() and not path.is_symlink():
            name = str(path.relative_to(bay.home.root))
            allowed = OWN_FILES.get(name, nothing) | ({HOST_KEY} if name.startswith(IN_USER_DATA) else nothing)
            yield name, path.read_bytes(), allowed
    for number, request in enumerate(launched.watched.sent):
        yield f"request {number}", request, nothing
        for text in parse_qs(request.decode(errors="replace")).get("UserData", []):
            yield f"user data of request {number}", base64.b64decode(text), {HOST_KEY}
    yield "command lines", b"\n".join(sorted(launched.watched.commands)), nothing
    yield "what was said", launched.said, nothing
    client = open_cloud(bay, "twin", REGION)
    yield "tags", repr(list(client.pages("describe_tags", "Tags"))).encode(), nothing
    yield "calls", repr(ask_twin(bay.home, "calls")).encode(), nothing


def watch_commands(watched: Watched, ended: threading.Event) -> None:
    while not ended.wait(0.01):
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                watched.commands.add(path.read_bytes())
            except OSError:
                continue  # it has ended meanwhile


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory, image_store: Callable[[str], Image]) -> Iterator[Launched]:
    """Return a launch of one, up to ready, by somebody whose environment is full of secrets."""
    root = tmp_path_factory.mktemp("secrets")
    watched, ended = Watched(), threading.Event()
    with pytest.MonkeyPatch.context() as patched:
        for name, value in PLANTED.items():
            patched.setenv(name, value)
        send = URLLib3Session.send

        def noted(self: Any, request: Any) -> Any:
            body = request.body if isinstance(request.body, bytes) else str(request.body or "").encode()
            watched.sent += [body, f"{request.url}\n{dict(request.headers)}".encode()]
            return send(self, request)

        patched.setattr(URLLib3Session, "send", noted)
        watcher = threading.Thread(target=watch_commands, args=(watched, ended))
        watcher.start()
        try:
            bay = make_place(root, image_store("tiny"))
            own, host_key = keys_of(bay.home, "exp")
            launch_cloud(bay, plan_cloud(bay, asked(bay)))
        finally:
            ended.set()
            watcher.join()
        secrets = {name: value.rpartition("AKIAPLANTED:")[2].encode() for name, value in PLANTED.items()}
        secrets |= {FLEETS_KEY: seed_of(own.private), HOST_KEY: seed_of(host_key.private)}
        assert isinstance(bay.reporter, RecordingReporter)
        said = "\n".join([*bay.reporter.notes, *(repr(event) for event in bay.reporter.events)]).encode()
        (row,) = list_ours(open_cloud(bay, "twin", REGION), fleet="exp")
        yield Launched(bay, row, watched, said, secrets, " ".join(host_key.public.split()[:2]))
        stop_twin(bay, forget=True)


def test_no_secret_is_where_it_must_not_be(launched: Launched) -> None:
    assert launched.watched.sent
    assert any(b"launchbay.twin.server" in command for command in launched.watched.commands)
    assert leaks(launched) == []


def test_files_that_hold_a_key_are_for_their_owner_alone(launched: Launched) -> None:
    root = launched.bay.home.root
    for name, held in OWN_FILES.items():
        path = root / name
        assert find(launched.secrets, path.read_bytes()) == held
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((root / "twin" / "token").stat().st_mode) == 0o600
    assert stat.S_IMODE((root / "cloud" / "exp").stat().st_mode) == 0o700


def test_the_host_key_in_user_data_opens_nothing_any_more(launched: Launched) -> None:
    home, identity = launched.bay.home, launched.row.id
    sent = [data for place, data, _ in places(launched) if place.startswith("user data")]
    assert [find(launched.secrets, data) for data in sent] == [{HOST_KEY}]
    (own,) = known_by(home, "exp", identity)
    assert own != launched.given_key
    fleet = find_fleet(home, "exp")
    assert fleet is not None
    port = int(ask_twin(home, "hosts")["hosts"][identity]["port"])
    door = door_of(home, fleet, launched.row, port)
    wait_for_ssh(door, timeout_s=30)
    know(home, "exp", identity, launched.given_key)
    try:
        with pytest.raises(HostKeyRefused):
            wait_for_ssh(door, timeout_s=30)
    finally:
        know(home, "exp", identity, own)


def leak_by_tag(launched: Launched, secret: str) -> None:
    tags = [{"Key": "note", "Value": secret}]
    open_cloud(launched.bay, "twin", REGION).act("create_tags", Resources=[launched.row.id], Tags=tags)


def leak_by_journal(launched: Launched, secret: str) -> None:
    bay = launched.bay
    with open_journal(bay.home.journal, bay.clock, bay.reporter.note) as journal:
        journal.end(journal.begin("say", "exp", {"why": base64.b64encode(f"xy{secret}".encode()).decode()}), "done")


def leak_by_file(launched: Launched, secret: str) -> None:
    (launched.bay.home.root / "cloud" / "exp" / "note").write_text(f"it is\n{quote(secret, safe='')}\n")


def leak_by_command(launched: Launched, secret: str) -> None:
    launched.watched.commands.add(b"curl\0-H\0Authorization: " + secret.encode())


@pytest.mark.parametrize(
    ("leak", "places_found"),
    [
        (leak_by_tag, ["tags", "twin/state.pickle"]),
        (leak_by_journal, ["state.db"]),
        (leak_by_file, ["cloud/exp/note"]),
        (leak_by_command, ["command lines"]),
    ],
)
@pytest.mark.parametrize("name", ["AWS_SESSION_TOKEN", "DATABASE_PASSWORD"])
def test_a_secret_that_is_let_out_is_found(
    launched: Launched, leak: Callable[[Launched, str], None], places_found: Sequence[str], name: str
) -> None:
    # another one, in the same letters: the planted ones stay where they were
    known = {name: f"{leak.__name__} {launched.secrets[name].decode()[::-1]}".encode()}
    leak(launched, known[name].decode())
    found = leaks(replace(launched, secrets=known))
    assert {item.rpartition(": ")[2] for item in found} == {name}
    assert all(any(item.startswith(place) for item in found) for place in places_found), found
