"""Notebooks and boards of instances on EC2: they stand there, on its loopback alone, and a tunnel leads from ours.

The tunnel is a process of its own, which outlives the terminal, under the same supervisor as a service on this machine; so
it is listed, found again and ended as one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from launchbay.afar.bundle import find_bundle
from launchbay.afar.machine import FarMachine
from launchbay.afar.services import (
    FarService,
    end_board_afar,
    end_notebook_afar,
    page_text,
    stand_board_afar,
    stand_notebook_afar,
)
from launchbay.cloud.reach import ports_of
from launchbay.cloud.standing import FarInstance, machine_of, observe_fleets, open_transport
from launchbay.cloud.tunnels import find_far_service, list_far_services, service_place
from launchbay.errors import Conflict, LaunchbayError, NotFound
from launchbay.files import locked, remove_tree, write_atomic
from launchbay.lifecycle.bay import Bay
from launchbay.ports import Event, SilentReporter
from launchbay.services.standing import Program, check_port, choose_port, end_service, ensure_service, is_free
from launchbay.store.service import Service, list_services, write_service
from launchbay.transport.door import Door
from launchbay.transport.local import LocalTransport
from launchbay.transport.tunnelrecord import Wanted, read_tunnels, write_tunnels

__all__ = ["PROBLEM", "TUNNEL", "end_far_service", "end_services", "stand_afar", "stand_far_service", "write_way"]

TUNNEL = "tunnel.json"
"""The record of its tunnel, in the folder of a service."""
PROBLEM = "problem"
"""The file in that folder which says why the tunnel is not connected; there is none while it is."""

_STAND: dict[str, Callable[[FarMachine, str], FarService]] = {
    "notebook": stand_notebook_afar,
    "board": lambda machine, name: stand_board_afar(machine, [name]),
}
_END: dict[str, Callable[[FarMachine, str], FarService]] = {
    "notebook": end_notebook_afar,
    "board": lambda machine, name: end_board_afar(machine, [name]),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entered:
    """An instance that is talked to: what it is, how one gets in, and the id that EC2 knows it by."""

    machine: FarMachine
    door: Door
    identity: str


@contextmanager
def _entered(bay: Bay, far: FarInstance) -> Iterator[_Entered]:
    """Lend an instance. Raises NotFound where it is gone, Conflict where it is not running."""
    row = observe_fleets(bay, [far.fleet]).get(far.name)
    port = ports_of(bay, far.fleet)(row) if row else None
    transport = open_transport(bay, far, row=row, port=port)
    try:
        machine = machine_of(far, transport).install(find_bundle(bay.home))
        yield _Entered(machine=machine, door=transport.door, identity=row.id if row else "")
    finally:
        transport.close()


def stand_far_service(bay: Bay, far: FarInstance, kind: str, *, port: int | None = None) -> Service:
    """Open a notebook or a board in an instance on EC2, and a tunnel to it; one that stands comes back. Blocks until it answers.

    `port` is ours. Raises NotFound and Conflict where the instance is gone or not running, and for a port that is taken.
    """
    check_port(port)
    task = Event(task=f"start the {kind} of {far.name}")
    bay.reporter.event(task)
    with _entered(bay, far) as entered:
        there = stand_afar(entered.machine, far.name, kind)
    bay.reporter.event(replace(task, finished=True))
    with locked(bay.home.lock("services")):
        service = _reserve(bay, far, kind, port, identity=entered.identity)
        service.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_service(service, there.token)
    quiet = replace(bay, reporter=SilentReporter())  # what takes long was told already
    if service.is_running and (why := _problem(service)):
        # its process has the credentials of the day it was started, which may have ended; ours just led there
        bay.reporter.note(f"The tunnel to the {kind} of {far.name} had no connection, and is begun again: {why}.")
        service = replace(end_service(quiet, service), instance_id=service.instance_id)
    if service.is_running:
        write_way(service, there, entered.door)  # its process follows what stands there
    return replace(ensure_service(quiet, service, _program(bay, service, there, entered.door)), through="tunnel")


def _problem(service: Service) -> str:
    """Say why the tunnel of a service is not connected; empty if it is."""
    try:
        return (service.folder / PROBLEM).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


def stand_afar(machine: FarMachine, name: str, kind: str) -> FarService:
    """Let a service stand there; one that does comes back."""
    return _STAND[kind](machine, name)


def _reserve(bay: Bay, far: FarInstance, kind: str, port: int | None, *, identity: str) -> Service:
    """Choose the port of ours, which it keeps for good unless another program has taken it meanwhile."""
    known = find_far_service(bay.home, far.fleet.name, kind, far.name)
    if known is not None and known.is_running:
        if port in (None, known.port):
            return replace(known, instance_id=identity)
        what = f"the {kind} of {far.name} stands on port {known.port}"
        raise Conflict(what, hint=f"end it with --stop, then start it with --port {port}")
    folder = service_place(bay.home, far.fleet.name, kind, far.name)
    others = [*list_services(bay.home), *list_far_services(bay.home)]
    taken = {item.port: item for item in others if item.folder != folder}
    if port in taken:
        raise Conflict(f"port {port} is that of the {taken[port].kind} of {taken[port].name}", hint="another --port")
    if port is None and known is not None and known.port not in taken and is_free(known.port):
        port = known.port
    return Service(
        kind=kind,
        name=far.name,
        folder=folder,
        port=port or choose_port(kind, taken),
        created_at=bay.clock.now(),
        instance=far.name,
        instance_id=identity,
    )


def _program(bay: Bay, service: Service, there: FarService, door: Door) -> Program:
    """Say how the tunnel is held: by a process that asks EC2 where the instance is, once it does not answer any more."""
    write_way(service, there, door)  # also read below: what is started gets the same
    way = {name: (service.folder / name).read_text(encoding="utf-8") for name in (TUNNEL, service.door.name)}
    return Program(
        transport=LocalTransport(
            environment={**bay.environ, "LAUNCHBAY_HOME": str(bay.home.root)}, folder=str(service.folder)
        ),
        python=sys.executable,
        # -P: nothing that lies in the folder can stand in for us
        argv=[sys.executable, "-P", "-m", "launchbay.cloud.keeper", str(service.folder), service.name, service.kind],
        variables={},
        files=way,
    )


def write_way(service: Service, there: FarService, door: Door) -> None:
    """Write down where the tunnel leads, and the page that signs in through it; what is right already stays."""
    wanted = Wanted(door=door, local_port=service.port, remote_port=there.port)
    path = service.folder / TUNNEL
    if not (path.exists() and read_tunnels(path) == [wanted]):
        write_tunnels(path, [wanted])
    write_atomic(service.door, page_text(there, service.port).encode(), private=True)


def end_far_service(bay: Bay, far: FarInstance, kind: str) -> Service:
    """End a notebook or a board on EC2, and the tunnel to it. Idempotent. Raises NotFound where there never was one.

    Where the instance does not answer, what stands there is left to end with it; the tunnel ends all the same.
    """
    service = find_far_service(bay.home, far.fleet.name, kind, far.name)
    if service is None:
        raise NotFound(f"{far.name} has no {kind}", hint=f"bay {kind} {far.name}")
    ended = replace(end_service(bay, service), through="tunnel")
    try:
        with _entered(bay, far) as entered:
            _END[kind](entered.machine, far.name)
    except LaunchbayError as error:
        bay.reporter.note(f"The tunnel is ended; whether the {kind} on {far.name} goes on is not known: {error.what}.")
    return ended


def end_services(bay: Bay, fars: Sequence[FarInstance]) -> int:
    """End the tunnels to instances and forget them, as before these are terminated; return how many stood.

    Asks nobody: what is over there ends with its instance.
    """
    names, count = {far.name for far in fars}, 0
    for service in list(list_far_services(bay.home)):
        if service.name in names:
            count += service.is_running
            end_service(bay, service)
            remove_tree(service.folder)
    return count
