"""Launch a fleet on EC2: all N, identical, or none. Killed at any instant, the same command again ends in the same place."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from launchbay.afar.compare import Comparison, compare_machines
from launchbay.afar.prepare import Prepared, prepare
from launchbay.cloud.boot import boot_config, worthless
from launchbay.cloud.end import end_launch
from launchbay.cloud.fleet import LAUNCH_VERB, CloudFleet, find_fleet, keep_fleet, keys_of, list_fleets, opening_key
from launchbay.cloud.money import disk_rate, note_lives, running_rate
from launchbay.cloud.plan import CloudPlan, hold_to_controls
from launchbay.cloud.reach import Reached, enter, ports_of
from launchbay.cloud.shares import networks_of_people
from launchbay.cloud.standing import AT_ONCE, FarInstance, machine_of, observe_fleets, open_transport
from launchbay.errors import Conflict, LaunchbayError
from launchbay.files import locked
from launchbay.images.image import find_image
from launchbay.jsonable import fields_of, to_json
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.build import ensure_image
from launchbay.lifecycle.climb import Ascent, Climb, Tried, climb
from launchbay.lifecycle.cloud import open_cloud
from launchbay.lifecycle.launch import Stopwatch
from launchbay.planning.cloudwish import CloudWish, devices_of
from launchbay.planning.template import join_user_data
from launchbay.ports import Event
from launchbay.providers.ec2.client import Client
from launchbay.providers.ec2.groups import ensure_group, ensure_key
from launchbay.providers.ec2.instances import Row, list_ours
from launchbay.providers.ec2.placement import ensure_placement
from launchbay.providers.ec2.tags import FLEET_TAG, OURS
from launchbay.spec.names import instance_names
from launchbay.store.journal import Journal, Operation, open_journal
from launchbay.transport.keypair import KeyPair

__all__ = ["CloudLaunch", "launch_cloud"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudLaunch:
    """What a launch brought: instances by name, in order, what proves that they are alike, and seconds by stage.

    `created` names those that were launched now: all of them, or none where they stood already. `tried` are the rungs of the
    ladder before the one that had room.
    """

    fleet: CloudFleet
    rows: Mapping[str, Row]
    created: Sequence[str]
    tried: Sequence[Tried]
    prepared: Mapping[str, Prepared]
    proof: Comparison
    clock: Mapping[str, float | None]

    @property
    def identical(self) -> bool:
        """Say whether all of them are the same."""
        return self.proof.identical

    @property
    def stages(self) -> Mapping[str, float]:
        """Seconds of what was done on each instance between `reached` and `ready`, of the slowest in each.

        ``install`` brings Launchbay there, ``image`` takes the image in or installs it from its lock, ``instance`` makes the
        environment, ``verify`` looks at every file and imports the framework for the first time.
        """
        names = dict.fromkeys(name for item in self.prepared.values() for name in item.seconds)
        return {name: max(item.seconds.get(name, 0.0) for item in self.prepared.values()) for name in names}

    @property
    def installed(self) -> int:
        """On how many instances the image was installed from its lock; on the others it was there, baked in as a rule."""
        return sum(item.built for item in self.prepared.values())

    def as_json(self) -> Mapping[str, Any]:
        """Return the fields that `--json` shows, those of a launch on this machine among them."""
        fleet = self.fleet
        rows = [
            {"name": name, "id": row.id, "state": row.state, "type": row.type, "zone": row.zone, "market": row.market}
            for name, row in self.rows.items()
        ]
        return {
            "fleet": fleet.name,
            "image": {"name": fleet.image, "digest": fleet.digest},
            "instances": rows,
            "created": list(self.created),
            "identical": self.identical,
            "gpu_proven": self.proof.gpu_proven,
            "declared": list(self.proof.declared),
            "clock": dict(self.clock),
            "stages": self.stages,
            "image_installed": self.installed,
            "provider": fleet.provider,
            "region": fleet.region,
            "type": fleet.type,
            "market": fleet.market,
            "machine_image": fleet.machine_image,
            "tried": [{**fields_of(item.rung), "why": item.why} for item in self.tried],
            "usd_per_hour": fleet.usd_per_hour,
            "ends_at": min(map(fleet.ends_of, self.rows)),
        }


def launch_cloud(bay: Bay, plan: CloudPlan) -> CloudLaunch:
    """Launch what was planned, up to ready: fingerprints taken on each and compared. Idempotent by the fleet's name.

    A fleet that stands as it was asked for comes back, proven anew. Raises Conflict where another command is at the fleet or the
    name means something else, UserError where EC2 or an instance refuses; what this call launched is ended then.
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

    @property
    def _login(self) -> str:
        return self.plan.image.login or "ubuntu"

    def go(self) -> CloudLaunch:
        stands = self._standing()
        if stands is not None:
            return self._prove_again(stands)
        if self.plan.asked.provider == "twin" and find_image(self.bay.home, self.plan.cargo.digest) is None:
            # a twin's host has no internet: it takes the image from here
            ensure_image(self.bay, self.plan.asked.image, "cpu")
        operation = self._operation()
        try:
            launched = self._launch(operation)
        except BaseException:
            self._undo(operation)
            raise
        self.journal.end(operation, "done")
        return launched

    # --- whose name it is ------------------------------------------------------------------------------------------

    def _standing(self) -> CloudFleet | None:
        """Return the fleet of this name that was launched as it is asked for now; None for none.

        Raises Conflict where the name is that of something else, here or there.
        """
        asked = self.plan.asked
        hint = f"another --name, or `bay terminate {asked.fleet}` first"
        self._check_names()
        fleet = find_fleet(self.bay.home, asked.fleet)
        if fleet is None:
            return None
        if (fleet.provider, fleet.region) != (asked.provider, asked.region):
            raise Conflict(
                f"the name {asked.fleet!r} is taken by a fleet on {fleet.provider} in {fleet.region}", hint=hint
            )
        if any(item.id == fleet.launch for item in self.journal.unfinished(LAUNCH_VERB, asked.fleet)):
            return None  # it was cut off, and is gone on with
        meant = (self._digest(), self.plan.cargo.digest, self.plan.way.is_one_time)
        if (fleet.asked, fleet.digest, fleet.is_one_time) != meant:
            key = f"{'a one-time' if fleet.is_one_time else 'an injected'} key"
            what = f"{fleet.count} × {fleet.type} with {fleet.image} {fleet.digest[:12]}, opened by {key}"
            raise Conflict(f"{asked.fleet!r} stands as something else: {what}", hint=hint)
        return fleet

    def _check_names(self) -> None:
        """Raise Conflict where the name, or one of its instances', means something else that was launched from here."""
        asked = self.plan.asked
        names = {asked.fleet, *instance_names(asked.fleet, asked.count)}
        here = {(item.fleet, name) for item in self.bay.provider.observe() for name in (item.fleet, item.name)}
        far = {
            (fleet.name, name)
            for fleet in list_fleets(self.bay.home)
            if fleet.name != asked.fleet
            for name in (fleet.name, *instance_names(fleet.name, fleet.count))
        }
        taken = sorted((name, fleet) for fleet, name in here | far if name in names)
        if taken:
            name, fleet = taken[0]
            where = "a fleet on this machine" if (fleet, name) in here else f"fleet {fleet!r}"
            raise Conflict(f"the name {name!r} is taken by {where}", hint="another --name")

    def _operation(self) -> Operation:
        """Go on with the launch of this name that was cut off, or begin one. Raises Conflict where the name is taken."""
        asked = self.plan.asked
        meant = {
            "asked": self._digest(),
            "digest": self.plan.cargo.digest,
            **{name: getattr(asked, name) for name in ("count", "type", "provider", "region")},
        }
        way = to_json({"endpoint": self.plan.way.endpoint, "is_one_time": self.plan.way.is_one_time})
        for operation in self.journal.unfinished(LAUNCH_VERB, asked.fleet):
            wish = dict(operation.wish)
            has_key = wish.pop("way", way)["is_one_time"] == way["is_one_time"]  # or its request has another in it
            if wish == meant and has_key:
                return operation
            hint = f"launch it again the same way, or `bay terminate {asked.fleet}`"
            raise Conflict(f"a launch of {asked.fleet!r} as something else was cut off", hint=hint)
        if list_ours(self.client, fleet=asked.fleet):
            hint = f"another --name, or `bay terminate {asked.fleet} --provider {asked.provider}` first"
            raise Conflict(f"the name {asked.fleet!r} is taken by a fleet on EC2", hint=hint)
        return self.journal.begin(LAUNCH_VERB, asked.fleet, {**meant, "way": way})

    def _digest(self) -> str:
        """Return what stands for what was asked for, less the image, which an update changes, and the way in."""
        left_out = ("image", "reach", "auth")
        meant = {name: value for name, value in to_json(self.plan.asked).items() if name not in left_out}
        return hashlib.sha256(json.dumps(meant, sort_keys=True).encode()).hexdigest()

    # --- from nothing to ready -------------------------------------------------------------------------------------

    def _launch(self, operation: Operation) -> CloudLaunch:
        name, count = self.plan.asked.fleet, self.plan.asked.count
        own, host_key = keys_of(self.bay.home, name)
        wish = self._complete(own.public, host_key, operation.id)
        self.watch.lap("plan")
        ascent = Ascent(fleet=name, wish=wish, rungs=self.plan.rungs, tell=self.bay.reporter.note)
        found = climb(self.client, self.journal, operation, ascent, clock=self.bay.clock)
        self.watch.lap("running")
        fleet = self._keep(found, operation)
        names = instance_names(name, count)
        rows = dict(zip(names, sorted(found.rows, key=lambda row: row.index), strict=True))
        note_lives(self.bay.home, fleet, rows, self.client.now.timestamp())
        reached = self._enter(fleet, rows, host_key.public)
        self.watch.lap("reached")
        return self._prove(fleet, rows, reached, created=names, tried=found.tried)

    def _prove_again(self, fleet: CloudFleet) -> CloudLaunch:
        """Return a fleet that stands, with its instances compared once more. Raises Conflict where it is not whole.

        Whose address has changed since is let in by this. Another way, where one is planned, is kept once it was gone.
        """
        way = self.plan.way
        moved = replace(fleet, endpoint=way.endpoint, let_in=way.let_in if self.plan.makes_group else ())
        if moved == fleet:
            return self._prove_standing(fleet)
        # whoever leads there reads the record; what it let in stays let in until the new way was gone, also after a kill
        both = replace(moved, let_in=tuple(dict.fromkeys((*moved.let_in, *fleet.let_in))))
        keep_fleet(self.bay.home, both)
        try:
            found = self._prove_standing(both)
        except BaseException:
            if moved.endpoint != fleet.endpoint:
                keep_fleet(self.bay.home, fleet)
                self._set_group(fleet)
            raise
        keep_fleet(self.bay.home, moved)
        self._set_group(moved)
        return replace(found, fleet=moved)

    def _set_group(self, fleet: CloudFleet) -> None:
        if self.plan.makes_group:
            self._group(fleet.launch, fleet.let_in)

    def _prove_standing(self, fleet: CloudFleet) -> CloudLaunch:
        """Compare instances that stand, with the way to them open."""
        self._set_group(fleet)
        self.watch.lap("plan")
        names = instance_names(fleet.name, fleet.count)
        rows = observe_fleets(self.bay, [fleet])
        lacking = [name for name in names if name not in rows or rows[name].state != "running"]
        if lacking:
            first = lacking[0]
            state = rows[first].state if first in rows else "gone"
            hint = (
                f"bay start {fleet.name}" if state == "stopped" else f"bay terminate {fleet.name}, and launch it again"
            )
            raise Conflict(f"{len(lacking)} of {fleet.count} are not running: {first} is {state}", hint=hint)
        port_of = ports_of(self.bay, fleet)
        reached = {
            name: Reached(
                transport=open_transport(
                    self.bay, FarInstance(fleet=fleet, name=name), row=rows[name], port=port_of(rows[name])
                ),
                waited_s=0.0,
            )
            for name in names
        }
        return self._prove(fleet, rows, reached, created=(), tried=())

    def _prove(
        self,
        fleet: CloudFleet,
        rows: Mapping[str, Row],
        reached: Mapping[str, Reached],
        *,
        created: Sequence[str],
        tried: Sequence[Tried],
    ) -> CloudLaunch:
        try:
            prepared = self._prepare(fleet, rows, reached)
        finally:
            for item in reached.values():
                item.transport.close()
        self.watch.lap("ready")
        declared = tuple(rows) if self.plan.is_declared else ()
        proof = compare_machines({key: item.verification for key, item in prepared.items()}, declared=declared)
        if created and not proof.identical:
            odd = next((item for item in proof.differences if item.kind != "gpu"), None)
            why = f"{odd.instance}: {odd.what}" if odd else proof.image_problems[0]
            raise LaunchbayError(f"the new instances are not identical: {why}")
        return CloudLaunch(
            fleet=fleet,
            rows=rows,
            created=created,
            tried=tried,
            prepared=prepared,
            proof=proof,
            clock=self.watch.laps,
        )

    def _complete(self, public_key: str, host_key: KeyPair, launch: str) -> CloudWish:
        """Return the wish with the fleet's own group, key and boot script, held against the controls before it is asked."""
        name = self.plan.asked.fleet
        plan, client, clock = self.plan, self.client, self.bay.clock
        key_name = plan.wish.key_name
        if plan.makes_key:
            # first of all: another machine's launch of this name has another one, and nothing of it has been touched then
            key_name = ensure_key(client, name, public_key, launch=launch, clock=clock)
        groups = plan.wish.groups
        if plan.makes_group:
            groups = (self._group(launch, plan.way.let_in),)
        if plan.makes_placement:
            ensure_placement(client, name, plan.wish.placement_group, launch=launch)
        ours = {OURS[0]: OURS[1], "Name": name, FLEET_TAG: name, "launchbay:digest": plan.cargo.digest}
        wish = replace(
            plan.wish,
            groups=groups,
            key_name=key_name,
            user_data=join_user_data(
                boot_config(host_key, ttl_s=plan.lease_s, login=self._login, volumes=devices_of(plan.wish)),
                plan.wish.user_data,  # the launch template's own
            ),
            tags={**plan.wish.tags, **ours},
        )
        filters = [{"Name": "group-id", "Values": list(groups)}]
        found = list(client.pages("describe_security_groups", "SecurityGroups", Filters=filters))
        hold_to_controls(plan.asked, wish, found, replaced=worthless(host_key))
        return wish

    def _group(self, launch: str, let_in: Sequence[str]) -> str:
        """Return the fleet's own security group, made or set to let in these networks, and those of people."""
        plan, name = self.plan, self.plan.asked.fleet
        return ensure_group(
            self.client,
            name,
            plan.vpc,
            tuple(dict.fromkeys((*let_in, *networks_of_people(self.bay.home, name)))),
            launch=launch,
            is_clustered=bool(plan.wish.efa_cards),
            clock=self.bay.clock,
        )

    def _keep(self, found: Climb, operation: Operation) -> CloudFleet:
        asked, plan = self.plan.asked, self.plan
        hours = Decimal(plan.worst_s) * asked.count / 3600
        began = min(row.started for row in found.rows).timestamp()
        fleet = CloudFleet(
            name=asked.fleet,
            provider=asked.provider,
            region=asked.region,
            type=found.rows[0].type,
            market=found.rows[0].market,
            count=asked.count,
            image=plan.cargo.name,
            digest=plan.cargo.digest,
            machine_image=plan.image.id,
            login=self._login,
            created_at=began,
            ends_at=began + plan.lease_s,
            launch=operation.id,
            asked=self._digest(),
            usd_per_hour=_text(running_rate(plan.worst, hours, found.rung.usd_per_hour)),
            # what filling a disk at a rate costs is known nowhere, so what such a fleet costs is not known either
            disk_usd_per_hour=None if plan.wish.rate else _text(disk_rate(plan.worst, hours)),
            own_key=asked.identity_file or None,
            endpoint=plan.way.endpoint,
            is_one_time=plan.way.is_one_time,
            let_in=plan.way.let_in if plan.makes_group else (),
        )
        keep_fleet(self.bay.home, fleet)
        return fleet

    def _enter(self, fleet: CloudFleet, rows: Mapping[str, Row], given_key: str) -> Mapping[str, Reached]:
        port_of = ports_of(self.bay, fleet)

        def one(row: Row) -> Reached:
            return enter(self.bay.home, fleet, row, port_of(row), given_key=given_key, clock=self.bay.clock)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return dict(zip(rows, pool.map(one, rows.values()), strict=True))

    def _prepare(
        self, fleet: CloudFleet, rows: Mapping[str, Row], reached: Mapping[str, Reached]
    ) -> Mapping[str, Prepared]:
        keys = [] if fleet.is_one_time else [opening_key(self.bay.home, fleet)]
        task = Event(task=f"ready {fleet.name}", total=len(reached), unit="instances")
        done: list[str] = []
        shared = (
            [str(self.bay.home.images)] if fleet.provider == "twin" else []
        )  # a twin's host sees what is built here
        quiet = replace(self.bay, reporter=_Quiet(self.bay.reporter.note))

        def one(name: str) -> Prepared:
            machine = machine_of(FarInstance(fleet=fleet, name=name), reached[name].transport)
            found = prepare(
                quiet, machine, self.plan.cargo, name, shared_images=shared, identity=rows[name].id, keys=keys
            )
            done.append(name)
            self.bay.reporter.event(replace(task, done=len(done), finished=len(done) == len(reached)))
            return found

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return dict(zip(reached, pool.map(one, reached), strict=True))

    def _undo(self, operation: Operation) -> None:
        """End what this operation launched, as far as that goes; the rest goes with the same command, or `bay terminate`."""
        name, note = self.plan.asked.fleet, self.bay.reporter.note
        later = f"The same command goes on with it, and `bay terminate {name}` ends it."
        note(f"Ending what was launched of {name} ...")
        try:
            end_launch(self.bay, self.client, self.journal, operation)
        except LaunchbayError as error:
            note(f"Something of {name} may still stand: {error.what}. {later}")
            return
        except KeyboardInterrupt:
            note(f"Interrupted again: something of {name} may still stand. {later}")
            raise
        self.journal.end(operation, "failed")
        note(f"Nothing of this launch of {name} is left.")


def _text(amount: Decimal | None) -> str | None:
    """Write an exact rate; what does not end is cut at ten digits after the point."""
    if amount is None:
        return None
    text = f"{amount.quantize(Decimal('1e-10')):f}"
    return text.rstrip("0").rstrip(".") or "0"


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
