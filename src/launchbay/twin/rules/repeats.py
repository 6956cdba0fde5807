"""Client tokens of all that is made but instances: who asks the same again gets the first answer, and nothing is made twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.rule import Rule
from launchbay.twin.truth import Token
from launchbay.twin.wire import new_request_id
from launchbay.twin.world import World

__all__ = ["RULE"]


def _before(call: Call, world: World) -> Call | Mapping[str, Any] | Answer | None:
    known = world.truth.tokens.get(_key(call)) if call.get("ClientToken") else None
    if known is None:
        return None
    if known.parameters != _digest(call):
        raise Refused(
            "IdempotentParameterMismatch",
            "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
        )
    body = known.body.replace(known.request_id.encode(), new_request_id().encode()) if known.request_id else known.body
    return Answer(status=known.status, headers=(("Content-Type", "text/xml;charset=UTF-8"),), body=body)


def _after(call: Call, world: World, answer: Answer) -> Answer | None:
    if call.get("ClientToken") and not answer.is_error:
        _, _, rest = answer.body.partition(b"<requestId>")
        world.truth.tokens.setdefault(
            _key(call),
            Token(
                parameters=_digest(call),
                status=answer.status,
                body=answer.body,
                request_id=rest.partition(b"</requestId>")[0].decode(),
                instances=(),
            ),
        )
    return None


def _key(call: Call) -> tuple[str, ...]:
    return call.region, call.action, "-", str(call.get("ClientToken"))


def _digest(call: Call) -> str:
    counted = {name: value for name, value in call.params.items() if name not in ("ClientToken", "DryRun")}
    return hashlib.sha256(json.dumps(counted, sort_keys=True, default=str).encode()).hexdigest()


RULE = Rule(
    name="repeats",
    on=frozenset(
        {
            "ec2:CopyImage",
            "ec2:CreateFleet",
            "ec2:CreateInstanceConnectEndpoint",
            "ec2:CreateLaunchTemplate",
            "ec2:CreateLaunchTemplateVersion",
            "ec2:CreateVolume",
        }
    ),
    source="which calls take a token verified in botocore's model, IdempotentParameterMismatch seen in EC2's page on idempotency",
    before=_before,
    after=_after,
)
