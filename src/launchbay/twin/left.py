"""What stands in the twin that somebody made: the oracle of every question whether something was left behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from launchbay.twin.backend import ec2, ec2_regions, instances, volumes

if TYPE_CHECKING:
    from launchbay.twin.world import World

__all__ = ["list_left"]


def list_left(world: World) -> Mapping[str, list[str]]:
    """Return ids by kind: instances that are not terminated, and all else that a launch or a bake can leave behind."""
    account = world.truth.settings.account
    found: dict[str, list[str]] = {
        "instances": [item.id for item in instances() if item.state != "terminated"],
        "volumes": [volume.id for volume in volumes()],
        "spot_requests": [item.id for item in world.truth.spot.values() if item.state in ("open", "active")],
    }
    kinds: dict[str, list[str]] = {
        name: []
        for name in (
            "addresses",
            "images",
            "interfaces",
            "key_pairs",
            "launch_templates",
            "placement_groups",
            "security_groups",
            "snapshots",
        )
    }
    groups = world.truth.noted("placement groups")
    kinds["placement_groups"] = sorted(groups)
    for region in ec2_regions():
        backend = ec2(region)
        kinds["addresses"] += [item.allocation_id or item.public_ip for item in backend.addresses]
        kinds["images"] += [item.id for item in backend.amis.values() if item.owner_id == account]
        kinds["interfaces"] += list(backend.enis)
        kinds["key_pairs"] += [item.id for item in backend.key_pairs.values()]
        kinds["launch_templates"] += list(backend.launch_templates)
        kinds["snapshots"] += [item.id for item in backend.snapshots.values() if item.owner_id == account]
        kinds["security_groups"] += [
            group.id for groups in backend.groups.values() for group in groups.values() if group.name != "default"
        ]
    return {**found, **kinds}
