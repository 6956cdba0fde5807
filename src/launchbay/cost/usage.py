"""AWS's names for what it bills, and ours: `USW2-BoxUsage:g5.xlarge` is compute, a g5.xlarge on demand in us-west-2. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from launchbay.catalog.items import (
    GP3,
    GP3_IOPS,
    GP3_THROUGHPUT,
    NAT_GATEWAY,
    NAT_GATEWAY_DATA,
    PUBLIC_IPV4,
    S3_STANDARD,
    SNAPSHOT,
    TRANSFER_CROSS_ZONE,
    TRANSFER_INTER_REGION,
    TRANSFER_OUT,
)

__all__ = ["Billed", "read_usage_type"]

_REGIONS = {
    "AFS1": "af-south-1",
    "APE1": "ap-east-1",
    "APN1": "ap-northeast-1",
    "APN2": "ap-northeast-2",
    "APN3": "ap-northeast-3",
    "APS1": "ap-southeast-1",
    "APS2": "ap-southeast-2",
    "APS3": "ap-south-1",
    "APS4": "ap-southeast-3",
    "CAN1": "ca-central-1",
    "EU": "eu-west-1",
    "EUC1": "eu-central-1",
    "EUC2": "eu-central-2",
    "EUN1": "eu-north-1",
    "EUS1": "eu-south-1",
    "EUS2": "eu-south-2",
    "EUW1": "eu-west-1",
    "EUW2": "eu-west-2",
    "EUW3": "eu-west-3",
    "ILC1": "il-central-1",
    "MEC1": "me-central-1",
    "MES1": "me-south-1",
    "SAE1": "sa-east-1",
    "USE1": "us-east-1",
    "USE2": "us-east-2",
    "USW1": "us-west-1",
    "USW2": "us-west-2",
}
"""Regions by their abbreviation in usage types, from memory; asked only where a report does not name the region."""

_ITEMS = {
    "EBS:VolumeUsage.gp3": ("disk", GP3),
    "EBS:VolumeP-IOPS.gp3": ("disk", GP3_IOPS),
    "EBS:VolumeP-Throughput.gp3": ("disk", GP3_THROUGHPUT),
    "EBS:SnapshotUsage": ("snapshot", SNAPSHOT),
    "PublicIPv4:InUseAddress": ("address", PUBLIC_IPV4),
    "PublicIPv4:IdleAddress": ("address", PUBLIC_IPV4),
    "NatGateway-Hours": ("nat", NAT_GATEWAY),
    "NatGateway-Bytes": ("nat", NAT_GATEWAY_DATA),
    "TimedStorage-ByteHrs": ("bucket", S3_STANDARD),
    "DataTransfer-Out-Bytes": ("transfer", TRANSFER_OUT),
    "DataTransfer-Regional-Bytes": ("transfer", TRANSFER_CROSS_ZONE),
    "AWS-Out-Bytes": ("transfer", TRANSFER_INTER_REGION),
}
_MARKETS = {"BoxUsage": "on-demand", "SpotUsage": "spot"}
_MIB_OF_GIB = Decimal(1024)


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """What a usage type bills, in the words of a bill's lines; category ``other`` where no line of ours is for that.

    `scale` turns the report's amounts into ours.
    """

    category: str
    item: str
    region: str
    scale: Decimal = Decimal(1)


@lru_cache(maxsize=4096)  # a report has a line for each hour, and few kinds of them
def read_usage_type(usage_type: str, region: str) -> Billed:
    """Say what a usage type bills; `region` is what the report says, and may be empty."""
    prefix, _, rest = usage_type.partition("-")
    is_prefixed = prefix in _REGIONS and bool(rest)
    name = rest if is_prefixed else usage_type
    where = region or (_REGIONS[prefix] if is_prefixed else "us-east-1")  # there, most have no prefix
    if name.endswith("AWS-Out-Bytes"):
        name = "AWS-Out-Bytes"  # USW2-USE1-AWS-Out-Bytes: where it goes to is a part of the name
    kind, _, type_name = name.partition(":")
    if kind in _MARKETS and type_name:
        return Billed(category="compute", item=f"{type_name} {_MARKETS[kind]}", region=where)
    if kind == "CPUCredits" and type_name:
        return Billed(category="compute", item=f"cpu-surplus-{type_name}", region=where)
    if kind == "SoftwareUsage":
        return Billed(category="software", item="software", region=where)
    if name in _ITEMS:
        category, item = _ITEMS[name]
        scale = _MIB_OF_GIB if item == GP3_THROUGHPUT else Decimal(1)  # throughput is reported in GiB a second
        return Billed(category=category, item=item, region=where, scale=scale)
    return Billed(category="other", item=usage_type, region=where)
