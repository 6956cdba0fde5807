"""Images and snapshots of the account, as moto's objects that know their devices and how far they are."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from moto.ec2.models.amis import Ami
from moto.ec2.models.elastic_block_store import Snapshot

from launchbay.twin.backend import ec2, ec2_regions, login_of
from launchbay.twin.call import Refused

if TYPE_CHECKING:
    from launchbay.twin.world import World

__all__ = [
    "FILES",
    "IMAGE_DUE",
    "IMAGE_S",
    "OwnImage",
    "OwnSnapshot",
    "baked_files",
    "check_name",
    "drop_image",
    "files_of",
    "make_image",
    "make_snapshot",
    "users_of",
]

IMAGE_DUE = "image"
"""The kind of thing that is due when an image gets available."""

FILES = "files of snapshots"
"""Where it is noted under which name the files of a snapshot are kept: those of the host that it was made of."""

IMAGE_S = 60.0
"""How long an image is pending, in seconds of the twin's clock. On EC2 it goes by the size of the disks."""

_TAKEN_OVER = (
    "boot_mode",
    "charge",
    "ena_support",
    "hypervisor",
    "imds_support",
    "login",
    "platform_details",
    "product_codes",
    "sriov",
    "usage_operation",
)
_NAME_SIGNS = frozenset("()[] ./-'@_")
_SHORTEST, _LONGEST = 3, 128


class OwnImage(Ami):  # type: ignore[misc]
    """moto's, with devices of its own: in the API's form, each with its snapshot."""

    devices: Sequence[Mapping[str, Any]] = ()

    @property
    def block_device_mappings(self) -> list[dict[str, Any]]:
        """What an instance of it begins with."""
        return [dict(item) for item in self.devices]


class OwnSnapshot(Snapshot):  # type: ignore[misc]
    """moto's, which is not there at once."""

    @property
    def progress(self) -> str:
        """How far it is."""
        return "100%" if self.status == "completed" else "0%"


def check_name(region: str, name: str) -> None:
    """Judge the name of a new image. Raises Refused for one that is malformed or taken."""
    if not _SHORTEST <= len(name) <= _LONGEST or not all(
        sign.isascii() and (sign.isalnum() or sign in _NAME_SIGNS) for sign in name
    ):
        what = (
            "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, "
            "'(', ')', '.', '-', '/' and '_'"
        )
        raise Refused("InvalidAMIName.Malformed", what)
    backend = ec2(region)
    for image in backend.amis.values():
        if image.name == name and image.owner_id == backend.account_id:
            raise Refused("InvalidAMIName.Duplicate", f"AMI name {name} is already in use by AMI {image.id}")


def make_image(region: str, identity: str, *, name: str, description: str, like: Any) -> OwnImage:
    """Make an image without devices yet; `like` is the instance or the image that it is like."""
    backend = ec2(region)
    before = set(backend.snapshots)
    image = Ami(backend, identity, name=name, description=description, architecture=like.architecture)
    for left in set(backend.snapshots) - before:
        del backend.snapshots[left]  # moto's own, of 15 GiB whatever the disk
    image.__class__ = OwnImage
    image.virtualization_type = like.virtualization_type
    image.platform, image.kernel_id = like.platform, None
    image.root_device_name, image.root_device_type = like.root_device_name, "ebs"
    source = ec2(region).amis.get(getattr(like, "image_id", "")) or like
    for attribute in _TAKEN_OVER:
        if hasattr(source, attribute):
            setattr(image, attribute, getattr(source, attribute))
    image.login = login_of(source)
    image.image_location = f"{backend.account_id}/{name}"
    image.devices = ()
    backend.amis[identity] = image
    made: OwnImage = image
    return made


def make_snapshot(region: str, volume: Any, *, description: str, image: str = "") -> OwnSnapshot:
    """Make a snapshot of a volume as it is now, not completed yet; `image` is the one that needs it."""
    snapshot = ec2(region).create_snapshot(volume.id, description, None, image or None)
    frozen = copy.copy(volume)
    frozen.attachment = None
    snapshot.volume = frozen  # the volume may grow, or go, and the snapshot stays as it is
    snapshot.__class__ = OwnSnapshot
    snapshot.status = "pending"
    snapshot.kms_key_id = volume.kms_key_id if volume.encrypted else None
    made: OwnSnapshot = snapshot
    return made


def files_of(world: World, image: Any) -> str:
    """Return the name under which the files of an image's root are kept, empty where none are."""
    root = getattr(image, "root_device_name", "")
    for item in getattr(image, "block_device_mappings", ()) if image is not None else ():
        if item.get("DeviceName") == root and isinstance(item.get("Ebs"), dict):
            return str(world.truth.noted(FILES).get(item["Ebs"].get("SnapshotId"), ""))
    return ""


def baked_files(world: World) -> frozenset[str]:
    """Return the names under which files are needed: those of snapshots that are there. Forgets the others."""
    noted = world.truth.noted(FILES)
    if noted:
        there = {identity for region in ec2_regions() for identity in ec2(region).snapshots}
        for identity in [item for item in noted if item not in there]:
            del noted[identity]
    return frozenset(noted.values())


def users_of(region: str, snapshot: str) -> list[str]:
    """Return the images that need a snapshot."""
    return [
        str(image.id)
        for image in ec2(region).amis.values()
        if any(item.get("Ebs", {}).get("SnapshotId") == snapshot for item in image.block_device_mappings)
    ]


def drop_image(region: str, image: Any, *, with_snapshots: bool) -> list[dict[str, str]]:
    """Take an image away, and its snapshots where it is asked and no other image needs them; say what became of each."""
    backend = ec2(region)
    snapshots = [
        item["Ebs"]["SnapshotId"] for item in image.block_device_mappings if item.get("Ebs", {}).get("SnapshotId")
    ]
    backend.deregister_image(image.id)
    results = []
    for identity in snapshots if with_snapshots else ():
        is_needed = bool(users_of(region, identity))
        if not is_needed:
            backend.snapshots.pop(identity, None)
            backend.tags.pop(identity, None)
        results.append({"SnapshotId": identity, "ReturnCode": "skipped" if is_needed else "success"})
    return results
