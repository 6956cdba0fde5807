"""Instances that may not be terminated or stopped by a call, and what an instance does that shuts itself down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from launchbay.twin.backend import find_instance
from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.rule import Rule
from launchbay.twin.wire import write_refusal
from launchbay.twin.world import World

__all__ = ["RULE"]

_FLAGS = {
    "disableApiStop": "DisableApiStop",
    "disableApiTermination": "DisableApiTermination",
    "ebsOptimized": "EbsOptimized",
    "sourceDestCheck": "SourceDestCheck",
}
"""Attributes that are yes or no, with the parameter that sets each."""

_ENDED = ("shutting-down", "terminated")


def _held(call: Call) -> list[Any]:
    """Return the instances that a call names; none where one of them does not exist: then nothing happens to any."""
    found = [find_instance(str(identity), call.region) for identity in call.get("InstanceIds", default=[])]
    return found if all(item is not None for item in found) else []


def _not_permitted(items: Sequence[Any], verb: str, attribute: str) -> Refused:
    what = f"The instance '{items[0].id}' may not be {verb}. Modify its '{attribute}' instance attribute and try again."
    return Refused("OperationNotPermitted", what)


def _before_stop(call: Call) -> None:
    protected = [item for item in _held(call) if item.disable_api_stop]
    if protected:
        raise _not_permitted(protected, "stopped", "disableApiStop")


def _protected(call: Call) -> list[Any]:
    return [item for item in _held(call) if item.disable_api_termination and item.state not in _ENDED]


def _before_terminate(call: Call) -> Call | None:
    """Let only those of other zones go, where one is protected."""
    protected = _protected(call)
    if not protected:
        return None
    zones = {item.availability_zone for item in protected}
    rest = [item.id for item in _held(call) if item.availability_zone not in zones]
    if not rest:
        raise _not_permitted(protected, "terminated", "disableApiTermination")
    return replace(call, params={**call.params, "InstanceIds": rest})


def _after(call: Call, world: World, answer: Answer) -> Answer | None:  # noqa: ARG001 - a rule's form
    if call.action != "TerminateInstances" or answer.is_error:
        return None
    protected = _protected(call)
    if not protected:
        return None
    return write_refusal(call.service, _not_permitted(protected, "terminated", "disableApiTermination"))


def _modify(call: Call) -> Call | Mapping[str, Any] | None:
    """Set what moto does not know, or would keep as a text that is no truth value."""
    instance = find_instance(str(call.get("InstanceId")), call.region)
    if instance is None:
        return None
    attribute, value = str(call.get("Attribute", default="")), str(call.get("Value", default=""))
    behaviour = call.get("InstanceInitiatedShutdownBehavior", "Value")
    if behaviour is None and attribute == "instanceInitiatedShutdownBehavior":
        behaviour = value
    if behaviour is not None:
        if behaviour not in ("stop", "terminate"):
            what = f"Value ({behaviour}) for parameter value is invalid. Expecting 'stop' or 'terminate'"
            raise Refused("InvalidParameterValue", what)
        instance.instance_initiated_shutdown_behavior = behaviour
        return {}
    if call.get("Groups") and instance.nics:
        _regroup(instance, call.get("Groups"))
        return {}
    if attribute not in _FLAGS:
        return None
    params = {name: item for name, item in call.params.items() if name not in ("Attribute", "Value")}
    return replace(call, params={**params, _FLAGS[attribute]: {"Value": value.lower() == "true"}})


def _regroup(instance: Any, identities: Sequence[str]) -> None:
    """Give the first interface other groups: they are the instance's."""
    found = [instance.ec2_backend.get_security_group_from_id(identity) for identity in identities]
    for identity, group in zip(identities, found, strict=True):
        if group is None:
            raise Refused("InvalidGroup.NotFound", f"The security group '{identity}' does not exist")
    instance.security_groups = found
    instance.nics[0]._group_set = list(found)  # noqa: SLF001 - moto has no door for it


def _before(call: Call, world: World) -> Call | Mapping[str, Any] | Answer | None:  # noqa: ARG001 - a rule's form
    if call.action == "ModifyInstanceAttribute":
        return _modify(call)
    if call.action == "TerminateInstances":
        return _before_terminate(call)
    if call.action == "StopInstances":
        _before_stop(call)
    return None


def _made(call: Call, world: World, made: Sequence[Any]) -> None:  # noqa: ARG001 - a rule's form
    for instance in made:
        instance.disable_api_termination = bool(call.get("DisableApiTermination", default=False))


RULE = Rule(
    name="protection",
    on=frozenset({"ec2:ModifyInstanceAttribute", "ec2:RunInstances", "ec2:StopInstances", "ec2:TerminateInstances"}),
    source="zone by zone, and that one unknown id spares all, verified in botocore's documentation; code and message as moto "
    "has them; that one instance which may not be stopped spares all is remembered",
    before=_before,
    after=_after,
    made=_made,
)
