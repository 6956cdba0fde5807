"""Which instance types a region and a zone have: from the catalogue, with moto's real list of the zones that offer each."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING

from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend
from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS

if TYPE_CHECKING:
    from launchbay.catalog.type import InstanceType
    from launchbay.twin.world import World

__all__ = ["is_in_region", "known_type", "offered", "offering_zones", "region_types", "zone_ids", "zones_of"]


def known_type(world: World, name: str) -> InstanceType | None:
    """Return a type of the catalogue, retired ones too; None where there is none of that name."""
    return world.catalogue.types.get(name)


def zones_of(region: str) -> tuple[str, ...]:
    """Return the names of a region's zones, as DescribeAvailabilityZones has them."""
    return tuple(zone_ids(region))


@functools.cache
def zone_ids(region: str) -> Mapping[str, str]:
    """Return the ids of a region's zones by their names in this account."""
    return {zone.name: zone.zone_id for zone in RegionsAndZonesBackend.zones.get(region, ())}


def is_in_region(world: World, item: InstanceType, region: str) -> bool:
    """Say whether a region has a type: it offers it, or had a price of it before the type was retired."""
    return region in item.regions or (item.is_retired and world.catalogue.price(item.name, region) is not None)


def region_types(world: World, region: str) -> list[InstanceType]:
    """Return the types that a region has, by name."""
    return [item for _, item in sorted(world.catalogue.types.items()) if is_in_region(world, item, region)]


def offering_zones(world: World, name: str, region: str) -> tuple[str, ...]:
    """Return the names of the zones of a region that offer a type; empty where none does.

    A type whose zones were never listed (a retired one) is offered in all of them.
    """
    item = known_type(world, name)
    if item is None or not is_in_region(world, item, region):
        return ()
    listed = _listed(region).get(name)
    zones = tuple(zone for zone, identity in zone_ids(region).items() if listed is None or identity in listed)
    return zones or zones_of(region)


def offered(world: World, name: str, zone: str) -> bool:
    """Say whether a zone, by its name, offers a type. That it is offered says nothing of capacity."""
    return zone in offering_zones(world, name, zone.rstrip("abcdefghijklmnopqrstuvwxyz"))


@functools.cache
def _listed(region: str) -> Mapping[str, frozenset[str]]:
    """Return the ids of the zones that offer each type."""
    found: dict[str, set[str]] = {}
    for row in INSTANCE_TYPE_OFFERINGS["availability-zone-id"].get(region, ()):
        found.setdefault(row["InstanceType"], set()).add(row["Location"])
    return {name: frozenset(zones) for name, zones in found.items()}
