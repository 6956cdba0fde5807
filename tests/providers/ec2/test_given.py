"""What a company has already, looked at on the twin before a launch uses it."""

from __future__ import annotations

from typing import Any

import pytest

from launchbay.errors import NotFound, UsageError, UserError
from launchbay.providers.ec2.client import Client, open_client
from launchbay.providers.ec2.given import (
    OpenTo,
    check_groups,
    check_key_pair,
    check_profile,
    check_subnet,
)
from launchbay.providers.ec2.groups import default_vpc
from tests.providers.ec2.test_instances import KEY
from tests.providers.ec2.watching import limited
from tests.twin_process import TwinProcess


@pytest.fixture
def client(twin: TwinProcess) -> Client:
    return open_client("us-east-1", endpoint=twin.url, keys=("twin", "twin"))


@pytest.fixture
def vpc(client: Client) -> str:
    return default_vpc(client)


# --- the subnet -------------------------------------------------------------------------------------------------------


def test_a_subnet_says_where_it_is_and_whether_it_gives_addresses(ec2: Any, client: Client, vpc: str) -> None:
    default = ec2.describe_subnets(Filters=[{"Name": "availability-zone", "Values": ["us-east-1b"]}])["Subnets"][0]
    found = check_subnet(client, default["SubnetId"])
    assert (found.vpc, found.zone, found.gives_public) == (vpc, "us-east-1b", True)
    assert found.free == default["AvailableIpAddressCount"] > 1000
    own = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    made = ec2.create_subnet(VpcId=own, CidrBlock="10.9.1.0/24", AvailabilityZone="us-east-1c")["Subnet"]["SubnetId"]
    private = check_subnet(client, made)
    assert (private.vpc, private.zone, private.gives_public) == (own, "us-east-1c", False)


def test_a_subnet_that_is_not_there_says_where_to_look(client: Client) -> None:
    with pytest.raises(NotFound, match="subnet-0123456789abcdef0 is not there") as caught:
        check_subnet(client, "subnet-0123456789abcdef0")
    assert "aws ec2 describe-subnets --region us-east-1" in caught.value.hint
    with pytest.raises(UsageError, match="must look like subnet-"):
        check_subnet(client, "my-subnet")


# --- groups -----------------------------------------------------------------------------------------------------------


def group(ec2: Any, vpc: str, name: str, *rules: dict[str, Any]) -> str:
    made: str = ec2.create_security_group(GroupName=name, Description="a company's own", VpcId=vpc)["GroupId"]
    if rules:
        ec2.authorize_security_group_ingress(GroupId=made, IpPermissions=list(rules))
    return made


def tcp(low: int, high: int, *networks: str) -> dict[str, Any]:
    old = [{"CidrIp": item} for item in networks if ":" not in item]
    new = [{"CidrIpv6": item} for item in networks if ":" in item]
    return {"IpProtocol": "tcp", "FromPort": low, "ToPort": high, "IpRanges": old, "Ipv6Ranges": new}


def test_what_groups_let_in_is_said_rule_by_rule(ec2: Any, client: Client, vpc: str) -> None:
    first = group(ec2, vpc, "office", tcp(22, 22, "203.0.113.0/24", "2001:db8::/48"))
    within = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": first}]}
    listed = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 90, "PrefixListIds": [{"PrefixListId": "pl-12345678"}]}
    second = group(ec2, vpc, "inside", within, listed)
    found = check_groups(client, [first, second], vpc)
    assert OpenTo(group=first, protocol="tcp", low=22, high=22, who="203.0.113.0/24") in found
    assert {str(item) for item in found} == {
        f"{first} lets 203.0.113.0/24 in at tcp 22",
        f"{first} lets 2001:db8::/48 in at tcp 22",
        f"{second} lets members of {first} in at every port (all)",
        f"{second} lets what pl-12345678 lists in at tcp 80-90",
    }
    assert check_groups(client, [group(ec2, vpc, "shut")], vpc) == ()
    assert check_groups(client, [], vpc) == ()


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (tcp(22, 22, "0.0.0.0/0"), "tcp 22 over IPv4"),
        (tcp(22, 22, "::/0"), "tcp 22 over IPv6"),
        (tcp(22, 22, "0.0.0.0/1", "128.0.0.0/1"), "tcp 22 over IPv4"),
        (tcp(6000, 6010, "0.0.0.0/0"), "tcp 6000-6010 over IPv4"),
        (tcp(8888, 8888, "0.0.0.0/0"), "tcp 8888 over IPv4"),
        ({"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}, "every port (tcp, IPv4)"),
        (
            {"IpProtocol": "udp", "FromPort": 0, "ToPort": 65535, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
            "every port (udp, IPv4)",
        ),
    ],
)
def test_what_is_open_to_everybody_is_refused_unless_forced(
    ec2: Any, client: Client, vpc: str, rule: dict[str, Any], said: str
) -> None:
    made = group(ec2, vpc, "wide", rule)
    with pytest.raises(UserError, match="let everybody in at") as caught:
        check_groups(client, [made], vpc)
    assert said in caught.value.what
    assert made in caught.value.what
    assert "--allow-anyone" in caught.value.hint
    assert check_groups(client, [made], vpc, is_forced=True)


def test_two_groups_are_judged_together(ec2: Any, client: Client, vpc: str) -> None:
    low = group(ec2, vpc, "low", tcp(22, 22, "0.0.0.0/1"), tcp(443, 443, "0.0.0.0/0"))
    high = group(ec2, vpc, "high", tcp(22, 22, "128.0.0.0/1"))
    with pytest.raises(UserError, match="tcp 22"):
        check_groups(client, [low, high], vpc)
    web = check_groups(client, [group(ec2, vpc, "web", tcp(443, 443, "0.0.0.0/0"))], vpc)
    assert [str(item).partition(" lets ")[2] for item in web] == ["0.0.0.0/0 in at tcp 443"]


def test_a_group_that_is_elsewhere_or_nowhere_is_said(ec2: Any, client: Client, vpc: str) -> None:
    other = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    made = group(ec2, other, "theirs")
    with pytest.raises(UserError, match=f"{made} is of {other}, and the subnet of {vpc}"):
        check_groups(client, [made], vpc)
    with pytest.raises(NotFound, match="sg-0123456789abcdef0"):
        check_groups(client, ["sg-0123456789abcdef0"], vpc)
    with pytest.raises(UsageError, match="must look like sg-"):
        check_groups(client, ["launch-wizard-1"], vpc)


# --- the profile and the key ------------------------------------------------------------------------------------------


def test_a_profile_is_found_by_its_name_or_arn(twin: TwinProcess, client: Client) -> None:
    iam = twin.client("iam")
    made = iam.create_instance_profile(InstanceProfileName="train", Path="/team/")["InstanceProfile"]["Arn"]
    iam.create_role(RoleName="reads", AssumeRolePolicyDocument="{}")
    iam.add_role_to_instance_profile(InstanceProfileName="train", RoleName="reads")
    for said in ("train", made):
        found = check_profile(client, said)
        assert (found.name, found.arn, found.roles) == ("train", made, ("reads",))
    with pytest.raises(NotFound, match="is not in this account"):
        check_profile(client, made.replace("123456789012", "999999999999"))
    with pytest.raises(NotFound, match="no instance profile 'other'") as caught:
        check_profile(client, "other")
    assert "aws iam list-instance-profiles" in caught.value.hint
    with pytest.raises(UsageError, match="is no instance profile"):
        check_profile(client, "arn:aws:iam::123456789012:role/reads")


def test_a_profile_that_may_not_be_looked_at_is_not_called_missing(twin: TwinProcess) -> None:
    limited(twin, allow=["ec2:DescribeVpcs"])
    key = twin.client("iam").create_access_key(UserName="engineer")["AccessKey"]["AccessKeyId"]
    found = check_profile(open_client("us-east-1", endpoint=twin.url, keys=(key, "secret")), "train")
    assert (found.name, found.roles) == ("train", None)


def test_a_key_pair_is_there_or_not(ec2: Any, client: Client) -> None:
    ec2.import_key_pair(KeyName="mine", PublicKeyMaterial=KEY.encode())
    found = check_key_pair(client, "mine")
    assert (found.name, found.type) == ("mine", "ed25519")
    with pytest.raises(NotFound, match="the key pair 'yours' is not there") as caught:
        check_key_pair(client, "yours")
    assert "another region" in caught.value.hint
