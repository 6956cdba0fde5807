"""What EC2 is asked for, from the wish to the bytes that boto3 would send; EC2's own model judges every request."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import boto3
import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.validate import ParamValidator

from launchbay.errors import UsageError
from launchbay.planning.cloudwish import TTL_TAG, CloudWish, ImageDisk, Volume, devices_of
from launchbay.planning.request import build_request, digest_request, read_request, token_of, write_request
from tests.planning.wishes import GROUP, IMAGE, wish_of


@pytest.fixture(scope="module")
def shape() -> Any:
    model = botocore.session.get_session().get_service_model("ec2")
    return model.operation_model("RunInstances").input_shape


def judged(request: dict[str, Any], shape: Any) -> str:
    plain = {**request, "UserData": ""} if "UserData" in request else request
    return str(ParamValidator().validate(plain, shape).generate_report())


def disks(request: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {item["DeviceName"]: item["Ebs"] for item in request["BlockDeviceMappings"]}


def test_the_plain_launch_to_the_letter(shape: Any) -> None:
    request = build_request(wish_of(count=3))
    tags = [
        {"Key": "launchbay:fleet", "Value": "exp"},
        {"Key": "launchbay:ttl-s", "Value": "28800"},
        {"Key": "owner", "Value": "Ada"},
    ]
    assert request == {
        "ImageId": "ami-0123456789abcdef0",
        "InstanceType": "g5.xlarge",
        "MinCount": 3,
        "MaxCount": 3,
        "BlockDeviceMappings": [
            {
                "DeviceName": "/dev/sda1",
                "Ebs": {
                    "VolumeType": "gp3",
                    "VolumeSize": 60,
                    "Encrypted": True,
                    "DeleteOnTermination": True,
                },
            }
        ],
        "NetworkInterfaces": [
            {"DeviceIndex": 0, "Groups": [GROUP], "DeleteOnTermination": True, "AssociatePublicIpAddress": False}
        ],
        "MetadataOptions": {
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 1,
            "HttpEndpoint": "enabled",
            "InstanceMetadataTags": "disabled",
        },
        "InstanceInitiatedShutdownBehavior": "terminate",
        "TagSpecifications": [
            {"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume", "network-interface")
        ],
        "Placement": {"AvailabilityZone": "us-west-2b"},
        "EbsOptimized": True,
    }
    assert judged(request, shape) == ""


def test_everything_at_once(shape: Any) -> None:
    wish = wish_of(
        type="p5.48xlarge",
        count=2,
        market="spot",
        subnet="subnet-0123456789abcdef0",
        root_gib=200,
        root_iops=6000,
        root_throughput=1000,
        rate=100,
        volumes=(
            Volume(gib=500, mount="/data", is_kept=True, iops=4000, throughput=500),
            Volume(gib=10, mount="/cache"),
        ),
        profile="arn:aws:iam::123456789012:instance-profile/lab",
        key_name="ada",
        user_data=b"\x1f\x8b\x00\xff",
        placement_group="exp",
        efa_cards=(0, 1, 2),
    )
    request = build_request(wish)
    assert judged(request, shape) == ""
    assert disks(request) == {
        "/dev/sda1": {
            "VolumeType": "gp3", "VolumeSize": 200, "Encrypted": True, "DeleteOnTermination": True,
            "Iops": 6000, "Throughput": 1000, "VolumeInitializationRate": 100,
        },
        "/dev/sdf": {
            "VolumeType": "gp3", "VolumeSize": 500, "Encrypted": True, "DeleteOnTermination": False,
            "Iops": 4000, "Throughput": 500,
        },
        "/dev/sdg": {"VolumeType": "gp3", "VolumeSize": 10, "Encrypted": True, "DeleteOnTermination": True},
    }  # fmt: skip
    assert [(device, volume.mount) for device, volume in devices_of(wish)] == [
        ("/dev/sdf", "/data"),
        ("/dev/sdg", "/cache"),
    ]
    shared = {"Groups": [GROUP], "DeleteOnTermination": True, "SubnetId": "subnet-0123456789abcdef0"}
    assert request["NetworkInterfaces"] == [
        {"DeviceIndex": 0, "NetworkCardIndex": 0, "InterfaceType": "efa", **shared},
        {"DeviceIndex": 1, "NetworkCardIndex": 1, "InterfaceType": "efa-only", **shared},
        {"DeviceIndex": 1, "NetworkCardIndex": 2, "InterfaceType": "efa-only", **shared},
    ]
    assert request["Placement"] == {"GroupName": "exp"}
    assert request["InstanceMarketOptions"] == {
        "MarketType": "spot",
        "SpotOptions": {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"},
    }
    assert request["TagSpecifications"][-1]["ResourceType"] == "spot-instances-request"
    assert request["IamInstanceProfile"] == {"Arn": "arn:aws:iam::123456789012:instance-profile/lab"}
    assert request["KeyName"] == "ada"


def test_groups_and_subnet_stand_in_the_interface_alone() -> None:
    """EC2 refuses a request that names them beside interfaces as well."""
    request = build_request(wish_of(subnet="subnet-0123456789abcdef0"))
    assert not {"SecurityGroupIds", "SecurityGroups", "SubnetId", "Placement"} & set(request)


@pytest.mark.parametrize("seed", range(30))
def test_no_wish_loosens_a_default(seed: int, shape: Any) -> None:
    chance = random.Random(seed)
    for _ in range(20):
        wish = wish_of(
            count=chance.randint(1, 1000),
            market=chance.choice(("on-demand", "spot")),
            root_gib=chance.choice((None, 60, 61, 4000)),
            rate=chance.choice((None, 100, 300)),
            public_address=chance.random() < 0.5,
            efa_cards=chance.choice(((), (0,))),
            volumes=tuple(
                Volume(gib=5, mount=f"/data-{n}", is_kept=chance.random() < 0.5) for n in range(chance.randint(0, 10))
            ),
            image=replace(IMAGE, others=chance.choice(((), (ImageDisk(device="/dev/sdf", snapshot_gib=8),)))),
        )
        request = build_request(wish)
        assert judged(request, shape) == ""
        assert request["MinCount"] == request["MaxCount"] == wish.count
        assert all(disk["Encrypted"] is True and disk["VolumeType"] == "gp3" for disk in disks(request).values())
        assert request["InstanceInitiatedShutdownBehavior"] == "terminate"
        assert "DisableApiTermination" not in request
        assert "DisableApiStop" not in request
        assert "MaxPrice" not in write_request(request)
        kept = {device for device, volume in devices_of(wish) if volume.is_kept}
        assert {device for device, disk in disks(request).items() if not disk["DeleteOnTermination"]} == kept
        assert len(disks(request)) == len(request["BlockDeviceMappings"])


def test_every_disk_of_the_image_is_encrypted_and_its_names_are_left_to_it() -> None:
    image = replace(
        IMAGE,
        root=ImageDisk(device="/dev/xvda", snapshot_gib=30),
        others=(ImageDisk(device="/dev/xvdf", snapshot_gib=8), ImageDisk(device="/dev/sdh", snapshot_gib=9)),
    )
    request = build_request(
        wish_of(image=image, rate=300, volumes=tuple(Volume(gib=1, mount=f"/d{n}") for n in range(3)))
    )
    assert list(disks(request)) == ["/dev/xvda", "/dev/xvdf", "/dev/sdh", "/dev/sdg", "/dev/sdi", "/dev/sdj"]
    assert [disk["VolumeSize"] for disk in disks(request).values()] == [30, 8, 9, 1, 1, 1]
    assert all(disk["Encrypted"] for disk in disks(request).values())
    assert ["VolumeInitializationRate" in disk for disk in disks(request).values()] == [True] * 3 + [False] * 3


@pytest.mark.parametrize(("root_gib", "size"), [(None, 60), (60, 60), (61, 61), (65_536, 65_536)])
def test_a_root_disk_holds_the_image(root_gib: int | None, size: int) -> None:
    assert disks(build_request(wish_of(root_gib=root_gib)))["/dev/sda1"]["VolumeSize"] == size


def test_a_card_without_efa_has_the_ordinary_primary_interface() -> None:
    request = build_request(wish_of(efa_cards=(1, 2)))
    assert [item.get("InterfaceType") for item in request["NetworkInterfaces"]] == [None, "efa-only", "efa-only"]
    assert [item["NetworkCardIndex"] for item in request["NetworkInterfaces"]] == [0, 1, 2]


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"count": 0}, "count must be 1 to 1000, got 0"),
        ({"count": 1001}, "count must be 1 to 1000, got 1001"),
        ({"root_gib": 59}, "a disk of 59 GiB is smaller than the image's snapshot of 60 GiB"),
        ({"root_gib": 65_537}, "the root disk must be 1 to 65536 GiB"),
        ({"root_iops": 2999}, "can have 3000 to 30000 operations a second, got 2999"),
        ({"root_iops": 30_001}, "the root disk of 60 GiB can have 3000 to 30000 operations a second, got 30001"),
        ({"root_gib": 4000, "root_iops": 80_001}, "can have 3000 to 80000 operations"),
        ({"root_throughput": 124}, "can have 125 to 750 MiB/s, got 124"),
        ({"root_throughput": 751}, "with 3000 operations a second can have 125 to 750 MiB/s, got 751"),
        ({"root_iops": 8004, "root_throughput": 2001}, "can have 125 to 2000 MiB/s"),
        ({"rate": 99}, "disks are filled at 100 to 300 MiB/s, got 99"),
        ({"rate": 301}, "got 301"),
        ({"ttl_s": 59}, "a lease must be 60 seconds"),
        ({"ttl_s": 366 * 86_400}, "a lease must be 60 seconds to 365 days"),
        ({"market": "capacity-block"}, "market must be on-demand or spot"),
        ({"zone": "us-east-1a"}, "zone 'us-east-1a' is not in us-west-2"),
        ({"zone": "us-west-2"}, "is not in us-west-2"),
        ({"region": "us-west-2a"}, "region 'us-west-2a' is none of EC2's"),
        ({"type": "g5"}, "type 'g5' is none of EC2's"),
        ({"subnet": "vpc-0123456789abcdef0"}, "subnet 'vpc-"),
        ({"groups": ()}, "gets the default one of the network"),
        ({"groups": ("default",)}, "a security group must look like"),
        ({"image": replace(IMAGE, id="resolve:ssm:/aws/latest")}, "an image of EC2 must look like ami-"),
        ({"image": replace(IMAGE, root=ImageDisk(device="", snapshot_gib=8))}, "has no root device"),
        ({"public_address": True, "efa_cards": (0, 1)}, "no public address to an instance with 2 network interfaces"),
        ({"public_address": True, "efa_cards": (1,)}, "no public address to an instance with 2 network interfaces"),
        ({"efa_cards": (0, 0)}, "take one EFA each"),
        ({"efa_cards": (-1,)}, "count from 0"),
        ({"user_data": b"x" * 16_385}, "user data must be at most 16384 bytes, got 16385"),
        ({"profile": "a/b"}, "profile 'a/b'"),
        ({"volumes": (Volume(gib=0, mount="/data"),)}, "the volume at /data must be 1 to 65536 GiB"),
        ({"volumes": (Volume(gib=1, mount="/data", iops=3001),)}, "3000 to 3000 operations"),
        ({"volumes": (Volume(gib=1, mount="data"),)}, "must be mounted at a path such as /data"),
        ({"volumes": (Volume(gib=1, mount="/"),)}, "must be mounted at a path"),
        ({"volumes": (Volume(gib=1, mount="//"),)}, "must be mounted at a path"),
        ({"volumes": (Volume(gib=1, mount="/data\n"),)}, "must be mounted at a path"),
        ({"volumes": (Volume(gib=1, mount="/data/../etc/"),)}, "would hide what the system has there"),
        ({"volumes": (Volume(gib=1, mount="//home/ubuntu"),)}, "would hide what the system has there"),
        ({"volumes": (Volume(gib=1, mount="/dev/shm"),)}, "would hide what the system has there"),
        ({"volumes": (Volume(gib=1, mount="/data"), Volume(gib=1, mount="//data/."))}, "two volumes are mounted at /data"),
        ({"volumes": tuple(Volume(gib=1, mount=f"/d{n}") for n in range(12))}, "room for 11 more volumes, got 12"),
        ({"tags": {f"k{n}": "" for n in range(50)}}, "can have 50 tags, got 51"),
        ({"tags": {"k" * 129: "v"}}, "a tag's key must be 1 to 128 printable letters, got 129"),
        ({"tags": {"": "v"}}, "a tag's key must be 1 to 128 printable letters, got 0"),
        ({"tags": {"k": "v" * 257}}, "a tag's value must be at most 256 printable letters, got 257"),
        ({"tags": {"k": "a\0"}}, "a tag's value must be"),
        ({"tags": {"aws:x": "v"}}, "tags beginning with aws: are AWS's own"),
        ({"tags": {"AWS:x": "v"}}, "tags beginning with aws: are AWS's own"),
        ({"tags": {TTL_TAG: "1"}}, "is Launchbay's own"),
    ],
)  # fmt: skip
def test_what_ec2_would_refuse_is_refused_before_it_is_asked(changed: dict[str, Any], what: str) -> None:
    with pytest.raises(UsageError) as caught:
        build_request(wish_of(**changed))
    assert what in caught.value.what


@pytest.mark.parametrize(
    "changed",
    [
        {"count": 1000},
        {"ttl_s": 60},
        {"root_iops": 30_000, "root_throughput": 2000},
        {"root_gib": 160, "root_iops": 80_000},
        {"zone": "us-west-2-lax-1a"},
        {"zone": "us-west-2-wl1-las-wlz-1"},
        {"region": "us-gov-west-1", "zone": "us-gov-west-1a"},
        {"user_data": b"x" * 16_384},
        {"tags": {f"k{n}": "v" * 256 for n in range(49)}},
        {"tags": {"k" * 128: "Zürich, 東京"}},
        {"tags": {TTL_TAG: "28800"}},
        {
            "volumes": (
                Volume(gib=1, mount="/var/lib/docker"),
                Volume(gib=1, mount="/data"),
                Volume(gib=1, mount="/data/a"),
            )
        },
        {"public_address": True, "efa_cards": (0,)},
    ],
)
def test_the_last_that_ec2_takes_passes(changed: dict[str, Any], shape: Any) -> None:
    assert judged(build_request(wish_of(**changed)), shape) == ""


# --- the written form, the digest and the token -----------------------------------------------------------------------


def test_a_request_comes_back_from_the_journal_as_it_was() -> None:
    request = build_request(wish_of(user_data=bytes(range(256)), tags={"k": "Zürich \U0001f680"}))
    text = write_request(request)
    assert read_request(text) == request
    assert text.isascii()
    assert digest_request(read_request(text)) == digest_request(request)


def test_the_order_of_tags_changes_nothing() -> None:
    tags = {"a": "1", "b": "2"}
    turned = dict(reversed(tags.items()))
    assert write_request(build_request(wish_of(tags=tags))) == write_request(build_request(wish_of(tags=turned)))


def test_the_order_of_parameters_changes_nothing() -> None:
    request = build_request(wish_of())
    assert digest_request(dict(reversed(request.items()))) == digest_request(request)


def variants() -> Iterator[CloudWish]:
    yield wish_of()
    yield wish_of(count=2)
    yield wish_of(market="spot")
    yield wish_of(zone="us-west-2a")
    yield wish_of(type="g5.2xlarge")
    yield wish_of(user_data=b"#!/bin/sh\n")
    yield wish_of(user_data=b"#!/bin/sh\n\n")
    yield wish_of(ttl_s=28_801)
    yield wish_of(tags={"owner": "Bob"})
    yield wish_of(public_address=True)
    yield wish_of(root_gib=61)
    yield wish_of(rate=300)
    yield wish_of(extra={"Monitoring": {"Enabled": True}})
    yield wish_of(is_ebs_optimized=False)


def test_what_means_something_else_has_another_digest() -> None:
    digests = [digest_request(build_request(wish)) for wish in variants()]
    assert len(set(digests)) == len(digests)


def test_the_token_is_no_part_of_what_is_meant() -> None:
    request = build_request(wish_of())
    assert digest_request({**request, "ClientToken": "t"}) == digest_request(request)


def test_bytes_and_their_letters_are_not_the_same() -> None:
    assert digest_request({"UserData": b"eA=="}) != digest_request({"UserData": "eA=="})
    assert digest_request({"UserData": b"x"}) != digest_request({"UserData": "x"})


def test_only_what_json_holds_is_written() -> None:
    with pytest.raises(TypeError, match="texts, numbers and bytes, got set"):
        write_request({"a": {1}})


ATTEMPT: dict[str, Any] = {
    "operation_id": "op-1", "request_digest": "d" * 64, "region": "us-west-2", "zone": "us-west-2a",
    "type_name": "g5.xlarge", "market": "spot", "attempt": 1,
}  # fmt: skip


def test_a_token_is_as_long_as_ec2_takes_and_the_same_each_time() -> None:
    token = token_of(**ATTEMPT)
    assert token == token_of(**ATTEMPT)
    assert len(token) == 64
    assert token.isascii()
    assert token == token.strip()


@pytest.mark.parametrize(
    "changed",
    [
        {"operation_id": "op-2"}, {"request_digest": "e" * 64}, {"region": "us-west-1"}, {"zone": "us-west-2b"},
        {"type_name": "g5.2xlarge"}, {"market": "on-demand"}, {"attempt": 2},
        {"operation_id": 'op-1","' + "d" * 64}, {"zone": "us-west-2ag5.xlarge", "type_name": ""},
    ],
)  # fmt: skip
def test_another_attempt_has_another_token(changed: dict[str, Any]) -> None:
    assert token_of(**{**ATTEMPT, **changed}) != token_of(**ATTEMPT)


def test_boto3_sends_the_user_data_and_the_token_as_they_are() -> None:
    sent: dict[str, list[str]] = {}

    def answer(request: Any, **_: Any) -> AWSResponse:
        sent.update(parse_qs(request.body.decode() if isinstance(request.body, bytes) else request.body))
        body = b"<RunInstancesResponse><requestId>r</requestId></RunInstancesResponse>"
        return _Answer(request.url, 200, {}, body)

    client = boto3.client(
        "ec2",
        region_name="us-west-2",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(retries={"total_max_attempts": 1}),
    )
    client.meta.events.register("before-send.ec2.RunInstances", answer)
    data = b"\x1f\x8b\x00\xff#!/bin/sh\n"
    request = read_request(write_request(build_request(wish_of(user_data=data, efa_cards=(0,)))))
    client.run_instances(**request, ClientToken=token_of(**ATTEMPT))
    assert base64.b64decode(sent["UserData"][0]) == data
    assert sent["ClientToken"] == [token_of(**ATTEMPT)]
    assert sent["BlockDeviceMapping.1.Ebs.Encrypted"] == ["true"]
    assert sent["MetadataOptions.HttpTokens"] == ["required"]
    assert sent["NetworkInterface.1.InterfaceType"] == ["efa"]


class _Answer(AWSResponse):  # type: ignore[misc]
    def __init__(self, url: str, status: int, headers: dict[str, str], body: bytes) -> None:
        super().__init__(url, status, headers, None)
        self._content = body
