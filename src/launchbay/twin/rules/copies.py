"""Images that come from images or from snapshots: copied, from region to region too, and registered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from moto.ec2.utils import random_ami_id

from launchbay.twin.backend import ec2
from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.rule import Rule
from launchbay.twin.rules.asked import tags_asked
from launchbay.twin.rules.images import FILES, IMAGE_DUE, IMAGE_S, OwnImage, check_name, make_image, make_snapshot
from launchbay.twin.world import World

__all__ = ["RULE"]


def _copy(call: Call, world: World) -> Mapping[str, Any]:
    """Copy an image into the region of the call."""
    origin, source_id = str(call.get("SourceRegion")), str(call.get("SourceImageId"))
    source = ec2(origin).amis.get(source_id)
    if source is None:
        raise Refused("InvalidAMIID.NotFound", f"The image id '[{source_id}]' does not exist")
    if source.state != "available":
        raise Refused("InvalidAMIID.Unavailable", f"The image ID '[{source_id}]' is not available")
    name = str(call.get("Name") or source.name)
    check_name(call.region, name)
    identity = str(random_ami_id())
    text = str(call.get("Description") or source.description or "")
    image = make_image(call.region, identity, name=name, description=text, like=source)
    image.state = "pending"
    if call.get("CopyImageTags"):
        image.add_tags(dict(ec2(origin).tags.get(source_id, {})))
    image.add_tags(tags_asked(call, "image"))
    image.devices = tuple(_copied(call, world, source, origin, identity))
    image.ebs_snapshot = ec2(call.region).snapshots[image.devices[0]["Ebs"]["SnapshotId"]]
    world.clock.plan(IMAGE_DUE, identity, seconds=IMAGE_S, data={"region": call.region})
    return {"ImageId": identity}


def _copied(call: Call, world: World, source: Any, origin: str, identity: str) -> list[Mapping[str, Any]]:
    backend, files = ec2(call.region), world.truth.noted(FILES)
    found: list[Mapping[str, Any]] = []
    zone = backend.describe_availability_zones()[0].name
    for item in source.block_device_mappings:
        if not item.get("Ebs"):
            continue
        held = ec2(origin).snapshots[item["Ebs"]["SnapshotId"]]
        is_encrypted = bool(held.encrypted or call.get("Encrypted") or backend.ebs_encryption_by_default)
        key = call.get("KmsKeyId") if is_encrypted else None
        volume = backend.create_volume(int(held.volume.size), zone, encrypted=is_encrypted, kms_key_id=key)
        what = f"Copied for DestinationAmi {identity} from SourceAmi {source.id} for SourceSnapshot {held.id}."
        snapshot = make_snapshot(call.region, volume, description=what, image=identity)
        backend.delete_volume(volume.id)
        snapshot.add_tags(tags_asked(call, "snapshot"))
        if held.id in files:
            files[snapshot.id] = files[held.id]
        size = item["Ebs"].get("VolumeSize", int(held.volume.size))
        ebs = {**item["Ebs"], "SnapshotId": snapshot.id, "VolumeSize": size, "Encrypted": is_encrypted}
        found.append({**item, "Ebs": ebs})
    return found


def _register(call: Call, world: World) -> Mapping[str, Any]:  # noqa: ARG001 - a rule's form
    """Make an image of snapshots. moto keeps name and description only."""
    region, name = call.region, str(call.get("Name", default=""))
    check_name(region, name)
    root = str(call.get("RootDeviceName", default="/dev/sda1"))
    given: Sequence[Mapping[str, Any]] = call.get("BlockDeviceMappings", default=[])
    found: list[dict[str, Any]] = []
    for item in given:
        identity = item.get("Ebs", {}).get("SnapshotId")
        held = ec2(region).snapshots.get(identity)
        if identity and held is None:
            raise Refused("InvalidSnapshot.NotFound", f"The snapshot '{identity}' does not exist.")
        ends = {"DeleteOnTermination": True, "VolumeType": "gp2"}
        sized = {"VolumeSize": int(held.volume.size), "Encrypted": bool(held.encrypted)} if held else {}
        found.append({**item, "Ebs": {**ends, **sized, **item.get("Ebs", {})}})
    made = ec2(region).register_image(name, str(call.get("Description", default="")))
    made.__class__ = OwnImage
    made.architecture = call.get("Architecture", default="x86_64")
    made.virtualization_type = call.get("VirtualizationType", default="paravirtual")
    made.root_device_name, made.root_device_type = root, "ebs"
    made.ena_support = bool(call.get("EnaSupport", default=False))
    if any(item.get("Ebs", {}).get("SnapshotId") for item in found):
        ec2(region).snapshots.pop(made.ebs_snapshot.id, None)
    else:
        size = int(made.ebs_snapshot.volume.size)
        ebs = {"SnapshotId": made.ebs_snapshot.id, "VolumeSize": size, "VolumeType": "gp2", "DeleteOnTermination": True}
        found = [{"DeviceName": root, "Ebs": ebs}]
    made.devices = tuple(found)
    made.add_tags(tags_asked(call, "image"))
    return {"ImageId": made.id}


def _before(call: Call, world: World) -> Call | Mapping[str, Any] | Answer | None:
    return _copy(call, world) if call.action == "CopyImage" else _register(call, world)


RULE = Rule(
    name="copies",
    on=frozenset({"ec2:CopyImage", "ec2:RegisterImage"}),
    source="parameters verified in botocore's model, the description of a copied snapshot is remembered",
    before=_before,
)
