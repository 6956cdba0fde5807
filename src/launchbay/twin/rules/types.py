"""Instance types as the catalogue has them, retired ones too: what they are, and which zones offer them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from launchbay.catalog.type import InstanceType
from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.filters import is_like, keep
from launchbay.twin.offers import (
    is_in_region,
    known_type,
    offered,
    offering_zones,
    region_types,
    zone_ids,
    zones_of,
)
from launchbay.twin.paging import cut_page
from launchbay.twin.rule import Rule
from launchbay.twin.typeinfo import describe_type
from launchbay.twin.world import World

__all__ = ["RULE", "known_type", "offered", "zones_of"]

_PAGE = 100
_FILTERS = frozenset(
    {
        "bare-metal",
        "burstable-performance-supported",
        "current-generation",
        "ebs-info.attachment-limit-type",
        "ebs-info.ebs-optimized-info.baseline-bandwidth-in-mbps",
        "ebs-info.ebs-optimized-info.baseline-iops",
        "ebs-info.ebs-optimized-info.baseline-throughput-in-mbps",
        "ebs-info.ebs-optimized-info.maximum-bandwidth-in-mbps",
        "ebs-info.ebs-optimized-info.maximum-iops",
        "ebs-info.ebs-optimized-info.maximum-throughput-in-mbps",
        "ebs-info.ebs-optimized-support",
        "ebs-info.encryption-support",
        "ebs-info.nvme-support",
        "free-tier-eligible",
        "hibernation-supported",
        "hypervisor",
        "instance-storage-info.disk.count",
        "instance-storage-info.disk.size-in-gb",
        "instance-storage-info.disk.type",
        "instance-storage-info.encryption-support",
        "instance-storage-info.nvme-support",
        "instance-storage-info.total-size-in-gb",
        "instance-storage-supported",
        "instance-type",
        "memory-info.size-in-mib",
        "network-info.bandwidth-weightings",
        "network-info.efa-info.maximum-efa-interfaces",
        "network-info.efa-supported",
        "network-info.ena-support",
        "network-info.encryption-in-transit-supported",
        "network-info.ipv4-addresses-per-interface",
        "network-info.ipv6-addresses-per-interface",
        "network-info.ipv6-supported",
        "network-info.maximum-network-cards",
        "network-info.maximum-network-interfaces",
        "network-info.network-performance",
        "nitro-enclaves-support",
        "nitro-tpm-info.supported-versions",
        "nitro-tpm-support",
        "processor-info.supported-architecture",
        "processor-info.supported-features",
        "processor-info.sustained-clock-speed-in-ghz",
        "reboot-migration-support",
        "supported-boot-mode",
        "supported-root-device-type",
        "supported-usage-class",
        "supported-virtualization-type",
        "vcpu-info.default-cores",
        "vcpu-info.default-threads-per-core",
        "vcpu-info.default-vcpus",
        "vcpu-info.valid-cores",
        "vcpu-info.valid-threads-per-core",
    }
)
"""The filters that EC2 has for instance types; there is none for GPUs."""


def _values(row: Mapping[str, Any], name: str) -> list[str] | None:
    """Return what a filter compares: its name is the path to the field, in words with dashes and in the singular."""
    if name not in _FILTERS:
        return None
    found: list[Any] = [row]
    for word in name.split("."):
        key = word.replace("-", "")
        found = [
            value
            for part in found
            for field, inner in part.items()
            if field.lower() in (key, f"{key}s", f"{key}es")
            for value in (inner if isinstance(inner, list) else [inner])
        ]
    return [str(value).lower() if isinstance(value, bool) else str(value) for value in found]


def _describe(call: Call, world: World) -> Mapping[str, Any]:
    names, size, token = call.get("InstanceTypes") or [], call.get("MaxResults"), call.get("NextToken")
    if names and (size or token):
        raise Refused(
            "InvalidParameterCombination", "The parameter instanceTypes cannot be used with the parameter maxResults"
        )
    if len(names) > _PAGE:
        raise Refused("InvalidParameterValue", f"No more than {_PAGE} instance types can be asked for")
    _check_size(size, most=_PAGE)
    if call.get("IncludeUnsupportedInRegion"):
        items = [item for _, item in sorted(world.catalogue.types.items())]
    else:
        items = region_types(world, call.region)
    if names:
        items = _named(items, names)
    if filters := call.get("Filters"):
        items = keep(items, filters, lambda item, name: _values(describe_type(item), name))
    page, following = cut_page(items, token, None if names else size or _PAGE)
    rows = [{**describe_type(item), "SupportedInRegion": is_in_region(world, item, call.region)} for item in page]
    return {"InstanceTypes": rows, "NextToken": following}


def _named(items: list[InstanceType], names: list[str]) -> list[InstanceType]:
    known = {item.name for item in items}
    missing = [name for name in names if name not in known]
    if missing:
        said = f"The following supplied instance types do not exist: [{', '.join(missing)}]"
        raise Refused("InvalidInstanceType", said)
    return [item for item in items if item.name in names]


def _check_size(size: int | None, *, most: int) -> None:
    if size is not None and not 5 <= size <= most:
        said = f"Value ( {size} ) for parameter maxResults is invalid. Expecting a value between 5 and {most}."
        raise Refused("InvalidParameterValue", said)


def _offerings(call: Call, world: World) -> Mapping[str, Any]:
    place = call.get("LocationType") or "region"
    size = call.get("MaxResults")
    _check_size(size, most=1000)
    patterns = [
        value for item in call.get("Filters") or () if item.get("Name") == "instance-type" for value in item["Values"]
    ]
    rows = [
        {"InstanceType": item.name, "LocationType": place, "Location": location}
        for item in region_types(world, call.region)
        if not patterns or any(is_like(item.name, pattern) for pattern in patterns)
        for location in _locations(world, item.name, call.region, place)
    ]
    kept = keep(rows, call.get("Filters") or (), _offer_values)
    page, following = cut_page(kept, call.get("NextToken"), size or 1000)
    return {"InstanceTypeOfferings": page, "NextToken": following}


def _locations(world: World, name: str, region: str, place: str) -> Iterator[str]:
    if place == "region":
        yield region
    elif place in ("availability-zone", "availability-zone-id"):
        ids = zone_ids(region)
        for zone in offering_zones(world, name, region):
            yield zone if place == "availability-zone" else ids[zone]


def _offer_values(row: Mapping[str, str], name: str) -> list[str] | None:
    field = {"instance-type": "InstanceType", "location": "Location"}.get(name)
    return [row[field]] if field else None


def _before(call: Call, world: World) -> Mapping[str, Any] | Answer | None:
    return _describe(call, world) if call.action == "DescribeInstanceTypes" else _offerings(call, world)


RULE = Rule(
    name="types",
    on=frozenset({"ec2:DescribeInstanceTypes", "ec2:DescribeInstanceTypeOfferings"}),
    source="parameters, fields and limits verified in botocore's model; that names and a page size exclude each other, the texts "
    "of errors, and what a type has beside the catalogue's values are remembered",
    before=_before,
)
