"""How instances are reached and opened, and what groups show of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from launchbay.planning.ingress import lets_from, lets_out, networks_let_in
from launchbay.planning.way import Endpoint, Way, auth_costs, carries_connect, reach_costs, why_shut

ENDPOINT = Endpoint(id="eice-1", name="eice-1.example", subnet="subnet-1", groups=("sg-e",))
KEEPING = Endpoint(id="eice-1", name="eice-1.example", subnet="subnet-1", groups=("sg-e",), keeps_client=True)


def rule(protocol: str = "tcp", low: int = 22, high: int = 22, **peers: Any) -> dict[str, Any]:
    named = {"network": ("IpRanges", "CidrIp"), "group": ("UserIdGroupPairs", "GroupId")}
    ports = {} if protocol == "-1" else {"FromPort": low, "ToPort": high}
    return {"IpProtocol": protocol, **ports, **{named[key][0]: [{named[key][1]: item}] for key, item in peers.items()}}


def group(*rules: dict[str, Any], out: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"GroupId": "sg-own", "IpPermissions": list(rules), "IpPermissionsEgress": [out] if out else []}


OPEN = group(out=rule("-1", network="0.0.0.0/0"))


@pytest.mark.parametrize(
    ("system", "carries"),
    [
        ("Ubuntu 20.04", True),
        ("Ubuntu 24.04", True),
        ("Ubuntu 18.04", False),
        ("Amazon Linux 2023", True),
        ("Amazon Linux 2", True),
        ("Debian 12", False),
        (None, False),
    ],
)
def test_which_systems_take_one_time_keys(system: str | None, *, carries: bool) -> None:
    assert carries_connect(system) is carries


@pytest.mark.parametrize(
    ("out", "shut"),
    [
        (rule("-1", network="0.0.0.0/0"), False),
        (rule(group="sg-own"), False),
        (rule(low=0, high=65535, network="10.0.0.0/8"), False),
        (rule("6", network="10.0.0.0/8"), False),
        (rule(low=443, high=443, network="0.0.0.0/0"), True),
        (rule("udp", network="0.0.0.0/0"), True),
        (None, True),
    ],
)
def test_an_endpoint_leads_out_where_its_group_lets_it(out: dict[str, Any] | None, *, shut: bool) -> None:
    why = why_shut(ENDPOINT, [group(out=out)], [])
    assert why == ("its security group sg-e lets nothing out to port 22" if shut else "")


@pytest.mark.parametrize(
    ("own", "shut"),
    [
        ((rule(group="sg-e"),), False),
        ((rule("-1", group="sg-e"),), False),
        ((rule(network="10.0.0.0/8"),), False),
        ((rule(group="sg-other"),), True),
        ((rule(low=80, high=80, group="sg-e"),), True),
        ((rule(network="0.0.0.0/0"),), False),
        ((rule(network="203.0.113.0/24"),), True),
        ((rule(low=80, high=80, network="10.0.0.0/8"),), True),
        ((), True),
    ],
)
def test_groups_of_ones_own_have_to_let_an_endpoint_in(own: tuple[dict[str, Any], ...], *, shut: bool) -> None:
    why = why_shut(ENDPOINT, [OPEN], [group(*own)])
    assert why == ("sg-own does not let in port 22 from its security group sg-e" if shut else "")
    assert not why_shut(KEEPING, [OPEN], [group(*own)])  # its client's address counts there, which is not known


def test_ports_and_peers_are_told_apart() -> None:
    groups = [group(rule(network="10.0.0.0/8"), rule(low=80, high=80, network="192.0.2.0/24"), rule(group="sg-e"))]
    assert [str(item) for item in networks_let_in(groups)] == ["10.0.0.0/8", "192.0.2.0/24"]
    assert [str(item) for item in networks_let_in(groups, 22)] == ["10.0.0.0/8"]
    assert lets_from(groups, 22, ["sg-e"])
    assert not lets_from(groups, 80, ["sg-e"])
    assert not lets_out(groups, 22)


def test_who_comes_through_an_endpoint() -> None:
    assert Way(networks=(), endpoint=ENDPOINT).peers == ("sg-e",)
    assert Way(networks=("192.0.2.1/32",), endpoint=KEEPING).peers == ()
    assert Way(networks=("192.0.2.1/32",)).peers == ()
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
