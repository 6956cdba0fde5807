"""Volumes on the twin: those of a launch, and those made alone; how they are listed, attached and deleted."""

from __future__ import annotations

from typing import Any

import pytest

from tests.twin.rules.launching import described, end, make_image, message, refusal, run, run_one
from tests.twin_process import TwinProcess

ZONE = "us-east-1a"


@pytest.fixture
def image(ec2: Any) -> str:
    """Return an image whose root is 75 GiB of gp3."""
    volume = ec2.create_volume(AvailabilityZone=ZONE, Size=75)["VolumeId"]
    snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    ec2.delete_volume(VolumeId=volume)
    root = {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot, "VolumeType": "gp3"}}
    return make_image(ec2, BlockDeviceMappings=[root])


def volumes_of(ec2: Any, instance: dict[str, Any]) -> dict[str, dict[str, Any]]:
    wanted = [{"Name": "attachment.instance-id", "Values": [instance["InstanceId"]]}]
    return {item["Attachments"][0]["Device"]: item for item in ec2.describe_volumes(Filters=wanted)["Volumes"]}


def test_a_launch_gets_the_disk_of_its_image(ec2: Any, image: str) -> None:
    found = volumes_of(ec2, run_one(ec2, image))
    assert [(device, item["Size"], item["VolumeType"]) for device, item in found.items()] == [("/dev/sda1", 75, "gp3")]


def test_a_launch_keeps_all_that_it_asks_of_a_disk(ec2: Any, image: str) -> None:
    ebs = {
        "VolumeSize": 100,
        "VolumeType": "gp3",
        "Iops": 4000,
        "Throughput": 500,
        "VolumeInitializationRate": 200,
        "Encrypted": True,
        "DeleteOnTermination": False,
    }
    tags = [{"ResourceType": "volume", "Tags": [{"Key": "run", "Value": "1"}]}]
    made = run_one(ec2, image, BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": ebs}], TagSpecifications=tags)
    found = volumes_of(ec2, made)
    assert list(found) == ["/dev/sda1"]
    root = found["/dev/sda1"]
    shown = {name: root[name] for name in ("Size", "VolumeType", "Iops", "Throughput", "Encrypted")}
    assert shown == {"Size": 100, "VolumeType": "gp3", "Iops": 4000, "Throughput": 500, "Encrypted": True}
    assert root["VolumeInitializationRate"] == 200
    assert root["Tags"] == [{"Key": "run", "Value": "1"}]
    assert root["SnapshotId"]
    mapping = described(ec2, made["InstanceId"])["BlockDeviceMappings"][0]
    assert mapping["Ebs"]["DeleteOnTermination"] is False


def test_another_device_is_a_second_disk(ec2: Any, image: str) -> None:
    added = [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 9, "VolumeType": "io2", "Iops": 500}}]
    found = volumes_of(ec2, run_one(ec2, image, BlockDeviceMappings=added))
    assert {device: item["Size"] for device, item in found.items()} == {"/dev/sda1": 75, "/dev/xvda": 9}
    assert found["/dev/xvda"]["Iops"] == 500


def test_a_root_too_small_is_refused_and_nothing_is_left(ec2: Any, image: str, twin: TwinProcess) -> None:
    small = [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 8}}]
    assert refusal(run, ec2, image, BlockDeviceMappings=small) == "InvalidBlockDeviceMapping"
    assert message(run, ec2, image, BlockDeviceMappings=small).endswith("expect size >= 75GB")
    left = twin.ask("left")
    assert (left["volumes"], left["instances"]) == ([], [])


def test_every_instance_has_disks_of_its_own_and_they_end_as_they_should(ec2: Any, image: str) -> None:
    kept = [{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 5, "DeleteOnTermination": False}}]
    made = run(ec2, image, 3, BlockDeviceMappings=kept)
    assert len(ec2.describe_volumes()["Volumes"]) == 6
    end(ec2, *(item["InstanceId"] for item in made))
    assert [(item["Size"], item["State"]) for item in ec2.describe_volumes()["Volumes"]] == [(5, "available")] * 3


def test_the_same_token_makes_one_volume(ec2: Any) -> None:
    asked = {"AvailabilityZone": ZONE, "Size": 5, "ClientToken": "once"}
    first, again = ec2.create_volume(**asked), ec2.create_volume(**asked)
    assert first["VolumeId"] == again["VolumeId"]
    assert first["ResponseMetadata"]["RequestId"] != again["ResponseMetadata"]["RequestId"]
    assert refusal(ec2.create_volume, **{**asked, "Size": 6}) == "IdempotentParameterMismatch"
    assert refusal(ec2.create_volume, **{**asked, "ClientToken": "other"}) == ""
    assert len(ec2.describe_volumes()["Volumes"]) == 2


def test_a_refused_call_does_not_use_its_token_up(ec2: Any) -> None:
    asked = {"AvailabilityZone": ZONE, "VolumeType": "gp3", "ClientToken": "again"}
    assert refusal(ec2.create_volume, **asked, Size=8, Iops=10) == "InvalidParameterValue"
    assert refusal(ec2.create_volume, **asked, Size=8) == ""


def test_a_volume_is_shown_as_it_was_asked_for(ec2: Any) -> None:
    asked = {"Size": 100, "VolumeType": "gp3", "Iops": 5000, "Throughput": 400, "VolumeInitializationRate": 150}
    made = ec2.create_volume(AvailabilityZone=ZONE, **asked)["VolumeId"]
    found = ec2.describe_volumes(VolumeIds=[made])["Volumes"][0]
    assert {name: found[name] for name in asked} == asked
    assert refusal(ec2.create_volume, AvailabilityZone="us-east-1z", Size=1) == "InvalidParameterValue"


def test_volumes_come_in_pages(ec2: Any) -> None:
    made = {ec2.create_volume(AvailabilityZone=ZONE, Size=size)["VolumeId"] for size in range(1, 13)}
    pages = list(ec2.get_paginator("describe_volumes").paginate(PaginationConfig={"PageSize": 5}))
    assert [len(page["Volumes"]) for page in pages] == [5, 5, 2]
    assert {item["VolumeId"] for page in pages for item in page["Volumes"]} == made
    wanted = [{"Name": "size", "Values": ["3"]}]
    assert len(ec2.describe_volumes(MaxResults=5, Filters=wanted)["Volumes"]) == 1
    assert refusal(ec2.describe_volumes, MaxResults=5, VolumeIds=list(made)) == "InvalidParameterCombination"
    assert refusal(ec2.describe_volumes, MaxResults=4) == "InvalidParameterValue"
    assert refusal(ec2.describe_volumes, MaxResults=5, NextToken="never given") != ""


def test_an_attached_volume_is_in_use(ec2: Any, image: str) -> None:
    made = run_one(ec2, image)
    ec2.get_waiter("instance_running").wait(InstanceIds=[made["InstanceId"]], WaiterConfig={"Delay": 0})
    volume = ec2.create_volume(AvailabilityZone=made["Placement"]["AvailabilityZone"], Size=5)["VolumeId"]
    at = {"VolumeId": volume, "InstanceId": made["InstanceId"]}
    assert refusal(ec2.attach_volume, Device="/dev/sda1", **at) == "InvalidParameterValue"
    ec2.attach_volume(Device="/dev/sdf", **at)
    assert refusal(ec2.attach_volume, Device="/dev/sdg", **at) == "VolumeInUse"
    assert refusal(ec2.delete_volume, VolumeId=volume) == "VolumeInUse"
    end(ec2, made["InstanceId"])
    assert [item["State"] for item in ec2.describe_volumes(VolumeIds=[volume])["Volumes"]] == ["available"]


def test_a_volume_of_another_zone_cannot_be_attached(ec2: Any, image: str) -> None:
    made = run_one(ec2, image, Placement={"AvailabilityZone": "us-east-1a"})
    ec2.get_waiter("instance_running").wait(InstanceIds=[made["InstanceId"]], WaiterConfig={"Delay": 0})
    volume = ec2.create_volume(AvailabilityZone="us-east-1b", Size=5)["VolumeId"]
    asked = {"VolumeId": volume, "InstanceId": made["InstanceId"], "Device": "/dev/sdf"}
    assert refusal(ec2.attach_volume, **asked) == "InvalidVolume.ZoneMismatch"


def test_a_volume_survives_a_restart_as_it_was(ec2: Any, image: str, twin: TwinProcess) -> None:
    made = run_one(ec2, image)
    before = volumes_of(ec2, made)
    twin.kill()
    twin.start()
    assert volumes_of(twin.client("ec2"), made) == before


def test_what_a_disk_has_beyond_the_free_speed_and_how_it_was_filled_is_on_the_meter(
    twin: TwinProcess, ec2: Any, image: str
) -> None:
    disk = {"VolumeSize": 100, "VolumeType": "gp3", "Iops": 4000, "Throughput": 225, "VolumeInitializationRate": 300}
    ec2.run_instances(
        ImageId=image, MinCount=1, MaxCount=1, InstanceType="c5.large",
        BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": disk}],
    )  # fmt: skip
    bill = twin.ask("bill")
    lines = {line["item"]: (line["quantity"], line["unit"], line["usd_per_unit"]) for line in bill["lines"]}
    assert lines["gp3 disk"] == ("100", "GiB-month", "0.08")
    assert lines["gp3 operations"] == ("1000", "IOPS-month", "0.005")
    assert lines["gp3 throughput"][:2] == ("100", "MiBps-month")
    assert lines["disk filled at a rate"] == ("75", "GiB", None)
    assert not bill["complete"]
