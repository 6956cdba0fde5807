"""Images to choose from: the twin's own, as EC2 would show them, and single ones to change."""

from __future__ import annotations

from typing import Any

from launchbay.planning.cloudimage import DIGEST_TAG, IMAGE_TAG, MANAGED_TAG, ListedImage
from launchbay.planning.imagereading import read_image
from launchbay.twin.imagedata import ImageVersion, list_images

__all__ = ["DIGEST", "baked", "listings", "row_of", "twin_images"]

REGION = "us-west-2"
DIGEST = "d" * 64


def row_of(**changed: Any) -> dict[str, Any]:
    """Return an image as DescribeImages shows it: a base image of Amazon's, but for what is changed."""
    plain: dict[str, Any] = {
        "ImageId": "ami-0123456789abcdef0",
        "Name": "Deep Learning Base AMI with Single CUDA (Ubuntu 24.04) 20260717",
        "OwnerId": "898082745236",
        "ImageOwnerAlias": "amazon",
        "Architecture": "x86_64",
        "State": "available",
        "Description": "Supported EC2 instances: G4dn, G5, P5. Release notes: x",
        "CreationDate": "2026-07-17T07:12:33.000Z",
        "RootDeviceName": "/dev/sda1",
        "PlatformDetails": "Linux/UNIX",
        "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 60, "SnapshotId": "snap-0a"}}],
    }
    return {name: value for name, value in {**plain, **changed}.items() if value is not None}


def _shown(version: ImageVersion) -> ListedImage:
    codes = (
        [{"ProductCodeId": version.product_code, "ProductCodeType": "marketplace"}] if version.product_code else None
    )
    disk = {"DeviceName": version.device, "Ebs": {"VolumeSize": version.gib, "SnapshotId": version.snapshot_id(REGION)}}
    row = row_of(
        ImageId=version.id(REGION),
        Name=version.name,
        OwnerId=version.owner,
        ImageOwnerAlias=version.alias or None,
        Architecture=version.architecture,
        Description=version.description,
        CreationDate=version.created.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        DeprecationTime=version.deprecated.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        RootDeviceName=version.device,
        BlockDeviceMappings=[disk],
        ProductCodes=codes,
    )
    return read_image(row)


def twin_images() -> list[ListedImage]:
    """Return every image that the twin has, strangers' too."""
    return [_shown(version) for version in list_images()]


def listings(*more: ListedImage, without: str = "") -> list[ListedImage]:
    """Return the twin's images and some more, less those with a text in their names."""
    return [*more, *(image for image in twin_images() if not without or without not in image.name)]


def baked(digest: str = DIGEST, **changed: Any) -> ListedImage:
    """Return an image that we baked of a base with driver 595.71.05."""
    said = {
        DIGEST_TAG: digest,
        IMAGE_TAG: "pytorch",
        MANAGED_TAG: "launchbay",
        "launchbay:driver-floor": "595.71.05",
        "launchbay:system": "Ubuntu 24.04",
        "launchbay:families": "g4dn g5 p5",
    }
    tags = [{"Key": key, "Value": value} for key, value in said.items()]
    row = row_of(
        ImageId="ami-0baced",
        Name="launchbay/pytorch/dddddddddddd/i-01234567",
        OwnerId="123456789012",
        ImageOwnerAlias=None,
        Description="",
        Tags=tags,
    )
    return read_image({**row, **changed}, is_own=True)
