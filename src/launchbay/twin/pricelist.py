"""The catalogue's prices as products of AWS's Price List. Pure.

Beside each instance stand the products that a list without filters holds under the same type: capacity that was reserved and is
used, at nothing, and capacity that was reserved and is not, at the full price. Other systems and tenancies are not there: the
catalogue does not know what they cost.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from launchbay.catalog import items
from launchbay.twin.regions import location_of, usage_prefix

if TYPE_CHECKING:
    from launchbay.catalog.price import Catalogue, Price, SidePrice

__all__ = ["SERVICES", "Offer", "list_offers", "write_offer"]

SERVICES: Mapping[str, str] = {
    "AWSDataTransfer": "AWS Data Transfer",
    "AmazonEC2": "Amazon Elastic Compute Cloud",
    "AmazonS3": "Amazon Simple Storage Service",
    "AmazonVPC": "Amazon Virtual Private Cloud",
}
"""The services that products are known of, with their names."""

_TERM, _RATE = "JRTCKXETXF", "6YS6EN2CT7"
"""AWS's codes of on-demand terms, and of their rates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A product with its rates: US dollars a `unit` by where the tier begins, since `as_of`."""

    service: str
    family: str
    attributes: Mapping[str, str]
    unit: str
    rates: Sequence[tuple[str, Decimal]]
    as_of: date


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """How an item stands in the list: its usage type, and how many of our units a unit of AWS's holds."""

    item: str
    service: str
    family: str
    usage: str
    unit: str
    holds: int = 1
    attributes: Mapping[str, str] | None = None


_GP3 = {"volumeApiName": "gp3", "volumeType": "General Purpose"}
_SIDE = (
    _Side(
        item=items.GP3,
        service="AmazonEC2",
        family="Storage",
        usage="EBS:VolumeUsage.gp3",
        unit="GB-Mo",
        attributes=_GP3,
    ),
    _Side(
        item=items.GP3_IOPS,
        service="AmazonEC2",
        family="System Operation",
        usage="EBS:VolumeP-IOPS.gp3",
        unit="IOPS-Mo",
        attributes=_GP3,
    ),
    _Side(
        item=items.GP3_THROUGHPUT,
        service="AmazonEC2",
        family="Provisioned Throughput",
        usage="EBS:VolumeP-Throughput.gp3",
        unit="GiBps-mo",
        holds=1024,
        attributes=_GP3,
    ),
    _Side(item=items.SNAPSHOT, service="AmazonEC2", family="Storage Snapshot", usage="EBS:SnapshotUsage", unit="GB-Mo"),
    _Side(item=items.NAT_GATEWAY, service="AmazonEC2", family="NAT Gateway", usage="NatGateway-Hours", unit="Hrs"),
    _Side(item=items.NAT_GATEWAY_DATA, service="AmazonEC2", family="NAT Gateway", usage="NatGateway-Bytes", unit="GB"),
    _Side(item=items.PUBLIC_IPV4, service="AmazonVPC", family="", usage="PublicIPv4:InUseAddress", unit="Hrs"),
    _Side(item=items.PUBLIC_IPV4, service="AmazonVPC", family="", usage="PublicIPv4:IdleAddress", unit="Hrs"),
    _Side(
        item=items.S3_STANDARD,
        service="AmazonS3",
        family="Storage",
        usage="TimedStorage-ByteHrs",
        unit="GB-Mo",
        attributes={"volumeType": "Standard", "storageClass": "General Purpose"},
    ),
    _Side(
        item=items.TRANSFER_CROSS_ZONE,
        service="AWSDataTransfer",
        family="Data Transfer",
        usage="DataTransfer-Regional-Bytes",
        unit="GB",
        attributes={"transferType": "IntraRegion"},
    ),
)


def list_offers(catalogue: Catalogue, service: str, region: str) -> Iterator[Offer]:
    """Yield the products of a service in a region."""
    if service == "AmazonEC2":
        for (name, place, market), price in sorted(catalogue.prices.items()):
            if place == region and market == "on-demand" and name in catalogue.types:
                yield from _instance_offers(catalogue, price)
    for side in _SIDE:
        beside = catalogue.side_price(side.item, region)
        if side.service == service and beside is not None:
            yield _side_offer(side, beside)
    if service == "AWSDataTransfer":
        yield from _outbound(catalogue, region)


def _instance_offers(catalogue: Catalogue, price: Price) -> Iterator[Offer]:
    item, region = catalogue.types[price.type], price.region
    for status, usage, usd in (
        ("Used", "BoxUsage", price.usd_per_hour),
        ("UnusedCapacityReservation", "UnusedBox", price.usd_per_hour),
        ("AllocatedCapacityReservation", "Reservation", Decimal(0)),
    ):
        attributes = {
            **_placed(region),
            "capacitystatus": status,
            "currentGeneration": "Yes" if item.is_current else "No",
            "instanceType": item.name,
            "licenseModel": "No License required",
            "marketoption": "OnDemand",
            "memory": f"{Decimal(item.memory_mib) / 1024:,f} GiB",
            "networkPerformance": item.network,
            "operatingSystem": "Linux",
            "operation": "RunInstances",
            "preInstalledSw": "NA",
            "processorArchitecture": "64-bit",
            "storage": f"{item.local_disk_gb} GB {item.local_disk_kind.upper()}" if item.local_disk_gb else "EBS only",
            "tenancy": "Shared",
            "usagetype": f"{usage_prefix(region)}{usage}:{item.name}",
            "vcpu": str(item.vcpus),
        }
        if item.gpus:
            attributes["gpu"] = str(item.gpus)
        family = "Compute Instance (bare metal)" if item.is_bare_metal else "Compute Instance"
        yield Offer(
            service="AmazonEC2",
            family=family,
            attributes=_named("AmazonEC2", family, attributes),
            unit="Hrs",
            rates=[("0", usd)],
            as_of=price.as_of,
        )


def _placed(region: str, prefix: str = "") -> dict[str, str]:
    """Return where a product is: traffic says so of where it comes from."""
    names = (
        ("fromLocation", "fromLocationType", "fromRegionCode") if prefix else ("location", "locationType", "regionCode")
    )
    return dict(zip(names, (location_of(region), "AWS Region", region), strict=True))


def _side_offer(side: _Side, price: SidePrice) -> Offer:
    region = price.region
    prefix = usage_prefix(region, always=side.service == "AmazonVPC")
    attributes = {
        **_placed(region, "from" if side.service == "AWSDataTransfer" else ""),
        "usagetype": f"{prefix}{side.usage}",
        "operation": "",
        **(side.attributes or {}),
    }
    return Offer(
        service=side.service,
        family=side.family,
        attributes=_named(side.service, side.family, attributes),
        unit=side.unit,
        rates=[("0", price.usd * side.holds)],
        as_of=price.as_of,
    )


def _outbound(catalogue: Catalogue, region: str) -> Iterator[Offer]:
    """Yield what leaves AWS, whose tiers begin behind what is free."""
    free = items.TRANSFER_OUT_TIERS[1][0]
    tiers = [(begins, catalogue.side_price(item, region)) for begins, item in items.TRANSFER_OUT_TIERS if item]
    known = [(str(begins - free), price) for begins, price in tiers if price is not None]
    if known:
        attributes = {
            **_placed(region, "from"),
            "usagetype": f"{usage_prefix(region)}DataTransfer-Out-Bytes",
            "operation": "",
            "toLocation": "External",
            "transferType": "AWS Outbound",
        }
        yield Offer(
            service="AWSDataTransfer",
            family="Data Transfer",
            attributes=_named("AWSDataTransfer", "Data Transfer", attributes),
            unit="GB",
            rates=[(begins, price.usd) for begins, price in known],
            as_of=known[0][1].as_of,
        )


def _named(service: str, family: str, attributes: Mapping[str, str]) -> Mapping[str, str]:
    """Return attributes with those that name the service, and the family, which filters take for an attribute."""
    said = {**attributes, "servicecode": service, "servicename": SERVICES[service]}
    return {**said, "productFamily": family} if family else said


def write_offer(offer: Offer) -> str:
    """Return a product as the list has it: JSON in a string."""
    attributes = {name: value for name, value in offer.attributes.items() if name != "productFamily"}
    named = (
        f"{offer.service} {attributes['usagetype']} {attributes.get('fromRegionCode', attributes.get('regionCode'))}"
    )
    sku = hashlib.sha256(named.encode()).hexdigest()[:16].upper()
    term, since = f"{sku}.{_TERM}", f"{offer.as_of.isoformat()}T00:00:00Z"
    ends = [*(begins for begins, _ in offer.rates[1:]), "Inf"]
    dimensions: dict[str, Any] = {}
    for place, ((begins, usd), end) in enumerate(zip(offer.rates, ends, strict=True)):
        code = f"{term}.{_RATE}" if len(offer.rates) == 1 else f"{term}.{_RATE[:-2]}{place:02d}"
        dimensions[code] = {
            "unit": offer.unit,
            "beginRange": begins,
            "endRange": end,
            "description": f"${usd:f} per {offer.unit} - {attributes['usagetype']}",
            "appliesTo": [],
            "rateCode": code,
            "pricePerUnit": {"USD": f"{usd:.10f}"},
        }
    product: dict[str, Any] = {"attributes": attributes, "sku": sku}
    if offer.family:
        product["productFamily"] = offer.family
    entry = {
        "product": product,
        "serviceCode": offer.service,
        "terms": {
            "OnDemand": {
                term: {
                    "priceDimensions": dimensions,
                    "sku": sku,
                    "effectiveDate": since,
                    "offerTermCode": _TERM,
                    "termAttributes": {},
                }
            }
        },
        "version": offer.as_of.strftime("%Y%m%d000000"),
        "publicationDate": since,
    }
    return json.dumps(entry)
