"""Permission: the key of an IAM user or role may do what its policies allow; one that nobody here gave out is the account's own.

A key that this account gave out and has taken back is nobody's. What is judged, and what is not, stands in
`launchbay.twin.policy`; what a call needs in `launchbay.twin.permissions`. moto's own IAM mode is left off: it would check
signatures over bodies that later rules change.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from typing import Any
from urllib.parse import unquote

from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.access_control import AssumedRoleAccessKey, IAMUserAccessKey
from moto.iam.models import iam_backends
from moto.iam.utils import generate_access_key_id_from_account_id
from moto.sts.models import sts_backends

from launchbay.twin.addresses import presented
from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.permissions import permissions_of
from launchbay.twin.policy import Asked, Unmodelled, judge
from launchbay.twin.rule import Rule
from launchbay.twin.world import World

__all__ = ["RULE", "check_permission"]

_ACCOUNT = slice(4, 12)
"""Where a key that moto gives out says which account it is of, after its kind (``AKIA`` or ``ASIA``)."""

_SESSIONS = ("sts:GetFederationToken", "sts:GetSessionToken")
"""What gives moto's one example key to everybody: nobody could tell afterwards whose it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Somebody:
    """An IAM user or the session of a role: its ARN, what its policies can look at, and these."""

    arn: str
    context: Mapping[str, Sequence[str]]
    policies: Sequence[Mapping[str, Any]]


def _before(call: Call, world: World) -> Call | Mapping[str, Any] | Answer | None:
    somebody = _owner(call, world)
    if somebody is None:
        return None
    if call.name in _SESSIONS:
        raise Refused("InvalidAction", f"{call.action} by a user is not modelled by the twin")
    for asked in permissions_of(call, world):
        _check(call.service, somebody, asked)
    return None


def check_permission(call: Call, world: World, asked: Asked) -> None:
    """Let a call that no rule looks at need one permission. Raises Refused, as for any other."""
    somebody = _owner(call, world)
    if somebody is not None:
        _check(call.service, somebody, asked)


def _check(service: str, somebody: _Somebody, asked: Asked) -> None:
    code = {"ec2": "UnauthorizedOperation", "iam": "AccessDenied", "s3": "AccessDenied", "sts": "AccessDenied"}.get(
        service, "AccessDeniedException"
    )
    status = 400 if code == "AccessDeniedException" else 403
    try:
        verdict = judge(somebody.policies, replace(asked, context={**somebody.context, **asked.context}))
    except Unmodelled as error:
        raise Refused(code, f"A policy of {somebody.arn} cannot be judged: {error}", status=status) from error
    if verdict.is_allowed:
        return
    what = (
        f"User: {somebody.arn} is not authorized to perform: {asked.action} on resource: {asked.resource} {verdict.why}"
    )
    if service == "ec2":
        what = f"You are not authorized to perform this operation. {what}"
    raise Refused(code, what, status=status)


def _owner(call: Call, world: World) -> _Somebody | None:
    """Return whose key signed, None for a key that nobody here gave out: the account's own.

    Raises Refused for a key that was deleted, is switched off, or has expired.
    """
    key = call.key
    backend = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
    for user in backend.list_users("/", None, None):
        for access in user.access_keys:
            if access.access_key_id == key:
                if access.status != "Active":
                    raise _unknown(call.service)
                found = IAMUserAccessKey(DEFAULT_ACCOUNT_ID, "aws", key, {})
                about = {"aws:username": [user.name], "aws:userid": [user.id], "aws:PrincipalType": ["User"]}
                return _somebody(found, call, world, about, backend.tagger.get_tag_dict_for_resource(user.arn))
    for session in sts_backends[DEFAULT_ACCOUNT_ID]["aws"].assumed_roles:
        if session.access_key_id == key:
            if session.expiration.replace(tzinfo=UTC) <= world.now():
                raise _expired(call.service)
            # which token came with it is not looked at, as signatures are not
            found = AssumedRoleAccessKey(
                DEFAULT_ACCOUNT_ID, "aws", key, {"X-Amz-Security-Token": session.session_token}
            )
            role = next((item for item in backend.roles.values() if item.arn == session.role_arn), None)
            if role is None:
                raise _unknown(call.service)
            about = {"aws:userid": [session.user_id], "aws:PrincipalType": ["AssumedRole"]}
            return _somebody(found, call, world, about, backend.tagger.get_tag_dict_for_resource(role.arn))
    if len(key) > _ACCOUNT.stop and key[_ACCOUNT] == _mark():
        raise _unknown(call.service)
    return None


def _mark() -> str:
    """Return what all keys of this account have in common."""
    return str(generate_access_key_id_from_account_id(DEFAULT_ACCOUNT_ID, prefix="AKIA"))[_ACCOUNT]


def _somebody(
    found: Any, call: Call, world: World, about: Mapping[str, Sequence[str]], tags: Mapping[str, str]
) -> _Somebody:
    now = world.now()
    context = {
        **about,
        "aws:CurrentTime": [now.isoformat()],
        "aws:EpochTime": [str(int(now.timestamp()))],
        "aws:PrincipalAccount": [world.truth.settings.account],
        "aws:PrincipalArn": [found.arn],
        "aws:SecureTransport": ["true"],  # as it is on EC2; the twin listens on loopback only
        "aws:SourceIp": [presented(call.peer)],
        "aws:ViaAWSService": ["false"],
        **{f"aws:PrincipalTag/{key}": [value] for key, value in tags.items()},
    }
    policies = [_document(item) for item in found.collect_policies()]
    return _Somebody(arn=found.arn, context=context, policies=policies)


def _unknown(service: str) -> Refused:
    if service == "ec2":
        what = "AWS was not able to validate the provided access credentials"
        return Refused("AuthFailure", what, status=401)
    if service == "s3":
        what = "The AWS Access Key Id you provided does not exist in our records."
        return Refused("InvalidAccessKeyId", what, status=403)
    what = "The security token included in the request is invalid."
    if service in ("iam", "sts"):
        return Refused("InvalidClientTokenId", what, status=403)
    return Refused("UnrecognizedClientException", what)


def _expired(service: str) -> Refused:
    if service == "ec2":
        return Refused("RequestExpired", "Request has expired.")
    code = "ExpiredToken" if service in ("iam", "s3", "sts") else "ExpiredTokenException"
    return Refused(code, "The security token included in the request is expired", status=403)


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
    source="evaluation logic, operators, variables and absent keys as IAM's user guide has them; that ForAnyValue is false for "
    "an absent key with IfExists too is seen in another simulator of policies; resources and condition keys of RunInstances as "
    "the service authorization reference has them, remembered; codes and the message's beginning seen in issues of other tools",
    before=_before,
)
