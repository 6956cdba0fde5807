"""Decide what to do about a fleet."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from launchbay.errors import Conflict, UsageError
from launchbay.planning.fleet import Action, FleetWish, Instance, InstanceSpec, Plan, look
from launchbay.spec.names import instance_names, nearest

__all__ = [
    "check_names",
    "plan_launch",
    "plan_power",
    "plan_terminate",
    "plan_update",
    "select",
    "select_one",
    "token_for",
]


def token_for(operation: str, wish: FleetWish) -> str:
    """Return the token of one intent: the same for every retry of it, different for the same wish next week."""
    text = f"{operation}|{wish.fleet}|{wish.count}|{wish.digest}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def plan_launch(wish: FleetWish, observed: Sequence[Instance], *, ids: Mapping[str, str], token: str) -> Plan:
    """Plan the instances that are missing for `wish`; none are when it already stands.

    `observed` are all instances there are; `ids` gives the id written down for each name. Raises Conflict when the
    name belongs to another fleet, or to one that was launched differently.
    """
    standing = [instance for instance in observed if instance.fleet == wish.fleet]
    check_names(wish, observed)
    for instance in standing:
        if instance.layer != wish.layer:
            raise Conflict(
                f"the name {wish.fleet!r} is taken by a fleet on {instance.layer!r} layers, and {wish.layer!r} was asked for",
                hint=f"another --name, or `bay terminate {wish.fleet}` first",
            )
        if (instance.digest, instance.count) != (wish.digest, wish.count):
            is_other_count = instance.digest == wish.digest
            again = f"-n {instance.count} finds it as it stands; " if is_other_count else ""
            if instance.count == wish.count:
                again = f"`bay update {wish.fleet} {wish.image}` moves it there; "
            raise Conflict(
                f"the name {wish.fleet!r} is taken by a fleet of {instance.count} x {instance.image}"
                + (f", and {wish.count} were asked for" if is_other_count else ""),
                hint=f"{again}another --name, or `bay terminate {wish.fleet}` first",
            )
    have = {instance.name for instance in standing}
    missing = [name for name in instance_names(wish.fleet, wish.count) if name not in have]
    specs = tuple(
        InstanceSpec(
            id=ids[name],
            name=name,
            fleet=wish.fleet,
            count=wish.count,
            image=wish.image,
            digest=wish.digest,
            token=token,
            layer=wish.layer,
        )
        for name in missing
    )
    create = (Action(verb="create", names=missing, specs=specs),) if missing else ()
    verify = Action(verb="verify", names=instance_names(wish.fleet, wish.count))
    return Plan(subject=f"fleet {wish.fleet}", actions=(*create, verify), saw=look(standing))


def check_names(wish: FleetWish, observed: Sequence[Instance]) -> None:
    """Raise Conflict when a name of the wish could mean something else that stands."""
    names = {wish.fleet, *instance_names(wish.fleet, wish.count)}
    for instance in observed:
        if instance.fleet != wish.fleet and names & {instance.fleet, instance.name}:
            taken = min(names & {instance.fleet, instance.name})
            raise Conflict(f"the name {taken!r} is taken by fleet {instance.fleet!r}", hint="another --name")


def plan_power(verb: str, instances: Sequence[Instance]) -> Plan:
    """Plan stop, start or reboot."""
    wanted = {"stop": ("stop",), "start": ("start",), "reboot": ("stop", "start")}[verb]
    names = tuple(instance.name for instance in instances)
    return Plan(
        subject=_subject(instances),
        actions=tuple(Action(verb=step, names=names) for step in wanted),
        saw=look(instances),
    )


def plan_terminate(instances: Sequence[Instance]) -> Plan:
    """Plan the end of instances; their homes and working folders go with them, their runs stay."""
    names = tuple(instance.name for instance in instances)
    return Plan(
        subject=_subject(instances), actions=(Action(verb="delete", names=names),) if names else (), saw=look(instances)
    )


def plan_update(standing: Sequence[Instance], digest: str) -> Sequence[Instance]:
    """Return the instances that are not on the image of that digest yet, or whose move is not settled."""
    return [instance for instance in standing if instance.digest != digest or instance.previous is not None]


def _subject(instances: Sequence[Instance]) -> str:
    return "fleet " + ", ".join(dict.fromkeys(instance.fleet for instance in instances))


def select(observed: Sequence[Instance], name: str) -> Sequence[Instance]:
    """Return the fleet, or the one instance, that answers to `name` (fleet, instance name or id).

    Raises NotFound with the nearest names.
    """
    found = [instance for instance in observed if name in (instance.fleet, instance.name, instance.id)]
    if not found:
        known = {instance.name for instance in observed} | {instance.fleet for instance in observed}
        raise nearest(name, known, kind="instance or fleet", hint="`bay ps` lists them, `bay runs` the runs")
    return found


def select_one(observed: Sequence[Instance], name: str) -> Instance:
    """Return the one instance that answers to `name`; a fleet of one answers to its fleet name."""
    found = select(observed, name)
    if len(found) > 1:
        raise UsageError(f"{name!r} is a fleet of {len(found)} instances; name one of them", hint=found[0].name)
    return found[0]
