"""Permission: who signs with the key of an IAM user or role may do what its policies allow; any other key is the account's own.

What is judged, and what is not, stands in `launchbay.twin.policy`; what a call needs in `launchbay.twin.permissions`.
moto's own IAM mode is left off: it would check signatures over bodies that later rules change.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.access_control import AssumedRoleAccessKey, CreateAccessKeyFailure, IAMUserAccessKey

from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.permissions import permissions_of
from launchbay.twin.policy import Unmodelled, judge
from launchbay.twin.rule import Rule
from launchbay.twin.world import World

__all__ = ["RULE"]


def _before(call: Call, world: World) -> Call | Mapping[str, Any] | Answer | None:
    somebody = _owner(call.key)
    if somebody is None:
        return None
    policies = [_document(item) for item in somebody.collect_policies()]
    for asked in permissions_of(call, world):
        try:
            verdict = judge(policies, asked)
        except Unmodelled as error:
            raise Refused(
                "UnauthorizedOperation", f"A policy of {somebody.arn} cannot be judged: {error}", status=403
            ) from error
        if not verdict.is_allowed:
            who = f"User: {somebody.arn} is not authorized to perform: {asked.action} on resource: {asked.resource}"
            if call.service == "ec2":
                what = f"You are not authorized to perform this operation. {who} {verdict.why}"
                raise Refused("UnauthorizedOperation", what, status=403)
            code = "AccessDenied" if call.service in ("iam", "sts") else "AccessDeniedException"
            raise Refused(code, f"{who} {verdict.why}", status=403 if code == "AccessDenied" else 400)
    return None


def _owner(key: str) -> Any | None:
    """Return the IAM user or role whose key it is, None for a key that moto never gave out."""
    if not key:
        return None
    for kind, headers in ((IAMUserAccessKey, {}), (AssumedRoleAccessKey, {"X-Amz-Security-Token": ""})):
        try:
            return kind(DEFAULT_ACCOUNT_ID, "aws", key, headers)
        except CreateAccessKeyFailure as failure:
            if failure.reason == "InvalidToken":
                return _role_of(key)
    return None


def _role_of(key: str) -> Any | None:
    """Return the role of a session key; which token came with it is not looked at, as signatures are not."""
    from moto.sts.models import sts_backends

    for role in sts_backends[DEFAULT_ACCOUNT_ID]["aws"].assumed_roles:
        if role.access_key_id == key:
            return AssumedRoleAccessKey(DEFAULT_ACCOUNT_ID, "aws", key, {"X-Amz-Security-Token": role.session_token})
    return None


def _document(policy: Any) -> Mapping[str, Any]:
    """Return a policy's document; moto gives inline ones as fields or as text, and managed ones as objects."""
    text: Any
    if isinstance(policy, str):
        text = policy
    elif isinstance(policy, Mapping):
        text = policy["policy_document"]
    else:
        text = next(version.document for version in policy.versions if version.is_default)
    found: Mapping[str, Any] = json.loads(unquote(text)) if isinstance(text, str) else text
    return found


RULE = Rule(
    name="iam",
    on=frozenset({"*"}),
    source="evaluation logic as IAM's user guide has it; resources and condition keys of RunInstances as the service "
    "authorization reference has them, remembered; the code and the beginning of the message seen in issues of other tools",
    before=_before,
)
