"""Who the security groups of an instance let in, asked as the hosts ask, on moto's objects in this process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from moto.core.base_backend import BackendDict

from launchbay.catalog.snapshot import load_snapshot
from launchbay.twin.addresses import presented
from launchbay.twin.backend import ec2
from launchbay.twin.rules.groups import allows
from launchbay.twin.truth import Settings, new_truth
from launchbay.twin.world import World

REGION = "us-east-1"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    BackendDict.reset()
    yield World(new_truth(Settings(is_virtual=True)), load_snapshot(), ())
    BackendDict.reset()


def make_instance(*groups: str) -> Any:
    made = ec2(REGION).run_instances(
        "ami-1", 1, None, [], instance_type="m5.large", is_instance_type_default=False, security_group_ids=list(groups)
    )
    return made.instances[0]


def make_group(name: str, *permissions: dict[str, Any]) -> str:
    backend = ec2(REGION)
    group = backend.create_security_group(name, name, vpc_id=backend.default_vpc.id)
    for item in permissions:
        backend.authorize_security_group_ingress(
            group.id,
            item.get("protocol", "tcp"),
            item.get("first", 22),
            item.get("last", 22),
            item.get("ranges", []),
            source_groups=item.get("groups", []),
            prefix_list_ids=item.get("lists", []),
        )
    return str(group.id)


@pytest.mark.parametrize(
    ("peer", "shown"),
    [
        ("127.0.0.1", "203.0.113.1"),
        ("127.0.0.9", "203.0.113.9"),
        ("127.0.1.7", "198.51.100.7"),
        ("127.9.9.9", "127.9.9.9"),
        ("::1", "2001:db8::1"),
        ("::ffff:127.0.0.4", "203.0.113.4"),
        ("203.0.113.1", "203.0.113.1"),
        ("172.31.0.4", "172.31.0.4"),
    ],
)
def test_loopback_callers_are_shown_as_public_ones(peer: str, shown: str) -> None:
    assert presented(peer) == shown


def test_a_caller_must_lie_in_the_network_and_the_range_of_ports(world: World) -> None:
    group = make_group("g", {"ranges": [{"CidrIp": "203.0.113.1/32"}], "first": 20, "last": 30})
    instance = make_instance(group)
    assert allows(world, instance.id, "127.0.0.1", 22)
    assert allows(world, instance.id, "203.0.113.1", 30)
    assert not allows(world, instance.id, "127.0.0.2", 22)
    assert not allows(world, instance.id, "127.0.0.1", 31)


def test_other_protocols_do_not_let_tcp_in_and_all_do(world: World) -> None:
    everyone = [{"CidrIp": "0.0.0.0/0"}]
    over_udp = make_instance(make_group("u", {"ranges": everyone, "protocol": "udp"}))
    over_all = make_instance(make_group("a", {"ranges": everyone, "protocol": "-1", "first": None, "last": None}))
    assert not allows(world, over_udp.id, "127.0.0.1", 22)
    assert allows(world, over_all.id, "127.0.0.1", 4711)
    assert not allows(world, over_all.id, "::1", 4711)


def test_a_network_of_ipv6_lets_ipv6_in(world: World) -> None:
    instance = make_instance(make_group("six", {"ranges": [{"CidrIpv6": "2001:db8::/64"}]}))
    assert allows(world, instance.id, "::1", 22)
    assert not allows(world, instance.id, "127.0.0.1", 22)


def test_a_reference_lets_the_instances_of_a_group_in(world: World) -> None:
    friends, strangers = make_group("friends"), make_group("strangers")
    instance = make_instance(make_group("g", {"groups": [{"GroupId": friends}], "protocol": "-1"}))
    friend, stranger = make_instance(friends), make_instance(strangers)
    assert allows(world, instance.id, friend.private_ip, 29500)
    assert allows(world, instance.id, friend.public_ip, 29500)
    assert not allows(world, instance.id, stranger.private_ip, 29500)
    assert not allows(world, instance.id, "127.0.0.1", 29500)


def test_a_prefix_list_lets_nobody_in(world: World) -> None:
    instance = make_instance(make_group("p", {"lists": [{"PrefixListId": "pl-12345678"}]}))
    assert not allows(world, instance.id, "127.0.0.1", 22)


def test_the_default_group_lets_only_its_own_in(world: World) -> None:
    assert not allows(world, make_instance().id, "127.0.0.1", 22)


def test_an_unknown_instance_lets_nobody_in(world: World) -> None:
    assert not allows(world, "i-0123456789abcdef0", "127.0.0.1", 22)
