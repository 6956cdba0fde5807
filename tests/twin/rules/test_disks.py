"""The disks of a launch, decided without a twin: what an image maps and a call changes, and what EC2 would not take."""

from __future__ import annotations

from typing import Any

import pytest

from launchbay.twin.call import Refused
from launchbay.twin.rules.disks import decide

SNAPSHOTS = {"snap-root": (75, False), "snap-data": (100, False), "snap-secret": (10, True)}
ROOT = {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": "snap-root", "VolumeSize": 75, "VolumeType": "gp3"}}
DATA = {"DeviceName": "/dev/sdf", "Ebs": {"SnapshotId": "snap-data", "VolumeType": "gp2", "DeleteOnTermination": False}}


def one(**ebs: Any) -> Any:
    (disk,) = decide([], [{"DeviceName": "/dev/sdb", "Ebs": ebs}], SNAPSHOTS)
    return disk


def test_an_image_alone_gives_its_devices() -> None:
    root, data = decide([ROOT, DATA], [], SNAPSHOTS)
    assert (root.device, root.size, root.type, root.ends_with_instance) == ("/dev/sda1", 75, "gp3", True)
    assert (root.iops, root.throughput) == (3000, 125)
    assert (data.device, data.size, data.type, data.ends_with_instance) == ("/dev/sdf", 100, "gp2", False)


def test_the_same_device_changes_the_root_and_another_adds_a_disk() -> None:
    asked = [
        {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 200}},
        {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 300}},
    ]
    root, other = decide([ROOT], asked, SNAPSHOTS)
    assert (root.size, root.type, root.snapshot) == (200, "gp3", "snap-root")
    assert (other.device, other.size, other.type, other.snapshot) == ("/dev/xvda", 300, "gp2", None)
    assert other.ends_with_instance


def test_a_device_can_be_left_out() -> None:
    assert [disk.device for disk in decide([ROOT, DATA], [{"DeviceName": "/dev/sdf", "NoDevice": ""}], SNAPSHOTS)] == [
        "/dev/sda1"
    ]


def test_another_type_does_not_take_the_operations_along() -> None:
    image = {"DeviceName": "/dev/sda1", "Ebs": {**ROOT["Ebs"], "Iops": 9000, "Throughput": 500}}  # type: ignore[dict-item]
    (root,) = decide([image], [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeType": "gp2"}}], SNAPSHOTS)
    assert (root.type, root.iops, root.throughput) == ("gp2", 225, None)


def test_a_root_smaller_than_its_snapshot_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        decide([ROOT], [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 8}}], SNAPSHOTS)
    assert caught.value.code == "InvalidBlockDeviceMapping"
    assert caught.value.message == "Volume of size 8GB is smaller than snapshot 'snap-root', expect size >= 75GB"


@pytest.mark.parametrize(
    ("is_default", "ebs", "expected"),
    [
        (False, {"VolumeSize": 8}, False),
        (False, {"VolumeSize": 8, "Encrypted": True}, True),
        (False, {"SnapshotId": "snap-secret", "Encrypted": False}, True),
        (True, {"VolumeSize": 8}, True),
    ],
)
def test_a_disk_is_encrypted_by_wish_by_snapshot_or_by_default(is_default: bool, ebs: Any, expected: bool) -> None:  # noqa: FBT001
    (disk,) = decide([], [{"DeviceName": "/dev/sdb", "Ebs": ebs}], SNAPSHOTS, is_encrypted=is_default)
    assert disk.is_encrypted is expected


def test_what_is_asked_for_is_kept() -> None:
    disk = one(VolumeSize=400, VolumeType="gp3", Iops=16_000, Throughput=1000, VolumeInitializationRate=300)
    assert (disk.iops, disk.throughput, disk.initialization) == (16_000, 1000, 300)


@pytest.mark.parametrize(
    ("ebs", "code"),
    [
        ({"VolumeType": "gp3"}, "MissingParameter"),
        ({"SnapshotId": "snap-none"}, "InvalidSnapshot.NotFound"),
        ({"VolumeSize": 8, "VolumeType": "gp9"}, "UnknownVolumeType"),
        ({"VolumeSize": 70_000, "VolumeType": "gp3"}, "InvalidParameterValue"),
        ({"VolumeSize": 100, "VolumeType": "st1"}, "InvalidParameterValue"),
        ({"VolumeSize": 8, "VolumeType": "gp3", "Iops": 2999}, "InvalidParameterValue"),
        ({"VolumeSize": 8, "VolumeType": "gp3", "Iops": 4001}, "InvalidParameterValue"),
        ({"VolumeSize": 800, "VolumeType": "gp3", "Iops": 80_001}, "InvalidParameterValue"),
        ({"VolumeSize": 8, "VolumeType": "gp3", "Throughput": 124}, "InvalidParameterValue"),
        ({"VolumeSize": 8, "VolumeType": "gp3", "Throughput": 751}, "InvalidParameterValue"),
        ({"VolumeSize": 8, "VolumeType": "gp2", "Throughput": 125}, "InvalidParameterCombination"),
        ({"VolumeSize": 8, "VolumeType": "gp2", "Iops": 3000}, "InvalidParameterCombination"),
        ({"VolumeSize": 8, "VolumeType": "io2"}, "MissingParameter"),
        ({"VolumeSize": 8, "VolumeInitializationRate": 99}, "InvalidParameterValue"),
        ({"VolumeSize": 8, "VolumeInitializationRate": 301}, "InvalidParameterValue"),
    ],
)
def test_what_no_disk_can_be_is_refused(ebs: dict[str, Any], code: str) -> None:
    with pytest.raises(Refused) as caught:
        one(**ebs)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "ebs",
    [
        {"VolumeSize": 1, "VolumeType": "gp3", "Iops": 3000, "Throughput": 750},
        {"VolumeSize": 65_536, "VolumeType": "gp3", "Iops": 80_000, "Throughput": 2000},
        {"VolumeSize": 8, "VolumeType": "gp3", "Iops": 4000, "Throughput": 1000},
    ],
)
def test_the_bounds_themselves_are_taken(ebs: dict[str, Any]) -> None:
    assert one(**ebs).size == ebs["VolumeSize"]
