"""Who has the key of an IAM user may do what its policies allow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.twin.rules.test_launch import IMAGE, code_of, ids, launch
from tests.twin_process import TwinProcess

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


def keys_of(twin: TwinProcess, policy: Any) -> dict[str, str]:
    user(twin, policy)
    found: dict[str, str] = twin.client("iam").create_access_key(UserName="engineer")["AccessKey"]
    return found


@pytest.mark.parametrize("how", ["deleted", "switched off", "forgotten with the account"])
def test_a_key_that_was_taken_back_is_nobodys(twin: TwinProcess, how: str) -> None:
    key = keys_of(twin, LEAST)["AccessKeyId"]
    assert twin.client("ec2", key=key).describe_instances()["Reservations"] == []
    if how == "deleted":
        twin.client("iam").delete_access_key(UserName="engineer", AccessKeyId=key)
    elif how == "switched off":
        twin.client("iam").update_access_key(UserName="engineer", AccessKeyId=key, Status="Inactive")
    else:
        twin.ask("reset")
    for service, action, code in (
        ("ec2", "describe_instances", "AuthFailure"),
        ("sts", "get_caller_identity", "InvalidClientTokenId"),
        ("iam", "list_users", "InvalidClientTokenId"),
        ("ssm", "describe_parameters", "UnrecognizedClientException"),
    ):
        with pytest.raises(ClientError) as caught:
            getattr(twin.client(service, key=key), action)()
        assert code_of(caught) == code
    assert twin.client("ec2", key="AKIATEST").describe_instances()["Reservations"] == []


def role(twin: TwinProcess, policy: Any) -> str:
    iam, trust = twin.client("iam"), {"Version": "2012-10-17", "Statement": []}
    arn: str = iam.create_role(RoleName="fleet", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName="fleet", PolicyName="least", PolicyDocument=json.dumps(policy))
    made = twin.client("sts").assume_role(RoleArn=arn, RoleSessionName="here", DurationSeconds=900)
    return str(made["Credentials"]["AccessKeyId"])


def test_a_session_is_its_role_after_the_twin_was_killed_and_until_it_expires(tmp_path: Path) -> None:
    twin = TwinProcess(tmp_path / "twin", is_virtual=True)
    try:
        key = role(twin, LEAST)
        twin.kill()
        twin.start()
        ec2 = twin.client("ec2", key=key)
        assert ec2.describe_instances()["Reservations"] == []
        with pytest.raises(ClientError, match=r"assumed-role/fleet/here is not authorized.* ec2:CreateKeyPair"):
            ec2.create_key_pair(KeyName="mine")
        twin.ask("advance", seconds=901)
        with pytest.raises(ClientError, match="RequestExpired"):
            ec2.describe_instances()
    finally:
        twin.kill()


def test_a_user_becomes_nobody_by_a_session_of_his_own(twin: TwinProcess) -> None:
    key = keys_of(twin, {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})
    with pytest.raises(ClientError, match="GetSessionToken by a user is not modelled"):
        twin.client("sts", key=key["AccessKeyId"]).get_session_token()


def test_what_a_launch_template_says_counts_as_asked_for(twin: TwinProcess, ec2: Any) -> None:
    launch_of = {
        "InstanceType": "p3.2xlarge",
        "MetadataOptions": {"HttpTokens": "required"},
        "TagSpecifications": TAGGED,
    }
    ec2.create_launch_template(LaunchTemplateName="good", LaunchTemplateData=launch_of)
    ec2.create_launch_template_version(
        LaunchTemplateName="good",
        LaunchTemplateData={**launch_of, "MetadataOptions": {"HttpTokens": "optional"}},
    )
    no_gpu = {
        "Effect": "Deny",
        "Action": "ec2:RunInstances",
        "Resource": "arn:aws:ec2:*:*:instance/*",
        "Condition": {"StringLike": {"ec2:InstanceType": "p*"}},
    }
    templates = {"Effect": "Allow", "Action": "ec2:RunInstances", "Resource": "arn:aws:ec2:*:*:launch-template/*"}
    closed = {**LEAST, "Statement": [*LEAST["Statement"], no_gpu, templates]}
    limited = user(twin, closed)
    image = IMAGE

    def by(version: str, **more: Any) -> Any:
        return limited.run_instances(
            ImageId=image,
            MinCount=1,
            MaxCount=1,
            LaunchTemplate={"LaunchTemplateName": "good", "Version": version},
            **more,
        )

    with pytest.raises(ClientError, match="explicit deny"):
        by("1")  # the type is the template's
    assert ids(by("1", InstanceType="m5.large"))  # and so are the tags and the tokens
    with pytest.raises(ClientError, match="explicit deny"):
        by("2", InstanceType="m5.large")  # another version asks for less
    twin.client("iam").put_user_policy(
        UserName="engineer",
        PolicyName="least",
        PolicyDocument=json.dumps({**closed, "Statement": closed["Statement"][:-1]}),
    )
    with pytest.raises(
        ClientError, match=r"ec2:RunInstances on resource: arn:aws:ec2:us-east-1:\d+:launch-template/lt-"
    ):
        by("1", InstanceType="m5.large")


def test_who_may_not_override_a_template(twin: TwinProcess, ec2: Any) -> None:
    ec2.create_launch_template(LaunchTemplateName="good", LaunchTemplateData={"InstanceType": "m5.large"})
    only = {
        "Effect": "Allow",
        "Action": "ec2:RunInstances",
        "Resource": "*",
        "Condition": {"ArnLike": {"ec2:LaunchTemplate": "arn:aws:ec2:*:*:launch-template/*"}},
    }
    fixed = {
        "Effect": "Deny",
        "Action": "ec2:RunInstances",
        "Resource": "arn:aws:ec2:*:*:instance/*",
        "Condition": {"Bool": {"ec2:IsLaunchTemplateResource": "false"}},
    }
    images = {"Effect": "Allow", "Action": "ssm:GetParameters", "Resource": "*"}
    limited, image = user(twin, {"Version": "2012-10-17", "Statement": [only, fixed, images]}), IMAGE
    template: dict[str, Any] = {"LaunchTemplate": {"LaunchTemplateName": "good"}, "MinCount": 1, "MaxCount": 1}
    with pytest.raises(ClientError, match="UnauthorizedOperation"):
        limited.run_instances(ImageId=image, InstanceType="m5.large", MinCount=1, MaxCount=1)
    with pytest.raises(ClientError, match="explicit deny"):
        limited.run_instances(ImageId=image, InstanceType="t3.large", **template)
    assert ids(limited.run_instances(ImageId=image, **template))


def test_policies_know_who_asks_and_from_where(twin: TwinProcess) -> None:
    mine = {
        "Effect": "Allow",
        "Action": "ec2:*",
        "Resource": "*",
        "Condition": {
            "StringEquals": {"aws:RequestTag/owner": "${aws:username}"},
            "IpAddress": {"aws:SourceIp": "203.0.113.1/32"},
        },
    }
    ec2 = user(twin, {"Version": "2012-10-17", "Statement": [mine]})

    def named(owner: str) -> Any:
        tags = [{"ResourceType": "key-pair", "Tags": [{"Key": "owner", "Value": owner}]}]
        return ec2.create_key_pair(KeyName=owner, TagSpecifications=tags)

    assert named("engineer")["KeyName"] == "engineer"
    with pytest.raises(ClientError, match="UnauthorizedOperation"):
        named("somebody")


def test_a_key_is_known_by_its_name_and_its_id(twin: TwinProcess, ec2: Any) -> None:
    tagged = [{"ResourceType": "key-pair", "Tags": TAGS}]
    ours = ec2.create_key_pair(KeyName="i-ours", TagSpecifications=tagged)["KeyPairId"]
    ec2.create_key_pair(KeyName="theirs")
    own = {
        "Effect": "Allow",
        "Action": "ec2:DeleteKeyPair",
        "Resource": "arn:aws:ec2:*:*:key-pair/*",
        "Condition": {"StringEquals": {"ec2:ResourceTag/managed-by": "launchbay"}},
    }
    limited = user(twin, {"Version": "2012-10-17", "Statement": [own]})
    with pytest.raises(ClientError, match=r"key-pair/theirs"):
        limited.delete_key_pair(KeyName="theirs")
    limited.delete_key_pair(KeyPairId=ours)
    ec2.create_key_pair(KeyName="i-ours", TagSpecifications=tagged)
    limited.delete_key_pair(KeyName="i-ours")


def test_an_image_is_made_of_an_instance_and_deregistered_with_its_snapshots(twin: TwinProcess, ec2: Any) -> None:
    instance = ids(launch(ec2, TagSpecifications=TAGGED))[0]
    ec2.get_waiter("instance_running").wait(InstanceIds=[instance], WaiterConfig={"Delay": 0})
    limited = user(
        twin,
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "ec2:CreateImage", "Resource": "arn:aws:ec2:*::image/*"}],
        },
    )
    with pytest.raises(
        ClientError, match=rf"ec2:CreateImage on resource: arn:aws:ec2:us-east-1:\d+:instance/{instance}"
    ):
        limited.create_image(InstanceId=instance, Name="an-image")
    image = ec2.create_image(InstanceId=instance, Name="an-image")["ImageId"]
    twin.client("iam").put_user_policy(
        UserName="engineer",
        PolicyName="least",
        PolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Action": "ec2:DeregisterImage", "Resource": "*"}],
            }
        ),
    )
    with pytest.raises(ClientError, match=r"ec2:DeleteSnapshot on resource: arn:aws:ec2:us-east-1::snapshot/snap-"):
        limited.deregister_image(ImageId=image, DeleteAssociatedSnapshots=True)
    limited.deregister_image(ImageId=image)
