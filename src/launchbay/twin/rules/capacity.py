"""How many instances a launch gets: as many as there is room for between MinCount and MaxCount, in one zone, or none.

Where a launch names no zone, the twin chooses the first that has room for all, else for the most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from launchbay.twin.backend import ec2, find_instance, instances
from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.rule import Rule
from launchbay.twin.rules.idempotency import zone_asked
from launchbay.twin.world import World

__all__ = ["RULE", "market_asked", "room", "to_start", "zones_with_subnet"]

_TAKES = ("pending", "running")


def market_asked(call: Call) -> str:
    """Return the market of a launch: ``on-demand`` or ``spot``."""
    return "spot" if call.get("InstanceMarketOptions", "MarketType") == "spot" else "on-demand"


def room(world: World, type_name: str, zone: str, market: str) -> int:
    """Return how many more instances of a type a zone has room for in a market."""
    said = world.truth.capacity
    keys = ((type_name, zone, market), (type_name, zone, ""), (type_name, "", market), (type_name, "", ""))
    total = next((said[key] for key in keys if key in said), world.truth.settings.capacity)
    taken = Counter(
        (item.instance_type, item.availability_zone, item.lifecycle or "on-demand")
        for item in instances(zone[:-1])
        if item.state in _TAKES
    )
    used = sum(
        count for (name, place, kind), count in taken.items() if name == type_name and place == zone and kind == market
    )
    return max(total - used, 0)


def to_start(call: Call) -> list[Any]:
    """Return the stopped instances that a call would start, each once."""
    found = [find_instance(identity, call.region) for identity in dict.fromkeys(call.get("InstanceIds", default=[]))]
    return [item for item in found if item is not None and item.state == "stopped"]


def zones_with_subnet(region: str) -> Mapping[str, str]:
    """Return the default subnet of each zone that has one."""
    found = {}
    for zones in ec2(region).subnets.values():
        for subnet in zones.values():
            if subnet.default_for_az:
                found[str(subnet.availability_zone)] = str(subnet.id)
    return dict(sorted(found.items()))


def _before(call: Call, world: World) -> Call | Mapping[str, Any] | Answer | None:
    least, most = int(call.get("MinCount", default=1)), int(call.get("MaxCount", default=1))
    if least < 1 or most < 1:
        raise Refused("InvalidParameterValue", "The counts of a launch must be at least 1")
    if least > most:
        what = f"MinCount ({least}) must not be greater than MaxCount ({most})"
        raise Refused("InvalidParameterCombination", what)
    type_name, market = str(call.get("InstanceType", default="m1.small")), market_asked(call)
    asked = zone_asked(call)
    zones = (asked,) if asked else tuple(zones_with_subnet(call.region))
    free = {zone: room(world, type_name, zone, market) for zone in zones}
    zone = next((name for name in zones if free[name] >= most), max(zones, key=lambda name: free[name], default=""))
    count = min(most, free.get(zone, 0))
    if count < least:
        others = {name: room(world, type_name, name, market) for name in zones_with_subnet(call.region)}
        raise Refused("InsufficientInstanceCapacity", _no_room(type_name, asked, zones, others, least), status=500)
    params = {**call.params, "MinCount": count, "MaxCount": count}
    return replace(call, params=params if asked else {**params, **_placed(call, zone)})


def _no_room(type_name: str, asked: str, zones: tuple[str, ...], free: Mapping[str, int], least: int) -> str:
    start = f"We currently do not have sufficient {type_name} capacity"
    if not asked:
        return f"{start} in zones with support for the requested instance type ({', '.join(zones)})."
    others = ", ".join(zone for zone, count in free.items() if zone != asked and count >= least)
    return (
        f"{start} in the Availability Zone you requested ({asked}). Our system will be working on provisioning additional "
        f"capacity. You can currently get {type_name} capacity by not specifying an Availability Zone in your request or "
        f"choosing {others or 'another zone'}."
    )


def _placed(call: Call, zone: str) -> Mapping[str, Any]:
    """Return the parameters that put a launch into a zone's default subnet."""
    subnet = zones_with_subnet(call.region).get(zone)
    interfaces = call.get("NetworkInterfaces")
    if interfaces:
        return {"NetworkInterfaces": [{**item, "SubnetId": subnet} for item in interfaces]}
    return {"SubnetId": subnet} if subnet else {}


def _before_start(call: Call, world: World) -> Call | Mapping[str, Any] | Answer | None:
    """Look for room for all of them, which starting stopped instances needs too, and may not find."""
    if call.action != "StartInstances":
        return _before(call, world)
    wanted = Counter(
        (str(item.instance_type), str(item.availability_zone), str(item.lifecycle or "on-demand"))
        for item in to_start(call)
    )
    for (type_name, zone, market), count in wanted.items():
        if room(world, type_name, zone, market) < count:
            what = _no_room(type_name, zone, (zone,), {zone: 0}, count)
            raise Refused("InsufficientInstanceCapacity", what, status=500)
    return None


RULE = Rule(
    name="capacity",
    on=frozenset({"ec2:RunInstances", "ec2:StartInstances"}),
    source="MinCount and MaxCount verified in botocore's model; the code is seen in EC2's list of server errors, "
    "that it comes as 5xx, and that several are started all or none, are "
    "remembered; which zone EC2 chooses is its own affair",
    before=_before_start,
)
