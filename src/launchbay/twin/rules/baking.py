"""Images made of instances: pending until their snapshots are there, with the disks that the instance had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from moto.ec2.utils import random_ami_id

from launchbay.twin.backend import ec2, find_instance
from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.clock import Due
from launchbay.twin.rule import Rule
from launchbay.twin.rules.asked import tags_asked
from launchbay.twin.rules.images import (
    FILES,
    IMAGE_DUE,
    IMAGE_S,
    check_name,
    drop_image,
    make_image,
    make_snapshot,
    users_of,
)
from launchbay.twin.rules.passing import let_pass
from launchbay.twin.world import World

__all__ = ["RULE", "SNAPSHOT_S"]


SNAPSHOT_S = 60.0
"""How long a snapshot is pending, in seconds of the twin's clock."""

_SNAPSHOT = "snapshot"
_STATES = ("running", "stopping", "stopped")


def _create(call: Call, world: World) -> Mapping[str, Any]:
    region, name = call.region, str(call.get("Name", default=""))
    instance = find_instance(str(call.get("InstanceId")), region)
    if instance is None:
        what = f"The instance ID '{call.get('InstanceId')}' does not exist"
        raise Refused("InvalidInstanceID.NotFound", what)
    check_name(region, name)
    if instance.state not in _STATES:
        what = f"Invalid value '{instance.id}' for instanceId. Instance is not in state 'running' or 'stopping' or 'stopped'"
        raise Refused("InvalidParameterValue", what)
    identity = str(random_ami_id())
    image = make_image(region, identity, name=name, description=str(call.get("Description", default="")), like=instance)
    image.instance_id = instance.id
    image.state = "pending"
    image.add_tags(tags_asked(call, "image"))
    image.devices = _devices(call, instance, identity)
    if image.devices:
        root = image.devices[0]["Ebs"]["SnapshotId"]
        image.ebs_snapshot = ec2(region).snapshots[root]
        is_root = image.devices[0]["DeviceName"] == instance.root_device_name
        if is_root and world.hosts.bake(instance.id, root, is_whole=not call.get("NoReboot", default=False)):
            world.truth.noted(FILES)[root] = root
    world.clock.plan(IMAGE_DUE, identity, seconds=IMAGE_S, data={"region": region})
    return {"ImageId": identity}


def _devices(call: Call, instance: Any, identity: str) -> Sequence[Mapping[str, Any]]:
    """Return the devices of an image: those of the instance, each with a new snapshot, as far as the call wants them."""
    changed: dict[str, Mapping[str, Any]] = {
        str(item.get("DeviceName")): item for item in call.get("BlockDeviceMappings", default=[])
    }
    tags = tags_asked(call, "snapshot")
    found = []
    attached = sorted(instance.block_device_mapping.items(), key=lambda item: item[0] != instance.root_device_name)
    for device, held in attached:
        wish = changed.get(device, {})
        if "NoDevice" in wish:
            continue
        volume = ec2(call.region).volumes[held.volume_id]
        what = f"Created by CreateImage({instance.id}) for {identity}"
        snapshot = make_snapshot(call.region, volume, description=what, image=identity)
        snapshot.add_tags(tags)
        ends = wish.get("Ebs", {}).get("DeleteOnTermination", held.delete_on_termination)
        found.append(_device(device, snapshot, volume, ends=bool(ends)))
    return tuple(found)


def _device(device: str, snapshot: Any, volume: Any, *, ends: bool) -> dict[str, Any]:
    ebs: dict[str, Any] = {
        "SnapshotId": snapshot.id,
        "VolumeSize": int(volume.size),
        "VolumeType": volume.volume_type,
        "DeleteOnTermination": ends,
        "Encrypted": bool(snapshot.encrypted),
    }
    if volume.volume_type in ("gp3", "io1", "io2") and volume.iops:
        ebs["Iops"] = volume.iops
    if volume.volume_type == "gp3" and volume.throughput:
        ebs["Throughput"] = volume.throughput
    return {"DeviceName": device, "Ebs": ebs}


def _image_done(world: World, due: Due) -> None:  # noqa: ARG001 - a thing that happens has this form
    region = str(due.data["region"])
    image = ec2(region).amis.get(due.resource)
    if image is None:
        return
    for item in image.block_device_mappings:
        snapshot = ec2(region).snapshots.get(item["Ebs"]["SnapshotId"])
        if snapshot is not None:
            snapshot.status = "completed"
    image.state = "available"


def _deregister(call: Call, world: World) -> Mapping[str, Any] | None:
    image = ec2(call.region).amis.get(call.get("ImageId"))
    if image is None:
        return None
    if image.owner_id != world.truth.settings.account:
        raise Refused("AuthFailure", f"Not authorized for image:{image.id}", status=403)
    world.clock.cancel(image.id, IMAGE_DUE)
    results = drop_image(call.region, image, with_snapshots=bool(call.get("DeleteAssociatedSnapshots")))
    return {"Return": True, "DeleteSnapshotResults": results}


def _snapshot(call: Call, world: World) -> Any:
    volume = ec2(call.region).volumes.get(call.get("VolumeId"))
    if volume is None:
        return None
    snapshot = make_snapshot(call.region, volume, description=str(call.get("Description", default="")))
    snapshot.add_tags(tags_asked(call, "snapshot"))
    world.clock.plan(_SNAPSHOT, snapshot.id, seconds=SNAPSHOT_S, data={"region": call.region})
    return snapshot


def _snapshot_done(world: World, due: Due) -> None:  # noqa: ARG001 - a thing that happens has this form
    snapshot = ec2(str(due.data["region"])).snapshots.get(due.resource)
    if snapshot is not None:
        snapshot.status = "completed"


def _check_unneeded(call: Call, world: World) -> None:
    identity = str(call.get("SnapshotId"))
    users = users_of(call.region, identity)
    if users:
        raise Refused("InvalidSnapshot.InUse", f"The snapshot {identity} is currently in use by {users[0]}")
    world.clock.cancel(identity, _SNAPSHOT)


def _before(call: Call, world: World) -> Call | Mapping[str, Any] | Answer | None:
    if call.action.startswith("Describe"):
        let_pass(world, IMAGE_DUE, _SNAPSHOT)
        return None
    if call.action == "DeleteSnapshot":
        _check_unneeded(call, world)
        return None
    act = {
        "CreateImage": _create,
        "CreateSnapshot": _snapshot,
        "DeregisterImage": _deregister,
    }[call.action]
    found: Mapping[str, Any] | None = act(call, world)
    return found


RULE = Rule(
    name="baking",
    on=frozenset(
        {
            "ec2:CreateImage",
            "ec2:CreateSnapshot",
            "ec2:DeleteSnapshot",
            "ec2:DeregisterImage",
            "ec2:DescribeImages",
            "ec2:DescribeSnapshots",
        }
    ),
    source="names' rules and messages seen in issues of other tools (webdigi 6, wazuh 654), the states that can be imaged in "
    "aws-systemsmanagerautomation-with-asglifecyclehooks 2, DeleteAssociatedSnapshots and its results verified in botocore's "
    "model; how long it takes is ours",
    before=_before,
    happens={IMAGE_DUE: _image_done, _SNAPSHOT: _snapshot_done},
)
