"""Launch templates on the twin: all that they say reaches the launch, and what the call says wins."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from launchbay.twin.rules.templates import merge
from tests.twin.rules.launching import described, make_image, refusal
from tests.twin_process import TwinProcess

NAME = "workers"


@pytest.fixture
def data(ec2: Any, twin: TwinProcess) -> dict[str, Any]:
    """Return what a full template says."""
    group = ec2.create_security_group(GroupName="bay", Description="of a test")["GroupId"]
    ec2.create_key_pair(KeyName="k", KeyType="ed25519")
    ec2.create_placement_group(GroupName="near", Strategy="cluster")
    iam = twin.client("iam")
    iam.create_role(RoleName="worker", AssumeRolePolicyDocument="{}")
    iam.create_instance_profile(InstanceProfileName="worker")
    iam.add_role_to_instance_profile(InstanceProfileName="worker", RoleName="worker")
    return {
        "ImageId": make_image(ec2),
        "InstanceType": "m5.xlarge",
        "KeyName": "k",
        "SecurityGroupIds": [group],
        "UserData": base64.b64encode(b"#!/bin/sh\n").decode(),
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2},
        "InstanceInitiatedShutdownBehavior": "terminate",
        "InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": {"SpotInstanceType": "one-time"}},
        "Placement": {"GroupName": "near", "AvailabilityZone": "us-east-1c"},
        "IamInstanceProfile": {"Name": "worker"},
        "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 33, "VolumeType": "gp3"}}],
        "DisableApiStop": True,
        "TagSpecifications": [
            {
                "ResourceType": "instance",
                "Tags": [{"Key": "from", "Value": "template"}, {"Key": "both", "Value": "template"}],
            },
            {"ResourceType": "volume", "Tags": [{"Key": "from", "Value": "template"}]},
        ],
    }


def create(ec2: Any, data: dict[str, Any], **more: Any) -> dict[str, Any]:
    asked = {"LaunchTemplateName": NAME, "LaunchTemplateData": data}
    found: dict[str, Any] = ec2.create_launch_template(**{**asked, **more})["LaunchTemplate"]
    return found


def launch(ec2: Any, version: str | None = None, **more: Any) -> dict[str, Any]:
    template = {"LaunchTemplateName": NAME, **({"Version": version} if version else {})}
    made = ec2.run_instances(LaunchTemplate=template, MinCount=1, MaxCount=1, **more)["Instances"][0]
    return described(ec2, made["InstanceId"])


def attribute(ec2: Any, identity: str, name: str) -> Any:
    answer = ec2.describe_instance_attribute(InstanceId=identity, Attribute=name)
    return answer[name[0].upper() + name[1:]]["Value"]


def tags_of(item: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in item["Tags"]}


def test_all_that_a_template_says_reaches_the_launch(ec2: Any, data: dict[str, Any]) -> None:
    template = create(ec2, data)
    made = launch(ec2)
    identity = made["InstanceId"]
    assert (made["ImageId"], made["InstanceType"], made["KeyName"]) == (data["ImageId"], "m5.xlarge", "k")
    assert [group["GroupId"] for group in made["SecurityGroups"]] == data["SecurityGroupIds"]
    assert made["MetadataOptions"]["HttpTokens"] == "required"
    assert made["MetadataOptions"]["HttpPutResponseHopLimit"] == 2
    assert made["InstanceLifecycle"] == "spot"
    assert (made["Placement"]["GroupName"], made["Placement"]["AvailabilityZone"]) == ("near", "us-east-1c")
    assert made["IamInstanceProfile"]["Arn"].endswith("/worker")
    assert attribute(ec2, identity, "instanceInitiatedShutdownBehavior") == "terminate"
    assert attribute(ec2, identity, "userData") == data["UserData"]
    assert attribute(ec2, identity, "disableApiStop") is True
    assert tags_of(made) == {
        "from": "template",
        "both": "template",
        "aws:ec2launchtemplate:id": template["LaunchTemplateId"],
        "aws:ec2launchtemplate:version": "1",
    }
    volumes = ec2.describe_volumes()["Volumes"]
    assert [(item["Size"], item["VolumeType"], tags_of(item)) for item in volumes] == [
        (33, "gp3", {"from": "template"})
    ]


def test_what_the_call_says_wins(ec2: Any, data: dict[str, Any]) -> None:
    create(ec2, data)
    made = launch(
        ec2,
        InstanceType="m5.large",
        MetadataOptions={"HttpPutResponseHopLimit": 5},
        Placement={"AvailabilityZone": "us-east-1b"},
        BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 44}}],
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "both", "Value": "call"}]}],
    )
    assert made["InstanceType"] == "m5.large"
    assert (made["MetadataOptions"]["HttpTokens"], made["MetadataOptions"]["HttpPutResponseHopLimit"]) == (
        "required",
        5,
    )
    assert (made["Placement"]["GroupName"], made["Placement"]["AvailabilityZone"]) == ("near", "us-east-1b")
    assert (tags_of(made)["both"], tags_of(made)["from"]) == ("call", "template")
    assert [item["Size"] for item in ec2.describe_volumes()["Volumes"]] == [44]


def test_interfaces_of_a_template_are_made_as_it_says(ec2: Any, data: dict[str, Any]) -> None:
    groups = data.pop("SecurityGroupIds")
    create(
        ec2, {**data, "NetworkInterfaces": [{"DeviceIndex": 0, "AssociatePublicIpAddress": False, "Groups": groups}]}
    )
    made = launch(ec2)
    assert not made.get("PublicIpAddress")
    assert [group["GroupId"] for group in made["SecurityGroups"]] == groups


def test_versions_are_latest_default_or_a_number(ec2: Any, data: dict[str, Any]) -> None:
    create(ec2, data)
    changed = {"InstanceType": "m5.2xlarge"}
    asked = {"LaunchTemplateName": NAME, "SourceVersion": "1", "LaunchTemplateData": changed, "ClientToken": "v"}
    first = ec2.create_launch_template_version(**asked)["LaunchTemplateVersion"]
    assert ec2.create_launch_template_version(**asked)["LaunchTemplateVersion"] == first
    assert first["VersionNumber"] == 2
    assert first["LaunchTemplateData"]["KeyName"] == "k"
    latest = launch(ec2, "$Latest")
    assert (latest["InstanceType"], latest["KeyName"], tags_of(latest)["aws:ec2launchtemplate:version"]) == (
        "m5.2xlarge",
        "k",
        "2",
    )
    assert launch(ec2, "$Default")["InstanceType"] == "m5.xlarge"
    assert launch(ec2, "2")["InstanceType"] == "m5.2xlarge"
    ec2.modify_launch_template(LaunchTemplateName=NAME, DefaultVersion="2")
    assert launch(ec2)["InstanceType"] == "m5.2xlarge"
    assert refusal(launch, ec2, "3") == "InvalidLaunchTemplateId.VersionNotFound"


def test_a_name_is_taken_once_and_a_token_repeats(ec2: Any, data: dict[str, Any]) -> None:
    first = create(ec2, data, ClientToken="once")
    assert create(ec2, data, ClientToken="once") == first
    assert (
        refusal(create, ec2, {**data, "InstanceType": "m5.large"}, ClientToken="once") == "IdempotentParameterMismatch"
    )
    taken = "InvalidLaunchTemplateName.AlreadyExistsException"
    assert refusal(create, ec2, data, ClientToken="other") == taken
    assert len(ec2.describe_launch_templates()["LaunchTemplates"]) == 1


def test_an_unknown_template_is_refused(ec2: Any) -> None:
    missing = "InvalidLaunchTemplateName.NotFoundException"
    assert refusal(launch, ec2) == missing
    assert refusal(ec2.describe_launch_templates, LaunchTemplateNames=[NAME]) == missing
    by_id = {"LaunchTemplate": {"LaunchTemplateId": "lt-0123456789abcdef0"}, "MinCount": 1, "MaxCount": 1}
    assert refusal(ec2.run_instances, **by_id) == "InvalidLaunchTemplateId.NotFound"


def test_a_template_has_tags_of_its_own(ec2: Any, data: dict[str, Any]) -> None:
    own = [{"ResourceType": "launch-template", "Tags": [{"Key": "own", "Value": "1"}]}]
    made = create(ec2, data, TagSpecifications=own)
    assert tags_of(made) == {"own": "1"}
    ec2.create_tags(Resources=[made["LaunchTemplateId"]], Tags=[{"Key": "later", "Value": "2"}])
    found = ec2.describe_launch_templates(Filters=[{"Name": "tag:own", "Values": ["1"]}])["LaunchTemplates"]
    assert [tags_of(item) for item in found] == [{"own": "1", "later": "2"}]
    versions = ec2.describe_launch_template_versions(LaunchTemplateName=NAME)["LaunchTemplateVersions"]
    kinds = [item["ResourceType"] for item in versions[0]["LaunchTemplateData"]["TagSpecifications"]]
    assert kinds == ["instance", "volume"]
    assert "own" not in tags_of(launch(ec2))


def test_groups_by_name_take_the_place_of_groups_by_id() -> None:
    merged = merge({"SecurityGroupIds": ["sg-1"], "KeyName": "k"}, {"SecurityGroups": ["bay"]})
    assert merged == {"SecurityGroups": ["bay"], "KeyName": "k"}
