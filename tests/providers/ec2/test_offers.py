"""What a region has, asked of the twin."""

from __future__ import annotations

import pytest

from launchbay.catalog.snapshot import load_snapshot
from launchbay.errors import NotFound, UserError
from launchbay.providers.ec2.client import Client, open_client
from launchbay.providers.ec2.offers import list_offers, quota_limit, read_network, used_vcpus
from tests.twin_process import TwinProcess

IMAGE = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
CATALOGUE = load_snapshot(["us-east-1"])
G, STANDARD = "L-DB2E81BA", "L-1216C47A"


@pytest.fixture
def client(twin: TwinProcess) -> Client:
    return open_client("us-east-1", endpoint=twin.url, keys=("twin", "twin"))


def test_a_type_is_offered_by_zone_and_market_with_its_price(client: Client) -> None:
    types = [CATALOGUE.types[name] for name in ("g5.xlarge", "p3.2xlarge")]
    offers = list_offers(client, types, CATALOGUE, markets=["on-demand", "spot"])
    mine = [item for item in offers if item.type.name == "g5.xlarge" and item.market == "on-demand"]
    assert mine
    assert {str(item.usd_per_hour) for item in mine} == {"1.006"}
    assert all(item.zone.startswith("us-east-1") for item in offers)
    assert {item.usd_per_hour for item in offers if item.market == "spot"} == {
        None
    }  # the catalogue knows no spot price
    assert len({(item.zone, item.type.name, item.market) for item in offers}) == len(offers)
    assert client.calls == {"ec2:describe_instance_type_offerings": 1}


def test_every_zone_of_the_default_network_has_its_subnet(client: Client) -> None:
    found = read_network(client)
    assert len(found.subnets) >= 3
    assert all(identity.startswith("subnet-") for identity in found.subnets.values())
    assert found.gives_address
    assert client.calls == {"ec2:describe_subnets": 1}


def test_a_subnet_of_ones_own_says_its_network(twin: TwinProcess, client: Client) -> None:
    ec2 = twin.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    made = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24", AvailabilityZone="us-east-1b")["Subnet"]["SubnetId"]
    found = read_network(client, made)
    assert (found.vpc, dict(found.subnets), found.gives_address) == (vpc, {"us-east-1b": made}, False)


def test_a_network_that_is_not_there(twin: TwinProcess, client: Client) -> None:
    with pytest.raises(NotFound, match="there is no subnet subnet-0123456789abcdef0"):
        read_network(client, "subnet-0123456789abcdef0")
    ec2 = twin.client("ec2")
    for identity in read_network(client).subnets.values():
        ec2.delete_subnet(SubnetId=identity)
    with pytest.raises(UserError, match="has no default network"):
        read_network(client)


def test_a_quota_is_what_the_account_has(twin: TwinProcess, client: Client) -> None:
    twin.ask("quota", region="us-east-1", code=G, vcpus=8)
    assert quota_limit(client, G) == 8
    assert quota_limit(client, "L-00000000") is None


def test_a_quota_that_may_not_be_asked_is_unknown(twin: TwinProcess, client: Client) -> None:
    twin.ask("fault", name="unauthorized", action="service-quotas:GetServiceQuota", count=9)
    assert quota_limit(client, G) is None


def test_what_runs_counts_against_its_quota_whoever_launched_it(twin: TwinProcess, client: Client) -> None:
    ec2 = twin.client("ec2")
    ec2.run_instances(ImageId=IMAGE, MinCount=2, MaxCount=2, InstanceType="g5.xlarge")
    ec2.run_instances(ImageId=IMAGE, MinCount=1, MaxCount=1, InstanceType="c5.large")
    ec2.run_instances(
        ImageId=IMAGE, MinCount=1, MaxCount=1, InstanceType="g5.xlarge", InstanceMarketOptions={"MarketType": "spot"}
    )
    assert (used_vcpus(client, CATALOGUE, G), used_vcpus(client, CATALOGUE, STANDARD)) == (8, 2)
