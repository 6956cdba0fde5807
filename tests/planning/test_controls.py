"""For every control a launch that fails it, and what else that launch fails, for some controls ask the same thing."""

from __future__ import annotations

import base64
import copy
import gzip
import random
from collections.abc import Callable
from typing import Any

import pytest

from launchbay.planning.cloudwish import Volume
from launchbay.planning.controls import Finding, check_controls, failed
from launchbay.planning.ingress import list_open
from launchbay.planning.request import build_request
from tests.planning.wishes import GROUP, group, wish_of

Request = dict[str, Any]
KEY = "-----BEGIN " + "OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r\n-----END " + "OPENSSH PRIVATE KEY-----\n"


def rule(low: int, high: int | None = None, *cidrs: str, protocol: str = "tcp", **more: Any) -> dict[str, Any]:
    return {
        "IpProtocol": protocol,
        "FromPort": low,
        "ToPort": low if high is None else high,
        "IpRanges": [{"CidrIp": item} for item in cidrs if ":" not in item],
        "Ipv6Ranges": [{"CidrIpv6": item} for item in cidrs if ":" in item],
        "UserIdGroupPairs": [],
        "PrefixListIds": [],
        **more,
    }


MINE = rule(22, None, "203.0.113.7/32", "2001:db8::7/128")
ITSELF = {"IpProtocol": "-1", "IpRanges": [], "UserIdGroupPairs": [{"GroupId": GROUP}]}


def outcomes(findings: tuple[Finding, ...]) -> dict[str, str]:
    return {finding.control: finding.outcome for finding in findings}


def failures(request: Request, *groups: dict[str, Any]) -> set[str]:
    return {finding.control for finding in failed(check_controls(request, groups))}


@pytest.mark.parametrize(
    ("changed", "rules", "accepted"),
    [
        ({}, [], set()),
        ({}, [MINE], set()),
        ({"count": 20, "market": "spot"}, [MINE, ITSELF], set()),
        ({"volumes": (Volume(gib=100, mount="/data", is_kept=True),)}, [MINE], set()),
        ({"public_address": True}, [MINE], {"EC2.9"}),
        ({"public_address": True}, [], {"EC2.9"}),
        ({"efa_cards": (0, 1, 2, 3)}, [MINE, ITSELF], {"EC2.17"}),
        ({"efa_cards": (0,)}, [MINE, ITSELF], set()),
        ({"user_data": b"#!/bin/sh\nsystemctl start launchbay\n"}, [rule(22, None, "10.0.0.0/8")], set()),
    ],
)
def test_what_a_wish_means_fails_nothing(changed: Request, rules: list[Any], accepted: set[str]) -> None:
    findings = check_controls(build_request(wish_of(**changed)), [group(*rules)])
    assert failed(findings) == ()
    assert {finding.control for finding in findings if finding.outcome == "accepted"} == accepted
    assert {finding.control for finding in findings if finding.outcome == "advised"} == {
        "EC2.1", "EC2.6", "EC2.7", "EC2.10", "EC2.21",
    }  # fmt: skip
    assert len({finding.control for finding in findings}) == len(findings)
    assert all(finding.sentence and finding.severity for finding in findings)


def _set(*path: Any, value: Any) -> Callable[[Request], None]:
    def change(request: Request) -> None:
        place: Any = request
        for step in path[:-1]:
            place = place[step]
        if value is None:
            del place[path[-1]]
        else:
            place[path[-1]] = value

    return change


_NIC = ("NetworkInterfaces", 0)


@pytest.mark.parametrize(
    ("change", "controls"),
    [
        (_set("BlockDeviceMappings", 0, "Ebs", "Encrypted", value=False), {"EC2.3"}),
        (_set("BlockDeviceMappings", 0, "Ebs", "Encrypted", value=None), {"EC2.3"}),
        (_set("BlockDeviceMappings", 1, "Ebs", "Encrypted", value=None), {"EC2.3"}),
        (_set("BlockDeviceMappings", value=None), {"EC2.3"}),
        (_set("MetadataOptions", "HttpTokens", value="optional"), {"EC2.8"}),
        (_set("MetadataOptions", "HttpTokens", value=None), {"EC2.8"}),
        (_set("MetadataOptions", value=None), {"EC2.8"}),
        (_set("MetadataOptions", "HttpPutResponseHopLimit", value=2), {"EC2.8"}),
        (_set("MetadataOptions", "HttpPutResponseHopLimit", value=None), {"EC2.8"}),
        (_set("MetadataOptions", "InstanceMetadataTags", value="enabled"), {"EC2.8"}),
        (_set(*_NIC, "AssociatePublicIpAddress", value=None), {"EC2.9"}),
        (_set("NetworkInterfaces", value=[{"DeviceIndex": 0, "Groups": [GROUP]}] * 2), {"EC2.17"}),
        (
            _set(
                "NetworkInterfaces",
                value=[{"DeviceIndex": index, "Groups": [GROUP], "InterfaceType": "efa"} for index in (0, 1)],
            ),
            {"EC2.17"},
        ),
        (_set("InstanceType", value="m1.small"), {"EC2.24"}),
        (_set("UserData", value=b"#!/bin/sh\nexport DB_PASSWORD=hunter22\n"), {"ec2_instance_secrets_user_data"}),
        (_set("UserData", value="token: 0a1b2c3d4e5f"), {"ec2_instance_secrets_user_data"}),
        (_set("UserData", value=KEY.encode()), {"ec2_instance_secrets_user_data"}),
        (_set("UserData", value=gzip.compress(KEY.encode())), {"ec2_instance_secrets_user_data"}),
        (_set("UserData", value=base64.b64encode(KEY.encode()).decode()), {"ec2_instance_secrets_user_data"}),
        (_set("TagSpecifications", 2, "Tags", 0, value={"Key": "token", "Value": "0a1b2c3d4e5f"}), {"tags"}),
        (_set("TagSpecifications", 0, "Tags", 0, value={"Key": "note", "Value": "hf_" + "a1" * 17}), {"tags"}),
    ],
)
def test_a_request_that_fails_one_control(change: Callable[[Request], None], controls: set[str]) -> None:
    request = copy.deepcopy(build_request(wish_of(volumes=(Volume(gib=8, mount="/data"),))))
    assert failures(request, group(MINE)) == set()
    change(request)
    assert failures(request, group(MINE)) == controls


_PLACES = [
    _set("NetworkInterfaces", 0, "Groups", value=None),
    _set("NetworkInterfaces", 0, "Groups", value=[]),
]


@pytest.mark.parametrize("change", _PLACES)
def test_no_group_is_the_default_group(change: Callable[[Request], None]) -> None:
    request = build_request(wish_of())
    change(request)
    assert failures(request, group(MINE)) == {"EC2.2"}


def test_the_default_group_under_any_name() -> None:
    assert failures(build_request(wish_of()), group(name="default")) == {"EC2.2"}
    request = build_request(wish_of())
    del request["NetworkInterfaces"][0]["Groups"]
    request["SecurityGroups"] = ["default"]
    assert failures(request, group(name="default")) == {"EC2.2"}


def test_a_group_that_nobody_looked_at_fails_what_it_could_break() -> None:
    request = build_request(wish_of(groups=(GROUP, "sg-0fedcba9876543210"), public_address=True))
    assert failures(request, group(MINE)) == {
        "EC2.2", "EC2.9", "EC2.13", "EC2.14", "EC2.18", "EC2.19", "EC2.53", "EC2.54",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rules", "controls"),
    [
        ([rule(22, None, "0.0.0.0/0")], {"EC2.13", "EC2.18", "EC2.19", "EC2.53"}),
        ([rule(22, None, "::/0")], {"EC2.13", "EC2.18", "EC2.19", "EC2.54"}),
        ([rule(3389, None, "0.0.0.0/0")], {"EC2.14", "EC2.18", "EC2.19", "EC2.53"}),
        ([rule(3389, None, "::/0")], {"EC2.14", "EC2.18", "EC2.19", "EC2.54"}),
        ([rule(8888, None, "0.0.0.0/0")], {"EC2.18", "EC2.19"}),
        ([rule(6006, None, "0.0.0.0/0")], {"EC2.18"}),
        ([rule(6006, None, "::/0")], {"EC2.18"}),
        ([rule(20_000, 30_000, "0.0.0.0/0", protocol="udp")], {"EC2.18"}),
        ([rule(22, None, "0.0.0.0/0", protocol="udp")], {"EC2.18", "EC2.19"}),
        ([rule(22, None, "0.0.0.0/0", protocol="6")], {"EC2.13", "EC2.18", "EC2.19", "EC2.53"}),
        ([rule(50, None, "0.0.0.0/0", protocol="50")], {"EC2.18"}),
        ([rule(0, 65_535, "0.0.0.0/0")], {"EC2.13", "EC2.14", "EC2.18", "EC2.19", "EC2.53"}),
        ([rule(21, 23, "0.0.0.0/0")], {"EC2.13", "EC2.18", "EC2.19", "EC2.53"}),
        (
            [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}], "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}],
            {"EC2.13", "EC2.14", "EC2.18", "EC2.19", "EC2.53", "EC2.54"},
        ),
        ([rule(80, None, "0.0.0.0/0"), rule(81, None, "0.0.0.0/0")], {"EC2.18"}),
        # in pieces: two rules, two ranges of ports that share one port, many networks
        ([rule(22, None, "0.0.0.0/1"), rule(22, None, "128.0.0.0/1")], {"EC2.13", "EC2.18", "EC2.19", "EC2.53"}),
        ([rule(6000, 6006, "10.0.0.0/8"), rule(6006, 6010, "11.0.0.0/8")], {"EC2.18"}),
        ([rule(22, None, *(f"{n}.0.0.0/8" for n in range(1, 224)))], {"EC2.13", "EC2.18", "EC2.19", "EC2.53"}),
        ([rule(6006, None, "10.0.0.0/8"), {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "11.0.0.0/8"}]}], {"EC2.18"}),
    ],
)
def test_what_everybody_reaches(rules: list[Any], controls: set[str]) -> None:
    assert failures(build_request(wish_of()), group(*rules)) == controls
    other = "sg-0fedcba9876543210"  # the rules of several groups add up
    spread = [group(*rules[::2]), group(*rules[1::2], identity=other)]
    assert failures(build_request(wish_of(groups=(GROUP, other))), *spread) == controls


@pytest.mark.parametrize(
    "rules",
    [
        [rule(22, None, "10.0.0.0/8")],
        [rule(22, None, "10.0.0.0/8"), rule(23, None, "11.0.0.0/8")],
        [rule(22, None, "10.0.0.0/8", protocol="tcp"), rule(22, None, "11.0.0.0/8", protocol="udp")],
        [rule(-1, -1, "0.0.0.0/0", protocol="icmp")],
        [rule(-1, -1, "::/0", protocol="58")],
        [ITSELF],
    ],
)
def test_what_only_some_reach(rules: list[Any]) -> None:
    assert failures(build_request(wish_of()), group(*rules)) == set()


def test_a_group_of_somebody_else_does_not_count() -> None:
    other = group(rule(22, None, "0.0.0.0/0"), identity="sg-0fedcba9876543210", name="default")
    assert failures(build_request(wish_of()), group(MINE), other) == set()


def test_a_web_port_is_accepted_and_said() -> None:
    found = check_controls(build_request(wish_of()), [group(rule(443, None, "0.0.0.0/0"))])
    assert failed(found) == ()
    assert outcomes(found)["EC2.18"] == "accepted"


def test_what_a_prefix_list_holds_is_not_known() -> None:
    listed = rule(22, PrefixListIds=[{"PrefixListId": "pl-0123456789abcdef0"}])
    found = check_controls(build_request(wish_of()), [group(listed)])
    assert outcomes(found)["EC2.18"] == "advised"
    assert "pl-0123456789abcdef0" in next(item.sentence for item in found if item.control == "EC2.18")
    assert failures(build_request(wish_of(public_address=True)), group(listed)) == {"EC2.9"}


@pytest.mark.parametrize(
    "rules",
    [[rule(22, None, "203.0.113.0/31")], [rule(6006, None, "2001:db8::/64")], [MINE, rule(443, None, "10.0.0.0/8")]],
)
def test_a_public_address_is_accepted_for_single_addresses_only(rules: list[Any]) -> None:
    assert failures(build_request(wish_of(public_address=True)), group(*rules)) == {"EC2.9"}
    assert failures(build_request(wish_of()), group(*rules)) == set()


@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress])
def test_a_key_that_is_replaced_is_accepted_and_no_other(pack: Callable[[bytes], bytes]) -> None:
    data = f"#cloud-config\nssh_keys: |\n{KEY}".encode()
    request = build_request(wish_of(user_data=pack(data)))
    found = check_controls(request, [group(MINE)], replaced=[KEY])
    assert outcomes(found)["ec2_instance_secrets_user_data"] == "accepted"
    more = build_request(wish_of(user_data=pack(data + b"password: hunter22\n")))
    assert outcomes(check_controls(more, [group(MINE)], replaced=[KEY]))["ec2_instance_secrets_user_data"] == "failed"
    assert outcomes(check_controls(request, [group(MINE)], replaced=[""]))["ec2_instance_secrets_user_data"] == "failed"


def test_a_finding_does_not_say_the_secret() -> None:
    request = build_request(wish_of(user_data=b"password: hunter22", tags={"token": "0a1b2c3d4e5f"}))
    text = repr(check_controls(request, [group(MINE)]))
    assert "hunter22" not in text
    assert "0a1b2c3d4e5f" not in text


@pytest.mark.parametrize("seed", range(20))
def test_ports_are_added_up_as_one_by_one(seed: int) -> None:
    chance = random.Random(seed)
    rules = []
    for _ in range(chance.randint(1, 8)):
        low = chance.randint(0, 30)
        nets = [f"{chance.randint(10, 13)}.{chance.choice((0, 128))}.0.0/9" for _ in range(chance.randint(1, 2))]
        rules.append(rule(low, min(30, low + chance.randint(0, 12)), *nets))
    found = list_open([group(*rules)])
    for port in range(32):
        halves = {
            item["CidrIp"] for one in rules if one["FromPort"] <= port <= one["ToPort"] for item in one["IpRanges"]
        }
        assert any(item.holds(port) for item in found) is (len(halves) > 2)
