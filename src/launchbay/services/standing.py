"""Give a service its port and token, start it where it was, see that it stands, end it.

A service runs under the onboard supervisor, in a session of its own, and carries a mark by which it is found. It keeps
its port and its token for good, so that what was written down for a person stays true.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from launchbay.errors import Conflict, UsageError, UserError
from launchbay.files import locked, remove_tree, write_atomic
from launchbay.lifecycle.bay import Bay
from launchbay.planning.fleet import Instance
from launchbay.ports import Event
from launchbay.providers.processes import end_marked, marked_processes
from launchbay.providers.tree import listening_ports, process_memory, process_tree
from launchbay.store.service import Service, drop_sockets, list_services, read_service, service_folder, write_service
from launchbay.transport.base import Transport
from launchbay.transport.onboard import install_onboard, parse_answer

__all__ = [
    "MARK",
    "Program",
    "check_port",
    "choose_port",
    "end_service",
    "ensure_service",
    "find_service",
    "is_free",
    "look_at",
    "renew_service",
    "reserve",
]

MARK = "LAUNCHBAY_SERVICE"
"""The variable that everything of a service carries: its folder."""

FIRST_PORTS = {"board": 6006, "notebook": 8888}
"""Where the search for a free port begins: the ports that people know."""

_TOKEN_BYTES = 32
_POLL_S = 0.05
_PATIENCE_S = 120.0
_KEPT = ("record.json", "token", "selection.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """How a service is started: the way to where it runs, its Python, its arguments, its variables.

    `files` are written into its folder before, each readable by its owner alone.
    """

    transport: Transport
    python: str
    argv: Sequence[str]
    variables: Mapping[str, str]
    files: Mapping[str, str]


def reserve(bay: Bay, kind: str, instance: Instance | None = None, *, port: int | None = None) -> Service:
    """Return a service, with its port and token chosen for good, started or not. Idempotent.

    Raises UsageError for a port that cannot be, Conflict for one that is another's or cannot change now.
    """
    check_port(port)
    with locked(bay.home.lock("services")):
        folder = service_folder(bay.home, kind, instance.id if instance else None)
        known = find_service(bay, kind, instance)
        if known is not None and port in (None, known.port):
            return known
        if known is not None and known.is_running:
            what = f"{describe(known)} stands on port {known.port}"
            raise Conflict(what, hint=f"end it with --stop, then start it with --port {port}")
        taken = {item.port: item for item in list_services(bay.home) if item.folder != folder}
        if port in taken:
            raise Conflict(f"port {port} is that of {describe(taken[port])}", hint="another --port, or none")
        if port is not None and not is_free(port):
            raise _in_use(port)
        service = Service(
            kind=kind,
            name=instance.name if instance else "runs",
            folder=folder,
            port=port or choose_port(kind, taken),
            created_at=bay.clock.now(),
            instance=instance.name if instance else None,
            instance_id=instance.id if instance else None,
        )
        write_service(service, known.token if known else secrets.token_urlsafe(_TOKEN_BYTES))
        return service


def find_service(bay: Bay, kind: str, instance: Instance | None = None) -> Service | None:
    """Return a service as it stands now, or None when none was ever reserved."""
    try:
        return read_service(service_folder(bay.home, kind, instance.id if instance else None))
    except FileNotFoundError:
        return None


def describe(service: Service) -> str:
    """Name a service in a sentence."""
    return f"the {service.kind} of {service.name}"


def look_at(service: Service) -> Service:
    """Return a service as it stands now, with the memory that its processes hold."""
    now = read_service(service.folder)
    return replace(now, memory_bytes=process_memory([now.pid]).get(now.pid) if now.pid else None)


def ensure_service(bay: Bay, service: Service, program: Program) -> Service:
    """Start a service if it does not run, where it was; return once it answers. Idempotent, and blocks until then.

    Raises Conflict when its port is in use, UserError with its last words when it does not come up.
    """
    progress = Event(task=f"start {describe(service)}")
    with locked(bay.home.lock(f"service-{service.folder.name}")):
        now = read_service(service.folder)
        if now.is_running and _listens(now):
            return look_at(now)
        bay.reporter.event(progress)
        try:
            if not now.is_running:
                _start(bay, now, program)
            _await(bay, now)
        except BaseException:
            end_marked([_mark(now)])  # half of it up would be found standing the next time
            raise
        finally:
            bay.reporter.event(replace(progress, finished=True))
        return look_at(now)


def _start(bay: Bay, service: Service, program: Program) -> None:
    if marked_processes([_mark(service)]):  # somebody killed its supervisor: what is left holds the port
        end_marked([_mark(service)], tell=bay.reporter.event)
    if not is_free(service.port):
        raise _in_use(service.port)
    _tidy(service)
    (service.folder / "cwd").mkdir(mode=0o700)  # empty: the supervisor lists what the folder holds
    for name, text in program.files.items():
        write_atomic(service.folder / name, text.encode(), private=True)
    request = {
        "v": 1,
        "folder": str(service.folder),
        "work": str(service.folder / "cwd"),
        "argv": list(program.argv),
        "env": {},
        "timeout_s": None,
    }
    log = service.folder / "supervisor.log"
    done = program.transport.start(
        [program.python, str(install_onboard(bay.home)), "supervise"],
        data=json.dumps(request).encode(),
        errors=str(log),
        variables={**program.variables, MARK: str(service.folder)},
    )
    parse_answer(done.stdout, what=describe(service), words=log.read_bytes(), code=done.code)


def _await(bay: Bay, service: Service) -> None:
    for _ in range(int(_PATIENCE_S / _POLL_S)):
        now = read_service(service.folder)
        if not now.is_running:
            raise UserError(f"{describe(service)} ended at once: {_last_words(now.log)}", where=str(now.log))
        if _listens(now):
            return
        bay.clock.sleep(_POLL_S)
    raise UserError(f"{describe(service)} did not answer within {_PATIENCE_S:.0f} s", where=str(service.log))


def _last_words(log: Path) -> str:
    with contextlib.suppress(OSError):
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else "it said nothing"
    return "it said nothing"


def _listens(service: Service) -> bool:
    """Say whether the service itself has its port: another program's answer there would be given the token."""
    if not os.path.isdir("/proc/self"):
        return not is_free(service.port)
    assert service.pid is not None
    return service.port in listening_ports(process_tree(service.pid))


def end_service(bay: Bay, service: Service) -> Service:
    """End a service and all that it started; its port and token stay. Idempotent. Raises LaunchbayError if it will not."""
    with locked(bay.home.lock(f"service-{service.folder.name}")):
        end_marked([_mark(service)], tell=bay.reporter.event)
        _tidy(service)
    return read_service(service.folder)


def renew_service(bay: Bay, service: Service) -> Service:
    """End a service and give it another port and token: what was handed out opens nothing, nor does a tunnel to it."""
    end_service(bay, service)
    with locked(bay.home.lock("services")):
        taken = {item.port for item in list_services(bay.home)} | {service.port}
        renewed = replace(service, port=choose_port(service.kind, taken), pid=None, memory_bytes=None)
        write_service(renewed, secrets.token_urlsafe(_TOKEN_BYTES))
    return renewed


def _tidy(service: Service) -> None:
    """Remove what belongs to one life of a service."""
    drop_sockets(service)
    for path in service.folder.iterdir():
        if path.name not in _KEPT:
            remove_tree(path)


def _mark(service: Service) -> str:
    return f"{MARK}={service.folder}"


def check_port(port: int | None) -> None:
    """Raise UsageError for a port that cannot be; none is fine, one is chosen then."""
    if port is not None and not 1 <= port <= 65535:
        raise UsageError(f"a port must be 1 to 65535, got {port}", hint="without --port a free one is chosen")


def choose_port(kind: str, taken: Collection[int]) -> int:
    """Return the first free port from the one that people know on. Raises Conflict when none is."""
    first = FIRST_PORTS[kind]
    for port in range(first, 65536):
        if port not in taken and is_free(port):
            return port
    raise Conflict(f"no port from {first} on is free", hint="choose one: --port N")


def is_free(port: int) -> bool:
    """Say whether a port of our loopback can be listened on now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that was just given up is free
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _in_use(port: int) -> Conflict:
    hint = "end that program, or choose another: --port N (what holds it: ss -ltnp)"
    return Conflict(f"port {port} is in use by another program, or not yours to use", hint=hint)
