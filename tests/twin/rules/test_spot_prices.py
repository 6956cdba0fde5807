"""Spot prices by zone, and scores by room."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError


def prices(ec2: Any, **asked: Any) -> dict[tuple[str, str], Decimal]:
    asked = {"StartTime": datetime.now(UTC), "ProductDescriptions": ["Linux/UNIX"], **asked}
    rows = ec2.describe_spot_price_history(**asked)["SpotPriceHistory"]
    assert all(row["Timestamp"] <= asked["StartTime"] for row in rows)
    return {(row["InstanceType"], row["AvailabilityZone"]): Decimal(row["SpotPrice"]) for row in rows}


def test_the_price_in_effect_is_given_for_each_zone_that_offers_the_type(ec2: Any) -> None:
    found = prices(ec2, InstanceTypes=["g5.xlarge", "p3.2xlarge"])
    zones = {
        (row["InstanceType"], row["Location"])
        for row in ec2.describe_instance_type_offerings(
            LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": ["g5.xlarge", "p3.2xlarge"]}]
        )["InstanceTypeOfferings"]
    }
    assert set(found) == zones
    assert set(found.values()) == {Decimal("0.3521"), Decimal("1.071")}


def test_a_price_that_was_set_is_shown_where_it_holds(twin: Any, ec2: Any) -> None:
    twin.ask("spot", type="g5.xlarge", zone="us-east-1b", usd="0.77")
    found = prices(ec2, InstanceTypes=["g5.xlarge"])
    assert found["g5.xlarge", "us-east-1b"] == Decimal("0.77")
    assert found["g5.xlarge", "us-east-1a"] == Decimal("0.3521")
    assert set(prices(ec2, Filters=[{"Name": "spot-price", "Values": ["0.77"]}])) == {("g5.xlarge", "us-east-1b")}


def test_zones_products_and_filters_are_honoured(ec2: Any) -> None:
    one = {("g5.xlarge", "us-east-1a")}
    assert set(prices(ec2, InstanceTypes=["g5.xlarge"], AvailabilityZone="us-east-1a")) == one
    assert set(prices(ec2, InstanceTypes=["g5.xlarge"], AvailabilityZoneId="use1-az6")) == one
    wanted = [{"Name": "instance-type", "Values": ["g5.x*"]}, {"Name": "availability-zone", "Values": ["us-east-1a"]}]
    assert set(prices(ec2, Filters=wanted)) == one
    assert prices(ec2, ProductDescriptions=["Windows"]) == {}
    now = datetime.now(UTC)
    assert prices(ec2, StartTime=now, EndTime=now - timedelta(days=1)) == {}
    with pytest.raises(ClientError, match="Invalid availability zone"):
        prices(ec2, AvailabilityZone="us-east-1z")
    with pytest.raises(ClientError, match="not both"):
        prices(ec2, AvailabilityZone="us-east-1a", AvailabilityZoneId="use1-az6")


def test_pages_hold_each_price_once(ec2: Any) -> None:
    pages = ec2.get_paginator("describe_spot_price_history").paginate(
        InstanceTypes=["g5.xlarge", "g6.xlarge", "m5.large"], PaginationConfig={"PageSize": 4}
    )
    rows = [(row["InstanceType"], row["AvailabilityZone"]) for page in pages for row in page["SpotPriceHistory"]]
    assert len(rows) == len(set(rows)) > 8


def score(ec2: Any, **asked: Any) -> dict[str, int]:
    asked = {"TargetCapacity": 10, "RegionNames": ["us-east-1"], **asked}
    rows = ec2.get_spot_placement_scores(**asked)["SpotPlacementScores"]
    return {row.get("AvailabilityZoneId", row["Region"]): row["Score"] for row in rows}


def test_scores_follow_the_room_that_there_is(twin: Any, ec2: Any) -> None:
    names = ["g5.xlarge", "g5.2xlarge", "g6.xlarge"]
    assert score(ec2, InstanceTypes=names) == {"us-east-1": 9}
    assert score(ec2, InstanceTypes=names[:1]) == {"us-east-1": 3}  # fewer than three types score low
    for name in names:
        twin.ask("capacity", type=name, count=0)
    assert score(ec2, InstanceTypes=names) == {}
    twin.ask("capacity", type="g5.xlarge", zone="us-east-1a", market="spot", count=10)
    assert score(ec2, InstanceTypes=names, SingleAvailabilityZone=True) == {"use1-az6": 5}
    assert score(ec2, InstanceTypes=names, TargetCapacity=100) == {"us-east-1": 1}
    assert score(ec2, InstanceTypes=names, TargetCapacity=40, TargetCapacityUnitType="vcpu") == {"us-east-1": 5}


def test_scores_by_requirements(ec2: Any) -> None:
    needs = {"VCpuCount": {"Min": 1}, "MemoryMiB": {"Min": 1}, "AcceleratorNames": ["l4"]}
    wanted = {"ArchitectureTypes": ["x86_64"], "VirtualizationTypes": ["hvm"], "InstanceRequirements": needs}
    assert score(ec2, InstanceRequirementsWithMetadata=wanted) == {"us-east-1": 9}
    with pytest.raises(ClientError, match="but not both"):
        score(ec2)
