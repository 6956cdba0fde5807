"""Client tokens of RunInstances: the same token and parameters launch once, whoever asks again.

A token holds within a zone where the request names one (by placement or subnet) and within the region otherwise. So the same
token in another zone is a second launch, as on EC2. It is the account's, whichever of its keys signs: those of a role change with
every session, so who goes on with a launch has others than who began it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from launchbay.twin.backend import ec2, find_instance
from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.rule import Rule
from launchbay.twin.truth import Token
from launchbay.twin.wire import new_request_id
from launchbay.twin.world import World

__all__ = ["RULE", "zone_asked"]

_LONGEST = 64


def zone_asked(call: Call) -> str:
    """Return the zone that a launch names, itself or by its subnet; empty where it names none."""
    zone = call.get("Placement", "AvailabilityZone", default="")
    interfaces = call.get("NetworkInterfaces") or [{}]
    subnet = call.get("SubnetId") or interfaces[0].get("SubnetId")
    if zone or not subnet:
        return str(zone)
    found = next((zones[subnet] for zones in ec2(call.region).subnets.values() if subnet in zones), None)
    return str(found.availability_zone) if found else ""


def _before(call: Call, world: World) -> Call | Mapping[str, Any] | Answer | None:
    token = str(call.get("ClientToken", default=""))
    if not token:
        return None
    if len(token) > _LONGEST or not token.isascii():
        raise Refused("InvalidParameterValue", f"Invalid client token: at most {_LONGEST} ASCII characters")
    known = world.truth.tokens.get(_key(call))
    if known is None:
        return None
    if known.parameters != _digest(call):
        raise Refused(
            "IdempotentParameterMismatch",
            "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
        )
    stand = [find_instance(identity, call.region) for identity in known.instances]
    if all(item is None or item.state in ("shutting-down", "terminated") for item in stand):
        raise Refused("IdempotentInstanceTerminated", "The instances that this client token launched are terminated.")
    body = known.body.replace(known.request_id.encode(), new_request_id().encode())
    return Answer(status=known.status, headers=(("Content-Type", "text/xml;charset=UTF-8"),), body=body)


def _after(call: Call, world: World, answer: Answer) -> Answer | None:
    """Remember what was launched. What was refused is not remembered: the same token may try again."""
    token = str(call.get("ClientToken", default=""))
    if token and world.fresh and not answer.is_error:
        world.truth.tokens[_key(call)] = Token(
            parameters=_digest(call),
            status=answer.status,
            body=answer.body,
            request_id=_request_id(answer.body),
            instances=tuple(world.fresh),
        )
    return None


def _key(call: Call) -> tuple[str, ...]:
    return call.region, call.action, zone_asked(call) or "-", str(call.get("ClientToken"))


def _digest(call: Call) -> str:
    counted = {name: value for name, value in call.params.items() if name not in ("ClientToken", "DryRun")}
    return hashlib.sha256(json.dumps(counted, sort_keys=True, default=str).encode()).hexdigest()


def _request_id(body: bytes) -> str:
    _, _, rest = body.partition(b"<requestId>")
    return rest.partition(b"</requestId>")[0].decode()


RULE = Rule(
    name="idempotency",
    on=frozenset({"ec2:RunInstances"}),
    source="seen in EC2's page on idempotency: zonal and regional tokens, parameter mismatch; it names no "
    "narrower scope, and that the account's users share them is remembered; "
    "what a token of terminated instances gives is seen in issues of boto3 (4406)",
    before=_before,
    after=_after,
)
