"""Which instances on EC2 a name means, how they stand, and the machines that they are.

What is kept here says where to look and how to get in; whether something stands is what EC2 says.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from launchbay.afar.bundle import find_bundle
from launchbay.afar.machine import FarMachine
from launchbay.afar.origin import as_here
from launchbay.cloud.fleet import CloudFleet, door_of, find_fleet, list_fleets
from launchbay.cloud.reach import ports_of
from launchbay.errors import Conflict, NotFound, UsageError
from launchbay.images.uv import find_uv
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.cloud import open_cloud
from launchbay.providers.ec2.client import Client
from launchbay.providers.ec2.instances import Row, list_ended, list_ours
from launchbay.providers.ec2.tags import FLEET_TAG
from launchbay.spec.names import instance_names
from launchbay.transport.ssh import SshTransport

__all__ = [
    "AT_ONCE",
    "CONNECT_S",
    "FarInstance",
    "InstanceGone",
    "find_far",
    "find_one_far",
    "machine_of",
    "name_of",
    "observe_fleets",
    "open_machine",
    "open_machines",
    "open_transport",
    "rows_by_name",
]

T = TypeVar("T")

AT_ONCE = 8
"""How many instances are talked to at a time."""


CONNECT_S = 20.0
"""How long an instance is waited for that does not answer."""
_REASONS = {
    "Server.SpotInstanceTermination": "EC2 took it back (a spot interruption)",
    "Server.SpotInstanceShutdown": "EC2 took it back (a spot interruption)",
    "Client.UserInitiatedShutdown": "somebody terminated it",
    "Client.InstanceInitiatedShutdown": "it was shut down from within",
    "Server.InternalError": "EC2 had an error of its own",
}


class InstanceGone(NotFound):
    """An instance stands no more. `machine_id` is its id where EC2 shows that it ended; empty where it shows nothing of it."""

    def __init__(self, what: str, *, where: str = "", hint: str = "", machine_id: str = "") -> None:
        super().__init__(what, where=where, hint=hint)
        self.machine_id = machine_id


@dataclass(frozen=True, slots=True, kw_only=True)
class FarInstance:
    """An instance of a fleet on EC2, by its name. It need not stand any more."""

    fleet: CloudFleet
    name: str


def name_of(row: Row) -> str:
    """Return what an instance of ours is called: its fleet's name and its place in it, from 1 on."""
    return f"{row.tags.get(FLEET_TAG, row.id)}-{row.index + 1}"


def find_far(bay: Bay, name: str) -> Sequence[FarInstance]:
    """Return the instances on EC2 that a name means, a fleet's all or one; none where no such fleet was launched from here.

    Asks nobody: a look at what is kept of fleets.
    """
    if not bay.home.cloud.is_dir():
        return ()
    fleet = find_fleet(bay.home, name) if os.sep not in name else None
    if fleet is not None:
        return tuple(FarInstance(fleet=fleet, name=item) for item in instance_names(fleet.name, fleet.count))
    stem, dash, index = name.rpartition("-")
    fleet = find_fleet(bay.home, stem) if dash and index.isdecimal() and os.sep not in stem else None
    if fleet is None or name not in instance_names(fleet.name, fleet.count):
        return ()
    return (FarInstance(fleet=fleet, name=name),)


def find_one_far(bay: Bay, name: str) -> FarInstance | None:
    """Return the one instance on EC2 that a name means, None for none. Raises UsageError where it means several."""
    found = find_far(bay, name)
    if len(found) > 1:
        hint = f"one of them: {found[0].name} {'or' if len(found) == 2 else 'to'} {found[-1].name}"
        raise UsageError(f"{name} is a fleet of {len(found)} instances, and one is needed", hint=hint)
    return found[0] if found else None


def observe_fleets(bay: Bay, fleets: Sequence[CloudFleet] | None = None) -> Mapping[str, Row]:
    """Return how the instances of fleets stand, by name, as EC2 says; of all that were launched from here by default.

    One question for each provider and region. One that is gone is not among them, nor one that is ending.
    """
    wanted = list_fleets(bay.home) if fleets is None else fleets
    found: dict[str, Row] = {}
    for provider, region in dict.fromkeys((fleet.provider, fleet.region) for fleet in wanted):
        here = [fleet.name for fleet in wanted if (fleet.provider, fleet.region) == (provider, region)]
        found |= rows_by_name(open_cloud(bay, provider, region), here)
    return found


def rows_by_name(client: Client, fleets: Sequence[str]) -> Mapping[str, Row]:
    """Return what stands of fleets in a region, by name, in order; what is ending is not among it. One question."""
    rows = list_ours(client, fleet=fleets[0] if len(fleets) == 1 else "")
    mine = [row for row in rows if row.tags.get(FLEET_TAG) in fleets and row.state != "shutting-down"]
    return {name_of(row): row for row in sorted(mine, key=lambda row: (row.tags[FLEET_TAG], row.index))}


def open_transport(
    bay: Bay,
    far: FarInstance,
    *,
    row: Row | None = None,
    port: int | None = None,
    folder: str = "",
    connect_timeout: float = CONNECT_S,
) -> SshTransport:
    """Return the way into an instance as its login user.

    Raises InstanceGone where it stands no more, Conflict where it is not running.

    `row` is how it stands and `port` where SSH listens on it, where that is known already; else EC2 is asked.
    """
    row = row or observe_fleets(bay, [far.fleet]).get(far.name)
    if row is None:
        raise _gone(bay, far)
    if row.state != "running":
        raise Conflict(f"{far.name} is {row.state}", hint=f"bay start {far.name}")
    port = ports_of(bay, far.fleet)(row) if port is None else port
    door = door_of(bay.home, far.fleet, row, port)
    return SshTransport(
        door=door, variables={}, folder=folder or f"/home/{far.fleet.login}", connect_timeout=connect_timeout
    )


def _gone(bay: Bay, far: FarInstance) -> InstanceGone:
    """Return what to say of an instance that stands no more; EC2 tells why for about an hour."""
    hint = f"bay ps; or `bay terminate {far.fleet.name}` and launch it again"
    where = far.fleet.region
    client = open_cloud(bay, far.fleet.provider, far.fleet.region)
    ended = [row for row in list_ended(client, far.fleet.name) if name_of(row) == far.name]
    if not ended:
        what = f"{far.name} is gone: EC2 has it no more, or does not show it to these credentials"
        return InstanceGone(what, where=where, hint=hint)
    last = max(ended, key=lambda row: row.started)
    why = _REASONS.get(last.reason, last.reason or "EC2 does not say why")
    return InstanceGone(f"{far.name} is gone: {why}", where=where, hint=hint, machine_id=last.id)


def each_transport(bay: Bay, fars: Sequence[FarInstance], do: Callable[[SshTransport], T]) -> Mapping[str, T]:
    """Do something on several instances of a fleet, some at a time; return what came of it, by name, in order.

    One question to EC2 for all of them. Raises what the first one raised that failed, and as `open_transport`.
    """
    rows = observe_fleets(bay, list(dict.fromkeys(far.fleet for far in fars)))
    port_of = ports_of(bay, fars[0].fleet)

    def one(far: FarInstance) -> T:
        row = rows.get(far.name)
        transport = open_transport(bay, far, row=row, port=port_of(row) if row is not None else None)
        try:
            return do(transport)
        finally:
            transport.close()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip((far.name for far in fars), pool.map(one, fars), strict=True))


def machine_of(far: FarInstance, transport: SshTransport) -> FarMachine:
    """Return the machine that a transport leads to, as Launchbay's home on it is laid out."""
    uv = str(Path(find_uv()).resolve()) if far.fleet.provider == "twin" else ""
    return FarMachine(transport=transport, home=f"/home/{far.fleet.login}/.launchbay", name=far.name, uv=uv)


@contextmanager
def open_machine(bay: Bay, far: FarInstance) -> Iterator[FarMachine]:
    """Lend an instance as a machine with this Launchbay on it, and let go of the way in afterwards.

    What goes wrong meanwhile names it as it is called here: there it is the first of a fleet of its own.
    """
    with open_machines(bay, [far]) as machines, as_here({f"{far.name}-1": far.name}):
        yield machines[far.name]


@contextmanager
def open_machines(bay: Bay, fars: Sequence[FarInstance]) -> Iterator[Mapping[str, FarMachine]]:
    """Lend several instances of a fleet as machines, by name, in order; one question to EC2 for all of them."""
    rows = observe_fleets(bay, list(dict.fromkeys(far.fleet for far in fars)))
    port_of = ports_of(bay, fars[0].fleet) if fars else None
    bundle = find_bundle(bay.home)
    transports: list[SshTransport] = []

    def one(far: FarInstance) -> FarMachine:
        row = rows.get(far.name)
        port = port_of(row) if port_of is not None and row is not None else None
        transport = open_transport(bay, far, row=row, port=port)
        transports.append(transport)
        return machine_of(far, transport).install(bundle)

    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            yield dict(zip((far.name for far in fars), pool.map(one, fars), strict=True))
    finally:
        for transport in transports:
            transport.close()
