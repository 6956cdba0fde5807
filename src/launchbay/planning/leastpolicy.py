"""The least that somebody has to be allowed in AWS for what Launchbay asks there: an IAM policy, as a value. Pure.

Everything that Launchbay makes has its tag from the call that makes it, and nothing without that tag is ever changed; the policy
says the same, so a mistake of ours, or a stranger with the same keys, gets no further. A test holds it against the calls in the
code, and another works under exactly it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from launchbay.errors import UsageError
from launchbay.planning.cloudimage import MANAGED_TAG

__all__ = [
    "MOST_LETTERS",
    "MOST_LETTERS_IN_A_USER",
    "PARTS",
    "LeastPolicy",
    "Permission",
    "explain_policy",
    "least_permissions",
    "least_policy",
]

PARTS: Mapping[str, str] = {
    "images": "search machine images, by Amazon's public parameters and by their names",
    "launch": "launch, list, reach, stop, start and terminate what is ours, with its security group and key pair",
    "spot": "the first spot request of an account lets EC2 make a role of its own for them",
    "bake": "make images of our instances, and remove them with their snapshots",
    "store": "a bucket for data, checkpoints, logs and models",
    "prices": "types, prices, spot prices and Savings Plans rates, for `bay types refresh`",
}
"""What a policy can be made of, and for what each part is."""

MOST_LETTERS, MOST_LETTERS_IN_A_USER = 6144, 2048
"""How many letters a policy may have in IAM, blanks not counted: one of its own, and all that are written into one user."""

_OURS = "launchbay"
_TAG_ASKED, _TAG_THERE = f"aws:RequestTag/{MANAGED_TAG}", f"aws:ResourceTag/{MANAGED_TAG}"
_FOREIGN = ("image", "snapshot")
_BUCKETS = "arn:aws:s3:::launchbay-*"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """One statement of the policy: its name, why it is needed, and for which part."""

    name: str
    part: str
    why: str
    actions: Sequence[str]
    resources: Sequence[str] = ("*",)
    conditions: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)

    def as_statement(self) -> Mapping[str, Any]:
        """Return it as IAM takes it. IAM has no room for why."""
        found: dict[str, Any] = {
            "Sid": self.name,
            "Effect": "Allow",
            "Action": _one_or_all(self.actions),
            "Resource": _one_or_all(self.resources),
        }
        if self.conditions:
            found["Condition"] = {
                operator: {key: _one_or_all(values) for key, values in keys.items()}
                for operator, keys in self.conditions.items()
            }
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class LeastPolicy:
    """The policy with why each of its statements is needed, and how many letters of it IAM counts."""

    document: Mapping[str, Any]
    why: Mapping[str, str]
    letters: int

    def as_json(self) -> Mapping[str, Any]:
        """Return the policy alone, ready to be given to IAM."""
        return self.document


def explain_policy(
    *,
    regions: Collection[str] = (),
    account: str = "*",
    parts: Collection[str] = tuple(PARTS),
    roles: Collection[str] = (),
    buckets: Collection[str] = (),
    store: str = "",
) -> LeastPolicy:
    """Return the policy with its reasons, which IAM has no room for. Arguments and errors are those of `least_policy`."""
    found = least_permissions(regions=regions, account=account, parts=parts, roles=roles, buckets=buckets, store=store)
    document = {"Version": "2012-10-17", "Statement": [item.as_statement() for item in found]}
    letters = len("".join(json.dumps(document).split()))
    return LeastPolicy(document=document, why={item.name: item.why for item in found}, letters=letters)


def least_policy(
    *,
    regions: Collection[str] = (),
    account: str = "*",
    parts: Collection[str] = tuple(PARTS),
    roles: Collection[str] = (),
    buckets: Collection[str] = (),
    store: str = "",
) -> dict[str, Any]:
    """Return the policy, ready to be given to IAM as JSON.

    `regions` are all that EC2 may be asked in, none for any. `account` is the number of the account. `roles` are the ARNs of
    roles whose instance profile a launch may name, and `buckets` those with data of the person's own to be read; without any
    none may. `store` is a bucket of the person's own that the store is to be in, if it is not to be one of ours.

    Raises UsageError for a part, a role or a bucket that is none.
    """
    return dict(
        explain_policy(
            regions=regions, account=account, parts=parts, roles=roles, buckets=buckets, store=store
        ).document
    )


def least_permissions(
    *,
    regions: Collection[str] = (),
    account: str = "*",
    parts: Collection[str] = tuple(PARTS),
    roles: Collection[str] = (),
    buckets: Collection[str] = (),
    store: str = "",
) -> Sequence[Permission]:
    """Return what the policy consists of, each with why. Arguments and errors are those of `least_policy`."""
    for part in parts:
        if part not in PARTS:
            raise UsageError(f"a policy has no part {part!r}", hint=f"parts are {', '.join(PARTS)}")
    for role in roles:
        if not role.startswith("arn:") or ":role/" not in role:
            raise UsageError(f"a role must be an ARN such as arn:aws:iam::123456789012:role/NAME, got {role!r}")
    for bucket in (*buckets, *([store] if store else [])):
        if not _BUCKET.fullmatch(bucket):
            raise UsageError(f"{bucket!r} is no name of a bucket", hint="its name alone, without s3://")
    every = [
        *_images(),
        *_launch(account),
        *_spot(account),
        *_bake(account),
        *_store(store),
        *_prices(),
        *_pass(account, roles),
        *_read(buckets),
    ]
    return [_in_regions(item, regions) for item in every if item.part in parts]


def _images() -> Sequence[Permission]:
    return (
        Permission(
            name="FindImages",
            part="images",
            why="images are searched by owner and name; EC2 cannot limit reads to some of them",
            actions=("ec2:DescribeImages",),
        ),
        Permission(
            name="ReadParameters",
            part="images",
            why="Amazon names its newest images in public parameters",
            actions=("ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"),
            resources=("arn:aws:ssm:*:*:parameter/aws/service/*",),
        ),
    )


def _launch(account: str) -> Sequence[Permission]:
    used = ("image", "key-pair", "placement-group", "security-group", "snapshot", "subnet", "launch-template")
    return (
        Permission(
            name="SeeWhatStands",
            part="launch",
            why="what stands, and what the quotas are, is asked and not remembered; EC2 cannot limit reads to what is ours",
            actions=_LOOKS,
        ),
        Permission(
            name="LaunchFrom",
            part="launch",
            why="a launch has to be allowed on everything that it uses",
            actions=("ec2:RunInstances",),
            resources=_arns(account, *used),
        ),
        Permission(
            name="LaunchOursWithTokens",
            part="launch",
            why="an instance has our tag and takes version 2 of the metadata service, or is not launched",
            actions=("ec2:RunInstances",),
            resources=_arns(account, "instance"),
            conditions={"StringEquals": {_TAG_ASKED: (_OURS,), "ec2:MetadataHttpTokens": ("required",)}},
        ),
        Permission(
            name="LaunchOursEncrypted",
            part="launch",
            why="a disk has our tag and is encrypted, or is not made",
            actions=("ec2:RunInstances",),
            resources=_arns(account, "volume"),
            conditions={"StringEquals": {_TAG_ASKED: (_OURS,)}, "Bool": {"ec2:Encrypted": ("true",)}},
        ),
        Permission(
            name="LaunchOurs",
            part="launch",
            why="what else a launch makes has our tag too",
            actions=("ec2:RunInstances",),
            resources=_arns(account, "network-interface", "spot-instances-request"),
            conditions={"StringEquals": {_TAG_ASKED: (_OURS,)}},
        ),
        Permission(
            name="MakeOurs",
            part="launch",
            why="a fleet has a security group, a key and perhaps a placement group of its own, with our tag; so has a template",
            actions=(
                "ec2:CreateLaunchTemplate",
                "ec2:CreatePlacementGroup",
                "ec2:CreateSecurityGroup",
                "ec2:ImportKeyPair",
            ),
            resources=_arns(account, "*"),  # they make nothing else, and IAM counts each letter
            conditions={"StringEquals": {_TAG_ASKED: (_OURS,)}},
        ),
        Permission(
            name="MakeGroupsInNetworks",
            part="launch",
            why="a security group is made in a network, which is anybody's",
            actions=("ec2:CreateSecurityGroup",),
            resources=_arns(account, "vpc"),
        ),
        Permission(
            name="TagWhatIsMade",
            part="launch",
            why="tags are given in the call that makes something, and to nothing else that is not ours",
            actions=("ec2:CreateTags",),
            resources=(*_arns(account, "*"), *(_arns("", "*") if account != "*" else ())),  # images carry no account
            conditions={"StringEquals": {"ec2:CreateAction": _MAKING, _TAG_ASKED: (_OURS,)}},
        ),
        Permission(
            name="ChangeOurs",
            part="launch",
            why="only what has our tag is ever stopped, changed, ended, or opened with a key for a minute",
            actions=_CHANGES,
            resources=_arns(account, "*"),
            conditions={"StringEquals": {_TAG_THERE: (_OURS,)}},
        ),
        Permission(
            name="GoThroughEndpoints",
            part="launch",
            why="what stands behind an endpoint of its network is reached through it, by SSH alone",
            actions=("ec2-instance-connect:OpenTunnel",),
            resources=_arns(account, "instance-connect-endpoint"),
            conditions={"NumericEquals": {"ec2-instance-connect:remotePort": ("22",)}},
        ),
    )


_LOOKS = (
    "ec2:DescribeInstanceConnectEndpoints",
    "ec2:DescribeInstanceTypeOfferings",
    "ec2:DescribeInstances",
    "ec2:DescribeKeyPairs",
    "ec2:DescribeLaunchTemplateVersions",
    "ec2:DescribeLaunchTemplates",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribePlacementGroups",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVolumes",
    "ec2:DescribeVpcs",
    "servicequotas:GetAWSDefaultServiceQuota",
    "servicequotas:GetServiceQuota",
)
_CHANGES = (
    "ec2-instance-connect:SendSSHPublicKey",
    "ec2:AuthorizeSecurityGroupIngress",
    "ec2:CreateLaunchTemplateVersion",
    "ec2:CreateTags",
    "ec2:DeleteKeyPair",
    "ec2:DeleteLaunchTemplate",
    "ec2:DeletePlacementGroup",
    "ec2:DeleteSecurityGroup",
    "ec2:DeleteVolume",
    "ec2:RebootInstances",
    "ec2:RevokeSecurityGroupIngress",
    "ec2:StartInstances",
    "ec2:StopInstances",
    "ec2:TerminateInstances",
)
_MAKING = (
    "CreateImage",
    "CreateLaunchTemplate",
    "CreatePlacementGroup",
    "CreateSecurityGroup",
    "ImportKeyPair",
    "RunInstances",
)


def _spot(account: str) -> Sequence[Permission]:
    return (
        Permission(
            name="MakeSpotRole",
            part="spot",
            why="once in an account's life; EC2 acts in that role for spot requests",
            actions=("iam:CreateServiceLinkedRole",),
            resources=(f"arn:aws:iam::{account}:role/aws-service-role/spot.amazonaws.com/*",),
            conditions={"StringEquals": {"iam:AWSServiceName": ("spot.amazonaws.com",)}},
        ),
    )


def _bake(account: str) -> Sequence[Permission]:
    return (
        Permission(
            name="BakeOfOurs",
            part="bake",
            why="images are made of our instances only",
            actions=("ec2:CreateImage",),
            resources=_arns(account, "instance"),
            conditions={"StringEquals": {_TAG_THERE: (_OURS,)}},
        ),
        Permission(
            name="BakeOurs",
            part="bake",
            why="an image and its snapshots have our tag",
            actions=("ec2:CreateImage",),
            resources=_arns("", "*"),
            conditions={"StringEquals": {_TAG_ASKED: (_OURS,)}},
        ),
        Permission(
            name="SeeSnapshots",
            part="bake",
            why="what an image leaves behind costs, and is looked for",
            actions=("ec2:DescribeSnapshots",),
        ),
        Permission(
            name="RemoveBaked",
            part="bake",
            why="only an image with our tag is deregistered, and only snapshots with our tag are deleted",
            actions=("ec2:DeleteSnapshot", "ec2:DeregisterImage"),
            resources=_arns("", "*"),  # images and snapshots
            conditions={"StringEquals": {_TAG_THERE: (_OURS,)}},
        ),
    )


def _store(own: str) -> Sequence[Permission]:
    named = (_BUCKETS, *([f"arn:aws:s3:::{own}"] if own else []))
    return (
        Permission(
            name="KeepAStore",
            part="store",
            why="a bucket of ours is made, closed, encrypted, tagged, listed and removed",
            actions=(
                "s3:CreateBucket",
                "s3:DeleteBucket",
                "s3:GetBucketPublicAccessBlock",
                "s3:GetBucketTagging",
                "s3:ListBucket",
                "s3:PutBucketOwnershipControls",
                "s3:PutBucketPolicy",
                "s3:PutBucketPublicAccessBlock",
                "s3:PutBucketTagging",
                "s3:PutEncryptionConfiguration",
                "s3:PutLifecycleConfiguration",
            ),
            resources=named,
        ),
        Permission(
            name="KeepThingsInIt",
            part="store",
            why="what lies in it is stored, read and removed; what instances send and fetch is signed with the same rights",
            actions=("s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"),
            resources=tuple(f"{arn}/*" for arn in named),
        ),
    )


def _prices() -> Sequence[Permission]:
    return (
        Permission(
            name="SeeTypesAndPrices",
            part="prices",
            why="what types there are in a region, and what they cost on the spot market",
            actions=(
                "ec2:DescribeInstanceTypeOfferings",
                "ec2:DescribeInstanceTypes",
                "ec2:DescribeSpotPriceHistory",
            ),
        ),
        Permission(
            name="SeePriceLists",
            part="prices",
            why="list prices and rates of Savings Plans, which AWS has in one region for all",
            actions=("pricing:GetProducts", "savingsplans:DescribeSavingsPlansOfferingRates"),
        ),
    )


def _pass(account: str, roles: Collection[str]) -> Sequence[Permission]:
    if not roles:
        return ()
    return (
        Permission(
            name="SeeProfiles",
            part="launch",
            why="whether an instance profile is there, and has a role, is seen before the launch",
            actions=("iam:GetInstanceProfile",),
            resources=(f"arn:aws:iam::{account}:instance-profile/*",),
        ),
        Permission(
            name="GiveRoles",
            part="launch",
            why="an instance profile that is named gives its role to the instances, which has to be allowed by name",
            actions=("iam:PassRole",),
            resources=tuple(sorted(roles)),
            conditions={"StringEquals": {"iam:PassedToService": ("ec2.amazonaws.com",)}},
        ),
    )


def _read(buckets: Collection[str]) -> Sequence[Permission]:
    if not buckets:
        return ()
    named = [f"arn:aws:s3:::{bucket}" for bucket in sorted(buckets)]
    return (
        Permission(
            name="ReadTheirData",
            part="store",
            why="data that lies in a bucket of the person's own is read there, and never written",
            actions=("s3:GetBucketLocation", "s3:GetObject", "s3:ListBucket"),
            resources=(*named, *(f"{arn}/*" for arn in named)),
        ),
    )


def _arns(account: str, *kinds: str) -> Sequence[str]:
    """Return the names of all of some kinds in EC2; images and snapshots carry no account."""
    return tuple(f"arn:aws:ec2:*:{'' if kind in _FOREIGN else account}:{kind}/*" for kind in kinds)


_REGIONAL = ("ec2:", "ec2-instance-connect:", "ssm:", "servicequotas:")


def _in_regions(item: Permission, regions: Collection[str]) -> Permission:
    if not regions or not all(action.startswith(_REGIONAL) for action in item.actions):
        return item
    equals = {**item.conditions.get("StringEquals", {}), "aws:RequestedRegion": tuple(sorted(regions))}
    return Permission(
        name=item.name,
        part=item.part,
        why=item.why,
        actions=item.actions,
        resources=item.resources,
        conditions={**item.conditions, "StringEquals": equals},
    )


def _one_or_all(values: Sequence[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else sorted(values)
