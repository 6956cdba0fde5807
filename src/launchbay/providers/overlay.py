"""Overlay mounts in namespaces of their own, each held by a process that does nothing else.

The mounts are seen inside the namespace only and vanish with its holder, so a killed command leaves none behind. An
ordinary user gets a user namespace besides, where the kernel allows that.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launchbay.errors import Conflict, StateError
from launchbay.files import locked, read_json, write_json
from launchbay.onboard.process import identify, process_alive
from launchbay.planning.fleet import Instance
from launchbay.providers.processes import end_marked

__all__ = ["HOLDER_MARK", "Holder", "Mount", "end_holders", "find_holder", "hold"]

HOLDER_MARK = "LAUNCHBAY_HOLDS"
"""The variable that the holder of an instance's mounts carries: the instance's id."""

_PROGRAM = Path(__file__).with_name("holding.py")
_WITHOUT = "launch it without --overlay; a plain layer needs no such right"


@dataclass(frozen=True, slots=True)
class Mount:
    """An overlay mount: `lower` stays as it is, what is written goes to `upper`, and `target` shows both."""

    lower: Path
    upper: Path
    work: Path
    target: Path


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds an instance's mounts."""

    pid: int
    has_user_namespace: bool

    @property
    def view(self) -> str:
        """Where its file system is seen from outside."""
        return f"/proc/{self.pid}/root"

    def words(self, folder: str) -> Sequence[str]:
        """Return the words before a command that shall run inside, in `folder`: entering puts it at the root."""
        user = ("--user", "--preserve-credentials") if self.has_user_namespace else ()
        inside = ("/bin/sh", "-c", 'cd "$0" && exec "$@"', folder)
        return ("nsenter", f"--target={self.pid}", "--mount", *user, "--", *inside)


def find_holder(instance: Instance) -> Holder | None:
    """Return the living holder of an instance's mounts; None where there is none, or another process has its number.

    One that mounted another image is none either: somebody went in while an update exchanged what there is to mount.
    """
    try:
        record = read_json(_record(instance))
    except (FileNotFoundError, NotADirectoryError, StateError):
        return None
    pid = record.get("pid")
    if not isinstance(pid, int) or not {"start", "boot"} <= record.keys() or not process_alive(record):
        return None
    if record.get("digest") != instance.digest:
        return None
    return Holder(pid, bool(record.get("has_user_namespace")))


def hold(wanted: Mapping[Instance, Sequence[Mount]]) -> None:
    """Start a holder for each instance that has none. Raises Conflict where the kernel does not allow it."""
    with ExitStack() as stack:
        for instance in wanted:  # two commands that go in at once must not mount twice
            stack.enter_context(locked(_record(instance).with_suffix(".lock")))
        closed = {instance: mounts for instance, mounts in wanted.items() if find_holder(instance) is None}
        if not closed:
            return
        end_holders(list(closed))  # of a command that was killed before it wrote down whom it had started
        request = [_request(instance, mounts) for instance, mounts in closed.items()]
        for instance, answer in zip(closed, _start(request), strict=True):
            write_json(_record(instance), {**answer, "digest": instance.digest})


def _request(instance: Instance, mounts: Sequence[Mount]) -> dict[str, Any]:
    options = [
        f"lowerdir={_escape(mount.lower)},upperdir={_escape(mount.upper)},workdir={_escape(mount.work)}"
        for mount in mounts
    ]
    return {
        "environment": {HOLDER_MARK: instance.id},
        "mounts": [[str(mount.target), option] for mount, option in zip(mounts, options, strict=True)],
    }


def _escape(path: Path) -> str:
    """Write a path as mount options hold it: commas part options, colons part lower folders."""
    return "".join(f"\\{letter}" if letter in "\\,:" else letter for letter in str(path))


def _start(request: Sequence[Mapping[str, Any]]) -> Sequence[dict[str, Any]]:
    """Start the holders: forked by a Python that imports next to nothing, which is quicker than a program for each."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(_PROGRAM)],
        input=json.dumps(request).encode(),
        capture_output=True,
        check=False,
    )
    words = done.stderr.decode(errors="replace")[-500:]
    answer: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {"error": words}
    if "error" in answer:
        raise Conflict(f"overlay instances cannot be had here: {answer['error']}", hint=_WITHOUT)
    return [{**identify(pid), "has_user_namespace": answer["has_user_namespace"]} for pid in answer["pids"]]


def end_holders(instances: Sequence[Instance]) -> None:
    """End the holders of instances, found by their mark: also one whose record is lost."""
    end_marked([f"{HOLDER_MARK}={instance.id}" for instance in instances])
    for instance in instances:
        _record(instance).unlink(missing_ok=True)


def _record(instance: Instance) -> Path:
    return instance.root / "holder.json"
