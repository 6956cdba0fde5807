"""Images on the twin: baked from an instance, copied, registered, and taken away with and without their snapshots."""

from __future__ import annotations

from typing import Any

import pytest

from tests.twin.rules.launching import end, make_image, message, refusal, run_one
from tests.twin_process import TwinProcess


@pytest.fixture
def instance(ec2: Any) -> str:
    """Return a running instance with an encrypted data disk beside its root."""
    data = {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 40, "VolumeType": "gp3", "Encrypted": True}}
    root = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 20}}
    made = run_one(ec2, make_image(ec2), BlockDeviceMappings=[data, root])["InstanceId"]
    ec2.get_waiter("instance_running").wait(InstanceIds=[made], WaiterConfig={"Delay": 0})
    return str(made)


def tags(kind: str, value: str) -> dict[str, Any]:
    return {"ResourceType": kind, "Tags": [{"Key": "run", "Value": value}]}


def image_of(ec2: Any, identity: str) -> dict[str, Any]:
    found: dict[str, Any] = ec2.describe_images(ImageIds=[identity])["Images"][0]
    return found


def wait(ec2: Any, identity: str) -> None:
    ec2.get_waiter("image_available").wait(ImageIds=[identity], WaiterConfig={"Delay": 0})


def snapshots_of(image: dict[str, Any]) -> list[str]:
    return [item["Ebs"]["SnapshotId"] for item in image["BlockDeviceMappings"]]


def test_who_looks_at_an_image_on_a_virtual_clock_waits_for_it_and_for_no_longer(
    twin: TwinProcess, ec2: Any, instance: str
) -> None:
    made = ec2.create_image(InstanceId=instance, Name="an env")["ImageId"]
    states = [image_of(ec2, made)["State"] for _ in range(20)]
    assert states[0] == "pending"
    assert states[-1] == "available"
    before = twin.ask("status")["now"]
    assert image_of(ec2, made)["State"] == "available"
    assert twin.ask("status")["now"] == before


def test_an_image_is_pending_and_then_available_with_its_snapshots(ec2: Any, instance: str) -> None:
    made = ec2.create_image(InstanceId=instance, Name="an env")["ImageId"]
    first = image_of(ec2, made)
    assert first["State"] == "pending"
    shown = ec2.describe_snapshots(SnapshotIds=snapshots_of(first))["Snapshots"]
    assert {(item["State"], item["Progress"]) for item in shown} == {("pending", "0%")}
    wait(ec2, made)
    shown = ec2.describe_snapshots(SnapshotIds=snapshots_of(first))["Snapshots"]
    assert {(item["State"], item["Progress"]) for item in shown} == {("completed", "100%")}


def test_an_image_has_the_disks_of_its_instance_the_root_first(ec2: Any, instance: str) -> None:
    made = ec2.create_image(InstanceId=instance, Name="an env")["ImageId"]
    image = image_of(ec2, made)
    assert image["RootDeviceName"] == "/dev/sda1"
    shown = [
        (item["DeviceName"], item["Ebs"]["VolumeSize"], item["Ebs"]["VolumeType"], item["Ebs"]["Encrypted"])
        for item in image["BlockDeviceMappings"]
    ]
    assert shown == [("/dev/sda1", 20, "gp2", False), ("/dev/sdf", 40, "gp3", True)]
    sizes = {item["SnapshotId"]: item["VolumeSize"] for item in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]}
    assert [sizes[identity] for identity in snapshots_of(image)] == [20, 40]


def test_image_and_snapshots_get_the_tags_of_their_kind(ec2: Any, instance: str) -> None:
    asked = [tags("image", "i"), tags("snapshot", "s")]
    made = ec2.create_image(InstanceId=instance, Name="an env", TagSpecifications=asked)["ImageId"]
    image = image_of(ec2, made)
    assert image["Tags"] == [{"Key": "run", "Value": "i"}]
    found = ec2.describe_snapshots(Filters=[{"Name": "tag:run", "Values": ["s"]}])["Snapshots"]
    assert sorted(item["SnapshotId"] for item in found) == sorted(snapshots_of(image))


def test_what_was_baked_can_be_launched_when_it_is_available(ec2: Any, instance: str) -> None:
    made = ec2.create_image(InstanceId=instance, Name="an env")["ImageId"]
    wait(ec2, made)
    launched = run_one(ec2, made)["InstanceId"]
    wanted = [{"Name": "attachment.instance-id", "Values": [launched]}]
    found = {item["Attachments"][0]["Device"]: item for item in ec2.describe_volumes(Filters=wanted)["Volumes"]}
    assert {device: (item["Size"], item["Encrypted"]) for device, item in found.items()} == {
        "/dev/sda1": (20, False),
        "/dev/sdf": (40, True),
    }


def test_names_are_taken_once_and_have_rules(ec2: Any, instance: str) -> None:
    made = ec2.create_image(InstanceId=instance, Name="an env")["ImageId"]
    again = {"InstanceId": instance, "Name": "an env"}
    assert refusal(ec2.create_image, **again) == "InvalidAMIName.Duplicate"
    assert message(ec2.create_image, **again) == f"AMI name an env is already in use by AMI {made}"
    for name in ("x" * 129, "a:b:c", "für uns"):
        assert refusal(ec2.create_image, InstanceId=instance, Name=name) == "InvalidAMIName.Malformed", name
    assert refusal(ec2.create_image, InstanceId=instance, Name="(a) [b]/c-d'e@f_g.h") == ""
    ec2.deregister_image(ImageId=made)
    assert refusal(ec2.create_image, **again) == ""


def test_only_an_instance_with_disks_in_a_settled_state_is_imaged(ec2: Any, instance: str) -> None:
    pending = run_one(ec2, make_image(ec2, "another"), ClientToken="p")["InstanceId"]
    assert refusal(ec2.create_image, InstanceId=pending, Name="an env") == "InvalidParameterValue"
    ec2.stop_instances(InstanceIds=[instance])
    ec2.get_waiter("instance_stopped").wait(InstanceIds=[instance], WaiterConfig={"Delay": 0})
    assert refusal(ec2.create_image, InstanceId=instance, Name="an env") == ""
    end(ec2, instance)
    assert refusal(ec2.create_image, InstanceId=instance, Name="another env") == "InvalidParameterValue"
    assert refusal(ec2.create_image, InstanceId="i-0123456789abcdef0", Name="xyz") == "InvalidInstanceID.NotFound"


def test_snapshots_stay_unless_they_are_asked_to_go(ec2: Any, instance: str, twin: TwinProcess) -> None:
    base = twin.ask("left")["snapshots"]
    first = ec2.create_image(InstanceId=instance, Name="first")["ImageId"]
    second = ec2.create_image(InstanceId=instance, Name="second")["ImageId"]
    kept, gone = snapshots_of(image_of(ec2, first)), snapshots_of(image_of(ec2, second))
    assert refusal(ec2.delete_snapshot, SnapshotId=kept[0]) == "InvalidSnapshot.InUse"
    ec2.deregister_image(ImageId=first)
    answer = ec2.deregister_image(ImageId=second, DeleteAssociatedSnapshots=True)
    assert [(item["SnapshotId"], item["ReturnCode"]) for item in answer["DeleteSnapshotResults"]] == [
        (identity, "success") for identity in gone
    ]
    assert sorted(twin.ask("left")["snapshots"]) == sorted([*base, *kept])
    lines = twin.ask("bill")["lines"]
    assert {line["resource"] for line in lines if line["end"] is None} >= set(kept)
    assert {line["resource"] for line in lines if line["end"] is not None} >= set(gone)
    ec2.delete_snapshot(SnapshotId=kept[0])
    assert refusal(ec2.delete_snapshot, SnapshotId=kept[0]) == "InvalidSnapshot.NotFound"


def test_a_snapshot_that_another_image_needs_is_skipped(ec2: Any, instance: str) -> None:
    first = ec2.create_image(InstanceId=instance, Name="first")["ImageId"]
    root = image_of(ec2, first)["BlockDeviceMappings"][0]
    snapshot = root["Ebs"]["SnapshotId"]
    mapping = {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot}}
    second = make_image(ec2, "second", BlockDeviceMappings=[mapping])
    answer = ec2.deregister_image(ImageId=first, DeleteAssociatedSnapshots=True)
    codes = {item["SnapshotId"]: item["ReturnCode"] for item in answer["DeleteSnapshotResults"]}
    assert codes[snapshot] == "skipped"
    assert refusal(ec2.delete_snapshot, SnapshotId=snapshot) == "InvalidSnapshot.InUse"
    assert image_of(ec2, second)["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 20


def test_an_image_deregistered_while_pending_does_not_come_back(ec2: Any, instance: str, twin: TwinProcess) -> None:
    made = ec2.create_image(InstanceId=instance, Name="an env")["ImageId"]
    ec2.deregister_image(ImageId=made, DeleteAssociatedSnapshots=True)
    twin.ask("advance", seconds=3600)
    assert ec2.describe_images(Owners=["self"], Filters=[{"Name": "name", "Values": ["an env"]}])["Images"] == []


def test_a_copy_in_another_region_keeps_sizes_and_encryption(twin: TwinProcess, ec2: Any, instance: str) -> None:
    made = ec2.create_image(InstanceId=instance, Name="an env", TagSpecifications=[tags("image", "i")])["ImageId"]
    west = twin.client("ec2", "us-west-2")
    asked = {"SourceImageId": made, "SourceRegion": "us-east-1", "Name": "copied", "ClientToken": "c"}
    assert refusal(west.copy_image, **asked) == "InvalidAMIID.Unavailable"
    wait(ec2, made)
    copied = west.copy_image(**asked)["ImageId"]
    assert west.copy_image(**asked)["ImageId"] == copied
    image = image_of(west, copied)
    assert image["State"] == "pending"
    assert [(item["Ebs"]["VolumeSize"], item["Ebs"]["Encrypted"]) for item in image["BlockDeviceMappings"]] == [
        (20, False),
        (40, True),
    ]
    assert image.get("Tags", []) == []
    wait(west, copied)
    assert not set(snapshots_of(image)) & set(snapshots_of(image_of(ec2, made)))
    secret = west.copy_image(
        **{**asked, "Name": "secret", "ClientToken": "d", "Encrypted": True, "CopyImageTags": True}
    )
    found = image_of(west, secret["ImageId"])
    assert {item["Ebs"]["Encrypted"] for item in found["BlockDeviceMappings"]} == {True}
    assert found["Tags"] == [{"Key": "run", "Value": "i"}]
    assert west.describe_volumes()["Volumes"] == []


def test_a_snapshot_stays_as_it_is_when_its_volume_grows_or_goes(ec2: Any, twin: TwinProcess) -> None:
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=10)["VolumeId"]
    made = ec2.create_snapshot(VolumeId=volume, TagSpecifications=[tags("snapshot", "s")])
    assert (made["State"], made["VolumeSize"]) == ("pending", 10)
    ec2.modify_volume(VolumeId=volume, Size=30)
    ec2.delete_volume(VolumeId=volume)
    ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[made["SnapshotId"]], WaiterConfig={"Delay": 0})
    found = ec2.describe_snapshots(SnapshotIds=[made["SnapshotId"]])["Snapshots"][0]
    assert (found["VolumeSize"], found["Progress"], found["Tags"]) == (10, "100%", [{"Key": "run", "Value": "s"}])
    assert twin.ask("left")["volumes"] == []


def test_own_snapshots_are_those_of_the_account(ec2: Any) -> None:
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    made = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    assert [item["SnapshotId"] for item in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]] == [made]
    assert ec2.describe_snapshots(OwnerIds=["999999999999"])["Snapshots"] == []
    both = [{"Name": "volume-id", "Values": ["vol-0123456789abcdef0"]}]
    assert ec2.describe_snapshots(OwnerIds=["self"], Filters=both)["Snapshots"] == []


def test_a_restart_does_not_forget_what_is_being_baked(ec2: Any, instance: str, twin: TwinProcess) -> None:
    made = ec2.create_image(InstanceId=instance, Name="an env")["ImageId"]
    before = image_of(ec2, made)["BlockDeviceMappings"]
    twin.kill()
    twin.start()
    client = twin.client("ec2")
    wait(client, made)
    assert image_of(client, made)["BlockDeviceMappings"] == before
