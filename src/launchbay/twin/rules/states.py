"""What an instance goes through: pending, running, stopping, stopped, shutting-down, terminated, each for its time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from launchbay.twin.backend import ec2, find_instance, set_reason, set_state
from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.clock import Due
from launchbay.twin.rule import Rule
from launchbay.twin.timers import KIND as TIMER
from launchbay.twin.timers import drop_timers, take_timer
from launchbay.twin.truth import SpotRequest
from launchbay.twin.world import World

__all__ = ["RULE", "begin_stop", "begin_terminate", "shut_down"]

_FORGOTTEN_S = 3600.0
"""For how long a terminated instance is still described: about an hour."""

_OF_THE_RUN = ("spot-notice", "spot-end")
"""What may be due of an instance and is over when it stops."""


def begin_stop(
    world: World, instance: Any, *, code: str = "Client.UserInitiatedShutdown", why: str = "User initiated"
) -> None:
    """Let a running instance stop."""
    _set_request(world, instance, "active", to="disabled", status="instance-stopped-by-user")
    set_state(instance, "stopping")
    _explain(world, instance, code, why)
    for kind in ("state", *_OF_THE_RUN):
        world.clock.cancel(instance.id, kind)
    drop_timers(world, instance.id)
    world.truth.notices.pop(instance.id, None)  # what it was told of its end was of this run
    world.clock.plan("state", instance.id, seconds=world.truth.settings.stopping_s, data={"to": "stopped"})


def begin_terminate(
    world: World, instance: Any, *, code: str = "Client.UserInitiatedShutdown", why: str = "User initiated"
) -> None:
    """Let an instance end, from whatever state; one that ends already goes on ending."""
    if instance.state in ("shutting-down", "terminated"):
        return
    was_stopped = instance.state == "stopped"
    set_state(instance, "shutting-down")
    _explain(world, instance, code, why)
    world.clock.cancel(instance.id)
    drop_timers(world, instance.id)
    world.truth.notices.pop(instance.id, None)
    _close_request(world, instance, code)
    seconds = 0.0 if was_stopped else world.truth.settings.terminating_s
    world.clock.plan("state", instance.id, seconds=seconds, data={"to": "terminated"})


def _close_request(world: World, instance: Any, code: str) -> None:
    """Close the spot request of an instance that ends, whoever ends it; a persistent one stays open until it is cancelled."""
    request = _request_of(world, instance)
    if request is not None and request.state in ("active", "disabled"):
        request.state = "closed" if request.kind == "one-time" else "open"
        is_taken = code.startswith("Server.Spot")
        request.status = "instance-terminated-no-capacity" if is_taken else "instance-terminated-by-user"


def _set_request(world: World, instance: Any, state: str, *, to: str, status: str) -> None:
    """Put the spot request of an instance that is in a state into another; nothing where it has none, or is in a third."""
    request = _request_of(world, instance)
    if request is not None and request.state == state:
        request.state, request.status = to, status


def _request_of(world: World, instance: Any) -> SpotRequest | None:
    return world.truth.spot.get(getattr(instance, "spot_instance_request_id", "") or "")


def shut_down(world: World, instance: Any) -> None:
    """Do what an instance does that shuts itself down from within: stop or terminate, as it was launched to."""
    code, why = "Client.InstanceInitiatedShutdown", "Instance initiated"
    if instance.instance_initiated_shutdown_behavior == "terminate":
        begin_terminate(world, instance, code=code, why=why)
    else:
        begin_stop(world, instance, code=code, why=why)


def _explain(world: World, instance: Any, code: str, why: str) -> None:
    at = world.now().strftime("%Y-%m-%d %H:%M:%S GMT")
    what = {
        "Client.UserInitiatedShutdown": "User initiated shutdown",
        "Client.InstanceInitiatedShutdown": "Instance initiated shutdown",
    }.get(code, why)
    set_reason(instance, code, f"{code}: {what}", transition=f"{why} ({at})" if why.endswith("initiated") else why)


def _made(call: Call, world: World, made: Sequence[Any]) -> None:  # noqa: ARG001 - a rule's form
    for instance in made:
        set_state(instance, "pending")
        world.clock.plan("state", instance.id, seconds=world.truth.settings.pending_s, data={"to": "running"})


def _before(call: Call, world: World) -> Call | Mapping[str, Any] | Answer | None:
    if call.action == "RunInstances":
        return None
    identities = [str(item) for item in call.get("InstanceIds", default=[])]
    if not identities:
        raise Refused("MissingParameter", "The request must contain the parameter InstanceId")
    found = [find_instance(identity, call.region) for identity in identities]
    missing = [identity for identity, item in zip(identities, found, strict=True) if item is None]
    if missing:
        what = f"The instance ID '{missing[0]}' does not exist" if len(missing) == 1 else _do_not_exist(missing)
        raise Refused("InvalidInstanceID.NotFound", what)
    acts = {
        "TerminateInstances": _terminate,
        "StopInstances": _stop,
        "StartInstances": _start,
        "RebootInstances": _reboot,
    }
    return acts[call.action](world, found)


def _do_not_exist(identities: Sequence[str]) -> str:
    return f"The instance IDs '{', '.join(identities)}' do not exist"


def _terminate(world: World, found: Sequence[Any]) -> Mapping[str, Any]:
    changes = []
    for item in found:
        before = _shown(item)
        begin_terminate(world, item)
        changes.append(_change(item, before))
    return {"TerminatingInstances": changes}


def _stop(world: World, found: Sequence[Any]) -> Mapping[str, Any]:
    for item in found:
        if item.state not in ("running", "stopping", "stopped"):
            raise _incorrect(item, "stopped")
        request = world.truth.spot.get(getattr(item, "spot_instance_request_id", "") or "")
        if request is not None and request.kind == "one-time":
            raise Refused(
                "UnsupportedOperation",
                f"You can't stop the Spot Instance '{item.id}' because it is associated with a one-time Spot Instance request. "
                "You can only stop Spot Instances associated with persistent Spot Instance requests.",
            )
    changes = []
    for item in found:
        before = _shown(item)
        if item.state == "running":
            begin_stop(world, item)
        changes.append(_change(item, before))
    return {"StoppingInstances": changes}


def _start(world: World, found: Sequence[Any]) -> Mapping[str, Any]:
    for item in found:
        if item.state not in ("pending", "running", "stopped"):
            raise _incorrect(item, "started")
    changes = []
    for item in found:
        before = _shown(item)
        if item.state == "stopped":
            _set_request(world, item, "disabled", to="active", status="fulfilled")
            item.start()  # moto gives it an address anew
            set_state(item, "pending")
            item.launch_time = world.now().replace(tzinfo=None)
            world.clock.plan("state", item.id, seconds=world.truth.settings.pending_s, data={"to": "running"})
        changes.append(_change(item, before))
    return {"StartingInstances": changes}


def _reboot(world: World, found: Sequence[Any]) -> Mapping[str, Any]:
    for item in found:
        if item.state != "running":
            raise _incorrect(item, "rebooted")
    for item in found:
        world.hosts.reboot(item.id)
    return {}


def _incorrect(item: Any, what: str) -> Refused:
    return Refused("IncorrectInstanceState", f"The instance '{item.id}' is not in a state from which it can be {what}.")


def _shown(item: Any) -> Mapping[str, Any]:
    return {"Code": item.state_code, "Name": item.state}


def _change(item: Any, before: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"InstanceId": item.id, "CurrentState": _shown(item), "PreviousState": before}


def _happens(world: World, due: Due) -> None:
    instance = find_instance(due.resource)
    if instance is None:
        return
    state = str(due.data["to"])
    reason = (instance.state_reason.code, instance.state_reason.message, instance.state_transition_reason)
    if state == "terminated":
        if instance.state == "terminated":
            return
        instance.terminate()  # moto gives back addresses, and deletes the disks that go with it
        world.clock.plan("forget", instance.id, seconds=_FORGOTTEN_S)
    elif state == "stopped":
        instance.stop()
    set_state(instance, state)
    if state != "running":  # moto says that a person did it, whoever it was
        set_reason(instance, reason[0], reason[1], transition=reason[2])


def _ring(world: World, due: Due) -> None:
    """Let a timer of an instance do what it was set for; where nobody uses its host, too."""
    what = take_timer(world, due.resource, str(due.data["name"]))
    instance = find_instance(due.resource)
    if not what or instance is None or instance.state != "running":
        return
    if what == "stop":
        shut_down(world, instance)
    elif what == "reboot":
        world.hosts.reboot(instance.id)
    else:
        world.hosts.start_unit(instance.id, what.removeprefix("start:"))


def _forget(world: World, due: Due) -> None:
    """Let a terminated instance be described no more."""
    instance = find_instance(due.resource)
    if instance is None:
        return
    backend = ec2(instance.region_name)
    for identity, reservation in list(backend.reservations.items()):
        reservation.instances = [item for item in reservation.instances if item.id != due.resource]
        if not reservation.instances:
            del backend.reservations[identity]
    backend.tags.pop(due.resource, None)
    world.truth.seen_at.pop(due.resource, None)


RULE = Rule(
    name="states",
    on=frozenset(
        {"ec2:RunInstances", "ec2:StartInstances", "ec2:StopInstances", "ec2:TerminateInstances", "ec2:RebootInstances"}
    ),
    source="states and codes verified in botocore's model; reasons as EC2's API reference lists them; that an instance "
    "which shuts itself down stops or terminates is verified in botocore's model; about an hour of the dead is remembered",
    before=_before,
    made=_made,
    happens={"state": _happens, TIMER: _ring, "forget": _forget},
)
