"""The program that hands an instance to a person on its own machine, and takes it back: one question, one answer, as JSON.

There the person has the whole login, for the machine is theirs alone. Their key is one line of `authorized_keys` that is told
by its comment; a line with options would be heeded by some servers and not by others.
"""

from __future__ import annotations

import json
import os
import pwd
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from launchbay.afar.machine import FarMachine, raise_there
from launchbay.errors import Conflict, LaunchbayError
from launchbay.files import write_atomic
from launchbay.jsonable import error_line
from launchbay.lifecycle.bay import Bay, open_bay
from launchbay.planning.decide import select_one
from launchbay.planning.fleet import Instance
from launchbay.providers.processes import end_processes
from launchbay.providers.tree import process_tree
from launchbay.services.standing import find_service, renew_service, reserve
from launchbay.spec.people import parse_key

__all__ = ["ask_handing", "main"]

_COMMENT = "launchbay:"
_SERVICES = ("notebook", "board")
_SERVERS = ("sshd", "sshd-session")
_OF_SSH = b"\0SSH_CONNECTION="
_WORK = "work"


def ask_handing(machine: FarMachine, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Ask the program on a machine; raise what it raised. `request` says what to `do`: ``hand`` or ``take back``."""
    if machine.installed is None:
        raise Conflict(f"Launchbay is not on {machine.called} yet", hint="install it first")
    there = machine.installed
    command = ["env", f"LAUNCHBAY_HOME={machine.home}", there.python, "-I", f"{there.program}/handing.py"]
    done = machine.transport.run(command, data=json.dumps(request).encode())
    if done.code != 0:
        raise_there(done.stderr, done.code)
        said = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        raise LaunchbayError(f"{machine.called} gave no answer: {said[0]}")
    answer: Mapping[str, Any] = json.loads(done.stdout)
    return answer


def main() -> int:
    """Answer one question; an error is one line of JSON on standard error."""
    request = json.loads(sys.stdin.buffer.read())
    try:
        bay = open_bay()
        instance = select_one(bay.provider.observe(), request["instance"])
        answer = {"hand": _hand, "take back": _take_back}[request["do"]](bay, instance, request)
    except LaunchbayError as error:
        sys.stderr.write(error_line(error) + "\n")
        return error.exit_code
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


def _hand(bay: Bay, instance: Instance, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Let a key in, and say on which ports and with which tokens its notebook and board will answer. Idempotent.

    `others` are the lines that were there before and are not of ours: what is to be left when it is taken back.
    """
    key, home = parse_key(request["key"]), Path(pwd.getpwuid(os.geteuid()).pw_dir)
    file = home / ".ssh" / "authorized_keys"
    lines = _lines(file)
    line = f"{key} {_COMMENT}{instance.name}:{request['person']}"
    others = [other for other in lines if not _is_ours(other)]
    if [*others, line] != lines:
        _write(file, [*others, line])
    if not os.path.lexists(home / _WORK):
        (home / _WORK).symlink_to(instance.root / "work")
    services = {kind: reserve(bay, kind, instance) for kind in _SERVICES}
    said = {kind: {"port": service.port, "token": service.token} for kind, service in services.items()}
    return {**said, "others": others}


def _take_back(bay: Bay, instance: Instance, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Leave only the keys that are to be kept, end what is open, and let tokens that were handed out open nothing. Idempotent."""
    file = Path(pwd.getpwuid(os.geteuid()).pw_dir) / ".ssh" / "authorized_keys"
    before = _lines(file)
    # what was there before is known unless the handing was cut off: then nothing but the line of ours goes
    after = list(request["keep"]) or [line for line in before if not _is_ours(line)]
    if after != before:
        _write(file, after)
    ended = _end_sessions()
    for kind in _SERVICES:
        service = find_service(bay, kind, instance)
        if service is not None:
            renew_service(bay, service)
    return {"ended": ended, "changed": before != after}


def _is_ours(line: str) -> bool:
    return bool(line.split()) and line.rsplit(maxsplit=1)[-1].startswith(_COMMENT)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return []


def _write(file: Path, lines: Sequence[str]) -> None:
    file.parent.mkdir(mode=0o700, exist_ok=True)
    text = "".join(f"{line}\n" for line in lines)
    write_atomic(file, text.encode(errors="surrogateescape"), durable=True, private=True)


def _end_sessions() -> int:
    """End every SSH connection of this login but our own, and what runs in it; return how many processes. Runs go on.

    Where the server's own process for a connection is ours to end, that ends it, also one that only forwards ports.
    """
    above = _above(os.getpid())
    mine = {*above, *process_tree(os.getpid())}
    found = {pid for pid in _own_processes() if pid not in mine and (_is_server(pid) or _is_of_ssh(pid))}
    going_on = {pid for top in found if _is_supervisor(top) for pid in process_tree(top)}
    end_processes(found - going_on)
    return len(found - going_on)


def _own_processes() -> list[int]:
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in pids if _owner(pid) == os.geteuid()]


def _owner(pid: int) -> int:
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return -1


def _above(pid: int) -> set[int]:
    """Return the processes above one, up to the first."""
    found: set[int] = set()
    while pid > 1:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[1])
        except OSError:
            break
        found.add(pid)
    return found


def _is_server(pid: int) -> bool:
    return _read(pid, "comm").strip().decode(errors="replace") in _SERVERS


def _is_of_ssh(pid: int) -> bool:
    return _OF_SSH in b"\0" + _read(pid, "environ")


def _is_supervisor(pid: int) -> bool:
    """Say whether it watches over a run or a service, which are nobody's session."""
    return b"supervise" in _read(pid, "cmdline").split(b"\0")


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
