"""Placement groups and Instance Connect Endpoints on the twin."""

from __future__ import annotations

from typing import Any

import pytest

from tests.twin.rules.launching import described, end, make_image, message, refusal, run, run_one
from tests.twin_process import TwinProcess


@pytest.fixture
def image(ec2: Any) -> str:
    return make_image(ec2)


def test_a_group_is_made_once_in_each_region(twin: TwinProcess, ec2: Any) -> None:
    tags = [{"ResourceType": "placement-group", "Tags": [{"Key": "run", "Value": "1"}]}]
    made = ec2.create_placement_group(GroupName="near", Strategy="cluster", TagSpecifications=tags)["PlacementGroup"]
    assert refusal(ec2.create_placement_group, GroupName="near", Strategy="spread") == "InvalidPlacementGroup.Duplicate"
    west = twin.client("ec2", "us-west-2")
    assert refusal(west.create_placement_group, GroupName="near", Strategy="spread") == ""
    assert ec2.describe_placement_groups(GroupNames=["near"])["PlacementGroups"] == [made]
    assert made["Tags"] == [{"Key": "run", "Value": "1"}]
    for wanted, count in (("cluster", 1), ("spread", 0)):
        filters = [{"Name": "strategy", "Values": [wanted]}, {"Name": "tag:run", "Values": ["1"]}]
        assert len(ec2.describe_placement_groups(Filters=filters)["PlacementGroups"]) == count
    assert twin.ask("left")["placement_groups"]


def test_an_unknown_group_is_refused(ec2: Any, image: str) -> None:
    unknown = "InvalidPlacementGroup.Unknown"
    assert refusal(run, ec2, image, Placement={"GroupName": "none"}) == unknown
    assert refusal(ec2.describe_placement_groups, GroupNames=["none"]) == unknown
    assert refusal(ec2.delete_placement_group, GroupName="none") == unknown


def test_all_of_a_cluster_lie_in_one_zone(ec2: Any, image: str) -> None:
    ec2.create_placement_group(GroupName="near", Strategy="cluster")
    first = run_one(ec2, image, Placement={"GroupName": "near", "AvailabilityZone": "us-east-1c"})
    assert first["Placement"]["GroupName"] == "near"
    second = run_one(ec2, image, Placement={"GroupName": "near"})
    assert second["Placement"]["AvailabilityZone"] == "us-east-1c"
    other = {"Placement": {"GroupName": "near", "AvailabilityZone": "us-east-1a"}}
    assert refusal(run, ec2, image, **other) == "InvalidPlacementGroup.InUse"
    assert message(run, ec2, image, **other).endswith("is in use in another availability zone: us-east-1c")
    end(ec2, first["InstanceId"], second["InstanceId"])
    assert refusal(run, ec2, image, **other) == ""


def test_a_group_in_use_stays(ec2: Any, image: str) -> None:
    ec2.create_placement_group(GroupName="near", Strategy="cluster")
    made = run_one(ec2, image, Placement={"GroupName": "near"})["InstanceId"]
    assert refusal(ec2.delete_placement_group, GroupName="near") == "InvalidPlacementGroup.InUse"
    end(ec2, made)
    assert refusal(ec2.delete_placement_group, GroupName="near") == ""
    assert ec2.describe_placement_groups()["PlacementGroups"] == []


def test_partitions_are_filled_in_turn(ec2: Any, image: str) -> None:
    made = ec2.create_placement_group(GroupName="parts", Strategy="partition", PartitionCount=3)["PlacementGroup"]
    assert made["PartitionCount"] == 3
    found = [
        described(ec2, item["InstanceId"])["Placement"]["PartitionNumber"]
        for item in run(ec2, image, 4, Placement={"GroupName": "parts"})
    ]
    assert found == [1, 2, 3, 1]
    asked = {"GroupName": "more", "Strategy": "partition", "PartitionCount": 8}
    assert refusal(ec2.create_placement_group, **asked) == "InvalidParameterValue"
    assert refusal(ec2.create_placement_group, **{**asked, "Strategy": "spread"}) == "InvalidParameterCombination"


def test_a_spread_group_has_seven_in_a_zone(ec2: Any, image: str) -> None:
    ec2.create_placement_group(GroupName="apart", Strategy="spread")
    place = {"Placement": {"GroupName": "apart", "AvailabilityZone": "us-east-1a"}}
    run(ec2, image, 7, **place)
    assert refusal(run, ec2, image, **place) == "InsufficientInstanceCapacity"
    place["Placement"]["AvailabilityZone"] = "us-east-1b"
    assert refusal(run, ec2, image, **place) == ""


def endpoint(ec2: Any, subnet: str, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = ec2.create_instance_connect_endpoint(SubnetId=subnet, **more)["InstanceConnectEndpoint"]
    return found


def test_an_endpoint_takes_time_to_come_and_to_go(twin: TwinProcess, ec2: Any) -> None:
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    group = ec2.create_security_group(GroupName="door", Description="d")["GroupId"]
    made = endpoint(ec2, subnet, SecurityGroupIds=[group])
    assert made["State"] == "create-in-progress"
    assert refusal(ec2.delete_security_group, GroupId=group) == "DependencyViolation"
    identity = made["InstanceConnectEndpointId"]

    def states() -> list[str]:
        found = ec2.describe_instance_connect_endpoints()["InstanceConnectEndpoints"]
        return [item["State"] for item in found]

    seen = [states() for _ in range(40)]
    assert seen[0] == ["create-in-progress"]
    assert seen[-1] == ["create-complete"]
    assert refusal(ec2.create_instance_connect_endpoint, SubnetId=subnet) != ""
    ec2.delete_instance_connect_endpoint(InstanceConnectEndpointId=identity)
    assert states() == ["delete-in-progress"]
    twin.ask("advance", seconds=600)
    assert states() == []
    assert refusal(ec2.delete_security_group, GroupId=group) == ""
    assert twin.ask("left")["interfaces"] == []
    gone = refusal(ec2.delete_instance_connect_endpoint, InstanceConnectEndpointId=identity)
    assert gone == "InvalidInstanceConnectEndpointId.NotFound"


def test_the_same_token_makes_one_endpoint_and_five_are_the_most(ec2: Any) -> None:
    subnets = []
    for number in range(6):
        vpc = ec2.create_vpc(CidrBlock=f"10.{number}.0.0/16")["Vpc"]["VpcId"]
        subnets.append(ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.{number}.0.0/24")["Subnet"]["SubnetId"])
    first = endpoint(ec2, subnets[0], ClientToken="once")
    assert endpoint(ec2, subnets[0], ClientToken="once") == first
    for subnet in subnets[1:5]:
        endpoint(ec2, subnet)
    assert refusal(endpoint, ec2, subnets[5]) == "InstanceConnectEndpointLimitExceeded"
