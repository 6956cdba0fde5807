"""Runs and the store: a courier on the instance sends what is new of a run, and a run whose instance is gone is got back.

The instance holds no credentials. What it is given, over SSH and into memory, is a form with which objects below the prefix
of that one run can be stored: nothing can be read or removed with it, and it ends with the lease.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from launchbay.afar.bring import begin_run, sync_run
from launchbay.afar.listing import is_content
from launchbay.afar.machine import FarMachine
from launchbay.afar.names import is_inside
from launchbay.afar.origin import Origin, read_origin
from launchbay.cloud.store import Store
from launchbay.errors import LaunchbayError, NotFound
from launchbay.lifecycle.bay import Bay
from launchbay.planning.store import run_prefix
from launchbay.providers.ec2.bucket import list_kept, pass_seconds, presign_post, read_kept, show_command
from launchbay.store.records import Run
from launchbay.transport.base import Transport

__all__ = ["EVERY_S", "Courier", "restore_run", "start_courier", "stored_runs"]

EVERY_S = 15.0
"""How often a courier looks for what is new, and so how much of a run can be lost with its instance."""

_MOST_BYTES = 64 << 20
"""How large one object of a run may be. What is larger goes in pieces."""

_LIST = "list.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Courier:
    """A courier that was started: its process there, and for how many seconds the store takes what it sends.

    That is less than the lease where the lease is longer than AWS lets a form be good, or than temporary credentials live:
    start it anew before, and it goes on where it was.
    """

    pid: int
    seconds: int


def start_courier(
    machine: FarMachine, store: Store, fleet: str, run: str, *, lease_s: float, every_s: float = EVERY_S
) -> Courier:
    """Let a courier go with a run on a machine; one that does already hands over to it. Idempotent.

    A run that was on another machine before goes on in the store, too: what was sent from there stays until it was sent anew.

    `lease_s` is how many seconds the instance may still live. Raises NotFound for a run that is not there, UserError where
    the credentials are at their end.
    """
    seconds = pass_seconds(store.client, lease_s)
    prefix = run_prefix(fleet, run)
    post = presign_post(store.client, store.name, prefix, seconds=seconds, most_bytes=_MOST_BYTES)
    try:
        stored = _read_list(store, prefix)["files"]
    except NotFound:
        stored = {}
    asked = {"do": "start courier", "run": run, "post": post, "every_s": every_s, "stored": stored}
    return Courier(pid=int(json.loads(machine.there(asked))["pid"]), seconds=seconds)


def stored_runs(store: Store, fleet: str) -> Sequence[str]:
    """Return the runs of a fleet that are in the store, oldest first: those of which a list has arrived."""
    prefix = run_prefix(fleet)
    found = (kept.key.removeprefix(prefix).split("/") for kept in list_kept(store.client, store.name, prefix))
    return sorted(parts[0] for parts in found if parts[1:] == [_LIST])


def restore_run(bay: Bay, store: Store, fleet: str, run: str) -> Run:
    """Get a run back from the store, as it was when its courier last listed it; return it as it then stands here. Blocks.

    For a run whose instance is gone, and is brought by the same checks as one that comes from an instance: names from an
    allow-list, each file by its hash, the result last. Unless its end is in the store, it is lost, and can be resumed.
    Raises NotFound where nothing of it is in the store.
    """
    prefix = run_prefix(fleet, run)
    listed = _read_list(store, prefix)
    folder = bay.home.runs / run
    try:
        origin: Origin | None = read_origin(folder)
    except FileNotFoundError:
        origin = None
    home = origin.home if origin else str(listed.get("home", ""))
    machine = _Stored(
        transport=cast("Transport", None),  # nothing is run there: it is gone
        home=home,
        name=f"the store {store.name}",
        store=store,
        prefix=prefix,
        listed=listed,
        folder=folder,
    )
    if origin is None:
        begin_run(bay, machine, run, _origin_of(machine, fleet))
    return sync_run(bay, machine, run)


def _read_list(store: Store, prefix: str) -> Mapping[str, Any]:
    try:
        data = read_kept(store.client, store.name, f"{prefix}{_LIST}")
    except NotFound:
        what = f"nothing of {prefix.split('/')[-2]} is in the store"
        raise NotFound(what, where=store.name, hint=f"`{show_command(store.client)}` lists what is") from None
    try:
        listed = dict(json.loads(data))
        is_possible = isinstance(listed["links"], dict) and all(map(_is_possible, listed["files"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(store, prefix) from error
    if not is_possible:
        raise _damaged(store, prefix)
    return listed


def _is_possible(file: Mapping[str, Any]) -> bool:
    """Say whether a list may name a file so. Sizes, hashes and names are looked at by who brings it."""
    return file["slot"] in (0, 1) and type(file["piece"]) is int and file["piece"] > 0 and "growing" in file


def _damaged(store: Store, prefix: str) -> LaunchbayError:
    return LaunchbayError("the store describes a run in a way that cannot be", where=f"{store.name}/{prefix}")


def _origin_of(machine: _Stored, fleet: str) -> Origin:
    """Return what a run was of which nothing is known here: of another laptop, or of a home that is gone."""
    try:
        record = json.loads(machine.read("record.json", 0, int(machine.listed["files"]["record.json"]["size"])))
        instance, script, data = str(record["instance"]), str(record["script"]), record.get("data")
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(machine.store, machine.prefix) from error
    return Origin(
        machine=instance,
        home=machine.home,
        instance=instance,
        fleet=fleet,
        script=script,
        script_there=script,
        data=str(data) if data else None,
        data_there=str(data) if data else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored(FarMachine):
    """Answers for a machine that is gone, with what it sent to the store; to be asked as the machine was."""

    store: Store
    prefix: str
    listed: Mapping[str, Any]
    folder: Path

    def there(self, request: dict[str, Any], *, data: bytes = b"", timeout: float | None = None) -> bytes:  # noqa: ARG002
        """List a run's files, or read pieces of them."""
        if request["do"] == "list":
            return json.dumps(self._list()).encode()
        pieces = [self.read(name, offset, count) for name, offset, count in request["pieces"]]
        head = json.dumps({"sizes": [len(piece) for piece in pieces]}).encode()
        return b"\n".join([head, b"".join(pieces)])

    def _list(self) -> Mapping[str, Any]:
        is_over = bool(self.listed.get("over"))
        files = {}
        for name, file in self.listed["files"].items():
            size, sha256 = self._longer_here(name, file) or (file["size"], file["sha256"])
            files[name] = [size, file["changed_ns"], file["growing"], sha256]
        return {
            "home": self.home,
            "state": self.listed.get("state") if is_over else "lost",
            "over": True,  # nothing more will come
            "files": files,
            "links": self.listed["links"],
        }

    def _longer_here(self, name: str, file: Mapping[str, Any]) -> tuple[int, str] | None:
        """Say how long a log is here, and its hash, where more of it came from the instance itself than the store has."""
        place = self.folder / name
        if not (
            file["growing"] and is_inside(name) and is_content(name) and place.is_file() and not place.is_symlink()
        ):
            return None
        size = place.stat().st_size
        if size <= file["size"]:
            return None
        whole, left = hashlib.sha256(), int(file["size"])
        with open(os.open(place, os.O_RDONLY | os.O_NOFOLLOW), "rb") as log:
            while left and (block := log.read(min(left, 1 << 20))):
                whole.update(block)
                left -= len(block)
            if whole.hexdigest() != file["sha256"]:
                return None
            while block := log.read(1 << 20):
                whole.update(block)
        return size, whole.hexdigest()

    def read(self, name: str, offset: int, count: int) -> bytes:
        """Read a part of a file from its pieces, less than asked at its end."""
        file = self.listed["files"][name]
        piece = int(file["piece"])
        identity = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        end = min(offset + count, int(file["size"]))
        parts = []
        while offset < end:
            number, begin = divmod(offset, piece)
            length = min(piece - begin, end - offset)
            key = f"{self.prefix}files/{identity}/{file['slot']}/{number:06d}"
            parts.append(read_kept(self.store.client, self.store.name, key, offset=begin, count=length))
            offset += length
        return b"".join(parts)
