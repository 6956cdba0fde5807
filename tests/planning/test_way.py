"""How instances are reached and opened, and what groups show of it."""

from __future__ import annotations

from decimal import Decimal
from ipaddress import ip_network
from typing import Any

import pytest

from launchbay.planning.ingress import lets_from, lets_out, networks_let_in
from launchbay.planning.way import Endpoint, Way, auth_costs, carries_connect, reach_costs, why_shut

ENDPOINT = Endpoint(id="eice-1", name="eice-1.example", subnet="subnet-1", groups=("sg-e",), addresses=("10.0.0.9",))
KEEPING = Endpoint(
    id="eice-1", name="eice-1.example", subnet="subnet-1", groups=("sg-e",), addresses=("10.0.0.9",), keeps_client=True
)


def rule(protocol: str = "tcp", low: int = 22, high: int = 22, **peers: Any) -> dict[str, Any]:
    named = {"network": ("IpRanges", "CidrIp"), "group": ("UserIdGroupPairs", "GroupId")}
    ports = {} if protocol == "-1" else {"FromPort": low, "ToPort": high}
    return {"IpProtocol": protocol, **ports, **{named[key][0]: [{named[key][1]: item}] for key, item in peers.items()}}


def group(*rules: dict[str, Any], out: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"GroupId": "sg-own", "IpPermissions": list(rules), "IpPermissionsEgress": [out] if out else []}


@pytest.mark.parametrize(
    ("system", "name", "carries"),
    [
        ("Ubuntu 20.04", "Deep Learning Base AMI (Ubuntu 20.04)", True),
        ("Ubuntu 24.04", "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-1", True),
        ("Ubuntu 24.04", "ubuntu-minimal/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-minimal-1", False),
        ("Ubuntu 18.04", "Deep Learning AMI (Ubuntu 18.04)", False),
        ("Amazon Linux 2023", "al2023-ami-2023.1-x86_64", True),
        ("Amazon Linux 2023", "al2023-ami-minimal-2023.1-x86_64", False),
        ("Amazon Linux 2023", "al2023-ami-ecs-hvm-2023.1-x86_64", False),
        ("Amazon Linux 2", "amzn2-ami-hvm-2.0-x86_64-gp2", True),
        ("Debian 12", "debian-12", False),
        (None, "somebody's (Ubuntu 22.04)", False),
    ],
)
def test_which_images_take_one_time_keys(system: str | None, name: str, *, carries: bool) -> None:
    assert carries_connect(system, name) is carries


def shut(endpoint: Endpoint, out: dict[str, Any] | None, *own: dict[str, Any]) -> str:
    groups = [group(*own)] if own else []
    return why_shut(endpoint, [group(out=out)], groups, blocks=["10.0.0.0/20"], caller="8.8.8.8/32")


@pytest.mark.parametrize(
    ("out", "is_shut"),
    [
        (rule("-1", network="0.0.0.0/0"), False),
        (rule(low=0, high=65535, network="10.0.0.0/8"), False),
        (rule("6", network="10.0.1.0/24"), False),
        ({**rule(), "PrefixListIds": [{"PrefixListId": "pl-1"}]}, False),  # what is in it stands nowhere here
        (rule(network="10.1.0.0/16"), True),
        (rule(group="sg-other"), True),  # which a group of ours is no member of
        (rule(low=443, high=443, network="0.0.0.0/0"), True),
        (rule("udp", network="0.0.0.0/0"), True),
        (None, True),
    ],
)
def test_an_endpoint_leads_where_its_group_lets_it(out: dict[str, Any] | None, *, is_shut: bool) -> None:
    why = shut(ENDPOINT, out)
    assert why == ("its security group sg-e lets nothing out to port 22 of 10.0.0.0/20" if is_shut else "")


def test_an_endpoint_may_be_let_out_to_groups_of_ones_own() -> None:
    assert not shut(ENDPOINT, rule(group="sg-own"), rule(group="sg-e"))
    assert shut(ENDPOINT, rule(group="sg-other"), rule(group="sg-e"))


def test_every_subnet_has_to_be_led_to() -> None:
    out = [group(out=rule(network="10.0.0.0/20"))]
    why = why_shut(ENDPOINT, out, [], blocks=["10.0.0.0/20", "10.0.16.0/20"])
    assert why == "its security group sg-e lets nothing out to port 22 of 10.0.16.0/20"


ANYWHERE = rule("-1", network="0.0.0.0/0")


@pytest.mark.parametrize(
    ("own", "is_shut", "is_shut_keeping"),
    [
        (rule(group="sg-e"), False, False),
        (rule("-1", group="sg-e"), False, False),
        (rule(network="10.0.0.0/8"), False, True),
        (rule(network="0.0.0.0/0"), False, False),
        (rule(network="10.0.0.9/32"), False, True),
        (rule(network="10.1.0.0/16"), True, True),
        (rule(network="192.168.0.0/16"), True, True),
        (rule(network="8.8.8.0/24"), True, False),
        (rule(group="sg-other"), True, True),
        ({**rule(), "PrefixListIds": [{"PrefixListId": "pl-1"}]}, False, False),  # what is in it stands nowhere here
        (rule(low=80, high=80, group="sg-e"), True, True),
        (rule(low=80, high=80, network="10.0.0.0/8"), True, True),
    ],
)
def test_groups_of_ones_own_have_to_let_it_in(own: dict[str, Any], *, is_shut: bool, is_shut_keeping: bool) -> None:
    why = shut(ENDPOINT, ANYWHERE, own)
    assert why == ("sg-own does not let in port 22 from 10.0.0.9/32" if is_shut else "")
    why = shut(KEEPING, ANYWHERE, own)  # which shows its clients' addresses
    assert why == ("sg-own does not let in port 22 from 8.8.8.8/32" if is_shut_keeping else "")


def test_ports_and_peers_are_told_apart() -> None:
    groups = [group(rule(network="10.0.0.0/8"), rule(low=80, high=80, network="192.0.2.0/24"), rule(group="sg-e"))]
    assert [str(item) for item in networks_let_in(groups)] == ["10.0.0.0/8", "192.0.2.0/24"]
    assert [str(item) for item in networks_let_in(groups, 22)] == ["10.0.0.0/8"]
    assert lets_from(groups, 22, ["sg-e"])
    assert not lets_from(groups, 80, ["sg-e"])
    assert not lets_out(groups, 22, ip_network("0.0.0.0/0"), ["sg-e"])


def test_who_comes_through_an_endpoint() -> None:
    assert Way(networks=("192.0.2.1/32",), endpoint=ENDPOINT).let_in == ("192.0.2.1/32", "10.0.0.9/32")
    assert Way(networks=("192.0.2.1/32",), endpoint=KEEPING).let_in == ("192.0.2.1/32",)
    assert Way(networks=("192.0.2.1/32",)).let_in == ("192.0.2.1/32",)
    assert (Way(networks=()).reach, Way(networks=()).auth) == ("address", "injected")
    found = Way(networks=(), endpoint=ENDPOINT, is_one_time=True)
    assert (found.reach, found.auth) == ("endpoint", "one-time")


@pytest.mark.parametrize(
    ("endpoint", "usd", "has_address", "says"),
    [
        (None, "0.8", True, "the public addresses (0.80 USD at most), and a port that those networks can try"),
        (None, None, True, "the public addresses (at a price that is not known), and a port"),
        (None, None, False, "nothing; only from where their network can be reached"),
        (ENDPOINT, "0.8", True, "your rights on AWS; the public addresses are their way out (0.80 USD at most)"),
        (
            ENDPOINT,
            None,
            False,
            "nothing; 20 connections at a time, each for an hour at most, with your rights on AWS",
        ),
    ],
)
def test_what_reaching_costs_is_said(
    endpoint: Endpoint | None, usd: str | None, says: str, *, has_address: bool
) -> None:
    way = Way(networks=(), endpoint=endpoint)
    assert says in reach_costs(way, address_usd=Decimal(usd) if usd else None, has_address=has_address)


def test_what_opening_costs_is_said() -> None:
    assert "each connection asks AWS" in auth_costs(Way(networks=(), is_one_time=True))
    assert "whoever has the key comes in" in auth_costs(Way(networks=()))
