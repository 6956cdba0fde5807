"""Where a launch on the twin is put, what its interfaces are, and whether it gets a public address."""

from __future__ import annotations

from typing import Any

import pytest

from tests.twin.rules.launching import described, end, make_image, message, refusal, run, run_one
from tests.twin_process import TwinProcess


@pytest.fixture
def image(ec2: Any) -> str:
    return make_image(ec2)


def default_subnet(ec2: Any, zone: str = "us-east-1a") -> str:
    wanted = [{"Name": "default-for-az", "Values": ["true"]}, {"Name": "availability-zone", "Values": [zone]}]
    return str(ec2.describe_subnets(Filters=wanted)["Subnets"][0]["SubnetId"])


def small_subnet(ec2: Any) -> str:
    """Make a subnet of eleven addresses: sixteen less the five that EC2 keeps."""
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    made = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/28", AvailabilityZone="us-east-1a")
    return str(made["Subnet"]["SubnetId"])


def test_every_zone_has_a_default_subnet(ec2: Any) -> None:
    zones = {zone["ZoneName"] for zone in ec2.describe_availability_zones()["AvailabilityZones"]}
    subnets = ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]
    assert {subnet["AvailabilityZone"] for subnet in subnets} == zones
    assert len(subnets) == len(zones) > 1
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]
    assert {subnet["VpcId"] for subnet in subnets} == {vpc["VpcId"]}


def test_a_zone_alone_means_its_default_subnet(ec2: Any, image: str) -> None:
    made = run_one(ec2, image, Placement={"AvailabilityZone": "us-east-1b"})
    assert made["SubnetId"] == default_subnet(ec2, "us-east-1b")
    assert made["PrivateIpAddress"].startswith("172.31.")


def test_without_a_default_vpc_a_subnet_must_be_named(ec2: Any, image: str) -> None:
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    for subnet in ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]:
        ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    assert refusal(run, ec2, image) == "MissingInput"
    ec2.delete_vpc(VpcId=vpc)
    assert refusal(run, ec2, image) == "VPCIdNotSpecified"
    assert "No default VPC for this user" in message(run, ec2, image)
    assert run_one(ec2, image, SubnetId=small_subnet(ec2))["PrivateIpAddress"].startswith("10.0.0.")


def test_a_zone_that_is_not_the_subnets_is_refused(ec2: Any, image: str) -> None:
    asked = {"SubnetId": default_subnet(ec2, "us-east-1a"), "Placement": {"AvailabilityZone": "us-east-1b"}}
    assert refusal(run, ec2, image, **asked) == "InvalidParameterCombination"


def test_a_full_subnet_is_refused_and_nothing_is_launched(ec2: Any, image: str) -> None:
    subnet = small_subnet(ec2)
    run(ec2, image, 8, SubnetId=subnet)
    assert refusal(run, ec2, image, 4, SubnetId=subnet) == "InsufficientFreeAddressesInSubnet"
    assert ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["AvailableIpAddressCount"] == 3
    made = run(ec2, image, 3, SubnetId=subnet)
    assert refusal(run, ec2, image, SubnetId=subnet) == "InsufficientFreeAddressesInSubnet"
    end(ec2, made[0]["InstanceId"])
    assert refusal(run, ec2, image, SubnetId=subnet) == ""


def test_a_private_address_must_be_free_and_the_subnets(ec2: Any, image: str) -> None:
    subnet = small_subnet(ec2)
    assert run_one(ec2, image, SubnetId=subnet, PrivateIpAddress="10.0.0.9")["PrivateIpAddress"] == "10.0.0.9"
    assert refusal(run, ec2, image, SubnetId=subnet, PrivateIpAddress="10.0.0.9") == "InvalidIPAddress.InUse"
    assert refusal(run, ec2, image, SubnetId=subnet, PrivateIpAddress="10.9.0.9") == "InvalidParameterValue"


def test_a_default_subnet_gives_a_public_address_and_another_none(ec2: Any, image: str) -> None:
    assert run_one(ec2, image)["PublicIpAddress"]
    private = run_one(ec2, image, SubnetId=small_subnet(ec2))
    assert not private.get("PublicIpAddress")
    assert not private.get("PublicDnsName")


def test_a_call_decides_over_the_public_address(ec2: Any, image: str) -> None:
    without = [{"DeviceIndex": 0, "AssociatePublicIpAddress": False}]
    assert not run_one(ec2, image, NetworkInterfaces=without).get("PublicIpAddress")
    with_one = [{"DeviceIndex": 0, "AssociatePublicIpAddress": True, "SubnetId": small_subnet(ec2)}]
    assert run_one(ec2, image, NetworkInterfaces=with_one)["PublicIpAddress"]


def test_a_subnet_that_maps_none_gives_none(ec2: Any, image: str) -> None:
    subnet = default_subnet(ec2)
    ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": False})
    assert not run_one(ec2, image, SubnetId=subnet).get("PublicIpAddress")


def test_interfaces_and_a_launch_as_a_whole_do_not_go_together(ec2: Any, image: str) -> None:
    group = ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"][0]["GroupId"]
    one = {"NetworkInterfaces": [{"DeviceIndex": 0}]}
    for other in ({"SubnetId": default_subnet(ec2)}, {"SecurityGroupIds": [group]}):
        assert refusal(run, ec2, image, **one, **other) == "InvalidParameterCombination"


def test_a_public_address_needs_a_single_interface(ec2: Any, image: str) -> None:
    two = [{"DeviceIndex": 0, "AssociatePublicIpAddress": True}, {"DeviceIndex": 1}]
    assert refusal(run, ec2, image, NetworkInterfaces=two) == "InvalidParameterCombination"
    del two[0]["AssociatePublicIpAddress"]
    made = run_one(ec2, image, NetworkInterfaces=two)
    assert not made.get("PublicIpAddress")
    assert len(made["NetworkInterfaces"]) == 2


def test_every_network_card_keeps_its_interface(ec2: Any, image: str) -> None:
    asked: list[dict[str, Any]] = [{"NetworkCardIndex": 0, "DeviceIndex": 0, "InterfaceType": "efa"}]
    asked += [{"NetworkCardIndex": number, "DeviceIndex": 1, "InterfaceType": "efa-only"} for number in range(1, 4)]
    made = run_one(ec2, image, InstanceType="p4d.24xlarge", NetworkInterfaces=list(reversed(asked)))
    shown = [
        (item["Attachment"]["NetworkCardIndex"], item["Attachment"]["DeviceIndex"], item["InterfaceType"])
        for item in described(ec2, made["InstanceId"])["NetworkInterfaces"]
    ]
    assert shown == [(0, 0, "efa"), (1, 1, "efa-only"), (2, 1, "efa-only"), (3, 1, "efa-only")]
    listed = ec2.describe_network_interfaces()["NetworkInterfaces"]
    assert [bool(item.get("PrivateIpAddress")) for item in listed].count(True) == 1
    end(ec2, made["InstanceId"])
    assert ec2.describe_network_interfaces()["NetworkInterfaces"] == []


def test_efa_needs_a_type_that_has_it(ec2: Any, image: str) -> None:
    one = [{"DeviceIndex": 0, "InterfaceType": "efa"}]
    assert refusal(run, ec2, image, InstanceType="m5.large", NetworkInterfaces=one) == "InvalidParameterCombination"
    five = [{"NetworkCardIndex": number, "DeviceIndex": int(number > 0), "InterfaceType": "efa"} for number in range(5)]
    asked = {"InstanceType": "p4d.24xlarge", "NetworkInterfaces": five}
    assert refusal(run, ec2, image, **asked) == "AttachmentLimitExceeded"


def test_interfaces_are_tagged_and_end_or_stay_as_asked(ec2: Any, image: str, twin: TwinProcess) -> None:
    tags = [{"ResourceType": "network-interface", "Tags": [{"Key": "run", "Value": "1"}]}]
    usual = run_one(ec2, image, TagSpecifications=tags)
    kept = run_one(
        ec2, image, TagSpecifications=tags, NetworkInterfaces=[{"DeviceIndex": 0, "DeleteOnTermination": False}]
    )
    assert usual["NetworkInterfaces"][0]["Attachment"]["DeleteOnTermination"] is True
    assert kept["NetworkInterfaces"][0]["Attachment"]["DeleteOnTermination"] is False
    found = ec2.describe_network_interfaces(Filters=[{"Name": "tag:run", "Values": ["1"]}])["NetworkInterfaces"]
    assert len(found) == 2
    end(ec2, usual["InstanceId"], kept["InstanceId"])
    left = ec2.describe_network_interfaces(Filters=[{"Name": "status", "Values": ["available"]}])["NetworkInterfaces"]
    assert [item["NetworkInterfaceId"] for item in left] == [kept["NetworkInterfaces"][0]["NetworkInterfaceId"]]
    ec2.delete_network_interface(NetworkInterfaceId=left[0]["NetworkInterfaceId"])
    assert twin.ask("left")["interfaces"] == []
