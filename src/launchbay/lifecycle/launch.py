"""Launch a fleet: all N, identical, or none. Killed at any instant, the same command again ends in the same place."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from launchbay.errors import Conflict, LaunchbayError
from launchbay.files import locked
from launchbay.home import new_ids, random_letters
from launchbay.images.image import Image
from launchbay.jsonable import fields_of
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.build import ensure_image, images_held
from launchbay.lifecycle.verify import Verification, verify_instances
from launchbay.planning.decide import plan_launch, token_for
from launchbay.planning.fleet import Action, FleetWish, Instance, Plan, look
from launchbay.ports import Event
from launchbay.spec.names import check_count, check_fleet_name, instance_names
from launchbay.store.journal import Journal, Operation, open_journal
from launchbay.store.spent import Elsewhere

__all__ = ["Launch", "Stopwatch", "launch_fleet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What a launch brought. `clock` is seconds by stage; `first_import` was measured once, when the image was built.

    `parts` says what of the machine each instance may use, and what holds it to that; `elsewhere` what each would be on EC2.
    """

    fleet: str
    image: Image
    instances: Sequence[Instance]
    created: Sequence[str]
    identical: bool
    clock: Mapping[str, float | None]
    built_now: bool
    parts: Sequence[str] = ()
    elsewhere: Sequence[Elsewhere] = ()

    def as_json(self) -> Mapping[str, Any]:
        """Return its fields, with the instances cut down to what names them."""
        rows = [{"name": item.name, "id": item.id, "state": item.state, "root": item.root} for item in self.instances]
        return {**fields_of(self), "instances": rows}


@dataclass(slots=True)
class Stopwatch:
    """Seconds by stage, since it was made."""

    laps: dict[str, float | None] = field(default_factory=dict)
    last: float = field(default_factory=time.monotonic)

    def lap(self, name: str) -> None:
        """Write down how long the stage that ends now has taken."""
        now = time.monotonic()
        self.laps[name], self.last = round(now - self.last, 3), now


def launch_fleet(
    bay: Bay,
    reference: str,
    *,
    count: int = 1,
    name: str | None = None,
    layer: str = "layer",
    accelerator: str = "auto",
    taken: Collection[str] = (),
) -> Launch:
    """Launch `count` identical instances of an image, on layers of a kind, building the image if it is missing.

    Without `name` the fleet is called after its image, and by none of the names that are `taken` elsewhere.
    The same command again finds what stands and makes what is missing. Raises UsageError, NotFound, Conflict (the name
    is taken), BuildError; after any failure nothing of this launch is left.
    """
    check_count(count)
    if name is not None:
        check_fleet_name(name, count=count)
    watch = Stopwatch()
    image, built = ensure_image(bay, reference, accelerator)
    if built:
        watch.lap("image")
    with open_journal(bay.home.journal, bay.clock, bay.reporter.note) as journal:
        busy = set(taken)
        while True:
            fleet = name or _find_name(bay, journal, image, (count, layer), busy)
            with locked(bay.home.lock(f"fleet-{fleet}"), wait=False) as free:
                if free:
                    wish = FleetWish(fleet=fleet, count=count, image=image.name, digest=image.digest, layer=layer)
                    launching = _Launching(bay, journal, wish, image, watch)
                    instances, created, proof = launching.converge(unnamed=name is None)
                    break
            if name is not None:
                raise Conflict(
                    f"another command is launching or changing {fleet!r} right now",
                    hint="wait for it, or another --name",
                )
            busy.add(fleet)
    bay.provider.sweep()  # what killed commands left goes with the next launch at the latest
    watch.laps["first_import"] = image.first_import_s
    return Launch(
        fleet=fleet,
        image=image,
        instances=instances,
        created=created,
        identical=proof.identical,
        clock=watch.laps,
        built_now=built,
    )


def _find_name(bay: Bay, journal: Journal, image: Image, how: tuple[int, str], busy: Collection[str]) -> str:
    """Continue an unnamed launch that was killed; else take the image's name, or with four letters when it is taken."""
    for operation in journal.unfinished("launch"):
        is_free = operation.wish.get("unnamed") and operation.subject not in busy
        if is_free and _meant(operation) == (image.digest, *how):
            return operation.subject
    taken = {word for item in bay.provider.observe() for word in (item.fleet, item.name)} | set(busy)
    names = {image.name, *instance_names(image.name, how[0])}
    return image.name if not names & taken else f"{image.name}-{random_letters(4)}"


def _meant(operation: Operation) -> tuple[str, int, str]:
    """Return (digest, count, layer) of a launch that was written down."""
    wish = operation.wish
    return wish["digest"], wish["count"], wish.get("layer", "layer")


@dataclass(frozen=True, slots=True)
class _Launching:
    """One launch under way, holding the fleet's lock."""

    bay: Bay
    journal: Journal
    wish: FleetWish
    image: Image
    watch: Stopwatch

    def converge(self, *, unnamed: bool) -> tuple[Sequence[Instance], Sequence[str], Verification]:
        """Make what is missing and prove it; return (instances, names made now, proof). A failure undoes it."""
        observed = self.bay.provider.observe()
        resumed = self._find_cut_off()
        operation = resumed or self._begin(unnamed=unnamed)
        created: list[str] = []
        try:
            token = token_for(operation.id, self.wish)
            plan = plan_launch(self.wish, observed, ids=operation.wish["ids"], token=token)
            self.watch.lap("plan")
            for action in plan.actions:
                if action.verb == "create":
                    created += action.names
                    self._create(operation, plan, action)
            self.watch.lap("create")
            instances = self._all_standing()
            proof = self._verify(operation, instances, created)
            self.watch.lap("verify")
        except BaseException as error:
            self._undo(operation, created, is_whole=resumed is None)
            if isinstance(error, KeyboardInterrupt):
                what = "nothing of" if resumed is None else "nothing made now for"
                self.bay.reporter.note(f"Interrupted: {what} {self.wish.fleet} was left.")
            raise
        self.journal.end(operation, "done")
        for earlier in self.journal.unfinished("terminate"):
            if earlier.subject in (self.wish.fleet, *instance_names(self.wish.fleet, self.wish.count)):
                self.journal.end(earlier, "launched again")  # it was cut off, and nobody means it any more
        return instances, created, proof

    def _find_cut_off(self) -> Operation | None:
        """Return the launch of this name that was killed. Raises Conflict when it meant something else."""
        unfinished = self.journal.unfinished("launch", self.wish.fleet)
        for operation in unfinished:
            if _meant(operation) != (self.wish.digest, self.wish.count, self.wish.layer):
                raise Conflict(
                    f"a launch of {self.wish.fleet!r} as {operation.wish['count']} x {operation.wish['image']} was cut off",
                    hint=f"launch it again the same way, or `bay terminate {self.wish.fleet}`",
                )
        return unfinished[-1] if unfinished else None

    def _begin(self, *, unnamed: bool) -> Operation:
        """Write down what is meant, ids included, once it is clear that nothing stands against it."""
        wish = self.wish
        names = instance_names(wish.fleet, wish.count)
        ids = dict(zip(names, new_ids("i", self.bay.clock.now(), wish.count), strict=True))
        meant = {"count": wish.count, "image": wish.image, "digest": wish.digest, "ids": ids, "unnamed": unnamed}
        meant["layer"] = wish.layer
        with locked(self.bay.home.lock("names")):  # a fleet's own lock does not keep `exp` and `exp-1` apart
            plan_launch(wish, self.bay.provider.observe(), ids=ids, token="")
            for other in self.journal.unfinished("launch"):
                if {wish.fleet, *names} & {other.subject, *other.wish["ids"]}:
                    raise Conflict(
                        f"a launch of {other.subject!r} that is under way, or was cut off, means the same names",
                        hint=f"another --name, or `bay terminate {other.subject}` first",
                    )
            return self.journal.begin("launch", wish.fleet, meant)

    def _create(self, operation: Operation, plan: Plan, action: Action) -> None:
        """Make the missing instances, unless the world moved since the plan was made."""
        made: list[str] = []

        def tell(instance: Instance) -> None:
            made.append(instance.name)
            self.bay.reporter.event(
                Event(
                    task=f"launch {self.wish.fleet}",
                    done=len(made),
                    total=len(action.specs),
                    unit="instances",
                    finished=len(made) == len(action.specs),
                )
            )

        home = self.bay.home
        with (
            locked(home.lock("create"), shared=True),
            images_held(self.bay, self.image),
            self.journal.step(operation, "create", names=list(action.names), token=action.specs[0].token) as result,
        ):
            if look(self._standing()) != plan.saw:
                raise Conflict(f"{self.wish.fleet!r} changed while it was being planned", hint="the same command again")
            if not all(part.environment.exists() for part in self.image.parts):
                raise Conflict(f"the image {self.image.name} was removed meanwhile", hint="the same command again")
            self.bay.provider.create(action.specs, self.image, made=tell)
            result["created"] = made

    def _verify(self, operation: Operation, instances: Sequence[Instance], mine: Collection[str]) -> Verification:
        """Fingerprint the fleet. An odd one among `mine` fails the launch; what others did to theirs does not."""
        with self.journal.step(operation, "verify", names=[item.name for item in instances]) as result:
            proof = verify_instances(self.bay, instances, full=False)
            result["identical"] = proof.identical
            odd = [item for item in proof.differences if item.instance in mine and item.kind != "gpu"]
            if odd:
                raise LaunchbayError(
                    f"the new instances are not identical: {odd[0].instance}: {odd[0].what}", hint="bay doctor"
                )
        for what in dict.fromkeys(item.what for item in proof.differences if item.kind == "gpu"):
            self.bay.reporter.note(f"Not on the GPU: {what}.")
        return proof

    def _undo(self, operation: Operation, created: Collection[str], *, is_whole: bool) -> None:
        """Remove what this call made, and only that.

        What a launch that was cut off had made before stays, because somebody may be at work in it already; then the
        launch stays open too, to be continued or terminated.
        """
        ids = {operation.wish["ids"][name] for name in created}
        mine = [item for item in self._standing() if item.id in ids]
        names = [item.name for item in mine]
        self.journal.attempt(operation, "intent", "undo", {"names": names})
        self.bay.provider.delete(mine)
        self.journal.attempt(operation, "result", "undo", {"names": names})
        if is_whole:
            self.journal.end(operation, "failed")

    def _all_standing(self) -> Sequence[Instance]:
        """Return the fleet as observed, which must be all of it: what was created is not yet what is there."""
        instances = self._standing()
        if len(instances) != self.wish.count:
            raise LaunchbayError(f"{len(instances)} of {self.wish.count} instances stand", hint="bay doctor")
        return instances

    def _standing(self) -> Sequence[Instance]:
        return [item for item in self.bay.provider.observe() if item.fleet == self.wish.fleet]
