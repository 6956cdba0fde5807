"""Launch a fleet: all N, identical, or none. Killed at any instant, the same command again ends in the same place."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from launchbay.errors import Conflict, LaunchbayError
from launchbay.files import locked
from launchbay.home import new_id
from launchbay.images.image import Image
from launchbay.jsonable import fields_of
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.build import ensure_image, image_lock
from launchbay.lifecycle.verify import Verification, verify_instances
from launchbay.planning.decide import plan_launch, token_for
from launchbay.planning.fleet import Action, FleetWish, Instance, Plan, look
from launchbay.ports import Event
from launchbay.spec.names import check_count, check_fleet_name, instance_names
from launchbay.store.journal import Journal, Operation, open_journal

__all__ = ["Launch", "launch_fleet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What a launch brought. `clock` is seconds by stage; `first_import` was measured once, when the image was built."""

    fleet: str
    image: Image
    instances: Sequence[Instance]
    created: Sequence[str]
    identical: bool
    clock: Mapping[str, float | None]
    built_now: bool

    def as_json(self) -> Mapping[str, Any]:
        """Return its fields, with the instances cut down to what names them."""
        rows = [{"name": item.name, "id": item.id, "state": item.state, "root": item.root} for item in self.instances]
        return {**fields_of(self), "instances": rows}


@dataclass(slots=True)
class _Stopwatch:
    laps: dict[str, float | None] = field(default_factory=dict)
    last: float = field(default_factory=time.monotonic)

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.laps[name], self.last = round(now - self.last, 3), now


def launch_fleet(bay: Bay, reference: str, *, count: int = 1, name: str | None = None) -> Launch:
    """Launch `count` identical instances of an image, building the image if it is missing.

    The same command again finds what stands and makes what is missing. Raises UsageError, NotFound, Conflict (the name
    is taken), BuildError; after any failure nothing of this launch is left.
    """
    check_count(count)
    if name is not None:
        check_fleet_name(name)
    watch = _Stopwatch()
    image, built = ensure_image(bay, reference)
    if built:
        watch.lap("image")
    with open_journal(bay.home.journal, bay.clock) as journal:
        for note in journal.notes:
            bay.reporter.note(note)
        fleet = name or _find_name(bay, journal, image, count)
        with locked(bay.home.lock(f"fleet-{fleet}"), wait=False) as free:
            if not free:
                raise Conflict(
                    f"another command is launching or changing {fleet!r} right now",
                    hint="wait for it, or another --name",
                )
            wish = FleetWish(fleet=fleet, count=count, image=image.name, digest=image.digest)
            instances, created, proof = _converge(bay, journal, wish, image, watch, unnamed=name is None)
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


def _find_name(bay: Bay, journal: Journal, image: Image, count: int) -> str:
    """Continue an unnamed launch that was killed; else take the image's name, or with four letters when it is taken."""
    for operation in journal.unfinished("launch"):
        if operation.wish.get("unnamed") and (operation.wish["digest"], operation.wish["count"]) == (
            image.digest,
            count,
        ):
            return operation.subject
    taken = {word for item in bay.provider.observe() for word in (item.fleet, item.name)}
    names = {image.name, *instance_names(image.name, count)}
    return image.name if not names & taken else f"{image.name}-{new_id('', bay.clock.now())[-4:]}"


def _converge(
    bay: Bay,
    journal: Journal,
    wish: FleetWish,
    image: Image,
    watch: _Stopwatch,
    *,
    unnamed: bool,
) -> tuple[Sequence[Instance], Sequence[str], Verification]:
    operation = _resume(journal, wish)
    observed = bay.provider.observe()
    resumed = operation is not None
    if operation is None:
        ids = {item: new_id("i", bay.clock.now()) for item in instance_names(wish.fleet, wish.count)}
        plan = plan_launch(wish, observed, ids=ids, token="")  # refuses before anything is written
        operation = journal.begin(
            "launch",
            wish.fleet,
            {"count": wish.count, "image": wish.image, "digest": wish.digest, "ids": ids, "unnamed": unnamed},
        )
    ids = dict(operation.wish["ids"])
    try:
        plan = plan_launch(wish, observed, ids=ids, token=token_for(operation.id, wish))
        watch.lap("plan")
        created = [name for action in plan.actions if action.verb == "create" for name in action.names]
        instances = _apply(bay, journal, operation, plan, wish, image)
        watch.lap("create")
        proof = _verify(bay, journal, operation, instances, strict=bool(created) or resumed)
        watch.lap("verify")
    except BaseException as error:
        _undo(bay, journal, operation, ids)
        if isinstance(error, KeyboardInterrupt):
            bay.reporter.note(f"Interrupted: nothing of {wish.fleet} was left.")
        raise
    journal.end(operation, "done")
    return instances, created, proof


def _resume(journal: Journal, wish: FleetWish) -> Operation | None:
    """Return the launch of this name that was killed. Raises Conflict when it meant something else."""
    unfinished = journal.unfinished("launch", wish.fleet)
    for operation in unfinished:
        if (operation.wish["digest"], operation.wish["count"]) != (wish.digest, wish.count):
            raise Conflict(
                f"a launch of {wish.fleet!r} as {operation.wish['count']} x {operation.wish['image']} was cut off",
                hint=f"launch it again the same way, or `bay terminate {wish.fleet}`",
            )
    return unfinished[-1] if unfinished else None


def _apply(
    bay: Bay, journal: Journal, operation: Operation, plan: Plan, wish: FleetWish, image: Image
) -> Sequence[Instance]:
    for action in plan.actions:
        if action.verb == "create":
            _create(bay, journal, operation, plan, action, wish, image)
    return [item for item in bay.provider.observe() if item.fleet == wish.fleet]


def _create(
    bay: Bay, journal: Journal, operation: Operation, plan: Plan, action: Action, wish: FleetWish, image: Image
) -> None:
    """Make the missing instances, unless the world moved since the plan was made."""
    with (
        locked(bay.home.lock("create"), shared=True),
        locked(bay.home.lock(f"image-{image.digest[:32]}"), shared=True),
        journal.step(operation, "create", names=list(action.names), token=action.specs[0].token) as result,
    ):
        if look([item for item in bay.provider.observe() if item.fleet == wish.fleet]) != plan.saw:
            raise Conflict(f"{wish.fleet!r} changed while it was being planned", hint="the same command again")
        if not image.environment.exists():
            raise Conflict(f"the image {image.name} was removed meanwhile", hint="the same command again")
        made: list[str] = []

        def tell(instance: Instance) -> None:
            made.append(instance.name)
            bay.reporter.event(
                Event(
                    task=f"launch {wish.fleet}",
                    done=len(made),
                    total=len(action.specs),
                    unit="instances",
                    finished=len(made) == len(action.specs),
                )
            )

        bay.provider.create(action.specs, image, made=tell)
        result["created"] = made


def _verify(
    bay: Bay, journal: Journal, operation: Operation, instances: Sequence[Instance], *, strict: bool
) -> Verification:
    with journal.step(operation, "verify", names=[item.name for item in instances]) as result:
        proof = verify_instances(bay, instances, full=False)
        result["identical"] = proof.identical
        if strict and not proof.identical:
            first = proof.differences[0]
            raise LaunchbayError(
                f"the new instances are not identical: {first.instance}: {first.what}", hint="bay doctor"
            )
    return proof


def _undo(bay: Bay, journal: Journal, operation: Operation, ids: Mapping[str, str]) -> None:
    """Remove what this launch made, and only that."""
    mine = [item for item in bay.provider.observe() if item.id in set(ids.values())]
    with journal.step(operation, "undo", names=[item.name for item in mine]):
        bay.provider.delete(mine)
    journal.end(operation, "failed")
