"""Volumes: those of a launch as its image and its call map them, and those that are made, attached, listed and deleted alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from moto.ec2.models.amis import Ami
from moto.ec2.models.block_device import BlockDeviceType
from moto.ec2.models.elastic_block_store import VolumeAttachment

from launchbay.twin.backend import ec2, find_instance
from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.rule import Rule
from launchbay.twin.rules.asked import put_by, tags_asked, take
from launchbay.twin.rules.disks import Disk, Snapshots, decide, disk_of
from launchbay.twin.world import World

__all__ = ["RULE", "make_volume", "mappings_of", "snapshots_of"]

_NAME = "volumes"


def mappings_of(image: Any) -> list[dict[str, Any]]:
    """Return the block devices of an image, in the API's form. The root of moto's own images ends with the instance."""
    found: list[dict[str, Any]] = image.block_device_mappings
    if type(image) is Ami:
        return [{**item, "Ebs": {**item["Ebs"], "DeleteOnTermination": True}} for item in found]
    return found


def snapshots_of(region: str) -> Snapshots:
    """Return size and encryption of each snapshot of a region."""
    return {name: (int(item.volume.size), bool(item.encrypted)) for name, item in ec2(region).snapshots.items()}


def make_volume(region: str, zone: str, disk: Disk) -> Any:
    """Make a volume."""
    volume = ec2(region).create_volume(
        size=disk.size,
        zone_name=zone,
        snapshot_id=disk.snapshot,
        encrypted=disk.is_encrypted,
        kms_key_id=disk.key if disk.is_encrypted else None,
        volume_type=disk.type,
        iops=disk.iops if disk.type in ("gp3", "io1", "io2") else None,
        throughput=disk.throughput,
    )
    volume.iops = disk.iops
    volume.volume_initialization_rate = disk.initialization
    if disk.initialization and disk.snapshot:
        volume.filled_gib = int(ec2(region).snapshots[disk.snapshot].volume.size)
    return volume


def _before_run(call: Call, world: World) -> Call:
    image = ec2(call.region).amis.get(call.get("ImageId"))
    asked: Sequence[Mapping[str, Any]] = call.get("BlockDeviceMappings", default=[])
    mapped = (
        mappings_of(image) if image else [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 8, "VolumeType": "gp2"}}]
    )
    is_encrypted = bool(ec2(call.region).ebs_encryption_by_default)
    put_by(world, _NAME, decide(mapped, asked, snapshots_of(call.region), is_encrypted=is_encrypted))
    # moto makes what it is asked for in place of the image's devices; without a request it makes one that we can put aside
    return replace(call, params={name: value for name, value in call.params.items() if name != "BlockDeviceMappings"})


def _made(call: Call, world: World, made: Sequence[Any]) -> None:
    disks: tuple[Disk, ...] = take(world, _NAME) or ()
    tags = tags_asked(call, "volume")
    for instance in made:
        volumes = instance.ec2_backend.volumes
        for device in instance.block_device_mapping.values():
            volumes.pop(device.volume_id, None)
        instance.block_device_mapping.clear()
        for disk in disks:
            volume = make_volume(call.region, instance.availability_zone, disk)
            volume.add_tags(tags)
            _hang(volume, instance, disk)


def _hang(volume: Any, instance: Any, disk: Disk) -> None:
    """Attach a volume; moto's own way looks through all instances of the region for each."""
    volume.attachment = VolumeAttachment(volume, instance, disk.device, "attached")
    instance.block_device_mapping[disk.device] = BlockDeviceType(
        volume_id=volume.id,
        status=volume.status,
        size=volume.size,
        attach_time=volume.attachment.attach_time,
        delete_on_termination=disk.ends_with_instance,
    )


def _create(call: Call, world: World) -> Any:  # noqa: ARG001 - a rule's form
    region, zone = call.region, str(call.get("AvailabilityZone", default=""))
    if zone not in {item.name for item in ec2(region).describe_availability_zones()}:
        raise Refused("InvalidParameterValue", f"Invalid availability zone: [{zone}]")
    names = ("SnapshotId", "VolumeType", "Iops", "Throughput", "Encrypted", "KmsKeyId", "VolumeInitializationRate")
    ebs = {name: call.params[name] for name in names if name in call.params}
    if call.get("Size") is not None:
        ebs["VolumeSize"] = call.get("Size")
    try:
        disk = disk_of("", ebs, snapshots_of(region), is_encrypted=bool(ec2(region).ebs_encryption_by_default))
    except Refused as refused:
        # what a block device mapping is refused for by its own code is one parameter's fault here
        code = "InvalidParameterValue" if refused.code == "InvalidBlockDeviceMapping" else refused.code
        raise Refused(code, refused.message) from refused
    volume = make_volume(region, zone, disk)
    volume.add_tags(tags_asked(call, "volume"))
    return volume


def _check_attach(call: Call) -> None:
    volume = ec2(call.region).volumes.get(call.get("VolumeId"))
    instance = find_instance(str(call.get("InstanceId")), call.region)
    if volume is None or instance is None:
        return
    if volume.attachment:
        raise Refused("VolumeInUse", f"{volume.id} is already attached to an instance")
    if instance.state not in ("running", "stopped"):
        raise Refused("IncorrectState", f"Instance '{instance.id}' is not 'running'.")
    if volume.availability_zone != instance.availability_zone:
        what = f"The volume '{volume.id}' is not in the same availability zone as instance '{instance.id}'"
        raise Refused("InvalidVolume.ZoneMismatch", what)
    device = str(call.get("Device"))
    if device in instance.block_device_mapping:
        what = f"Invalid value '{device}' for unixDevice. Attachment point {device} is already in use"
        raise Refused("InvalidParameterValue", what)


def _before(call: Call, world: World) -> Call | Mapping[str, Any] | Answer | None:
    if call.action == "RunInstances":
        return _before_run(call, world)
    if call.action == "CreateVolume":
        made: Mapping[str, Any] = _create(call, world)
        return made
    _check_attach(call)
    return None


RULE = Rule(
    name=_NAME,
    on=frozenset({"ec2:AttachVolume", "ec2:CreateVolume", "ec2:RunInstances"}),
    source="InvalidBlockDeviceMapping and its message seen in notes on Deep Learning AMIs, ranges verified in botocore's "
    "documentation, ratios seen in issues of other tools (runs-on 260, rocicorp 4410), that a data volume of a launch ends with "
    "the instance seen in EC2's user guide; the codes of AttachVolume are remembered",
    before=_before,
    made=_made,
)
