"""What stands on EC2 of the fleets that were launched from here, and what it has cost. Says so where nobody could be asked."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from launchbay.cloud.fleet import LAUNCH_VERB, CloudFleet, damaged_fleets, list_fleets
from launchbay.cloud.money import Life, cost_of, note_lives
from launchbay.cloud.standing import rows_by_name
from launchbay.errors import LaunchbayError
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.cloud import open_cloud
from launchbay.lifecycle.twin import find_twin
from launchbay.providers.ec2.instances import Row
from launchbay.providers.ec2.tags import FLEET_TAG
from launchbay.spec.names import instance_names
from launchbay.store.journal import open_journal
from launchbay.units import count_of

__all__ = ["CloudStanding", "list_cloud"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudStanding:
    """An instance on EC2 as it stands. `state` is ``unknown`` where EC2 could not be asked; `row` is None then.

    `age_s` is how long ago its fleet was launched by the cloud's own clock, `usd` what it has cost so far, `fleet_usd` its whole
    fleet, those of it included that are gone; None is unknown.
    """

    name: str
    fleet: CloudFleet
    state: str
    row: Row | None = None
    age_s: float | None = None
    usd: Decimal | None = None
    fleet_usd: Decimal | None = None


def list_cloud(bay: Bay) -> Sequence[CloudStanding]:
    """List the instances of all fleets that were launched from here; note what is gone. Starts nothing."""
    found: list[CloudStanding] = []
    fleets = list_fleets(bay.home)
    _note_unlisted(bay, {fleet.name for fleet in fleets})
    has_twin = find_twin(bay.home) is not None if any(fleet.provider == "twin" for fleet in fleets) else False
    for place in dict.fromkeys((fleet.provider, fleet.region) for fleet in fleets):
        here = [fleet for fleet in fleets if (fleet.provider, fleet.region) == place]
        names = ", ".join(fleet.name for fleet in here)
        if place[0] == "twin" and not has_twin:
            bay.reporter.note(f"{names}: the twin is stopped, and costs nothing meanwhile; `bay twin start`.")
        else:
            try:
                found += _observed(bay, here)
                continue
            except LaunchbayError as error:
                bay.reporter.note(f"{names} on {place[0]} in {place[1]} may stand, and cost: {error}")
        found += [
            CloudStanding(name=name, fleet=fleet, state="unknown")
            for fleet in here
            for name in instance_names(fleet.name, fleet.count)
        ]
    return found


def _note_unlisted(bay: Bay, known: Collection[str]) -> None:
    """Note what may stand and cost, and is not among what is kept here."""
    for name in damaged_fleets(bay.home):
        end = f"bay terminate {name} --provider ec2 --region R"
        bay.reporter.note(f"{name} may stand, and cost: what is kept of it is damaged (`{end}`).")
    with open_journal(bay.home.journal, bay.clock, bay.reporter.note) as journal:
        cut_off = [operation for operation in journal.unfinished(LAUNCH_VERB) if operation.subject not in known]
    for operation in cut_off:
        where = f"{operation.wish['provider']} in {operation.wish['region']}"
        what = f"a launch of {operation.subject} on {where} was cut off, or goes on, and may cost"
        bay.reporter.note(f"{what}: the same command again, or `bay terminate {operation.subject}`.")


def _observed(bay: Bay, fleets: Sequence[CloudFleet]) -> Iterator[CloudStanding]:
    client = open_cloud(bay, fleets[0].provider, fleets[0].region)
    rows = rows_by_name(client, [fleet.name for fleet in fleets])
    now = client.now.timestamp()
    for fleet in fleets:
        mine = {name: row for name, row in rows.items() if row.tags.get(FLEET_TAG) == fleet.name}
        lives = note_lives(bay.home, fleet, mine, now)
        costs = [cost_of(fleet, life, now) for life in lives]
        known = [usd for usd in costs if usd is not None]
        total = sum(known, Decimal(0)) if len(known) == len(costs) else None
        lacking = fleet.count - len(mine)
        if lacking:
            gone = f"{count_of(lacking, 'instance')} of {fleet.count} gone"
            bay.reporter.note(f"{fleet.name}: {gone}; `bay terminate {fleet.name}` ends the rest.")
        for name, row in mine.items():
            yield CloudStanding(
                name=name,
                fleet=fleet,
                state=row.state,
                row=row,
                age_s=now - fleet.created_at,
                usd=_cost(fleet, lives, row, now),
                fleet_usd=total,
            )


def _cost(fleet: CloudFleet, lives: Sequence[Life], row: Row, now: float) -> Decimal | None:
    return next((cost_of(fleet, life, now) for life in lives if life.id == row.id), None)
