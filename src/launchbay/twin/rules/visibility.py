"""EC2 is eventually consistent: a new instance may not be found for a while, by its id or in a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from launchbay.twin.backend import ec2
from launchbay.twin.call import Answer, Call
from launchbay.twin.rule import Rule
from launchbay.twin.world import World

__all__ = ["RULE"]

_hidden: list[tuple[Any, list[Any]]] = []
"""Reservations with all their instances, while a call must not see some of them. The twin takes one call at a time."""


def _made(call: Call, world: World, made: Sequence[Any]) -> None:  # noqa: ARG001 - a rule's form
    most = world.truth.settings.visible_after_s
    if most <= 0:
        return
    for instance in made:
        lag = timedelta(seconds=world.chance.uniform(0, most))
        world.truth.seen_at[instance.id] = world.now() + lag


def _before(call: Call, world: World) -> Call | Mapping[str, Any] | Answer | None:
    _restore()  # of a call that ended in the middle
    truth = world.truth
    if call.action == "RunInstances" or not truth.seen_at:
        return None
    now = world.now()
    unseen = {identity for identity, at in truth.seen_at.items() if at > now}
    for identity in [name for name in truth.seen_at if name not in unseen]:
        del truth.seen_at[identity]
    if not unseen:
        return None
    for reservation in ec2(call.region).reservations.values():
        if any(item.id in unseen for item in reservation.instances):
            _hidden.append((reservation, reservation.instances))
            reservation.instances = [item for item in reservation.instances if item.id not in unseen]
    return None


def _after(call: Call, world: World, answer: Answer) -> Answer | None:  # noqa: ARG001 - a rule's form
    _restore()
    return None


def _restore() -> None:
    for reservation, whole in _hidden:
        reservation.instances = whole
    _hidden.clear()


RULE = Rule(
    name="visibility",
    on=frozenset({"ec2:*"}),
    source="seen in EC2's page on eventual consistency; how long it lasts is drawn, and set by whoever starts the twin",
    before=_before,
    after=_after,
    made=_made,
)
