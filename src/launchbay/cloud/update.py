"""Move a fleet on EC2 to another image: all of it, or none. Homes, working folders and runs stay on its instances.

The image is carried to all of them first, while each goes on as it is. Then each moves, by the same verb there; if one does not,
those that did move back. Killed at any instant, the same command again goes on from what it finds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from launchbay.afar.machine import FarMachine
from launchbay.afar.prepare import Cargo, carry_image, pack_image
from launchbay.catalog.known import load_catalogue
from launchbay.catalog.query import type_named
from launchbay.cloud.fleet import CloudFleet, find_fleet, keep_fleet
from launchbay.cloud.plan import accelerator_for
from launchbay.cloud.proof import refuse_stopped, verify_far
from launchbay.cloud.standing import AT_ONCE, FarInstance, find_far, observe_fleets, open_machines
from launchbay.errors import Conflict, LaunchbayError, NotFound, UsageError
from launchbay.files import locked
from launchbay.images.recipe import find_recipe
from launchbay.jsonable import fields_of
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.build import ensure_image
from launchbay.lifecycle.cloud import open_cloud
from launchbay.lifecycle.launch import Stopwatch
from launchbay.lifecycle.personal import Replayed
from launchbay.lifecycle.verify import Verification
from launchbay.ports import Event, SilentReporter
from launchbay.providers.ec2.instances import Row
from launchbay.store.journal import Journal, Operation, open_journal

__all__ = ["FarImage", "FarUpdate", "Moved", "update_far"]

_VERB = "update on EC2"
_TAGGED_AT_ONCE = 200
_RUNS = "something runs in"


@dataclass(frozen=True, slots=True, kw_only=True)
class FarImage:
    """The image that a fleet was moved to; `shown` is what `bay image show` says of it there."""

    name: str
    digest: str
    shown: Mapping[str, Any] = field(repr=False)

    def as_json(self) -> Mapping[str, Any]:
        """Return what is said of it there."""
        return {**self.shown, "name": self.name, "digest": self.digest}


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """An instance that stands on the image now. `root` is where it lies on its machine, `id` what EC2 calls that."""

    name: str
    id: str
    state: str
    root: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FarUpdate:
    """What an update brought, as an update on this machine says it; paths of `kept` are ``INSTANCE:PATH``."""

    fleet: str
    image: FarImage
    instances: Sequence[Moved]
    updated: Sequence[str]
    identical: bool
    replayed: Sequence[Replayed]
    kept: Sequence[str]
    clock: Mapping[str, float | None]
    built_now: bool

    def as_json(self) -> Mapping[str, Any]:
        """Return its fields."""
        return {**fields_of(self), "instances": [fields_of(item) for item in self.instances]}


def update_far(bay: Bay, name: str, reference: str) -> FarUpdate:
    """Move a fleet on EC2 to the image that a recipe means, locked for its type. One that stands on it already is left as it is.

    Raises UsageError for one instance of several, Conflict where one does not run, something runs in it or another command is at
    the fleet, NotFound where one is gone, BuildError; after any failure every instance stands on what it stood on before.
    """
    fars = find_far(bay, name)
    fleet = fars[0].fleet
    if len(fars) < fleet.count:
        hint = f"bay update {fleet.name} ..."
        raise UsageError(f"{name!r} is one instance of {fleet.name!r}; a fleet moves as a whole", hint=hint)
    watch = Stopwatch()
    with (
        locked(bay.home.lock(f"fleet-{fleet.name}"), wait=False) as free,
        open_journal(bay.home.journal, bay.clock, bay.reporter.note) as journal,
    ):
        if not free:
            hint = "wait for it, then the same again"
            raise Conflict(f"another command is changing {fleet.name!r} right now", hint=hint)
        rows = observe_fleets(bay, [fleet])
        refuse_stopped(fars, rows, f"bay update {fleet.name} {reference}")
        if gone := [far.name for far in fars if far.name not in rows]:
            hint = f"bay terminate {fleet.name}, and launch it again"
            raise NotFound(f"{', '.join(gone[:5])} is gone: EC2 has it no more", where=fleet.region, hint=hint)
        cargo, built = _pack(bay, fleet, reference)
        if built:
            watch.lap("image")
        return _Updating(bay, journal, fars, rows, cargo, watch).go(built_now=built)


def _pack(bay: Bay, fleet: CloudFleet, reference: str) -> tuple[Cargo, bool]:
    """Return the image as it travels, and whether it was built here now: a twin's hosts see what is built here."""
    catalogue = load_catalogue(bay.home.catalog, bay.reporter.note, regions=[fleet.region])
    accelerator = accelerator_for(find_recipe(reference), type_named(catalogue, fleet.type))
    if fleet.provider != "twin":
        return pack_image(bay, reference, accelerator), False
    _, built = ensure_image(bay, reference, "cpu")
    return pack_image(bay, reference, "cpu"), built


@dataclass(frozen=True, slots=True)
class _Updating:
    """One update under way, holding the fleet's lock."""

    bay: Bay
    journal: Journal
    fars: Sequence[FarInstance]
    rows: Mapping[str, Row]
    cargo: Cargo
    watch: Stopwatch

    @property
    def _fleet(self) -> CloudFleet:
        return self.fars[0].fleet

    def go(self, *, built_now: bool) -> FarUpdate:
        """Move all, or none."""
        with open_machines(self.bay, self.fars) as machines:
            operation = self._operation()
            try:
                with self.journal.step(operation, "carry", names=list(machines)):
                    carried = self._on_each("carry the image of", machines, self._carry)
                self.watch.lap("stage")
                with self.journal.step(operation, "move", names=list(machines)):
                    said = self._on_each("update", machines, self._move)
                self.watch.lap("switch")
                replayed = _replayed(said)
                self._prove(replayed)
                self.watch.lap("verify")
            except BaseException as error:
                self._back(operation, machines)
                if isinstance(error, KeyboardInterrupt):
                    self.bay.reporter.note(f"Interrupted: {self._fleet.name} stands on what it stood on before.")
                raise
        self._settle(operation)
        images = [value["image"] for value in said.values()]
        self.watch.laps["first_import"] = images[0].get("first_import_s")
        before = dict(operation.wish["before"])
        return FarUpdate(
            fleet=self._fleet.name,
            image=FarImage(name=self.cargo.name, digest=self.cargo.digest, shown=images[0]),
            instances=[self._moved(name, value) for name, value in said.items()],
            updated=[name for name in said if before["digest"] != self.cargo.digest or said[name]["updated"]],
            identical=True,  # else nothing would have moved
            replayed=replayed,
            kept=[f"{name}:{path}" for name, value in said.items() for path in value["kept"]],
            clock=self.watch.laps,
            built_now=built_now or any(carried.values()),
        )

    def _prove(self, replayed: Sequence[Replayed]) -> None:
        """Raise LaunchbayError unless all are alike, but for what their people had installed."""
        if odd := _unexpected(verify_far(self.bay, self.fars), replayed):
            what = f"the updated instances are not as they should be: {odd[0]}"
            raise LaunchbayError(what, where=self._fleet.name, hint=f"bay verify {self._fleet.name}")

    def _moved(self, name: str, value: Mapping[str, Any]) -> Moved:
        (there,) = value["instances"]
        return Moved(name=name, id=self.rows[name].id, state=there["state"], root=str(there["root"]))

    def _operation(self) -> Operation:
        """Go on with what was cut off, or begin. What was before stays what it was: the fleet's record changes last."""
        found = None
        for operation in self.journal.unfinished(_VERB, self._fleet.name):
            if (operation.wish["digest"], operation.wish["launch"]) == (self.cargo.digest, self._fleet.launch):
                found = operation
            else:  # another fleet had this name then, or every instance moves from wherever that left it
                self.journal.end(operation, "given up")
        before = {"image": self._fleet.image, "digest": self._fleet.digest}
        wish = {
            "image": self.cargo.name,
            "digest": self.cargo.digest,
            "before": before,
            "launch": self._fleet.launch,
        }
        return found or self.journal.begin(_VERB, self._fleet.name, wish)

    def _on_each(
        self, verb: str, machines: Mapping[str, FarMachine], do: Callable[[FarMachine, str], Any]
    ) -> Mapping[str, Any]:
        """Do something on all, several at a time; the error of the first of them, by name, is raised once all have ended."""
        task = Event(task=f"{verb} {self._fleet.name}", total=len(machines), unit="instances")
        self.bay.reporter.event(task)
        done, lock = [0], threading.Lock()

        def one(name: str) -> Any:
            try:
                return do(machines[name], name)
            except LaunchbayError as error:
                return error
            finally:
                with lock:
                    done[0] += 1
                    self.bay.reporter.event(replace(task, done=done[0], finished=done[0] == len(machines)))

        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = dict(zip(machines, pool.map(one, machines), strict=True))
        for name, value in found.items():
            if isinstance(value, LaunchbayError):
                value.what = f"{name}: {value.what}" if name not in value.what else value.what
                raise value
        return found

    def _carry(self, machine: FarMachine, name: str) -> bool:
        """Bring the image there, and look whether the instance may move: before any does, for moving back is work too."""
        shared = [str(self.bay.home.images)] if self._fleet.provider == "twin" else []
        built = carry_image(replace(self.bay, reporter=SilentReporter()), machine, self.cargo, shared)
        moving = [row for row in machine.call(["ps"]) if row["digest"] != self.cargo.digest]
        if any(row["running"] or row["services"] for row in moving):
            raise _busy(name)
        return built

    def _move(self, machine: FarMachine, name: str) -> Mapping[str, Any]:
        try:
            value: Mapping[str, Any] = machine.call(["update", name, self.cargo.digest])
        except Conflict as error:
            if _RUNS in error.what:  # what is to be done there is another thing than here
                raise _busy(name) from error
            raise
        if value["image"]["digest"] != self.cargo.digest:
            raise LaunchbayError("it moved to another image than it was told", where=value["image"]["digest"][:12])
        return value

    def _return(self, machine: FarMachine, name: str) -> None:
        """Let an instance stand on what was before. One that was cut off in the midst there has to go to the end first."""
        before = self._fleet.digest
        try:
            machine.call(["update", name, before])
        except Conflict:
            machine.call(["update", name, self.cargo.digest])
            machine.call(["update", name, before])

    def _back(self, operation: Operation, machines: Mapping[str, FarMachine]) -> None:
        """Let every instance stand on what it stood on before. What cannot be moved back now is said, and stays begun."""
        self.journal.attempt(operation, "intent", "back", {"digest": self._fleet.digest})
        try:
            self._on_each("move back", machines, self._return)
        except LaunchbayError as error:
            self.bay.reporter.note(f"Not all of {self._fleet.name} could be moved back: {error.what}.")
            return
        self.journal.attempt(operation, "result", "back", {})
        self.journal.end(operation, "failed")

    def _settle(self, operation: Operation) -> None:
        """Let the tags and what is kept here say what stands. Cut off in the midst, the same command again does all of it."""
        with self.journal.step(operation, "settle"):
            client = open_cloud(self.bay, self._fleet.provider, self._fleet.region)
            ids = [self.rows[far.name].id for far in self.fars]
            tags = [{"Key": "launchbay:digest", "Value": self.cargo.digest}]
            for start in range(0, len(ids), _TAGGED_AT_ONCE):
                part = ids[start : start + _TAGGED_AT_ONCE]
                client.insist("create_tags", clock=self.bay.clock, Resources=part, Tags=tags)
            fleet = find_fleet(self.bay.home, self._fleet.name) or self._fleet  # its lease may have been moved since
            keep_fleet(self.bay.home, replace(fleet, image=self.cargo.name, digest=self.cargo.digest))
        self.journal.end(operation, "done")


def _busy(name: str) -> Conflict:
    hint = f"end what runs there (`bay ps`; bay notebook {name} --stop, bay board {name} --stop), then the same again"
    return Conflict(f"{_RUNS} {name}", hint=hint)


def _replayed(said: Mapping[str, Mapping[str, Any]]) -> Sequence[Replayed]:
    return [
        Replayed(instance=name, packages=list(item["packages"]), left=dict(item["left"]))
        for name, value in said.items()
        for item in value["replayed"]
    ]


def _unexpected(proof: Verification, replayed: Sequence[Replayed]) -> list[str]:
    """Return what sets instances apart besides packages that were installed again, and what their people filled in."""
    touched = {item.instance for item in replayed if item.packages}
    return [
        f"{item.instance}: {item.what}"
        for item in proof.differences
        if item.kind not in ("gpu", "setting", "data")
        and not (item.kind in ("package", "file") and item.instance in touched)
    ]
