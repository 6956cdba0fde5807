"""Launch a fleet on EC2: all N, identical, or none. Killed at any instant, the same command again ends in the same place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from launchbay.afar.compare import Comparison, compare_machines
from launchbay.afar.machine import FarMachine
from launchbay.afar.prepare import Prepared, prepare
from launchbay.cloud.boot import boot_script
from launchbay.cloud.fleet import CloudFleet, forget_fleet, keep_fleet, keys_of
from launchbay.cloud.plan import CloudPlan
from launchbay.cloud.reach import Reached, enter, ports_of
from launchbay.errors import Conflict, LaunchbayError, UserError
from launchbay.files import locked
from launchbay.images.uv import find_uv
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.climb import Ascent, Climb, climb
from launchbay.lifecycle.cloud import open_cloud
from launchbay.lifecycle.launch import Stopwatch
from launchbay.planning.cloudwish import CloudWish
from launchbay.planning.controls import check_controls, failed
from launchbay.planning.request import build_request
from launchbay.ports import Event
from launchbay.providers.ec2.client import Client
from launchbay.providers.ec2.groups import default_vpc, ensure_group, ensure_key, find_groups, remove_group, remove_key
from launchbay.providers.ec2.instances import OURS, Row, list_ours, terminate, watch
from launchbay.spec.names import instance_names
from launchbay.store.journal import Journal, Operation, open_journal
from launchbay.transport.keypair import KeyPair

__all__ = ["CloudLaunch", "end_cloud", "launch_cloud"]

_VERB = "launch on EC2"
_AT_ONCE = 8
_POLL_S = 5.0
_PATIENCE_S = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudLaunch:
    """What a launch brought: the instances in their order by name, what proves them, and seconds by stage."""

    fleet: CloudFleet
    climb: Climb
    prepared: Mapping[str, Prepared]
    proof: Comparison
    clock: Mapping[str, float | None]


def launch_cloud(bay: Bay, plan: CloudPlan) -> CloudLaunch:
    """Launch what was planned, up to ready: fingerprints taken on each and compared. Idempotent by the fleet's name.

    Raises Conflict where another command is at the fleet or the name means something else, UserError where EC2 or an instance
    refuses; what this call launched is ended then.
    """
    name = plan.asked.fleet
    with (
        locked(bay.home.lock(f"fleet-{name}"), wait=False) as free,
        open_journal(bay.home.journal, bay.clock, bay.reporter.note) as journal,
    ):
        if not free:
            raise Conflict(f"another command is launching or changing {name!r} right now", hint="wait for it")
        client = open_cloud(bay, plan.asked.provider, plan.asked.region)
        return _Launching(bay, client, journal, plan, Stopwatch()).go()


@dataclass(frozen=True, slots=True)
class _Launching:
    bay: Bay
    client: Client
    journal: Journal
    plan: CloudPlan
    watch: Stopwatch

    def go(self) -> CloudLaunch:
        operation = self._operation()
        try:
            launched = self._launch(operation)
        except BaseException:
            self._undo(operation)
            raise
        self.journal.end(operation, "done")
        return launched

    def _launch(self, operation: Operation) -> CloudLaunch:
        name, count = self.plan.asked.fleet, self.plan.asked.count
        own, host_key = keys_of(self.bay.home, name)
        wish = self._complete(own.public, host_key)
        self.watch.lap("plan")
        ascent = Ascent(fleet=name, wish=wish, rungs=self.plan.rungs, tell=self.bay.reporter.note)
        found = climb(self.client, self.journal, operation, ascent, clock=self.bay.clock)
        self.watch.lap("running")
        fleet = self._keep(found)
        names = instance_names(name, count)
        rows = dict(zip(names, sorted(found.rows, key=lambda row: row.index), strict=True))
        reached = self._enter(fleet, rows, host_key.public)
        self.watch.lap("reached")
        prepared = self._prepare(reached)
        self.watch.lap("ready")
        declared = names if self.plan.asked.provider == "twin" else ()
        proof = compare_machines({key: item.verification for key, item in prepared.items()}, declared=declared)
        if not proof.identical:
            odd = next(item for item in proof.differences if item.kind != "gpu")
            raise LaunchbayError(f"the new instances are not identical: {odd.instance}: {odd.what}")
        return CloudLaunch(fleet=fleet, climb=found, prepared=prepared, proof=proof, clock=self.watch.laps)

    def _complete(self, public_key: str, host_key: KeyPair) -> CloudWish:
        """Return the wish with the fleet's own group, key and boot script, held against the controls before it is asked."""
        name = self.plan.asked.fleet
        group = ensure_group(self.client, name, default_vpc(self.client), self.plan.networks)
        wish = replace(
            self.plan.wish,
            groups=(group,),
            key_name=ensure_key(self.client, name, public_key),
            user_data=boot_script(host_key),
            tags={OURS[0]: OURS[1], "Name": name, "launchbay:fleet": name, "launchbay:digest": self.plan.cargo.digest},
        )
        groups = find_groups(self.client, name)
        wrong = failed(check_controls(build_request(wish), groups, replaced=[host_key.private.strip()]))
        if wrong:
            raise UserError(f"the launch would break {wrong[0].control}: {wrong[0].sentence}", where=name)
        return wish

    def _operation(self) -> Operation:
        """Go on with the launch of this name that was cut off, or begin one. Raises Conflict where the name is taken."""
        asked = self.plan.asked
        meant = {"count": asked.count, "digest": self.plan.cargo.digest, "type": asked.type, "provider": asked.provider}
        for operation in self.journal.unfinished(_VERB, asked.fleet):
            if dict(operation.wish) == meant:
                return operation
            hint = f"launch it again the same way, or `bay terminate {asked.fleet}`"
            raise Conflict(f"a launch of {asked.fleet!r} as something else was cut off", hint=hint)
        if list_ours(self.client, fleet=asked.fleet):
            hint = f"another --name, or `bay terminate {asked.fleet}` first"
            raise Conflict(f"the name {asked.fleet!r} is taken by a fleet on EC2", hint=hint)
        return self.journal.begin(_VERB, asked.fleet, meant)

    def _keep(self, found: Climb) -> CloudFleet:
        asked, price = self.plan.asked, found.rung.usd_per_hour
        fleet = CloudFleet(
            name=asked.fleet,
            provider=asked.provider,
            region=asked.region,
            type=found.rung.type,
            market=found.rung.market,
            count=asked.count,
            image=self.plan.cargo.name,
            digest=self.plan.cargo.digest,
            machine_image=self.plan.image.id,
            login=self.plan.image.login or "ubuntu",
            created_at=self.client.now.timestamp(),
            ttl_s=asked.ttl_s,
            usd_per_hour=None if price is None else str(price),
        )
        keep_fleet(self.bay.home, fleet)
        return fleet

    def _enter(self, fleet: CloudFleet, rows: Mapping[str, Row], given_key: str) -> Mapping[str, Reached]:
        port_of = ports_of(self.bay, fleet)

        def one(row: Row) -> Reached:
            return enter(self.bay.home, fleet, row, port_of(row), given_key=given_key, clock=self.bay.clock)

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return dict(zip(rows, pool.map(one, rows.values()), strict=True))

    def _prepare(self, reached: Mapping[str, Reached]) -> Mapping[str, Prepared]:
        task = Event(task=f"ready {self.plan.asked.fleet}", total=len(reached), unit="instances")
        done: list[str] = []
        is_twin = self.plan.asked.provider == "twin"
        shared = [str(self.bay.home.images)] if is_twin else []  # a twin's host sees what was built here
        uv = str(Path(find_uv()).resolve()) if is_twin else ""
        quiet = replace(self.bay, reporter=_Quiet(self.bay.reporter.note))

        def one(name: str) -> Prepared:
            transport = reached[name].transport
            machine = FarMachine(transport=transport, home=f"{transport.folder}/.launchbay", name=name, uv=uv)
            found = prepare(quiet, machine, self.plan.cargo, name, shared_images=shared)
            done.append(name)
            self.bay.reporter.event(replace(task, done=len(done), finished=len(done) == len(reached)))
            return found

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return dict(zip(reached, pool.map(one, reached), strict=True))

    def _undo(self, operation: Operation) -> None:
        """End what this operation launched, as far as that goes; the rest goes with the same command, or `bay terminate`."""
        try:
            end_cloud(self.bay, self.client, self.plan.asked.fleet, journal=self.journal, operation=operation)
        except LaunchbayError as error:
            self.bay.reporter.note(f"Something of {self.plan.asked.fleet} may still stand: {error.what}.")
            return
        self.journal.end(operation, "failed")


class _Quiet:
    """Tells nobody of the steps on one of many machines; notes are told."""

    def __init__(self, note: object) -> None:
        self._note = note

    def event(self, event: Event) -> None:
        """Tell nobody."""

    def note(self, text: str) -> None:
        """Tell it."""
        assert callable(self._note)
        self._note(text)


def end_cloud(bay: Bay, client: Client, name: str, *, journal: Journal, operation: Operation) -> Sequence[str]:
    """End a fleet on EC2 for good: instances, disks, group, key pair, and what opens it. Returns ids. Idempotent."""
    rows = list_ours(client, fleet=name)
    names = [row.id for row in rows]
    with journal.step(operation, "end", ids=names) as result:
        if names:
            terminate(client, names)
            watch(client, names, "terminated", clock=bay.clock, poll_s=_POLL_S, timeout_s=_PATIENCE_S)
        result["groups"] = list(remove_group(client, name, clock=bay.clock))
        remove_key(client, name)
    forget_fleet(bay.home, name)
    return names
