"""Spot prices, zone by zone, and how likely a zone or a region is to have room for so many instances."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from launchbay.catalog.type import InstanceType
from launchbay.twin.billing import spot_usd
from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.filters import keep
from launchbay.twin.offers import known_type, offering_zones, region_types, zone_ids
from launchbay.twin.paging import cut_page
from launchbay.twin.rule import Rule
from launchbay.twin.rules.capacity import room
from launchbay.twin.rules.requirements import matching_types
from launchbay.twin.world import World

__all__ = ["RULE"]

_LINUX = {"Linux/UNIX", "Linux/UNIX (Amazon VPC)"}
_PAGE = 1000
_FIELDS = {
    "availability-zone": "AvailabilityZone",
    "availability-zone-id": "AvailabilityZoneId",
    "instance-type": "InstanceType",
    "product-description": "ProductDescription",
    "spot-price": "SpotPrice",
}
_BEST, _LOW, _WORST = 9, 3, 1
_FEW = 3
"""With fewer types than these a score is always low."""

_SCORES = 10


def _history(call: Call, world: World) -> Mapping[str, Any]:
    names, zones = call.get("InstanceTypes") or (), zone_ids(call.region)
    zone, identity = call.get("AvailabilityZone"), call.get("AvailabilityZoneId")
    if zone and identity:
        what = "Either AvailabilityZone or AvailabilityZoneId can be specified, but not both"
        raise Refused("InvalidParameterCombination", what)
    if zone and zone not in zones:
        raise Refused("InvalidParameterValue", f"Invalid availability zone: [{zone}]")
    rows: list[Mapping[str, Any]] = []
    begin = min(_moment(call.get("StartTime")) or world.now(), world.now())
    end = _moment(call.get("EndTime")) or begin
    if begin <= end and (_LINUX & set(call.get("ProductDescriptions") or _LINUX)):
        rows = [
            row
            for item in region_types(world, call.region)
            if "spot" in item.usage_classes and (not names or item.name in names)
            for place in offering_zones(world, item.name, call.region)
            if zone in (None, place) and identity in (None, zones[place])
            for row in _in_effect(world, item, place, begin)
        ]
    rows = keep(rows, _texts(call.get("Filters") or ()), _values)
    size = min(int(call.get("MaxResults") or _PAGE), _PAGE)
    page, following = cut_page(rows, call.get("NextToken"), size)
    return {"SpotPriceHistory": page, "NextToken": following or ""}


def _moment(value: object) -> datetime | None:
    """Return a time that was asked for, with its zone."""
    if not isinstance(value, datetime):
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _in_effect(world: World, item: InstanceType, zone: str, begin: datetime) -> Iterator[Mapping[str, Any]]:
    """Yield the price in effect, as the change of the midnight before the time that was asked for.

    The twin keeps no history: what a price was before somebody changed it is gone. So nothing depends on how far the clock of
    who asks is from the twin's.
    """
    usd = spot_usd(world, item.name, zone)
    if usd is not None:
        yield {
            "AvailabilityZone": zone,
            "AvailabilityZoneId": zone_ids(zone[:-1])[zone],
            "InstanceType": item.name,
            "ProductDescription": "Linux/UNIX",
            "SpotPrice": f"{usd:.6f}",
            "Timestamp": begin.replace(hour=0, minute=0, second=0, microsecond=0),
        }


def _texts(filters: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the filters with prices as the answer writes them, so that ``0.35`` finds ``0.350000``."""
    return [
        {**item, "Values": [_six_places(value) for value in item["Values"]]} if item["Name"] == "spot-price" else item
        for item in filters
    ]


def _six_places(text: str) -> str:
    return f"{Decimal(text):.6f}" if re.fullmatch(r"\d+(\.\d+)?", text) else text


def _values(row: Mapping[str, Any], name: str) -> list[str] | None:
    if name == "timestamp":
        return [
            row["Timestamp"].strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            row["Timestamp"].strftime("%a %b %d %H:%M:%S UTC %Y"),
        ]
    return [row[_FIELDS[name]]] if name in _FIELDS else None


def _scores(call: Call, world: World) -> Mapping[str, Any]:
    regions = call.get("RegionNames") or world.catalogue.regions
    target = max(int(call.get("TargetCapacity", default=1)), 1)
    in_vcpus = call.get("TargetCapacityUnitType") == "vcpu"
    rows: list[Mapping[str, Any]] = []
    for region in regions:
        items = _asked_types(call, world, region)
        most = _LOW if len(items) < _FEW else _BEST
        ids, free = zone_ids(region), dict.fromkeys(zone_ids(region), 0)
        for item in items:
            for zone in offering_zones(world, item.name, region):
                if "spot" in item.usage_classes:
                    free[zone] += room(world, item.name, zone, "spot") * (item.vcpus if in_vcpus else 1)
        found = {zone: count for zone, count in free.items() if count}
        if call.get("SingleAvailabilityZone"):
            rows += [
                {"Region": region, "AvailabilityZoneId": ids[zone], "Score": min(_score(count, target), most)}
                for zone, count in found.items()
            ]
        elif found:
            rows.append({"Region": region, "Score": min(_score(sum(found.values()), target), most)})
    rows.sort(key=lambda row: -int(row["Score"]))
    page, following = cut_page(rows[:_SCORES], call.get("NextToken"), call.get("MaxResults"))
    return {"SpotPlacementScores": page, "NextToken": following}


def _asked_types(call: Call, world: World, region: str) -> list[InstanceType]:
    names, needs = call.get("InstanceTypes"), call.get("InstanceRequirementsWithMetadata")
    if bool(names) == bool(needs):
        what = "Either InstanceTypes or InstanceRequirementsWithMetadata must be specified, but not both"
        raise Refused("InvalidParameterCombination", what)
    if needs:
        return matching_types(
            world, region, needs.get("InstanceRequirements") or {}, needs.get("ArchitectureTypes") or ()
        )
    for name in names:
        if known_type(world, name) is None:
            raise Refused("InvalidParameterValue", f"The instance type {name} does not exist")
    return [world.catalogue.types[name] for name in names]


def _score(free: int, target: int) -> int:
    """Return the best score for ten times the room that is wanted, the worst for less than a third of it."""
    steps = ((10, _BEST), (4, 8), (2, 7), (1, 5))
    return next((score for times, score in steps if free >= target * times), _LOW if free * 3 >= target else _WORST)


def _before(call: Call, world: World) -> Mapping[str, Any] | Answer | None:
    return _history(call, world) if call.action == "DescribeSpotPriceHistory" else _scores(call, world)


RULE = Rule(
    name="spot prices",
    on=frozenset({"ec2:DescribeSpotPriceHistory", "ec2:GetSpotPlacementScores"}),
    source="parameters, fields, and that the price in effect at StartTime is given, and that scores of less than "
    "three types are low, verified in botocore's model; prices are the catalogue's or a stated share of on-demand; the scale of "
    "scores is the twin's own",
    before=_before,
)
