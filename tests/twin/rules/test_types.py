"""Instance types and where they are offered, as the catalogue has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from launchbay.catalog.snapshot import load_snapshot
from launchbay.twin.offers import is_in_region, known_type, offered, zones_of
from launchbay.twin.truth import Settings, new_truth
from launchbay.twin.world import World


def names(answer: Mapping[str, Any]) -> list[str]:
    return [row["InstanceType"] for row in answer["InstanceTypes"]]


def filters(**wanted: str) -> list[dict[str, Any]]:
    return [{"Name": name.replace("_", "-").replace("--", "."), "Values": [value]} for name, value in wanted.items()]


def test_types_come_in_pages_of_a_hundred_and_each_once(twin: Any, ec2: Any) -> None:
    catalogue, client = load_snapshot(), twin.client("ec2", "ap-southeast-5")
    expected = sorted(item.name for item in catalogue.types.values() if "ap-southeast-5" in item.regions)
    first = client.describe_instance_types()
    assert len(first["InstanceTypes"]) == 100
    pages = list(client.get_paginator("describe_instance_types").paginate())
    assert [name for page in pages for name in names(page)] == expected
    retired = names(ec2.describe_instance_types(Filters=filters(instance_type="p?.2xlarge")))
    assert retired == ["p3.2xlarge"]


def test_retired_types_are_described_where_they_had_a_price(ec2: Any, twin: Any) -> None:
    (row,) = ec2.describe_instance_types(InstanceTypes=["p3.2xlarge"])["InstanceTypes"]
    assert row["GpuInfo"]["Gpus"][0]["Name"] == "V100"
    assert row["SupportedInRegion"] is True
    with pytest.raises(ClientError, match=r"do not exist: \[p3.2xlarge\]"):
        twin.client("ec2", "me-central-1").describe_instance_types(InstanceTypes=["p3.2xlarge", "m6i.large"])


def test_unknown_types_are_named_in_the_error(ec2: Any) -> None:
    with pytest.raises(ClientError) as caught:
        ec2.describe_instance_types(InstanceTypes=["g5.xlarge", "g5.huge", "zz9.large"])
    error = caught.value.response["Error"]
    assert error["Code"] == "InvalidInstanceType"
    assert error["Message"] == "The following supplied instance types do not exist: [g5.huge, zz9.large]"


def test_names_and_pages_exclude_each_other(ec2: Any) -> None:
    with pytest.raises(ClientError) as caught:
        ec2.describe_instance_types(InstanceTypes=["g5.xlarge"], MaxResults=10)
    assert caught.value.response["Error"]["Code"] == "InvalidParameterCombination"
    with pytest.raises(ClientError, match="between 5 and 100"):
        ec2.describe_instance_types(MaxResults=101)


def test_filters_have_stars_and_reach_into_the_description(ec2: Any) -> None:
    def found(**wanted: str) -> list[str]:
        return names(ec2.describe_instance_types(Filters=filters(**wanted)))

    assert found(instance_type="g5.*")[:2] == ["g5.12xlarge", "g5.16xlarge"]
    assert len(found(instance_type="g5.*")) == 8
    assert found(instance_type="g5.*", vcpu_info__default_vcpus="4") == ["g5.xlarge"]
    assert "p5.48xlarge" in found(instance_type="p*", network_info__efa_supported="true")
    assert "g5.xlarge" not in found(instance_type="g*", network_info__efa_supported="true")
    assert found(instance_type="g5*", processor_info__supported_architecture="arm64")[0].startswith("g5g.")
    assert found(instance_type="p5.*", supported_usage_class="capacity-block") == ["p5.48xlarge", "p5.4xlarge"]
    assert found(instance_type="g5.xlarge", instance_storage_info__disk__type="ssd") == ["g5.xlarge"]
    with pytest.raises(ClientError, match="The filter 'gpu' is invalid"):
        found(gpu="1")


def test_types_of_other_regions_are_shown_when_asked_for(twin: Any) -> None:
    client = twin.client("ec2", "me-central-1")
    found = client.describe_instance_types(InstanceTypes=["p3.2xlarge"], IncludeUnsupportedInRegion=True)
    assert found["InstanceTypes"][0]["SupportedInRegion"] is False


@pytest.mark.parametrize(
    ("place", "location"),
    [("region", "us-east-1"), ("availability-zone", "us-east-1a"), ("availability-zone-id", "use1-az6")],
)
def test_offers_by_region_zone_and_zone_id(ec2: Any, place: str, location: str) -> None:
    rows = ec2.describe_instance_type_offerings(
        LocationType=place,
        Filters=[{"Name": "instance-type", "Values": ["g5.x*"]}, {"Name": "location", "Values": [location]}],
    )["InstanceTypeOfferings"]
    assert rows == [{"InstanceType": "g5.xlarge", "LocationType": place, "Location": location}]


def test_not_every_zone_offers_every_type(ec2: Any) -> None:
    rows = ec2.describe_instance_type_offerings(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": ["p4d.24xlarge", "zz9.large"]}]
    )["InstanceTypeOfferings"]
    zones = {zone["ZoneName"] for zone in ec2.describe_availability_zones()["AvailabilityZones"]}
    assert {row["Location"] for row in rows} < zones
    assert rows


def test_what_a_launch_asks_about_types_and_zones() -> None:
    world = World(new_truth(Settings()), load_snapshot(), [])
    assert known_type(world, "g5.huge") is None
    retired = known_type(world, "p3.2xlarge")
    assert retired is not None
    assert is_in_region(world, retired, "us-east-1")
    assert offered(world, "p3.2xlarge", "us-east-1a")
    assert not offered(world, "g5.huge", "us-east-1a")
    assert not offered(world, "g5.xlarge", "us-east-1z")
    assert not offered(world, "g5.xlarge", "xx-nowhere-1a")
    assert zones_of("us-east-1") == tuple(f"us-east-1{letter}" for letter in "abcdef")
    assert zones_of("xx-nowhere-1") == ()
