"""Placement groups: made, described, deleted, and kept to by launches: all of a cluster lie in one zone.

They are kept by id, with name and region: a name is one's own in each region only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from launchbay.twin.backend import ec2, instances
from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.filters import keep
from launchbay.twin.rule import Rule
from launchbay.twin.rules.asked import tags_asked
from launchbay.twin.rules.idempotency import zone_asked
from launchbay.twin.world import World

__all__ = ["GROUPS", "RULE", "find_group"]

GROUPS = "placement groups"
"""Where they are noted."""

_STRATEGIES = ("cluster", "partition", "spread")
_MOST_PARTITIONS = 7
_SPREAD_IN_ZONE = 7


def find_group(world: World, region: str, name: str) -> Mapping[str, Any] | None:
    """Return a placement group by its name or its id, None where the region has none."""
    for group in world.truth.noted(GROUPS).values():
        if group["region"] == region and name in (group["name"], group["id"]):
            found: Mapping[str, Any] = group
            return found
    return None


def _members(region: str, name: str) -> list[Any]:
    return [item for item in instances(region) if item.state != "terminated" and item.placement.group_name == name]


def _create(call: Call, world: World) -> Mapping[str, Any]:
    name, strategy = str(call.get("GroupName", default="")), str(call.get("Strategy", default="cluster"))
    if not name:
        raise Refused("MissingParameter", "The request must contain the parameter GroupName")
    if strategy not in _STRATEGIES:
        raise Refused("InvalidParameterValue", f"Value ({strategy}) for parameter strategy is invalid.")
    count = call.get("PartitionCount")
    if count is not None and strategy != "partition":
        what = "PartitionCount can only be specified when Strategy is set to 'partition'"
        raise Refused("InvalidParameterCombination", what)
    if count is not None and not 1 <= count <= _MOST_PARTITIONS:
        what = f"Value ({count}) for parameter partitionCount is invalid. Expecting 1-{_MOST_PARTITIONS}"
        raise Refused("InvalidParameterValue", what)
    if find_group(world, call.region, name):
        raise Refused("InvalidPlacementGroup.Duplicate", f"The placement group '{name}' already exists.")
    group: dict[str, Any] = {
        "id": f"pg-{world.chance.getrandbits(68):017x}",
        "name": name,
        "region": call.region,
        "strategy": strategy,
    }
    if strategy == "partition":
        group["partitions"] = count or 1
    if strategy == "spread":
        group["level"] = call.get("SpreadLevel", default="rack")
    world.truth.noted(GROUPS)[group["id"]] = group
    ec2(call.region).tags[group["id"]].update(tags_asked(call, "placement-group"))
    return {"PlacementGroup": _shown(group, world)}


def _shown(group: Mapping[str, Any], world: World) -> dict[str, Any]:
    tags = ec2(group["region"]).tags.get(group["id"], {})
    found = {
        "GroupName": group["name"],
        "GroupId": group["id"],
        "State": "available",
        "Strategy": group["strategy"],
        "GroupArn": f"arn:aws:ec2:{group['region']}:{world.truth.settings.account}:placement-group/{group['name']}",
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
    }
    if "partitions" in group:
        found["PartitionCount"] = group["partitions"]
    if "level" in group:
        found["SpreadLevel"] = group["level"]
    return found


def _unknown(name: str) -> Refused:
    return Refused("InvalidPlacementGroup.Unknown", f"The Placement Group '{name}' is unknown.")


def _describe(call: Call, world: World) -> Mapping[str, Any]:
    asked = [*call.get("GroupNames", default=[]), *call.get("GroupIds", default=[])]
    for name in asked:
        if find_group(world, call.region, name) is None:
            raise _unknown(name)
    groups = [
        _shown(group, world)
        for group in world.truth.noted(GROUPS).values()
        if group["region"] == call.region and (not asked or group["name"] in asked or group["id"] in asked)
    ]
    return {"PlacementGroups": keep(groups, call.get("Filters", default=[]), _values)}


def _values(group: Mapping[str, Any], name: str) -> Iterable[str] | None:
    fields = {"group-name": "GroupName", "group-arn": "GroupArn", "state": "State", "strategy": "Strategy"}
    fields["spread-level"] = "SpreadLevel"
    if name in fields:
        return [str(group.get(fields[name], ""))]
    if name.startswith("tag:"):
        return [tag["Value"] for tag in group["Tags"] if tag["Key"] == name[4:]]
    return [tag["Key"] for tag in group["Tags"]] if name == "tag-key" else None


def _delete(call: Call, world: World) -> Mapping[str, Any]:
    name = str(call.get("GroupName", default=""))
    group = find_group(world, call.region, name)
    if group is None:
        raise _unknown(name)
    if _members(call.region, group["name"]):
        what = f"The placement group '{name}' is in use and may not be deleted."
        raise Refused("InvalidPlacementGroup.InUse", what)
    del world.truth.noted(GROUPS)[group["id"]]
    ec2(call.region).tags.pop(group["id"], None)
    return {}


def _run(call: Call, world: World) -> Call | None:
    name = str(call.get("Placement", "GroupName", default="") or call.get("Placement", "GroupId", default=""))
    if not name:
        return None
    group = find_group(world, call.region, name)
    if group is None:
        raise _unknown(name)
    members, zone = _members(call.region, group["name"]), zone_asked(call)
    taken = {str(item.availability_zone) for item in members}
    if group["strategy"] == "spread" and zone and group["level"] == "rack":
        there = sum(item.availability_zone == zone and item.state != "stopped" for item in members)
        if there + int(call.get("MinCount", default=1)) > _SPREAD_IN_ZONE:
            what = (
                f"We currently do not have sufficient capacity to launch all of the additional instances into '{name}'"
            )
            raise Refused("InsufficientInstanceCapacity", what, status=500)
    if group["strategy"] != "cluster" or not taken or zone in taken:
        return None
    if zone:
        where = next(iter(taken))
        what = f"The placement group '{group['name']}' is in use in another availability zone: {where}"
        raise Refused("InvalidPlacementGroup.InUse", what)
    placement = {**call.get("Placement"), "AvailabilityZone": next(iter(taken))}
    return replace(call, params={**call.params, "Placement": placement})


def _before(call: Call, world: World) -> Call | Mapping[str, Any] | Answer | None:
    if call.action == "RunInstances":
        return _run(call, world)
    act = {"CreatePlacementGroup": _create, "DescribePlacementGroups": _describe, "DeletePlacementGroup": _delete}
    return act[call.action](call, world)


def _made(call: Call, world: World, made: Sequence[Any]) -> None:
    name = str(call.get("Placement", "GroupName", default="") or call.get("Placement", "GroupId", default=""))
    group = find_group(world, call.region, name) if name else None
    for number, instance in enumerate(made):
        instance.placement.tenancy = call.get("Placement", "Tenancy", default="default")
        if group is None:
            continue
        instance.placement.group_name, instance.placement.group_id = group["name"], group["id"]
        if group["strategy"] == "partition":
            asked = call.get("Placement", "PartitionNumber")
            instance.placement.partition_number = asked or number % group["partitions"] + 1


RULE = Rule(
    name="placement groups",
    on=frozenset(
        {"ec2:CreatePlacementGroup", "ec2:DeletePlacementGroup", "ec2:DescribePlacementGroups", "ec2:RunInstances"}
    ),
    source="Unknown, Duplicate and InUse (in another zone, too) seen in issues of other tools (terraform 16183, bcbio-nextgen-vm "
    "37 and 45); seven partitions and seven instances of a spread group in a zone seen in EC2's user guide; the message of a "
    "deletion, and what a full spread group gives, are remembered",
    before=_before,
    made=_made,
)
