"""A small AWS with the traps of the real one: what a careless reader of the Price List would take for the price."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from launchbay.catalog.pricelist import INSTANCES
from tests.catalog.aws_server import AwsServer

__all__ = ["DESCRIBED", "NOW", "REGION", "make_world", "plain", "product", "savings_rate", "spot_row"]

REGION = "us-west-2"
NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
DESCRIBED: Sequence[Mapping[str, Any]] = json.loads(
    (Path(__file__).parent / "described.json").read_text(encoding="utf-8")
)
"""Rows of DescribeInstanceTypes as moto carries them (Apache-2.0), less what nobody reads here."""


def product(
    usage: str, rates: Sequence[tuple[str, str, str]], *, family: str = "Compute Instance", **attributes: str
) -> dict[str, Any]:
    """Return a product; a rate is (beginRange, unit, USD), or a currency in front of the amount."""
    dimensions = {}
    for number, (begins, unit, amount) in enumerate(rates):
        currency, _, value = amount.rpartition(" ")
        dimensions[f"S.T.{number}"] = {
            "unit": unit,
            "beginRange": begins,
            "endRange": "Inf",
            "pricePerUnit": {currency or "USD": value},
        }
    return {
        "product": {"productFamily": family, "attributes": {"regionCode": REGION, "usagetype": usage, **attributes}},
        "terms": {"OnDemand": {"S.T": {"priceDimensions": dimensions, "effectiveDate": "2026-11-01T00:00:00Z"}}},
        "version": "20261120000000",
    }


def plain(name: str, usd: str, **attributes: str) -> dict[str, Any]:
    """Return the product of a plain Linux instance, or one that differs in some attributes."""
    usage = attributes.pop("usagetype", f"USW2-BoxUsage:{name}")
    return product(usage, [("0", "Hrs", usd)], **{"instanceType": name, **INSTANCES, **attributes})


def spot_row(name: str, zone: str, at: str, usd: str, **changed: Any) -> dict[str, Any]:
    """Return a change of a spot price; the time is ISO."""
    row = {
        "InstanceType": name,
        "AvailabilityZone": f"{REGION}a",
        "AvailabilityZoneId": zone,
        "ProductDescription": "Linux/UNIX",
        "SpotPrice": usd,
        "Timestamp": datetime.fromisoformat(at).replace(tzinfo=UTC),
    }
    return {key: value for key, value in {**row, **changed}.items() if value is not None}


def savings_rate(usage: str, usd: str, **changed: Any) -> dict[str, Any]:
    """Return a rate under a Savings Plan; `plan`, `payment`, `seconds`, `currency`, `unit`, `tenancy`, `system`, `region`."""
    said = {"plan": "Compute", "payment": "No Upfront", "seconds": 31_536_000, "currency": "USD", **changed}
    name = usage.partition(":")[2]
    properties = {
        "region": said.get("region", REGION),
        "instanceType": name,
        "instanceFamily": name.partition(".")[0],
        "productDescription": said.get("system", "Linux/UNIX"),
        "tenancy": said.get("tenancy", "shared"),
    }
    return {
        "savingsPlanOffering": {
            "offeringId": "00000000-0000-0000-0000-000000000000",
            "paymentOption": said["payment"],
            "planType": said["plan"],
            "durationSeconds": said["seconds"],
            "currency": said["currency"],
        },
        "rate": usd,
        "unit": said.get("unit", "Hrs"),
        "productType": "EC2",
        "serviceCode": "AmazonEC2",
        "usageType": usage,
        "operation": said.get("operation", "RunInstances"),
        "properties": [{"name": key, "value": value} for key, value in properties.items()],
    }


def make_world() -> AwsServer:
    """Return an AWS that sells four types in us-west-2."""
    return AwsServer(
        types=[row for row in DESCRIBED if row["InstanceType"] in ("g5.xlarge", "m6i.large", "p2.xlarge", "t3.micro")],
        offers=[
            {"InstanceType": name, "LocationType": "availability-zone-id", "Location": zone}
            for name, zones in (("g5.xlarge", "321"), ("m6i.large", "1234"), ("t3.micro", "1"))
            for zone in (f"usw2-az{number}" for number in zones)
        ],
        products={"AmazonEC2": [*_instances(), *_beside_ec2()], **_other_services()},
        spot=[
            spot_row("g5.xlarge", "usw2-az1", "2026-11-25T12:00:00", "0.4000"),
            spot_row("g5.xlarge", "usw2-az1", "2026-11-10T00:00:00", "0.3000"),
            spot_row("g5.xlarge", "usw2-az2", "2026-11-24T00:00:00", "0.4500"),
            spot_row("g5.xlarge", "usw2-az1", "2026-11-26T00:00:00", "9.0000", ProductDescription="Windows"),
        ],
        savings=[
            savings_rate("USW2-BoxUsage:g5.xlarge", "0.7230000000"),
            savings_rate("USW2-BoxUsage:g5.xlarge", "0.4340000000", payment="All Upfront", seconds=94_608_000),
            savings_rate("USW2-DedicatedUsage:g5.xlarge", "0.8000000000"),
            savings_rate("USW2-UnusedBox:g5.xlarge", "0.7230000000"),
            savings_rate("USW2-HostBoxUsage:g5.xlarge", "0.5000000000"),
            savings_rate("USW2-BoxUsage:g5.xlarge", "0.9990000000", tenancy="dedicated"),
            savings_rate("USW2-BoxUsage:g5.xlarge", "0.9980000000", system="Windows"),
            savings_rate("EU-BoxUsage:g5.xlarge", "0.9970000000", region="eu-west-1"),
        ],
    )


def _instances() -> list[dict[str, Any]]:
    return [
        plain("g5.xlarge", "1.0060000000"),
        plain("m6i.large", "0.0960000000"),
        plain("t3.micro", "0.0104000000"),
        # each of these differs in one thing, and only that thing says so
        plain("g5.xlarge", "1.1066000000", tenancy="Dedicated", usagetype="USW2-DedicatedUsage:g5.xlarge"),
        plain("g5.xlarge", "0.0000000000", capacitystatus="AllocatedCapacityReservation"),
        plain("g5.xlarge", "1.0060000000", capacitystatus="UnusedCapacityReservation"),
        plain("g5.xlarge", "1.1900000000", operatingSystem="Windows"),
        plain("g5.xlarge", "1.4860000000", preInstalledSw="SQL Std"),
        plain("g5.xlarge", "1.0060000001", licenseModel="Bring your own license"),
        plain("g5.xlarge", "1.0560000000", operation="RunInstances:0010"),
        plain("g5.xlarge", "31.4640000000", marketoption="CapacityBlock"),
        plain("g5.xlarge", "1.1230000000", regionCode="eu-west-1", usagetype="EU-BoxUsage:g5.xlarge"),
    ]


def _beside_ec2() -> list[dict[str, Any]]:
    storage, operation = {"family": "Storage"}, {"family": "System Operation"}
    return [
        product("USW2-EBS:VolumeUsage.gp3", [("0", "GB-Mo", "0.0800000000")], volumeApiName="gp3", **storage),
        product("USW2-LAX1-EBS:VolumeUsage.gp3", [("0", "GB-Mo", "0.0960000000")], volumeApiName="gp3", **storage),
        product("USW2-EBS:VolumeP-IOPS.gp3", [("0", "IOPS-Mo", "0.0050000000")], volumeApiName="gp3", **operation),
        product(
            "USW2-EBS:VolumeP-Throughput.gp3",
            [("0", "GiBps-mo", "40.9600000000")],
            volumeApiName="gp3",
            family="Provisioned Throughput",
        ),
        product("USW2-EBS:SnapshotUsage", [("0", "GB-Mo", "0.0500000000")], family="Storage Snapshot"),
        product("USW2-EBS:SnapshotUsageUnderBilling", [("0", "GB-Mo", "0.0000000000")], family="Storage Snapshot"),
        product("USW2-NatGateway-Hours", [("0", "Hrs", "0.0450000000")], family="NAT Gateway"),
        product("USW2-NatGateway-Bytes", [("0", "GB", "0.0450000000")], family="NAT Gateway"),
        product("USW2-RegionalNatGateway-Hours", [("0", "Hrs", "0.0460000000")], family="NAT Gateway"),
    ]


def _other_services() -> dict[str, list[dict[str, Any]]]:
    tiers = (("0", "0.0900000000"), ("10240", "0.0850000000"), ("51200", "0.0700000000"), ("153600", "0.0500000000"))
    out = {"fromRegionCode": REGION, "transferType": "AWS Outbound", "family": "Data Transfer"}
    within = {"fromRegionCode": REGION, "transferType": "IntraRegion", "family": "Data Transfer"}
    stored = (("0", "GB-Mo", "0.0230000000"), ("51200", "GB-Mo", "0.0220000000"))
    return {
        "AmazonVPC": [
            product("USW2-PublicIPv4:InUseAddress", [("0", "Hrs", "0.0050000000")]),
            product("USW2-PublicIPv4:IdleAddress", [("0", "Hrs", "0.0050000000")]),
            product("USW2-VpcEndpoint-Hours", [("0", "Hrs", "0.0100000000")]),
        ],
        "AmazonS3": [product("USW2-TimedStorage-ByteHrs", stored, family="Storage", volumeType="Standard")],
        "AWSDataTransfer": [
            product("USW2-DataTransfer-Out-Bytes", [(begins, "GB", usd) for begins, usd in tiers], **out),
            product("USW2-DataTransfer-Regional-Bytes", [("0", "GB", "0.0100000000")], **within),
        ],
    }
