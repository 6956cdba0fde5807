"""What costs beside an instance, in the Price List: disks, snapshots, addresses, NAT gateways, buckets, traffic. Pure.

Bills and the list know these things by usage type, which begins with a region's own letters (``USW2-EBS:...``) except,
for most of them, in us-east-1. Two groups of letters in front mean a local zone, and ``RegionalNatGateway`` is another
product at the same price: so the whole name is compared.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from launchbay.catalog import items
from launchbay.catalog.live import LeftOut
from launchbay.catalog.price import SidePrice
from launchbay.catalog.pricelist import SOURCE, Product

__all__ = ["LISTED", "QUERIES", "read_side_prices"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """How the Price List has an item: the service, its usage type without the region's letters, AWS's units, the tier.

    `units` gives for each unit that AWS writes how many of ours it holds. `begins` is where the tier begins.
    """

    item: str
    service: str
    usage: str
    units: Mapping[str, int]
    begins: str = "0"


_HOURS = {"Hrs": 1, "Hours": 1}
_STORED = {"GB-Mo": 1}  # AWS's GB is 2^30 bytes wherever something is stored
_TRAFFIC = {"GB": 1}
_FREE_GB = items.TRANSFER_OUT_TIERS[1][0]
"""What leaves for nothing, which the Price List has as a product of its own: its tiers begin behind it, at 0."""

LISTED = (
    Listed(item=items.GP3, service="AmazonEC2", usage=r"EBS:VolumeUsage\.gp3", units=_STORED),
    Listed(item=items.GP3_IOPS, service="AmazonEC2", usage=r"EBS:VolumeP-IOPS\.gp3", units={"IOPS-Mo": 1}),
    Listed(
        item=items.GP3_THROUGHPUT,
        service="AmazonEC2",
        usage=r"EBS:VolumeP-Throughput\.gp3",
        units={"GiBps-mo": 1024, "MiBps-Mo": 1, "MiBps-mo": 1},
    ),
    Listed(item=items.SNAPSHOT, service="AmazonEC2", usage="EBS:SnapshotUsage", units=_STORED),
    Listed(item=items.PUBLIC_IPV4, service="AmazonVPC", usage="PublicIPv4:(InUse|Idle)Address", units=_HOURS),
    Listed(item=items.NAT_GATEWAY, service="AmazonEC2", usage="NatGateway-Hours", units=_HOURS),
    Listed(item=items.NAT_GATEWAY_DATA, service="AmazonEC2", usage="NatGateway-Bytes", units=_TRAFFIC),
    Listed(item=items.S3_STANDARD, service="AmazonS3", usage="TimedStorage-ByteHrs", units=_STORED),
    Listed(
        item=items.TRANSFER_CROSS_ZONE, service="AWSDataTransfer", usage="DataTransfer-Regional-Bytes", units=_TRAFFIC
    ),
    *(
        Listed(
            item=item,
            service="AWSDataTransfer",
            usage="DataTransfer-Out-Bytes",
            units=_TRAFFIC,
            begins=str(begins - _FREE_GB),
        )
        for begins, item in items.TRANSFER_OUT_TIERS
        if item
    ),
)
"""Everything that is looked for. Not so traffic to another region, which has a price for each of them, and what burstable types
cost above their baseline, which has one for each operating system: how the list tells those apart was never seen."""

QUERIES: tuple[tuple[str, str, Mapping[str, str]], ...] = (
    ("AmazonEC2", "regionCode", {"volumeApiName": "gp3"}),
    ("AmazonEC2", "regionCode", {"productFamily": "Storage Snapshot"}),
    ("AmazonEC2", "regionCode", {"productFamily": "NAT Gateway"}),
    ("AmazonVPC", "regionCode", {}),
    ("AmazonS3", "regionCode", {"productFamily": "Storage", "volumeType": "Standard"}),
    ("AWSDataTransfer", "fromRegionCode", {"transferType": "AWS Outbound"}),
    ("AWSDataTransfer", "fromRegionCode", {"transferType": "IntraRegion"}),
)
"""What is asked of which service: the attribute that names the region, and the filters beside it."""


def read_side_prices(
    products: Mapping[str, Sequence[Product]], region: str, as_of: date
) -> tuple[list[SidePrice], list[LeftOut]]:
    """Return the price of each item that the services' products agree on, and the items without one, with the reason."""
    prices, left_out = [], []
    for listed in LISTED:
        usage = re.compile(rf"([A-Z0-9]+-)?{listed.usage}\Z")
        of_it = [product for product in products.get(listed.service, ()) if usage.match(product.usage)]
        found = {_priced(listed, product) for product in of_it}
        usd = next(iter(found))[0] if len(found) == 1 else None
        if usd is None:
            left_out.append(LeftOut(kind="side", what=listed.item, why=_reason(found)))
        else:
            prices.append(_side_price(listed.item, region, usd, as_of))
    return prices, left_out


def _priced(listed: Listed, product: Product) -> tuple[Decimal | None, str]:
    """Return a product's price for one of our units; or None and why it cannot be said."""
    usd, why = product.usd(listed.begins)
    unit = product.unit(listed.begins)
    if usd is None:
        return None, why
    if unit not in listed.units:
        return None, f"its price is for a unit of {unit[:20]!r}, which is none of {', '.join(listed.units)}"
    return usd / listed.units[unit], ""


def _reason(found: set[tuple[Decimal | None, str]]) -> str:
    if not found:
        return "the price list holds no such product"
    said = sorted({why or f"{usd} USD" for usd, why in found})
    return said[0] if len(said) == 1 else f"its products do not agree: {'; '.join(said)}"


def _side_price(item: str, region: str, usd: Decimal, as_of: date) -> SidePrice:
    unit, _ = items.ITEMS[item]
    return SidePrice(item=item, region=region, usd=usd, unit=unit, as_of=as_of, source=SOURCE, method="live")
