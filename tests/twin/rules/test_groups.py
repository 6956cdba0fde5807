"""Security groups on the twin: their rules, who is let in, and that one in use stays."""

from __future__ import annotations

from typing import Any

import pytest

from tests.twin.rules.launching import described, end, make_image, message, refusal, run_one
from tests.twin_process import TwinProcess


def ssh(*cidrs: str, first: int = 22, last: int = 22, protocol: str = "tcp") -> list[dict[str, Any]]:
    return [{"IpProtocol": protocol, "FromPort": first, "ToPort": last, "IpRanges": [{"CidrIp": one} for one in cidrs]}]


@pytest.fixture
def group(ec2: Any) -> str:
    return str(ec2.create_security_group(GroupName="bay", Description="of a test")["GroupId"])


def test_a_group_in_use_stays_until_the_instance_is_gone(ec2: Any, group: str) -> None:
    instance = run_one(ec2, make_image(ec2), SecurityGroupIds=[group])["InstanceId"]
    assert refusal(ec2.delete_security_group, GroupId=group) == "DependencyViolation"
    assert message(ec2.delete_security_group, GroupId=group) == f"resource {group} has a dependent object"
    ec2.terminate_instances(InstanceIds=[instance])
    assert refusal(ec2.delete_security_group, GroupId=group) == "DependencyViolation"  # it is only shutting down
    ec2.get_waiter("instance_terminated").wait(InstanceIds=[instance], WaiterConfig={"Delay": 0})
    assert refusal(ec2.delete_security_group, GroupId=group) == ""


def test_a_group_that_an_interface_has_stays(ec2: Any, group: str) -> None:
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    eni = ec2.create_network_interface(SubnetId=subnet, Groups=[group])["NetworkInterface"]["NetworkInterfaceId"]
    assert refusal(ec2.delete_security_group, GroupId=group) == "DependencyViolation"
    ec2.delete_network_interface(NetworkInterfaceId=eni)
    assert refusal(ec2.delete_security_group, GroupId=group) == ""


def test_a_group_that_another_names_stays_and_one_that_names_itself_goes(ec2: Any, group: str) -> None:
    other = ec2.create_security_group(GroupName="other", Description="o")["GroupId"]
    refers = [{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}]
    ec2.authorize_security_group_ingress(GroupId=other, IpPermissions=refers)
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=refers)
    assert refusal(ec2.delete_security_group, GroupId=group) == "DependencyViolation"
    ec2.revoke_security_group_ingress(GroupId=other, IpPermissions=refers)
    assert refusal(ec2.delete_security_group, GroupId=group) == ""


def test_the_default_group_cannot_be_deleted(ec2: Any) -> None:
    assert refusal(ec2.delete_security_group, GroupName="default") == "CannotDelete"


def test_host_bits_are_cleared_and_the_same_rule_is_a_duplicate(ec2: Any, group: str) -> None:
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=ssh("203.0.113.9/24"))
    shown = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]
    assert [one["CidrIp"] for one in shown[0]["IpRanges"]] == ["203.0.113.0/24"]
    again = {"GroupId": group, "IpPermissions": ssh("203.0.113.0/24")}
    assert refusal(ec2.authorize_security_group_ingress, **again) == "InvalidPermission.Duplicate"
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=ssh("203.0.113.77/24"))
    assert ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"] == []


def test_nothing_is_added_where_a_part_is_refused(ec2: Any, group: str) -> None:
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=ssh("203.0.113.1/32"))
    both = [*ssh("198.51.100.0/24"), *ssh("203.0.113.1/32")]
    assert (
        refusal(ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=both)
        == "InvalidPermission.Duplicate"
    )
    shown = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]
    assert [one["CidrIp"] for item in shown for one in item["IpRanges"]] == ["203.0.113.1/32"]


def test_the_answer_shows_the_rules_of_every_permission(ec2: Any, group: str) -> None:
    both = [*ssh("203.0.113.1/32"), *ssh("203.0.113.2/32", first=80, last=81)]
    answer = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=both)
    assert [(rule["CidrIpv4"], rule["FromPort"]) for rule in answer["SecurityGroupRules"]] == [
        ("203.0.113.1/32", 22),
        ("203.0.113.2/32", 80),
    ]


@pytest.mark.parametrize("cidr", ["203.0.113.0/36", "203.0.113.1", "300.0.0.1/32", "", "2001:db8::/32"])
def test_a_malformed_network_is_refused(ec2: Any, group: str, cidr: str) -> None:
    asked = {"GroupId": group, "IpPermissions": ssh(cidr)}
    assert refusal(ec2.authorize_security_group_ingress, **asked) == "InvalidParameterValue"
    assert message(ec2.authorize_security_group_ingress, **asked) == f"CIDR block {cidr} is malformed"


def test_ports_that_make_no_sense_are_refused(ec2: Any, group: str) -> None:
    without = [{"IpProtocol": "tcp", "IpRanges": [{"CidrIp": "203.0.113.1/32"}]}]
    turned = ssh("203.0.113.1/32", first=90, last=80)
    for permissions in (without, turned):
        asked = {"GroupId": group, "IpPermissions": permissions}
        assert refusal(ec2.authorize_security_group_ingress, **asked) == "InvalidParameterValue"


def test_sixty_rules_are_the_most_for_each_family(ec2: Any, group: str) -> None:
    full = ssh(*(f"203.0.113.{number}/32" for number in range(60)))
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=full)
    one_more = {"GroupId": group, "IpPermissions": ssh("198.51.100.0/24")}
    assert refusal(ec2.authorize_security_group_ingress, **one_more) == "RulesPerSecurityGroupLimitExceeded"
    wide = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "Ipv6Ranges": [{"CidrIpv6": "2001:db8::/32"}]}]
    assert refusal(ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=wide) == ""


def test_an_instance_shows_its_groups_the_default_one_too(ec2: Any, group: str) -> None:
    image = make_image(ec2)
    assert [item["GroupName"] for item in run_one(ec2, image)["SecurityGroups"]] == ["default"]
    named = run_one(ec2, image, NetworkInterfaces=[{"DeviceIndex": 0, "Groups": [group]}])
    assert [item["GroupId"] for item in named["SecurityGroups"]] == [group]
    ec2.modify_instance_attribute(InstanceId=named["InstanceId"], Groups=[group])
    found = described(ec2, named["InstanceId"])
    assert [item["GroupId"] for item in found["NetworkInterfaces"][0]["Groups"]] == [group]


def test_groups_of_an_instance_and_of_its_interface_change_together(ec2: Any, group: str) -> None:
    made = run_one(ec2, make_image(ec2))
    interface = made["NetworkInterfaces"][0]["NetworkInterfaceId"]
    ec2.modify_network_interface_attribute(NetworkInterfaceId=interface, Groups=[group])
    assert [item["GroupId"] for item in described(ec2, made["InstanceId"])["SecurityGroups"]] == [group]
    default = made["SecurityGroups"][0]["GroupId"]
    ec2.modify_instance_attribute(InstanceId=made["InstanceId"], Groups=[default])
    shown = ec2.describe_network_interfaces(NetworkInterfaceIds=[interface])["NetworkInterfaces"][0]["Groups"]
    assert [item["GroupId"] for item in shown] == [default]


def test_a_terminated_instance_holds_no_group(twin: TwinProcess, ec2: Any, group: str) -> None:
    instance = run_one(ec2, make_image(ec2), SecurityGroupIds=[group])["InstanceId"]
    end(ec2, instance)
    assert refusal(ec2.delete_security_group, GroupId=group) == ""
    assert twin.ask("left")["security_groups"] == []
