"""An image that EC2 offers, as a person compares it: whose it is, what is in it, what it costs, until when it is kept up. Pure.

It is read from EC2's answer in `launchbay.planning.imagereading`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from launchbay.errors import UsageError
from launchbay.planning.cloudwish import CloudImage, ImageDisk
from launchbay.planning.fit import Ami

__all__ = [
    "COMMUNITY",
    "DIGEST_TAG",
    "IMAGE_TAG",
    "MANAGED_TAG",
    "MARKETPLACE",
    "OURS",
    "OWN",
    "QUICK_START",
    "ListedImage",
    "to_ami",
    "to_launch",
]

QUICK_START, MARKETPLACE, COMMUNITY, OURS, OWN = "quick start", "marketplace", "community", "ours", "own"

DIGEST_TAG, IMAGE_TAG, MANAGED_TAG = "launchbay:digest", "launchbay:image", "managed-by"
"""The tags of a baked image and of its snapshots: what was baked, what it is called, and that we made it."""

_GIB = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedImage:
    """An AMI in a region. Whatever is not known is None, also whether it has a driver; ``""`` is a driver that it lacks.

    `kind` is ``quick start`` (Amazon's own, or Canonical's), ``marketplace``, ``community`` (anybody else's), ``ours``
    (baked by Launchbay in this account) or ``own`` (this account's, and not baked by us). `frameworks` are what the name
    says, and for a stranger's that is all it is. `driver_floor` is a driver that it has at least. `support_ends` is None
    where any part's end is unknown; `ends_by` is the earliest end that is known of any part. `usd_per_hour` is what an hour
    costs beside the instance. `lookalike_of` names who publishes under such a name, where that is somebody else.
    """

    id: str
    name: str
    kind: str
    owner: str
    architecture: str
    state: str = "available"
    description: str = ""
    frameworks: Mapping[str, str] = field(default_factory=dict)
    system: str | None = None
    python: str | None = None
    cuda: str | None = None
    driver: str | None = None
    driver_floor: str | None = None
    facts_from: str | None = None
    families: tuple[str, ...] = ()
    is_neuron: bool = False
    created: datetime | None = None
    deprecated: datetime | None = None
    support_ends: date | None = None
    ends_by: date | None = None
    disks: tuple[ImageDisk, ...] = ()
    root_device: str | None = None
    parameter: str | None = None
    login: str | None = None
    product_codes: tuple[str, ...] = ()
    usd_per_hour: Decimal | None = None
    digest: str | None = None
    lookalike_of: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    source_instance: str | None = None
    snapshots: tuple[str, ...] = ()

    @property
    def root_gib(self) -> int | None:
        """The size of its root disk's snapshot in GiB: the least that a root disk can have."""
        return next((disk.snapshot_gib for disk in self.disks if disk.device == self.root_device), None)

    @property
    def warning(self) -> str:
        """What has to be said loudly, empty where there is nothing."""
        if self.lookalike_of:
            return f"named like {self.lookalike_of}'s, published by {self.owner}"
        return f"published by {self.owner}, whom nobody vouches for" if self.kind == COMMUNITY else ""

    def has_ended(self, today: date) -> bool:
        """Say whether a part of it is known to be patched no more."""
        return self.ends_by is not None and self.ends_by < today

    def is_deprecated(self, today: date) -> bool:
        """Say whether its publisher has taken it out of sight."""
        return self.deprecated is not None and self.deprecated.date() <= today

    def as_json(self) -> Mapping[str, Any]:
        """Return what `--json` shows: `driver` is null unless exactly known, `types` are families of instance types."""
        size = None if self.root_gib is None else self.root_gib * _GIB
        shown = ("id", "name", "kind", "owner", "frameworks", "python", "digest")
        return {
            **{name: getattr(self, name) for name in shown},
            "size_bytes": size,
            "built": self.created.isoformat() if self.created else None,
            "support_ends": self.support_ends.isoformat() if self.support_ends else None,
            "ends_by": self.ends_by.isoformat() if self.ends_by else None,
            "deprecated": self.deprecated.isoformat() if self.deprecated else None,
            "system": self.system,
            "architecture": self.architecture,
            "cuda": self.cuda,
            "driver": self.driver,
            "driver_floor": self.driver_floor,
            "facts_from": self.facts_from,
            "types": list(self.families),
            "usd_per_hour": self.usd_per_hour,
            "login": self.login,
            "root_device": self.root_device,
            "parameter": self.parameter,
            "state": self.state,
            "warning": self.warning or None,
        }


def to_ami(image: ListedImage) -> Ami:
    """Return what of an image decides whether something runs on it; a driver that it has at least stands for its own."""
    driver = image.driver if image.driver is not None else image.driver_floor
    return Ami(
        id=image.id,
        architecture=image.architecture,
        driver=driver,
        families=image.families,
        is_neuron=image.is_neuron,
    )


def to_launch(image: ListedImage) -> CloudImage:
    """Return what of an image a launch needs. Raises UsageError for one whose root disk is not known."""
    root = next((disk for disk in image.disks if disk.device == image.root_device), None)
    if root is None:
        what = f"image {image.id} has no root disk that a launch could size"
        raise UsageError(
            what, where=image.name, hint="an image whose root device is an EBS disk: `bay images --provider ec2`"
        )
    others = tuple(disk for disk in image.disks if disk is not root)
    return CloudImage(id=image.id, root=root, architecture=image.architecture, others=others)
