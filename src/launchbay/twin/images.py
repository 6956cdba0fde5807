"""The twin's images as moto holds them: objects with what its answers and filters read, and the snapshots behind them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from moto.ec2.models.elastic_block_store import Snapshot

from launchbay.twin.imagedata import ImageVersion, list_images, support_ends

__all__ = ["Image", "fill", "support_ends", "write_time"]

_NO_VOLUME = "vol-ffffffff"
"""What EC2 says is behind a snapshot whose volume was never in the account's sight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Disk:
    """The disk that a public snapshot was taken of, as far as moto asks about it."""

    id: str
    size: int
    encrypted: bool = False


class Image:
    """A public image. moto reads its attributes by their names, the same as those of an image that it makes itself."""

    virtualization_type = "hvm"
    hypervisor = "xen"
    image_type = "machine"
    root_device_type = "ebs"
    sriov = "simple"
    platform = None
    kernel_id = None
    instance_id = None
    source_instance_id = None
    boot_mode = "uefi-preferred"
    imds_support = "v2.0"
    ena_support = True
    platform_details = "Linux/UNIX"
    usage_operation = "RunInstances"

    def __init__(self, backend: Any, version: ImageVersion) -> None:
        self.ec2_backend = backend
        self.id = version.id(backend.region_name)
        self.name = version.name
        self.description = version.description
        self.state = "available"
        self.owner_id = version.owner
        self.owner_alias = version.alias or None
        self.image_location = f"{version.alias or version.owner}/{version.name}"
        self.architecture = version.architecture
        self.root_device_name = version.device
        self.root_gib = version.gib
        self.volume_type = version.volume
        self.creation_date = write_time(version.created)
        self.deprecation_time = write_time(version.deprecated)
        self.product_codes = {version.product_code} if version.product_code else set()
        self.charge = version.charge
        self.launch_permissions = [{"Group": "all"}]
        self.snapshot_id = version.snapshot_id(backend.region_name)
        if version.architecture == "arm64":
            self.boot_mode = "uefi"

    @property
    def is_public(self) -> bool:
        """Whether everybody may launch it."""
        return {"Group": "all"} in self.launch_permissions

    @property
    def ebs_snapshot(self) -> Any:
        """The snapshot of its root disk."""
        return self.ec2_backend.snapshots[self.snapshot_id]

    @property
    def block_device_mappings(self) -> list[dict[str, Any]]:
        """Its disks, which is one."""
        ebs: dict[str, Any] = {
            "DeleteOnTermination": True,
            "SnapshotId": self.snapshot_id,
            "VolumeSize": self.root_gib,
            "VolumeType": self.volume_type,
            "Encrypted": False,
        }
        if self.volume_type == "gp3":
            ebs |= {"Iops": 3000, "Throughput": 125}
        return [{"DeviceName": self.root_device_name, "Ebs": ebs}]

    def get_tags(self) -> list[dict[str, str]]:
        """Return the tags that this account has put on it, in moto's form."""
        found = self.ec2_backend.tags.get(self.id) or {}
        return [
            {"resource_id": self.id, "key": key, "value": value, "resource_type": "image"}
            for key, value in found.items()
        ]

    def get_filter_value(self, filter_name: str, method_name: str | None = None) -> Any:
        """Return what moto compares, where moto itself looks for an image."""
        del method_name
        return {"image-id": self.id, "is-public": self.is_public}.get(
            filter_name, getattr(self, filter_name.replace("-", "_"), None)
        )


def write_time(at: datetime) -> str:
    """Return a time as EC2 writes those of images: ``2026-10-09T07:12:33.000Z``."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def fill(backend: Any) -> None:
    """Give a region of moto's the twin's images and their snapshots, which belong to who published them. Idempotent."""
    for version in list_images():
        image = Image(backend, version)
        backend.amis[image.id] = image
        disk = _Disk(id=_NO_VOLUME, size=version.gib)
        snapshot = Snapshot(
            backend,
            image.snapshot_id,
            volume=disk,
            description=f"Copied for DestinationAmi {image.id}",
            owner_id=version.owner,
            from_ami=image.id,
        )
        snapshot.start_time = version.created.replace(tzinfo=None)
        backend.snapshots[image.snapshot_id] = snapshot
