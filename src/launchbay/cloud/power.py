"""Stop, start and reboot instances on EC2, and move the end of their lease. What runs in them ends; their disks stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from launchbay.cloud.fleet import CloudFleet, door_of
from launchbay.cloud.money import note_lives
from launchbay.cloud.reach import ports_of
from launchbay.cloud.standing import AT_ONCE, FarInstance, observe_fleets
from launchbay.errors import Conflict, NotFound
from launchbay.files import locked
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.cloud import open_cloud
from launchbay.ports import Event
from launchbay.providers.ec2 import power
from launchbay.providers.ec2.instances import Row, watch
from launchbay.store.journal import open_journal
from launchbay.transport.waiting import wait_for_ssh
from launchbay.units import format_usd

__all__ = ["CloudPower", "change_cloud_power", "usd_per_day"]

_POLL_S = 5.0
_PATIENCE_S = 600.0
_DO = {"stop": power.stop, "start": power.start, "reboot": power.reboot}
_STATE = {"stop": "stopped", "start": "running", "reboot": "running"}
_DAY_H = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudPower:
    """What was stopped, started or rebooted; `changed` is false where all of it was so already.

    `usd_per_day` is what these instances cost a day in the state that they are in now: stopped ones pay for their disks. None
    is unknown: so are the processes that ended, which EC2 does not see, and `still_costs`, which is only known in sum.
    """

    verb: str
    names: Sequence[str]
    state: str
    changed: bool
    provider: str
    usd_per_day: str | None
    processes_ended: int | None = None
    still_costs: Sequence[Mapping[str, Any]] | None = None


def change_cloud_power(bay: Bay, verb: str, fars: Sequence[FarInstance]) -> CloudPower:
    """Stop, start or reboot instances of a fleet, and wait until they are, and answer. Idempotent.

    Raises NotFound where one is gone, Conflict where one is between two states or another command is at the fleet.
    """
    fleet = fars[0].fleet
    with (
        locked(bay.home.lock(f"fleet-{fleet.name}"), wait=False) as free,
        open_journal(bay.home.journal, bay.clock, bay.reporter.note, frees=verb == "stop") as journal,
    ):
        if not free:
            raise Conflict(f"another command is launching or changing {fleet.name!r} right now", hint="wait for it")
        rows = _meant(bay, fars)
        wanted = {name: row for name, row in rows.items() if verb == "reboot" or row.state != _STATE[verb]}
        if wanted:
            client = open_cloud(bay, fleet.provider, fleet.region)
            ids = [row.id for row in wanted.values()]
            operation = journal.begin(f"{verb} on EC2", fleet.name, {"names": list(wanted)})
            with journal.step(operation, verb, ids=ids):
                _DO[verb](client, ids, clock=bay.clock)
                watch(client, ids, _STATE[verb], clock=bay.clock, poll_s=_POLL_S, timeout_s=_PATIENCE_S)
            rows = {**observe_fleets(bay, [fleet])}
            note_lives(bay.home, fleet, rows, client.now.timestamp())
            if verb != "stop":
                _wait(bay, fleet, {name: rows[name] for name in wanted if name in rows})
            journal.end(operation, "done")
    return CloudPower(
        verb=verb,
        names=[far.name for far in fars],
        state=_STATE[verb],
        changed=bool(wanted),
        provider=fleet.provider,
        usd_per_day=usd_per_day(fleet, len(fars), _STATE[verb]),
    )


def _meant(bay: Bay, fars: Sequence[FarInstance]) -> Mapping[str, Row]:
    rows = observe_fleets(bay, [fars[0].fleet])
    gone = [far.name for far in fars if far.name not in rows]
    if gone:
        raise NotFound(f"{gone[0]} is gone: EC2 has it no more", where=fars[0].fleet.region, hint="bay ps")
    moving = next((far.name for far in fars if rows[far.name].state in ("pending", "stopping")), "")
    if moving:
        raise Conflict(f"{moving} is {rows[moving].state}", hint="the same command again in a minute")
    return {far.name: rows[far.name] for far in fars}


def _wait(bay: Bay, fleet: CloudFleet, rows: Mapping[str, Row]) -> None:
    """Wait until instances let us in: the next command would otherwise be the one to wait."""
    port_of = ports_of(bay, fleet)
    task = f"reach {fleet.name}"

    def one(row: Row) -> None:
        door = door_of(bay.home, fleet, row, port_of(row))
        wait_for_ssh(door, timeout_s=_PATIENCE_S)

    bay.reporter.event(Event(task=task, total=len(rows), unit="instances"))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done, _ in enumerate(pool.map(one, rows.values()), start=1):
            bay.reporter.event(
                Event(task=task, done=done, total=len(rows), unit="instances", finished=done == len(rows))
            )


def usd_per_day(fleet: CloudFleet, count: int, state: str) -> str | None:
    """Return what so many instances of a fleet cost a day in a state, with two decimals; None where that is unknown."""
    rates = [fleet.disk_usd_per_hour, *([fleet.usd_per_hour] if state == "running" else [])]
    known = [Decimal(rate) for rate in rates if rate is not None]
    return format_usd(sum(known, Decimal(0)) * count * _DAY_H) if len(known) == len(rates) else None
