"""Move a standing fleet to another image: all N, or none. Homes, working folders and runs stay as they are.

The layer on the new image is made beside the old one and exchanged; the old one is kept until the fleet is proven, and
comes back if anything goes wrong. Killed at any instant, the same command again goes on from what it finds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from launchbay.errors import Conflict, LaunchbayError, StateError, UsageError
from launchbay.files import locked
from launchbay.images.image import Image, find_image
from launchbay.jsonable import fields_of
from launchbay.lifecycle.bay import Bay, connect
from launchbay.lifecycle.build import ensure_image, images_held
from launchbay.lifecycle.launch import Stopwatch
from launchbay.lifecycle.personal import Personal, Replayed, environment_for, find_personal, keep_files, replay
from launchbay.lifecycle.verify import Verification, verify_instances
from launchbay.planning.decide import plan_update, select
from launchbay.planning.fleet import Instance
from launchbay.ports import Event
from launchbay.providers.base import CanUpdate
from launchbay.providers.environment import environments
from launchbay.providers.layer import find_layer
from launchbay.providers.processes import instance_processes
from launchbay.store.journal import Journal, Operation, open_journal

__all__ = ["Update", "update_fleet"]


_LOOKS = 20
_LOOK_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What an update brought. `clock` is seconds by stage; `kept` are files that stood in a layer, where they are now.

    `identical` says whether the instances are alike but for what their people had installed.
    """

    fleet: str
    image: Image
    instances: Sequence[Instance]
    updated: Sequence[str]
    identical: bool
    replayed: Sequence[Replayed]
    kept: Sequence[Path]
    clock: Mapping[str, float | None]
    built_now: bool

    def as_json(self) -> Mapping[str, Any]:
        """Return its fields, with the instances cut down to what names them."""
        rows = [{"name": item.name, "id": item.id, "state": item.state, "root": item.root} for item in self.instances]
        return {**fields_of(self), "instances": rows}


def update_fleet(bay: Bay, fleet: str, reference: str) -> Update:
    """Move a fleet to an image, building it if it is missing. A fleet that stands on it already is left as it is.

    Raises NotFound, Conflict (something runs in it; another command is at it), BuildError; after any failure every
    instance stands on what it stood on before.
    """
    members = [item for item in select(bay.provider.observe(), fleet) if item.fleet == fleet]
    if not members:
        whose = select(bay.provider.observe(), fleet)[0].fleet
        raise UsageError(
            f"{fleet!r} is one instance of {whose!r}; a fleet moves as a whole", hint=f"bay update {whose} ..."
        )
    watch = Stopwatch()
    image, built = ensure_image(bay, reference)
    if built:
        watch.lap("image")
    with (
        locked(bay.home.lock(f"fleet-{fleet}"), wait=False) as free,
        open_journal(bay.home.journal, bay.clock, bay.reporter.note) as journal,
    ):
        if not free:
            raise Conflict(f"another command is changing {fleet!r} right now", hint="wait for it, then the same again")
        done = _Updating(bay, journal, fleet, image, watch).converge()
    bay.provider.sweep()
    watch.laps["first_import"] = image.first_import_s
    updated, proof, replayed, kept = done
    return Update(
        fleet=fleet,
        image=image,
        instances=[item for item in bay.provider.observe() if item.fleet == fleet],
        updated=updated,
        identical=proof.identical or not _unexpected(proof, replayed),
        replayed=replayed,
        kept=kept,
        clock=watch.laps,
        built_now=built,
    )


def _unexpected(proof: Verification, replayed: Sequence[Replayed]) -> list[str]:
    """Return what sets instances apart besides packages that were installed again for their people."""
    touched = {item.instance for item in replayed if item.packages}
    return [
        f"{item.instance}: {item.what}"
        for item in proof.differences
        if item.kind != "gpu" and not (item.kind in ("package", "file") and item.instance in touched)
    ]


@dataclass(frozen=True, slots=True)
class _Updating:
    """One update under way, holding the fleet's lock."""

    bay: Bay
    journal: Journal
    fleet: str
    image: Image
    watch: Stopwatch

    def converge(self) -> tuple[Sequence[str], Verification, Sequence[Replayed], Sequence[Path]]:
        """Go from whatever is found to the whole fleet on the image; return (names moved, proof, replayed, files kept)."""
        provider = self.bay.provider
        if not isinstance(provider, CanUpdate):
            raise UsageError(f"{provider.name} instances cannot be given another image", hint="launch new ones")
        operation = self._find_cut_off()
        standing = self._standing()
        moving = plan_update(standing, self.image.digest)
        self._refuse_busy(moving)
        if operation is None:
            if not moving:
                return (), verify_instances(self.bay, standing, full=False), (), ()
            wish = {"image": self.image.name, "digest": self.image.digest, "names": [item.name for item in moving]}
            operation = self.journal.begin("update", self.fleet, wish)
        if any(self._is_settled(item) for item in standing):
            self._settle(operation, provider)  # killed while it let go of old layers: they cannot come back any more
            return operation.wish["names"], verify_instances(self.bay, self._standing(), full=False), (), ()
        replayed: list[Replayed] = []
        kept: list[Path] = []
        try:
            self._stage(operation, provider, moving)
            with self.journal.step(operation, "switch", names=[item.name for item in moving]):
                provider.switch(moving, self.image)
            self.watch.lap("switch")
            with self.journal.step(operation, "replay") as result:
                for instance in self._kept():
                    replayed += self._replay(instance)
                    kept += self._keep(instance)
                result["replayed"] = [item.instance for item in replayed]
            self.watch.lap("replay")
            proof = self._verify(operation, replayed)
            self.watch.lap("verify")
        except BaseException as error:
            self._back(operation, provider)
            if isinstance(error, KeyboardInterrupt):
                self.bay.reporter.note(f"Interrupted: {self.fleet} stands on what it stood on before.")
            raise
        self._settle(operation, provider)
        return operation.wish["names"], proof, replayed, kept

    def _is_settled(self, instance: Instance) -> bool:
        """Say whether an instance stands on the image and its old layer is gone, be it that its record still names it."""
        is_there = instance.digest == self.image.digest
        return is_there and (instance.previous is None or not (instance.root / "previous").exists())

    def _settle(self, operation: Operation, provider: CanUpdate) -> None:
        """Let go of the old layers, and be done. Cut off in the midst, the same command again goes on with it."""
        with self.journal.step(operation, "settle"):
            provider.settle(self._kept())
        self.journal.end(operation, "done")

    def _find_cut_off(self) -> Operation | None:
        """Return the update of this fleet that was killed. Raises Conflict when it meant another image, which is there."""
        found = None
        for operation in self.journal.unfinished("update", self.fleet):
            wanted = operation.wish["digest"]
            if wanted == self.image.digest:
                found = operation
            elif find_image(self.bay.home, wanted) is None:  # nobody stands on it: it could not have been removed
                self.journal.end(operation, "failed")
            else:
                raise Conflict(
                    f"an update of {self.fleet!r} to {operation.wish['image']} was cut off",
                    hint=f"bay update {self.fleet} {wanted[:12]}, which goes on with it; then this one",
                )
        return found

    def _refuse_busy(self, moving: Sequence[Instance]) -> None:
        """Raise Conflict where something runs in them: its files would be exchanged under it."""
        for _ in range(_LOOKS):  # what a killed command of ours had just asked an instance ends by itself
            if not instance_processes(item.id for item in moving):
                return
            self.bay.clock.sleep(_LOOK_S)
        if busy := [item.name for item in moving if instance_processes([item.id])]:
            raise Conflict(
                f"something runs in {', '.join(busy[:5])}{', ...' if busy[5:] else ''}",
                hint=f"bay stop {self.fleet}, the same command again, bay start {self.fleet}",
            )

    def _stage(self, operation: Operation, provider: CanUpdate, moving: Sequence[Instance]) -> None:
        event = Event(task=f"update {self.fleet}", total=len(moving), unit="instances")
        home = self.bay.home
        with (
            locked(home.lock("create"), shared=True),
            images_held(self.bay, self.image),
            self.journal.step(operation, "stage", names=[item.name for item in moving]),
        ):
            if not all(part.environment.exists() for part in self.image.parts):
                raise Conflict(f"the image {self.image.name} was removed meanwhile", hint="the same command again")
            self.bay.reporter.event(event)
            provider.stage(moving, self.image)
        self.watch.lap("stage")

    def _replay(self, instance: Instance) -> list[Replayed]:
        """Install again what its person had installed, each in the environment that takes over."""
        packages: list[str] = []
        left: dict[str, str] = {}
        for personal in self._personal(instance):
            name = environment_for(personal.environment, instance.root, self.image)
            environment = next(item for item in environments(instance.root, self.image) if item.image.name == name)
            transport = connect(self.bay, replace(instance, state="running"), name)  # a stopped one is its person's too
            done, failed = replay(personal, environment.image, transport)
            packages += done
            left |= failed
        return [Replayed(instance=instance.name, packages=packages, left=left)] if packages or left else []

    def _keep(self, instance: Instance) -> list[Path]:
        """Copy the files that stood in its old layer and belong to no package into its home."""
        place = instance.root / "home" / f"before-{self.image.name}-{self.image.digest[:12]}"
        return [path for personal in self._personal(instance) for path in keep_files(personal, place)]

    def _personal(self, instance: Instance) -> Sequence[Personal]:
        old = find_image(self.bay.home, instance.previous or "")
        if old is None or not (instance.root / "previous").exists():
            return ()
        return find_personal(instance.root / "previous", old, find_layer(instance.layer))

    def _verify(self, operation: Operation, replayed: Sequence[Replayed]) -> Verification:
        with self.journal.step(operation, "verify") as result:
            proof = verify_instances(self.bay, self._standing(), full=False)
            odd = _unexpected(proof, replayed)
            result["identical"] = proof.identical
            if odd:
                raise LaunchbayError(f"the updated instances are not as they should be: {odd[0]}", hint="bay doctor")
        return proof

    def _back(self, operation: Operation, provider: CanUpdate) -> None:
        """Let every instance stand on what it stood on before."""
        standing = self._standing()
        self.journal.attempt(operation, "intent", "revert", {"names": [item.name for item in standing]})
        for digest in {item.previous or item.digest for item in standing}:
            members = [item for item in standing if (item.previous or item.digest) == digest]
            image = find_image(self.bay.home, digest)
            if image is None:
                raise StateError(
                    f"the image before this update is gone: {digest[:12]}", hint="bay image build it again"
                )
            provider.revert(members, image)
        self.journal.attempt(operation, "result", "revert", {})
        self.journal.end(operation, "failed")

    def _kept(self) -> Sequence[Instance]:
        """Return the instances that have moved and are not settled."""
        return [item for item in self._standing() if item.previous is not None]

    def _standing(self) -> Sequence[Instance]:
        return [item for item in self.bay.provider.observe() if item.fleet == self.fleet]
