"""The least policy: it has every permission that the code's calls need, none that no call needs, and allows nothing besides."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name
from botocore.session import get_session

import launchbay
from launchbay.errors import UsageError
from launchbay.planning.leastpolicy import (
    MOST_LETTERS,
    MOST_LETTERS_IN_A_USER,
    PARTS,
    explain_policy,
    least_permissions,
    least_policy,
)
from launchbay.twin.policy import Asked, judge

SERVICES = ("ec2", "ec2-instance-connect", "iam", "pricing", "s3", "savingsplans", "service-quotas", "ssm", "sts")
PREFIXES = {"service-quotas": "servicequotas"}
NAMED_OTHERWISE = {
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
}
"""Operations of S3 whose permission has another name."""

FREE = {"sts:GetCallerIdentity"}
"""What needs no permission."""

BESIDE_CALLS = {
    "ec2-instance-connect:OpenTunnel": "a WebSocket at the endpoint's own name, which no operation opens",
    "ec2:CreateTags": "tags in the call that makes something",
    "iam:CreateServiceLinkedRole": "EC2 makes the role for spot requests in the name of who asks first",
    "iam:PassRole": "EC2 asks for it where a launch names an instance profile",
    "s3:AbortMultipartUpload": "boto3 takes back a large upload that failed",
}
"""What no line of the code calls, and what it is for."""

OUR_WORDS = {"export_image", "import_image"}
"""What some of our own functions are called, too."""

CALLING = ("catalog", "cloud", "lifecycle", "providers")
"""The parts of the package that ask AWS something."""


@cache
def operations() -> Mapping[str, str]:
    """Return the permission for each operation that boto3 has, by its name in Python."""
    session, found = get_session(), {}
    for service in SERVICES:
        for name in session.get_service_model(service).operation_names:
            action = f"{PREFIXES.get(service, service)}:{name}"
            found[xform_name(name)] = NAMED_OTHERWISE.get(action, action)
    return found


def names_in(source: str) -> Iterator[str]:
    """Yield the operations that a module names, as texts, as parts of texts, and as calls on a client."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in operations():
            yield node.value
        elif isinstance(node, ast.JoinedStr) and isinstance(node.values[-1], ast.Constant):
            end = str(node.values[-1].value)
            if len(end) > len("_group"):
                yield from (name for name in operations() if name.endswith(end))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in operations():
            on = node.func.value
            if (on.id if isinstance(on, ast.Name) else getattr(on, "attr", "")) in SERVICES:
                yield node.func.attr


def called() -> set[str]:
    package = Path(launchbay.__file__).parent
    paths = [path for part in CALLING for path in sorted((package / part).rglob("*.py"))]
    names = {name for path in paths for name in names_in(path.read_text())}
    return {operations()[name] for name in names - OUR_WORDS} - FREE


def allowed(policy: Mapping[str, Any]) -> set[str]:
    named = [statement["Action"] for statement in policy["Statement"]]
    return {action for item in named for action in ([item] if isinstance(item, str) else item)}


def test_names_of_operations_are_found_in_code() -> None:
    source = (
        'client.act("run_instances")\nclient.insist(f"{verb}_security_group_ingress")\n'
        "ec2.create_image()\nother.create_image_of()\nfolder.list_buckets()\n"
    )
    assert sorted(set(names_in(source))) == [
        "authorize_security_group_ingress",
        "create_image",
        "revoke_security_group_ingress",
        "run_instances",
    ]


def test_the_policy_has_what_the_code_calls_and_nothing_else() -> None:
    policy = allowed(least_policy(roles=("arn:aws:iam::123456789012:role/fleet",), buckets=("data",)))
    lacking, idle = called() - policy, policy - called() - BESIDE_CALLS.keys()
    assert (sorted(lacking), sorted(idle)) == ([], [])


def test_a_policy_fits_what_iam_takes() -> None:
    assert MOST_LETTERS_IN_A_USER < explain_policy().letters <= MOST_LETTERS
    for regions in (("ap-southeast-1",), ("eu-central-1", "eu-west-1")):
        assert explain_policy(regions=regions, account="123456789012").letters <= MOST_LETTERS
    policy = least_policy()
    assert policy["Version"] == "2012-10-17"
    names = [statement["Sid"] for statement in policy["Statement"]]
    assert len(set(names)) == len(names)
    assert all(name.isalnum() for name in names)
    fields = {"Sid", "Effect", "Action", "Resource", "Condition"}  # IAM refuses a policy with any other
    assert all(set(statement) <= fields for statement in policy["Statement"])
    assert json.loads(json.dumps(policy)) == policy


def test_each_statement_says_why_and_belongs_to_a_part() -> None:
    found = least_permissions()
    assert {item.part for item in found} == set(PARTS)
    assert all(len(item.why.split()) > 4 for item in found)
    one = least_permissions(parts=("images",))
    assert [item.name for item in one] == ["FindImages", "ReadParameters"]


def test_what_cannot_be_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"no part 'everything'\n.*parts are images, launch"):
        least_policy(parts=("everything",))
    with pytest.raises(UsageError, match="a role must be an ARN"):
        least_policy(roles=("admin",))
    for wrong in ("*", "s3://data", "a"):
        with pytest.raises(UsageError, match="is no name of a bucket"):
            least_policy(buckets=(wrong,))


def test_data_of_ones_own_is_read_and_not_written() -> None:
    policy = least_policy(buckets=("payroll",))
    read = Asked(action="s3:GetObject", resource="arn:aws:s3:::payroll/x")
    assert judge([policy], read).is_allowed
    assert not judge([least_policy()], read).is_allowed
    assert not judge([policy], Asked(action="s3:PutObject", resource="arn:aws:s3:::payroll/x")).is_allowed
    assert not judge([policy], Asked(action="s3:GetObject", resource="arn:aws:s3:::payroll2/x")).is_allowed


def test_a_store_in_a_bucket_of_ones_own_is_written_too() -> None:
    put = Asked(action="s3:PutObject", resource="arn:aws:s3:::lab-store/fleets/x")
    assert judge([least_policy(store="lab-store")], put).is_allowed
    assert judge(
        [least_policy(store="lab-store")], Asked(action="s3:CreateBucket", resource="arn:aws:s3:::lab-store")
    ).is_allowed
    assert not judge([least_policy(buckets=("lab-store",))], put).is_allowed
    assert explain_policy(store="a" * 63).letters <= MOST_LETTERS
    with pytest.raises(UsageError, match="is no name of a bucket"):
        least_policy(store="s3://lab-store")


ARN = "arn:aws:ec2:us-east-1:123456789012"
OURS = {"managed-by": "launchbay"}


def asked(action: str, resource: str, **context: str) -> Asked:
    keys = {"aws:RequestedRegion": ["us-east-1"]}
    for key, value in context.items():
        name = key.replace("__", ":").replace("_T_", "/")
        keys[name] = [value]
    return Asked(action=action, resource=resource if resource.startswith("arn:") else f"{ARN}:{resource}", context=keys)


def tagged(kind: str, value: str = "launchbay") -> dict[str, str]:
    return {f"aws__{kind}Tag_T_managed-by": value}


ASK, THERE = tagged("Request"), tagged("Resource")
TOKENS = {"ec2__MetadataHttpTokens": "required"}
TUNNEL, PUSH = "ec2-instance-connect:OpenTunnel", "ec2-instance-connect:SendSSHPublicKey"
EICE = "instance-connect-endpoint/eice-1"


def to_port(port: str) -> dict[str, str]:
    return {"ec2-instance-connect__remotePort": port}


@pytest.mark.parametrize(
    ("needed", "expected"),
    [
        (asked("ec2:RunInstances", "instance/*", **ASK, **TOKENS), True),
        (asked("ec2:RunInstances", "instance/*", **TOKENS), False),
        (asked("ec2:RunInstances", "instance/*", **ASK), False),
        (asked("ec2:RunInstances", "instance/*", **ASK, ec2__MetadataHttpTokens="optional"), False),
        (asked("ec2:RunInstances", "instance/*", **tagged("Request", "other"), **TOKENS), False),
        (asked("ec2:RunInstances", "volume/*", **ASK, ec2__Encrypted="true"), True),
        (asked("ec2:RunInstances", "volume/*", **ASK, ec2__Encrypted="false"), False),
        (asked("ec2:RunInstances", "spot-instances-request/*", **ASK), True),
        (asked("ec2:RunInstances", "network-interface/*"), False),
        (asked("ec2:RunInstances", "arn:aws:ec2:us-east-1::image/ami-1"), True),
        (asked("ec2:CreateTags", "instance/*", **ASK, ec2__CreateAction="RunInstances"), True),
        (asked("ec2:CreateTags", "instance/i-1", **ASK), False),  # of something that is there
        (asked("ec2:CreateTags", "instance/*", ec2__CreateAction="RunInstances"), False),
        (asked("ec2:CreateTags", "arn:aws:ec2:us-east-1::image/*", **ASK, ec2__CreateAction="CreateImage"), True),
        (asked("ec2:TerminateInstances", "instance/i-1", **THERE), True),
        (asked("ec2:TerminateInstances", "instance/i-1"), False),
        (asked("ec2:TerminateInstances", "instance/i-1", **tagged("Resource", "other")), False),
        (asked("ec2:StopInstances", "instance/i-1", **THERE), True),
        (asked("ec2:RebootInstances", "instance/i-1"), False),
        (asked("ec2:AuthorizeSecurityGroupIngress", "security-group/sg-1"), False),
        (asked("ec2:DeleteKeyPair", "key-pair/mine"), False),
        (asked("ec2:CreateSecurityGroup", "security-group/*"), False),
        (asked("ec2:CreateSecurityGroup", "vpc/vpc-1"), True),
        (asked("ec2:CreateImage", "instance/i-1"), False),
        (asked("ec2:DeregisterImage", "arn:aws:ec2:us-east-1::image/ami-1"), False),
        (asked("ec2:DeleteSnapshot", "arn:aws:ec2:us-east-1::snapshot/snap-1", **THERE), True),
        (asked("ec2:DeleteVolume", "volume/vol-1"), False),
        (asked(TUNNEL, EICE, **to_port("22")), True),
        (asked(TUNNEL, EICE, **to_port("3389")), False),
        (asked(TUNNEL, EICE), False),
        (asked(TUNNEL, "instance/i-1", **to_port("22"), **THERE), False),
        (asked("ec2:CreateInstanceConnectEndpoint", EICE, **ASK), False),
        (asked("ec2:DeleteInstanceConnectEndpoint", EICE), False),
        (asked(PUSH, "instance/i-1", **THERE), True),
        (asked(PUSH, "instance/i-1"), False),
        (asked(PUSH, "instance/i-1", **tagged("Resource", "other")), False),
        (asked(PUSH, "instance/i-1", **ASK), False),
        (asked("s3:GetObject", "arn:aws:s3:::launchbay-1/x"), True),
        (asked("s3:GetObject", "arn:aws:s3:::payroll/x"), False),
        (asked("ssm:GetParameter", "arn:aws:ssm:us-east-1::parameter/aws/service/x"), True),
        (asked("ssm:GetParameter", "arn:aws:ssm:us-east-1:123456789012:parameter/password"), False),
        (
            asked("iam:PassRole", "arn:aws:iam::123456789012:role/admin", iam__PassedToService="ec2.amazonaws.com"),
            False,
        ),
        (asked("iam:CreateUser", "arn:aws:iam::123456789012:user/x"), False),
    ],
)
@pytest.mark.parametrize("account", ["*", "123456789012"])
def test_what_is_allowed_and_what_not(needed: Asked, expected: bool, account: str) -> None:  # noqa: FBT001 - a column
    assert judge([least_policy(account=account)], needed).is_allowed is expected


def test_regions_and_accounts_are_kept_to() -> None:
    policy = least_policy(regions=("us-east-1",), account="123456789012")
    launch = asked("ec2:RunInstances", "instance/*", **ASK, **TOKENS)
    for one in (launch, asked(TUNNEL, EICE, **to_port("22")), asked(PUSH, "instance/i-1", **THERE)):
        assert judge([policy], one).is_allowed
        elsewhere = {**one.context, "aws:RequestedRegion": ["x"]}
        assert not judge([policy], replace(one, context=elsewhere)).is_allowed
        assert not judge([policy], replace(one, resource=one.resource.replace("3456", "0000"))).is_allowed
    prices = Asked(action="pricing:GetProducts", context={"aws:RequestedRegion": ["us-east-2"]})
    assert judge([policy], prices).is_allowed  # AWS has them in one region for all


def test_a_role_may_be_given_by_name_only() -> None:
    role = "arn:aws:iam::123456789012:role/fleet"
    policy = least_policy(roles=(role,))
    to_ec2 = {"iam:PassedToService": ["ec2.amazonaws.com"]}
    assert judge([policy], Asked(action="iam:PassRole", resource=role, context=to_ec2)).is_allowed
    assert not judge([policy], Asked(action="iam:PassRole", resource=f"{role}s", context=to_ec2)).is_allowed
    to_other = {"iam:PassedToService": ["lambda.amazonaws.com"]}
    assert not judge([policy], Asked(action="iam:PassRole", resource=role, context=to_other)).is_allowed
