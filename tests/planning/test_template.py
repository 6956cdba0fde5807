"""Launch templates: what is read of one, what cannot be, and what is written into one."""

from __future__ import annotations

import base64
import email
from typing import Any

import pytest

from launchbay.errors import UsageError
from launchbay.planning.request import build_request
from launchbay.planning.template import join_user_data, merge_extra, read_said, split_reference, template_data
from tests.planning.wishes import GROUP, wish_of

ID = "lt-0123456789abcdef0"
SCRIPT = b"#!/bin/sh\ntouch /theirs\n"
CONFIG = b'#cloud-config\n{"bootcmd": [["true"]]}'


def said(**data: Any) -> Any:
    return read_said(data, id=ID, version=3, name="lab")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (ID, {"LaunchTemplateId": ID, "Version": "$Default"}),
        (f"{ID}:7", {"LaunchTemplateId": ID, "Version": "7"}),
        ("gpu-box", {"LaunchTemplateName": "gpu-box", "Version": "$Default"}),
        ("team/gpu.box:$Latest", {"LaunchTemplateName": "team/gpu.box", "Version": "$Latest"}),
    ],
)
def test_how_a_template_is_named(text: str, named: dict[str, str]) -> None:
    assert split_reference(text) == named


@pytest.mark.parametrize("text", ["", "a b", "gpu-box:", "gpu-box:0", "gpu-box:newest", "gpu-box:1:2", "ab"])
def test_what_names_no_template(text: str) -> None:
    with pytest.raises(UsageError, match="a launch template must look like"):
        split_reference(text)


def test_an_empty_template_says_nothing() -> None:
    found = said()
    assert (found.type, found.groups, found.disks, found.extra, found.user_data) == ("", (), {}, {}, b"")
    assert found.shown == f"lab ({ID}) version 3"


def test_what_a_field_stands_for_is_read_and_the_rest_is_kept() -> None:
    found = said(
        InstanceType="g5.xlarge",
        NetworkInterfaces=[
            {"DeviceIndex": 0, "SubnetId": "subnet-1", "Groups": [GROUP], "AssociatePublicIpAddress": False}
        ],
        IamInstanceProfile={"Arn": "arn:aws:iam::1:instance-profile/x"},
        Placement={"AvailabilityZone": "us-east-1b", "GroupName": "theirs", "Tenancy": "default"},
        InstanceMarketOptions={"MarketType": "spot", "SpotOptions": {"SpotInstanceType": "one-time"}},
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "instance"}]},
            {"ResourceType": "volume", "Tags": [{"Key": "a", "Value": "volume"}, {"Key": "b", "Value": "2"}]},
        ],
        Monitoring={"Enabled": True},
        DisableApiTermination=False,
    )
    assert (found.type, found.subnet, found.groups, found.public_address) == ("g5.xlarge", "subnet-1", (GROUP,), False)
    assert (found.zone, found.placement_group, found.is_spot) == ("us-east-1b", "theirs", True)
    assert found.profile.startswith("arn:")
    assert found.tags == {"a": "instance", "b": "2"}
    assert found.extra == {"Monitoring": {"Enabled": True}}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({"HibernationOptions": {"Configured": True}}, "says HibernationOptions"),
        ({"InstanceRequirements": {"VCpuCount": {"Min": 1}}}, "says InstanceRequirements"),
        ({"SecurityGroups": ["default"]}, "names security groups by name"),
        ({"NetworkInterfaces": [{"DeviceIndex": 0}, {"DeviceIndex": 1}]}, "more than one network interface"),
        ({"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1"}]}, "says NetworkInterfaceId"),
        ({"Placement": {"Tenancy": "dedicated"}}, "says Tenancy of the placement"),
        ({"InstanceMarketOptions": {"SpotOptions": {"SpotInstanceType": "persistent"}}}, "go on after their lease"),
        (
            {"BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"DeleteOnTermination": False}}]},
            "goes on costing",
        ),
        ({"UserData": "***"}, "not in base64"),
    ],
)
def test_what_would_be_left_out_in_silence_is_refused(data: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        said(**data)


def test_both_scripts_run_and_ours_comes_first() -> None:
    joined = join_user_data(CONFIG, SCRIPT)
    parts = [part for part in email.message_from_bytes(joined).walk() if not part.is_multipart()]
    assert [part.get_content_type() for part in parts] == ["text/cloud-config", "text/x-shellscript"]
    assert [part.get_payload(decode=True) for part in parts] == [CONFIG, SCRIPT]
    assert join_user_data(CONFIG, SCRIPT) == joined
    assert join_user_data(CONFIG, b"") == CONFIG


@pytest.mark.parametrize("theirs", [b"\x1f\x8b\x08", b"Content-Type: multipart/mixed", b"MIME-Version: 1.0", b"hello"])
def test_user_data_that_cannot_be_joined_is_refused(theirs: bytes) -> None:
    with pytest.raises(UsageError, match="the launch template's user data"):
        join_user_data(CONFIG, theirs)


def test_a_part_of_an_option_changes_that_part_alone() -> None:
    request = {"MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled"}, "EbsOptimized": True}
    merged = merge_extra(request, {"MetadataOptions": {"HttpEndpoint": "disabled"}, "Monitoring": {"Enabled": True}})
    assert merged == {
        "MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "disabled"},
        "EbsOptimized": True,
        "Monitoring": {"Enabled": True},
    }
    assert "Monitoring" not in request


def test_a_template_has_nothing_of_a_fleet() -> None:
    request = build_request(
        wish_of(key_name="launchbay-exp", user_data=b"#!/bin/sh\nkey", tags={"launchbay:fleet": "exp"})
    )
    data = template_data(request, groups=(), key_name="")
    assert not {"MinCount", "MaxCount", "UserData", "KeyName", "TagSpecifications"} & data.keys()
    assert "Groups" not in data["NetworkInterfaces"][0]
    assert request["NetworkInterfaces"][0]["Groups"] == [GROUP]
    own = template_data(request, groups=("sg-0aaaaaaaaaaaaaaaa",), key_name="ada")
    assert (own["KeyName"], own["NetworkInterfaces"][0]["Groups"]) == ("ada", ["sg-0aaaaaaaaaaaaaaaa"])
    assert read_said(own, id=ID, version=1).type == "g5.xlarge"


def test_the_user_data_of_a_template_is_unpacked() -> None:
    assert said(UserData=base64.b64encode(SCRIPT).decode()).user_data == SCRIPT
