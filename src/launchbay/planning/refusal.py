"""What an error of EC2 means for a launch: what is tried next, and what a person should read. Pure.

Sorted by code, never by the words of a message, but for one code that EC2 uses for too much. Codes from EC2's list of error
codes; what other tools fall back on was compared.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from launchbay.planning.ladder import Rung
from launchbay.planning.quota import Quota, quota_of

__all__ = ["Advice", "Kind", "advice", "explain", "is_passing", "is_proof"]


class Kind(Enum):
    """What an error is about."""

    CAPACITY = "capacity"
    QUOTA = "quota"
    PERMISSION = "permission"
    ACCOUNT = "account"
    CREDENTIALS = "credentials"
    REQUEST = "request"
    RETRY = "retry"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What to do about an error. `rungs` are those still worth trying, in order; with none the launch is over.

    `new_attempt` says that the token has had its instances, and they are gone. `quota` is the one that is used up. `what` and
    `hint` are for a person. Whether the call made something after all is another question: `is_proof`.
    """

    kind: Kind
    what: str
    hint: str
    rungs: tuple[Rung, ...] = ()
    new_attempt: bool = False
    quota: Quota | None = None


_CAPACITY = {
    "InsufficientInstanceCapacity": "has no room for {type} ({market})",
    "InsufficientCapacity": "has no room for {type} ({market})",
    "InsufficientHostCapacity": "has no room for {type} ({market})",
    "UnfulfillableCapacity": "has no room for {type} ({market})",
    "Unsupported": "does not have {type} in this form ({market})",
    "InsufficientFreeAddressesInSubnet": "has no free address left in its subnet",
    "SpotMaxPriceTooLow": "sells {type} for more than the highest price that was named",
}
_QUOTA = ("VcpuLimitExceeded", "InstanceLimitExceeded", "MaxSpotInstanceCountExceeded")
_OTHER_LIMITS = (
    "AddressLimitExceeded",
    "MaxIOPSLimitExceeded",
    "NetworkInterfaceLimitExceeded",
    "SecurityGroupLimitExceeded",
    "VolumeLimitExceeded",
)
_PERMISSION = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "Client.UnauthorizedOperation")
_ACCOUNT = {
    "PendingVerification": (
        "AWS is still verifying the account for this region",
        "wait for its mail, up to some hours",
    ),
    "OptInRequired": (
        "the account has not opted in: to the region, or to an image of the marketplace",
        "enable the region in the account's settings, or accept the image's terms",
    ),
    "Blocked": ("AWS has blocked the account", "open a case with AWS support"),
    "AccountDisabled": ("the account is disabled", "open a case with AWS support"),
}
_CREDENTIALS = {
    "AuthFailure": (
        "AWS does not take the credentials in this region",
        "aws sts get-caller-identity; is the region enabled?",
    ),
    "ExpiredToken": ("the credentials have expired", "sign in again, such as aws sso login"),
    "ExpiredTokenException": ("the credentials have expired", "sign in again, such as aws sso login"),
    "RequestExpired": ("the request was too old when it arrived", "sign in again; is this machine's clock right?"),
    "InvalidAccessKeyId": (
        "AWS does not know the access key",
        "aws sts get-caller-identity shows who AWS takes you for",
    ),
    "InvalidClientTokenId": (
        "AWS does not know the access key",
        "aws sts get-caller-identity shows who AWS takes you for",
    ),
    "UnrecognizedClientException": ("AWS does not know the access key", "aws sts get-caller-identity"),
    "SignatureDoesNotMatch": (
        "the secret key is not that of the access key",
        "aws configure; is this machine's clock right?",
    ),
    "IncompleteSignature": ("the request was not signed", "aws configure"),
    "MissingAuthenticationToken": ("the request was not signed", "aws configure"),
}
_RETRY = (
    "EC2ThrottledException",
    "InternalError",
    "InternalFailure",
    "RequestLimitExceeded",
    "RequestTimeout",
    "ServiceUnavailable",
    "Throttling",
    "ThrottlingException",
    "Unavailable",
)
_UNTOUCHED = ("EC2ThrottledException", "RequestLimitExceeded", "Throttling", "ThrottlingException")
"""Refused at the door: nothing can have been made."""
_TOKEN_GONE, _TOKEN_OF_ANOTHER = "IdempotentInstanceTerminated", "IdempotentParameterMismatch"
_REQUESTS = {
    "InvalidAMIID.NotFound": (
        "the image is not in this region, or no more",
        "images are of one region; look it up again",
    ),
    "InvalidAMIID.Unavailable": ("the image is not ready, or no more", "look it up again"),
    "InvalidBlockDeviceMapping": ("a disk cannot be made as asked", "it has to be as large as the image's snapshot"),
    "InvalidKeyPair.NotFound": ("the key pair is not in this region", "key pairs are of one region"),
    "InvalidGroup.NotFound": (
        "the security group is gone, or of another network",
        "name one of the subnet's own network",
    ),
    "InvalidSubnetID.NotFound": ("the subnet is not in this region, or gone", "aws ec2 describe-subnets"),
    "InvalidPlacementGroup.Unknown": ("the placement group is gone", "aws ec2 describe-placement-groups"),
    _TOKEN_OF_ANOTHER: (
        "the token of this launch was used for something else",
        "the journal shows what; a new launch has a new token",
    ),
}
_REQUEST_PREFIXES = (
    "Invalid",
    "Missing",
    "Malformed",
    "Unknown",
    "Validation",
    "UnsupportedOperation",
    "IncorrectState",
)
_NOT_AUTHORIZED = re.compile(r"not authorized to perform: ([a-z0-9-]+:[A-Za-z]+)(?: on resource: (arn:\S+))?", re.ASCII)
_PROFILE_LAG = "invalid iam instance profile"
"""EC2 takes some seconds to see a new instance profile, and has no code of its own for it."""


def is_passing(code: str) -> bool:
    """Say whether an error is of the moment: AWS is busy or out of order, and the same call may be taken a little later."""
    return _plain(code) in _RETRY


def is_proof(code: str, *, asked_before: bool = False) -> bool:
    """Say whether a refused launch proves that nothing of its token stands.

    Of a token that was `asked_before`, without an answer that anybody read, only want of room or of quota proves it, for EC2
    looks first whether it knows the token; who may ask, and how, it judges before that. Codes that are not known prove nothing.
    """
    plain = _plain(code)
    if plain in _CAPACITY or plain in _QUOTA or plain in _OTHER_LIMITS or plain == _TOKEN_GONE:
        return True
    if asked_before or plain == _TOKEN_OF_ANOTHER:
        return False
    known = plain in _PERMISSION or plain in _ACCOUNT or plain in _CREDENTIALS or plain in _REQUESTS
    return known or plain in _UNTOUCHED or plain.startswith(_REQUEST_PREFIXES)


def explain(code: str, permission: str, message: str = "") -> tuple[str, str] | None:
    """Return what a refusal of the person's credentials, permissions or account means, and what to do; None for any other.

    `permission` is what the call takes, such as ``ec2:RunInstances``; `message` may name another one that is lacking.
    """
    plain = _plain(code)
    if plain in _PERMISSION:
        permission, resource = _lacking(message) or (permission, "")
        hint = f"let them have {permission}{resource and f' on {resource}'}"
        return f"AWS does not allow {permission} to these credentials ({plain})", hint
    known = _CREDENTIALS.get(plain) or _ACCOUNT.get(plain)
    return (f"{known[0]} ({plain})", known[1]) if known else None


def _lacking(message: str) -> tuple[str, str] | None:
    """Return permission and resource that AWS's words name: a launch takes more than its own, as to pass a role or to tag."""
    found = _NOT_AUTHORIZED.search(message)
    return (found[1], found[2] or "") if found else None


def _plain(code: str) -> str:
    return code.removeprefix("Server.").removeprefix("Client.")


def advice(code: str, rung: Rung, rungs_left: Sequence[Rung], *, message: str = "") -> Advice:
    """Return what an error at a rung means; `rungs_left` are those below it. A state reason's code will do as well.

    Codes that are not known end the launch.
    """
    plain = _plain(code)
    left = tuple(rungs_left)
    place = f"{rung.zone} "
    if code == "Client.InternalError":
        what = f"the instance ended at once in {rung.zone}, which EC2 does when it may not use the disk's key"
        return Advice(kind=Kind.PERMISSION, what=what, hint="let the key be used: kms:CreateGrant, kms:Decrypt")
    if plain in _CAPACITY:
        what = place + _CAPACITY[plain].format(type=rung.type, market=rung.market)
        return Advice(
            kind=Kind.CAPACITY, what=what, hint=_then(_worth(plain, rung, left)), rungs=_worth(plain, rung, left)
        )
    if plain in _QUOTA:
        return _of_quota(rung, left)
    if plain in _OTHER_LIMITS:
        what = f"the account is at a limit of this region ({plain})"
        return Advice(kind=Kind.QUOTA, what=what, hint="delete what is not used, or ask AWS for more in Service Quotas")
    if plain in _PERMISSION:
        lacking, resource = _lacking(message) or ("this launch", "")
        what = f"AWS does not allow {lacking}{resource and f' on {resource}'} to these credentials ({plain})"
        hint = "`bay doctor --iam` prints what it takes; aws sts decode-authorization-message says why it was refused"
        return Advice(kind=Kind.PERMISSION, what=what, hint=hint)
    for kind, known in ((Kind.ACCOUNT, _ACCOUNT), (Kind.CREDENTIALS, _CREDENTIALS)):
        if plain in known:
            return Advice(kind=kind, what=f"{known[plain][0]} ({plain})", hint=known[plain][1])
    if plain in _RETRY:
        what = f"AWS is busy or out of order ({plain})"
        hint = "wait, then the same call with the same token"
        return Advice(kind=Kind.RETRY, what=what, hint=hint, rungs=(rung, *left))
    return _of_request(plain, rung, left, message)


def _of_request(code: str, rung: Rung, left: tuple[Rung, ...], message: str) -> Advice:
    if code == "InvalidParameterValue" and _PROFILE_LAG in message.casefold():
        what = "EC2 does not see the instance profile yet"
        hint = "wait some seconds, then the same call; after a minute the profile is not there"
        return Advice(kind=Kind.RETRY, what=what, hint=hint, rungs=(rung, *left))
    if code == _TOKEN_GONE:
        what = f"what this launch made in {rung.zone} is terminated already"
        hint = "a new attempt, which has a new token"
        return Advice(kind=Kind.RETRY, what=what, hint=hint, rungs=(rung, *left), new_attempt=True)
    if code in _REQUESTS:
        what, hint = _REQUESTS[code]
        return Advice(kind=Kind.REQUEST, what=f"{what} ({code})", hint=hint)
    if code.startswith(_REQUEST_PREFIXES):
        return Advice(
            kind=Kind.REQUEST, what=f"EC2 does not take the request ({code})", hint=message or "look at what is asked"
        )
    what = f"EC2 says {code}, which Launchbay does not know"
    return Advice(kind=Kind.UNKNOWN, what=what, hint=message or "look at what the token made")


def _of_quota(rung: Rung, left: tuple[Rung, ...]) -> Advice:
    """Only what counts against another quota is worth trying; a zone more is the same quota."""
    quota = quota_of(rung.type, rung.market)
    code = quota.code if quota else ""
    rungs = tuple(item for item in left if (other := quota_of(item.type, item.market)) is None or other.code != code)
    named = f"the quota {quota.name!r} ({code})" if quota else f"the account's limit of {rung.type}"
    ask = f"aws service-quotas request-service-quota-increase --service-code ec2 --quota-code {code} --desired-value VCPUS"
    hint = f"{ask}; {_then(rungs)}" if quota else _then(rungs)
    return Advice(kind=Kind.QUOTA, what=f"{named} is used up in this region", hint=hint, rungs=rungs, quota=quota)


def _worth(code: str, rung: Rung, left: tuple[Rung, ...]) -> tuple[Rung, ...]:
    """Leave out what is bound to fail in the same way."""
    if code == "InsufficientFreeAddressesInSubnet":
        return tuple(item for item in left if item.zone != rung.zone)
    return tuple(item for item in left if (item.zone, item.type, item.market) != (rung.zone, rung.type, rung.market))


def _then(rungs: tuple[Rung, ...]) -> str:
    if not rungs:
        return "wait some minutes, or allow more: --sisters, --spot or not, another --type or --region"
    return f"next is {rungs[0].type} in {rungs[0].zone}, {rungs[0].market}"
