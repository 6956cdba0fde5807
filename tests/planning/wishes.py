"""A launch as somebody wishes for it, and changes of it."""

from __future__ import annotations

from typing import Any

from launchbay.planning.cloudwish import CloudImage, CloudWish, ImageDisk

__all__ = ["GROUP", "IMAGE", "group", "wish_of"]

IMAGE = CloudImage(
    id="ami-0123456789abcdef0", root=ImageDisk(device="/dev/sda1", snapshot_gib=60), architecture="x86_64"
)
GROUP = "sg-0123456789abcdef0"


def wish_of(**changed: Any) -> CloudWish:
    plain: dict[str, Any] = {
        "region": "us-west-2",
        "zone": "us-west-2b",
        "image": IMAGE,
        "type": "g5.xlarge",
        "groups": (GROUP,),
        "ttl_s": 28_800,
        "tags": {"launchbay:fleet": "exp", "owner": "Ada"},
    }
    return CloudWish(**{**plain, **changed})


def group(*rules: dict[str, Any], identity: str = GROUP, name: str = "launchbay-exp") -> dict[str, Any]:
    """Return a security group as DescribeSecurityGroups shows it."""
    return {"GroupId": identity, "GroupName": name, "IpPermissions": list(rules)}
