"""What the metadata service of an instance tells, path by path."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from launchbay.twin.backend import tags_of

if TYPE_CHECKING:
    from launchbay.twin.world import World

__all__ = ["instance_data"]


def instance_data(world: World, item: Any, path: str) -> bytes | None:
    """Return the value at a path after ``/latest/``, a folder's entries by lines; None where there is none.

    Known from EC2's page on the categories of instance metadata.
    """
    top, _, rest = path.strip("/").partition("/")
    tree: Any = {"meta-data": _metadata, "dynamic": _dynamic}.get(top)
    if tree is None:
        return None
    found: Any = tree(world, item)
    for word in rest.split("/") if rest else ():
        if not isinstance(found, Mapping) or word not in found:
            return None
        found = found[word]
    if isinstance(found, Mapping):
        names = [f"{name}/" if isinstance(value, Mapping) else name for name, value in sorted(found.items())]
        return "\n".join(names).encode() if names else None
    return str(found).encode()


def _metadata(world: World, item: Any) -> Mapping[str, Any]:
    zone, region = str(item.availability_zone), str(item.region_name)
    notices = world.truth.notices.get(item.id, {})
    found: dict[str, Any] = {
        "ami-id": item.image_id,
        "ami-launch-index": item.ami_launch_index,
        "events": {
            "recommendations": {"rebalance": json.dumps(notices["rebalance"])} if "rebalance" in notices else {}
        },
        "hostname": item.private_dns_name,
        "instance-action": "none",
        "instance-id": item.id,
        "instance-life-cycle": "spot" if item.lifecycle == "spot" else "on-demand",
        "instance-type": item.instance_type,
        "local-hostname": item.private_dns_name,
        "local-ipv4": item.private_ip,
        "mac": item.nics[0].mac_address,
        "placement": {"availability-zone": zone, "region": region},
        "security-groups": "\n".join(group.name for group in item.security_groups),
    }
    if item.public_ip:
        found |= {"public-ipv4": item.public_ip, "public-hostname": item.public_dns_name}
    if "instance-action" in notices:
        found["spot"] = {"instance-action": json.dumps(notices["instance-action"])}
    if getattr(item.metadata_options, "instance_metadata_tags", "disabled") == "enabled":
        found["tags"] = {"instance": tags_of(item)}
    return found


def _dynamic(world: World, item: Any) -> Mapping[str, Any]:
    document = {
        "accountId": world.truth.settings.account,
        "architecture": item.architecture,
        "availabilityZone": item.availability_zone,
        "imageId": item.image_id,
        "instanceId": item.id,
        "instanceType": item.instance_type,
        "pendingTime": item.launch_time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "privateIp": item.private_ip,
        "region": item.region_name,
        "version": "2017-09-30",
    }
    return {"instance-identity": {"document": json.dumps(document, indent=1)}}
