"""Disks: what a launch maps, what volumes keep, and snapshots."""

from __future__ import annotations

from launchbay.twin.conformance.account import Account
from launchbay.twin.conformance.behaviour import REMEMBERED, SEEN, VERIFIED, listed

__all__: list[str] = []

_MODEL = "botocore's model of EC2"
_ERRORS = "EC2's list of error codes"


@listed(
    "A disk mapped to the root's name is the root, and no second disk.", known=REMEMBERED, source="memory", usd="0.01"
)
def _root_replaced(account: Account) -> None:
    image = account.image
    root = account.ec2.describe_images(ImageIds=[image])["Images"][0]["RootDeviceName"]
    (name,) = account.launch(ImageId=image, BlockDeviceMappings=[{"DeviceName": root, "Ebs": {"VolumeSize": 35}}])
    account.wait([name], "running")
    disks = account.describe(name)["BlockDeviceMappings"]
    assert [disk["DeviceName"] for disk in disks] == [root], f"{[disk['DeviceName'] for disk in disks]}"


@listed("A disk mapped to another name is added to the root.", known=REMEMBERED, source="memory", usd="0.01")
def _disk_added(account: Account) -> None:
    (name,) = account.launch(BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1}}])
    account.wait([name], "running")
    count = len(account.describe(name)["BlockDeviceMappings"])
    assert count == 2, f"{count} disks"


@listed("A root smaller than its snapshot is refused.", known=SEEN, source="issues of other tools")
def _root_too_small(account: Account) -> None:
    image = account.image
    root = account.ec2.describe_images(ImageIds=[image])["Images"][0]["RootDeviceName"]
    with account.refused("InvalidBlockDeviceMapping"):
        account.launch(ImageId=image, BlockDeviceMappings=[{"DeviceName": root, "Ebs": {"VolumeSize": 1}}])


@listed("Throughput and operations of a gp3 disk are kept.", known=VERIFIED, source=_MODEL, usd="0.01")
def _gp3_kept(account: Account) -> None:
    disk = {"VolumeSize": 10, "VolumeType": "gp3", "Iops": 4000, "Throughput": 200, "Encrypted": True}
    (name,) = account.launch(BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": disk}])
    account.wait([name], "running")
    ids = [item["Ebs"]["VolumeId"] for item in account.describe(name)["BlockDeviceMappings"]]
    found = [item for item in account.ec2.describe_volumes(VolumeIds=ids)["Volumes"] if item["Size"] == 10]
    kept = [(item["VolumeType"], item["Iops"], item["Throughput"], item["Encrypted"]) for item in found]
    assert kept == [("gp3", 4000, 200, True)], f"{kept}"


@listed("A disk goes with its instance, if so asked.", known=VERIFIED, source=_MODEL, usd="0.01")
def _disk_goes(account: Account) -> None:
    disk = {"VolumeSize": 1, "DeleteOnTermination": True}
    (name,) = account.launch(BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": disk}])
    account.wait([name], "running")
    ids = [item["Ebs"]["VolumeId"] for item in account.describe(name)["BlockDeviceMappings"]]
    account.ec2.terminate_instances(InstanceIds=[name])
    account.wait([name], "terminated")
    filters = [{"Name": "volume-id", "Values": ids}]
    assert not account.ec2.describe_volumes(Filters=filters)["Volumes"], "a disk is left"


@listed("A volume's client token makes it once.", known=SEEN, source="EC2's page on idempotency", usd="0.01")
def _volume_token(account: Account) -> None:
    zone = account.ec2.describe_availability_zones()["AvailabilityZones"][0]["ZoneName"]
    token = account.unique()
    made = [account.ec2.create_volume(AvailabilityZone=zone, Size=1, ClientToken=token)["VolumeId"] for _ in range(2)]
    for identity in set(made):
        account.later(lambda identity=identity: account.ec2.delete_volume(VolumeId=identity))  # type: ignore[misc]
    assert made[0] == made[1], "two volumes"


@listed("A disk that is attached is not deleted.", known=SEEN, source=_ERRORS, usd="0.01")
def _volume_in_use(account: Account) -> None:
    (name,) = account.launch()
    account.wait([name], "running")
    volume = account.describe(name)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    with account.refused("VolumeInUse"):
        account.ec2.delete_volume(VolumeId=volume)


@listed("One's own snapshots are one's own.", known=VERIFIED, source=_MODEL)
def _own_snapshots(account: Account) -> None:
    owner = account.client("sts").get_caller_identity()["Account"]
    found = account.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    others = [item["SnapshotId"] for item in found if item["OwnerId"] != owner]
    images = {item["ImageId"] for item in account.ec2.describe_images(Owners=["self"])["Images"]}
    foreign = [
        item for item in found if "ami-" in item["Description"] and not any(i in item["Description"] for i in images)
    ]
    assert not others, f"{len(others)} of others"
    assert not foreign, f"{len(foreign)} of images that are not one's own"
