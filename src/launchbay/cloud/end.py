"""End a fleet on EC2, or some of it: instances, disks, addresses, and what was made for it alone. Nothing that costs is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from launchbay.catalog.items import GP3
from launchbay.catalog.price import SidePrice
from launchbay.cloud.fleet import LAUNCH_VERB, CloudFleet, find_fleet, forget_fleet, list_fleets
from launchbay.cloud.money import MONTH_HOURS, Life, cost_of, note_lives
from launchbay.cloud.services import end_services
from launchbay.cloud.standing import FarInstance, find_far, rows_by_name
from launchbay.cloud.store import fleet_stay, side_prices
from launchbay.cloud.training import bring_runs, running_runs, stop_far
from launchbay.errors import Conflict, LaunchbayError, StateError
from launchbay.files import locked
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.climb import end_climb
from launchbay.lifecycle.cloud import open_cloud
from launchbay.lifecycle.twin import find_twin
from launchbay.planning.store import Stay
from launchbay.ports import Event
from launchbay.providers.ec2.client import Client
from launchbay.providers.ec2.groups import list_made, remove_group, remove_key
from launchbay.providers.ec2.instances import Row, terminate, watch
from launchbay.providers.ec2.placement import remove_placement
from launchbay.providers.ec2.tags import made_for
from launchbay.spec.names import instance_names
from launchbay.store.journal import Journal, Operation, open_journal
from launchbay.store.spent import Spent, add_up
from launchbay.units import format_usd

__all__ = ["CloudEndPlan", "CloudEnded", "end_cloud", "end_launch", "forget_twin", "plan_end_cloud"]

_VERB = "end on EC2"
_POLL_S = 5.0
_PATIENCE_S = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudEndPlan:
    """What ending a name would do: `rows` are the instances that go, by name; `is_whole` says that nothing of the fleet stays.

    `fleet` is what is kept of it here, None where that is nothing: another machine launched it, or a launch was cut off.
    `running` are the runs that go on in them, as far as is known here: they are stopped first, and brought home. `is_anyones`
    says that where it stands was said: then all of that name goes, whoever launched it, and `made` is what was made for it
    beside instances. Else only what was launched from here goes.
    """

    name: str
    fleet_name: str
    provider: str
    region: str
    rows: Mapping[str, Row] = field(repr=False)
    is_whole: bool
    fleet: CloudFleet | None = None
    running: Sequence[str] = ()
    is_anyones: bool = False
    made: Sequence[str] = ()

    @property
    def names(self) -> Sequence[str]:
        """The instances that go."""
        return list(self.rows)

    @property
    def needs_consent(self) -> bool:
        """Say whether anything goes with it."""
        return bool(self.rows or self.made)


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudEnded:
    """What was ended: names of instances, and what of it still costs (volumes that were to be kept), with dollars a day.

    `cost_so_far` is what the fleet cost since its launch, at the prices of its launch; None unknown. `store` is what stays in
    the store when all of it ended, None where that is nothing or could not be asked. The processes that ended, what each
    instance took and what the same had cost elsewhere are None: nobody counts them on EC2. `made` is what was there of a fleet
    without instances, and is removed.
    """

    verb: str
    names: Sequence[str]
    fleet: str
    provider: str
    region: str
    state: str = "terminated"
    changed: bool = True
    still_costs: Sequence[Mapping[str, Any]] = ()
    usd_per_day: str | None = "0.00"
    cost_so_far: str | None = None
    processes_ended: int | None = None
    spent: Sequence[Spent] | None = None
    cost_elsewhere: str | None = None
    store: Stay | None = None
    is_whole: bool = True
    made: Sequence[str] = ()


def plan_end_cloud(bay: Bay, name: str, *, provider: str = "", region: str = "") -> CloudEndPlan | None:
    """Return what ending a fleet on EC2, or an instance of one, would do; None where the name means nothing there.

    With `provider` and `region`, what stands there by that name is meant, also where it was launched from another machine.
    """
    try:
        fars = find_far(bay, name)
    except StateError:
        if not provider:
            raise
        fars = ()  # what is kept of it cannot be read: what its tags say is enough to end it
    if fars:
        fleet = fars[0].fleet
        rows = rows_by_name(open_cloud(bay, fleet.provider, fleet.region), [fleet.name])
        meant = {far.name: rows[far.name] for far in fars if far.name in rows}
        is_whole = name == fleet.name or set(rows) <= set(meant)
        return CloudEndPlan(
            name=name,
            fleet_name=fleet.name,
            provider=fleet.provider,
            region=fleet.region,
            rows=meant,
            is_whole=is_whole,
            fleet=fleet,
            running=[run.id for run in running_runs(bay, fleet) if run.instance in meant],
            is_anyones=bool(provider),
        )
    with open_journal(bay.home.journal, bay.clock, bay.reporter.note, frees=True) as journal:
        last = journal.last(
            LAUNCH_VERB, name
        )  # cut off before anything was kept of it, or ended: disks of it may be left
    is_anyones = bool(provider)
    if last is not None and not provider:
        provider, region = str(last.wish["provider"]), str(last.wish["region"])
    if not provider or (provider == "twin" and last is not None and find_twin(bay.home) is None):
        return None if last is None else _nothing(name)
    client = open_cloud(bay, provider, region)
    rows = rows_by_name(client, [name])
    made = list_made(client, name) if is_anyones and not rows else ()
    if not rows and not made and last is None and not _still(client, name, {}):
        return None
    return CloudEndPlan(
        name=name,
        fleet_name=name,
        provider=provider,
        region=region,
        rows=rows,
        is_whole=True,
        is_anyones=is_anyones,
        made=made,
    )


def _nothing(name: str) -> CloudEndPlan:
    return CloudEndPlan(name=name, fleet_name=name, provider="", region="", rows={}, is_whole=True)


def end_cloud(bay: Bay, plan: CloudEndPlan) -> CloudEnded:
    """End what was planned, and wait until it is gone. Idempotent: one that is gone already is fine.

    Raises Conflict where another command is at the fleet, or where other instances stand than the plan has seen.
    """
    name = plan.fleet_name
    if plan.fleet is not None and plan.rows:
        _bring_home(bay, plan.fleet, plan.rows)
    ended = CloudEnded(
        verb="terminate", names=list(plan.rows), fleet=name, provider=plan.provider, region=plan.region, changed=False
    )
    with (
        locked(bay.home.lock(f"fleet-{name}"), wait=False) as free,
        open_journal(bay.home.journal, bay.clock, bay.reporter.note, frees=True) as journal,
    ):
        if not free:
            raise Conflict(f"another command is launching or changing {name!r} right now", hint="wait for it")
        if not plan.provider:
            return ended
        client = open_cloud(bay, plan.provider, plan.region)
        if plan.fleet is not None and find_fleet(bay.home, name) != plan.fleet:
            raise Conflict(f"{name!r} changed since the plan was shown", hint="the same command again")
        new = set(rows_by_name(client, [name])) - set(plan.rows) if plan.is_whole else set()
        if new:
            raise Conflict(f"{min(new)} stands since the plan was shown", hint="the same command again")
        operation = journal.begin(
            _VERB, name, {"names": list(plan.rows), "ids": [row.id for row in plan.rows.values()]}
        )
        cut_off = journal.unfinished(LAUNCH_VERB, name) if plan.is_whole else ()
        for launch in cut_off:  # what it asked for may come up without being shown yet
            end_climb(client, journal, launch, clock=bay.clock)
        lives = _end(bay, client, journal, operation, plan)
        side = side_prices(bay, plan.region) if plan.is_whole else {}
        still = _still(client, name, side) if plan.is_whole else ()
        cost = _cost(plan.fleet, lives, client)
        journal.end(operation, "done")
        if plan.is_whole:
            for open_one in (*cut_off, *journal.unfinished(_VERB, name)):
                journal.end(open_one, "terminated")
    return CloudEnded(
        verb="terminate",
        names=list(plan.rows),
        fleet=name,
        provider=plan.provider,
        region=plan.region,
        changed=bool(plan.rows or plan.made),
        still_costs=still,
        usd_per_day=_usd_per_day(still, side),
        cost_so_far=cost,
        store=_stay(bay, client, name) if plan.is_whole else None,
        is_whole=plan.is_whole,
        made=plan.made,
    )


def _stay(bay: Bay, client: Client, fleet: str) -> Stay | None:
    """Return what stays in the store. Nobody is told of a store that cannot be asked: the fleet has ended all the same."""
    try:
        stay = fleet_stay(bay, client, fleet)
    except LaunchbayError:
        return None
    return stay if stay is not None and stay.objects else None


def _bring_home(bay: Bay, fleet: CloudFleet, rows: Mapping[str, Row]) -> None:
    """Stop the runs in instances that go, bring home what runs made there, and end the tunnels to them.

    Nobody is kept from ending what costs: what cannot be brought is said.
    """
    try:
        bring_runs(bay, fleet)
    except LaunchbayError as error:
        bay.reporter.note(f"What runs of {fleet.name} made could not be brought: {error}")
    for run in running_runs(bay, fleet):
        if run.instance in rows:
            try:
                stop_far(bay, run)
            except LaunchbayError as error:
                bay.reporter.note(f"{run.id} could not be stopped and brought: {error}")
    end_services(bay, [FarInstance(fleet=fleet, name=name) for name in rows])


def _end(bay: Bay, client: Client, journal: Journal, operation: Operation, plan: CloudEndPlan) -> Sequence[Life]:
    rows, name = plan.rows, plan.fleet_name
    with journal.step(operation, "terminate", ids=[row.id for row in rows.values()]):
        gone = _terminate(bay, client, name, [row.id for row in rows.values()])
    lives: Sequence[Life] = ()
    if plan.fleet is not None:
        # terminated ones are read once more: only then EC2 says when each ended
        seen = {name: gone.get(row.id, row) for name, row in rows.items()}
        staying = {} if plan.is_whole else rows_by_name(client, [name])
        lives = note_lives(bay.home, plan.fleet, {**staying, **seen}, client.now.timestamp())
    if plan.is_whole:
        with journal.step(operation, "remove") as result:
            launches = {""} if plan.is_anyones else _launches(journal, plan)
            result["removed"] = [
                item for launch in sorted(launches) for item in _remove(bay, client, name, launch=launch)
            ]
        forget_fleet(bay.home, name)
    return lives


def _launches(journal: Journal, plan: CloudEndPlan) -> set[str]:
    """Return the launches from here that may have made something which is still there: any before the last was undone."""
    last = journal.last(LAUNCH_VERB, plan.fleet_name)
    known = [operation.id for operation in (last, *journal.unfinished(LAUNCH_VERB, plan.fleet_name)) if operation]
    return {*known, *([plan.fleet.launch] if plan.fleet is not None else [])}


def _remove(bay: Bay, client: Client, name: str, *, launch: str) -> list[str]:
    """Remove what was made for a fleet alone, by this launch, or by any where it is empty; return what that was."""
    groups = remove_group(client, name, launch=launch, clock=bay.clock)
    remove_key(client, name, launch=launch, clock=bay.clock)
    return [*groups, *remove_placement(client, name, launch=launch, clock=bay.clock)]


def _terminate(bay: Bay, client: Client, name: str, ids: Sequence[str]) -> Mapping[str, Row]:
    """Terminate instances and wait until they are; return how EC2 describes them then, by id, as far as it still does."""
    if not ids:
        return {}
    task = Event(task=f"terminate {name}", total=len(ids), unit="instances")

    def tell(done: int) -> None:
        bay.reporter.event(
            Event(task=task.task, done=done, total=len(ids), unit="instances", finished=done == len(ids))
        )

    terminate(client, ids, clock=bay.clock)
    seen = watch(client, ids, "terminated", clock=bay.clock, poll_s=_POLL_S, timeout_s=_PATIENCE_S, tell=tell)
    return {row.id: row for row in seen.rows}


def _cost(fleet: CloudFleet | None, lives: Sequence[Life], client: Client) -> str | None:
    if fleet is None:
        return None
    now = client.now.timestamp()
    return add_up(cost_of(fleet, life, now) for life in lives)


def _still(client: Client, fleet: str, side: Mapping[str, SidePrice]) -> Sequence[Mapping[str, Any]]:
    """Return the disks of a fleet that outlived it: those that were to be kept. Their price is None where it is not known."""
    filters = [*made_for(fleet), {"Name": "status", "Values": ["available"]}]
    rows = client.pages("describe_volumes", "Volumes", Filters=filters)
    price = side.get(GP3)
    return tuple(
        {
            "kind": "volume",
            "id": row["VolumeId"],
            "gib": int(row["Size"]),
            "usd_per_month": None if price is None else format_usd(price.usd * int(row["Size"])),
        }
        for row in rows
    )


def _usd_per_day(still: Sequence[Mapping[str, Any]], side: Mapping[str, SidePrice]) -> str | None:
    """Return what disks cost a day from their exact price, whose cents are not rounded by the month; None where it is unknown."""
    if not still:
        return "0.00"
    price = side.get(GP3)
    return None if price is None else format_usd(price.usd * sum(row["gib"] for row in still) * 24 / MONTH_HOURS)


def end_launch(bay: Bay, client: Client, journal: Journal, operation: Operation) -> None:
    """End what one launch made: instances, and what was made for its fleet if none of the fleet stands. Idempotent.

    Waits for instances that EC2 does not show yet where the journal has no proof that there are none.
    """
    name = operation.subject
    end_climb(client, journal, operation, clock=bay.clock)
    if not rows_by_name(client, [name]):
        with journal.step(operation, "remove") as result:
            result["removed"] = _remove(bay, client, name, launch=operation.id)
        forget_fleet(bay.home, name)


def forget_twin(bay: Bay) -> Sequence[str]:
    """Forget the fleets that stood in a twin that is gone, with their tunnels and what was begun of them; return their names."""
    fleets = [fleet for fleet in list_fleets(bay.home) if fleet.provider == "twin"]
    for fleet in fleets:
        end_services(bay, [FarInstance(fleet=fleet, name=name) for name in instance_names(fleet.name, fleet.count)])
        forget_fleet(bay.home, fleet.name)
    with open_journal(bay.home.journal, bay.clock, bay.reporter.note, frees=True) as journal:
        for operation in journal.unfinished(LAUNCH_VERB):
            if operation.wish.get("provider") == "twin":
                journal.end(operation, "terminated")
    return [fleet.name for fleet in fleets]
