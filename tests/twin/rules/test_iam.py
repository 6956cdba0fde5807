"""Who has the key of an IAM user may do what its policies allow."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.twin.conftest import TwinProcess
from tests.twin.rules.test_launch import code_of, ids, launch

OURS = {"managed-by": "launchbay"}
TAGS = [{"Key": key, "Value": value} for key, value in OURS.items()]
MADE = ("instance", "volume", "network-interface")
TAGGED = [{"ResourceType": kind, "Tags": TAGS} for kind in MADE]
LEAST: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": "ec2:RunInstances",
            "Resource": [f"arn:aws:ec2:*:*:{kind}/*" for kind in ("image", "subnet", "security-group", "snapshot")],
        },
        {
            "Effect": "Allow",
            "Action": "ec2:RunInstances",
            "Resource": [f"arn:aws:ec2:*:*:{kind}/*" for kind in MADE],
            "Condition": {"StringEquals": {"aws:RequestTag/managed-by": "launchbay"}},
        },
        {
            "Effect": "Deny",
            "Action": "ec2:RunInstances",
            "Resource": "arn:aws:ec2:*:*:instance/*",
            "Condition": {"StringNotEquals": {"ec2:MetadataHttpTokens": "required"}},
        },
        {
            "Effect": "Allow",
            "Action": "ec2:CreateTags",
            "Resource": "*",
            "Condition": {"StringEquals": {"ec2:CreateAction": "RunInstances"}},
        },
        {"Effect": "Allow", "Action": "ssm:GetParameters", "Resource": "arn:aws:ssm:*::parameter/aws/service/*"},
        {
            "Effect": "Allow",
            "Action": "ec2:TerminateInstances",
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:ResourceTag/managed-by": "launchbay"}},
        },
    ],
}


def user(twin: TwinProcess, policy: Any) -> Any:
    iam = twin.client("iam")
    iam.create_user(UserName="engineer")
    iam.put_user_policy(UserName="engineer", PolicyName="least", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName="engineer")["AccessKey"]["AccessKeyId"]
    return twin.client("ec2", key=key)


def test_a_user_may_launch_what_is_tagged_and_hardened_and_nothing_else(twin: TwinProcess) -> None:
    ec2 = user(twin, LEAST)
    hardened: dict[str, Any] = {"TagSpecifications": TAGGED, "MetadataOptions": {"HttpTokens": "required"}}
    assert ids(launch(ec2, **hardened))
    for wrong in (
        {"MetadataOptions": hardened["MetadataOptions"]},
        {"TagSpecifications": TAGGED},
        {**hardened, "TagSpecifications": TAGGED[:1]},
    ):
        with pytest.raises(ClientError) as caught:
            launch(ec2, token="u", **wrong)
        assert code_of(caught) == "UnauthorizedOperation"
        assert "user/engineer is not authorized to perform: ec2:RunInstances on resource: arn:aws:ec2" in str(
            caught.value
        )
    with pytest.raises(ClientError, match="UnauthorizedOperation"):
        ec2.create_key_pair(KeyName="mine")


def test_a_user_may_end_what_is_his_and_not_what_is_others(twin: TwinProcess, ec2: Any) -> None:
    theirs = ids(launch(ec2))
    limited = user(twin, LEAST)
    ours = ids(launch(limited, token="u", TagSpecifications=TAGGED, MetadataOptions={"HttpTokens": "required"}))
    with pytest.raises(ClientError, match="UnauthorizedOperation"):
        limited.terminate_instances(InstanceIds=[*ours, *theirs])
    limited.terminate_instances(InstanceIds=ours)


def test_a_dry_run_tells_whether_one_may(twin: TwinProcess) -> None:
    ec2 = user(twin, LEAST)
    asked: list[tuple[dict[str, Any], str]] = [
        ({}, "UnauthorizedOperation"),
        ({"TagSpecifications": TAGGED}, "DryRunOperation"),
    ]
    for more, code in asked:
        with pytest.raises(ClientError) as caught:
            launch(ec2, DryRun=True, MetadataOptions={"HttpTokens": "required"}, **more)
        assert code_of(caught) == code


def test_every_service_is_judged(twin: TwinProcess) -> None:
    user(twin, {**LEAST, "Statement": LEAST["Statement"][:1]})
    key = twin.client("iam").create_access_key(UserName="engineer")["AccessKey"]["AccessKeyId"]
    with pytest.raises(ClientError, match="AccessDenied"):
        twin.client("ssm", key=key).get_parameter(Name="/aws/service/x")
    assert twin.client("sts", key=key).get_caller_identity()["Arn"].endswith("user/engineer")
