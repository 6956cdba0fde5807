"""What security groups let in from everywhere: the rules of all groups of an instance together. Pure.

Everywhere is more than one /8 of IPv4 or one /16 of IPv6, also in pieces: two halves of the internet in two rules of two groups
are the internet.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from launchbay.spec.cidr import Network, is_too_wide

__all__ = ["OpenPorts", "lets_from", "lets_out", "list_open", "lists_trusted", "networks_let_in", "overlap"]

_ALL_PORTS = (0, 65_535)
_PROTOCOLS = {"6": "tcp", "17": "udp", "1": "icmp", "58": "icmp", "icmpv6": "icmp"}
_WITH_PORTS = ("tcp", "udp")

Group = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPorts:
    """Ports that everybody reaches: `low` to `high` of a protocol, over IP `version` 4 or 6.

    `protocol` is ``tcp``, ``udp``, or the number of one that has no ports.
    """

    version: int
    protocol: str
    low: int
    high: int

    def holds(self, port: int) -> bool:
        """Say whether a port is among them."""
        return self.low <= port <= self.high

    def __str__(self) -> str:
        ports = str(self.low) if self.low == self.high else f"{self.low}-{self.high}"
        return f"{self.protocol} {ports} over IPv{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    protocol: str
    low: int
    high: int
    network: Network


def list_open(groups: Sequence[Group]) -> tuple[OpenPorts, ...]:
    """Return what everybody reaches, in order; `groups` are all of an instance's, as DescribeSecurityGroups shows them.

    Rules are added up for each port. ICMP counts for nothing here: it has no ports.
    """
    rules = list(_rules(groups))
    found: list[OpenPorts] = []
    for version in (4, 6):
        for protocol in dict.fromkeys((*_WITH_PORTS, *sorted({rule.protocol for rule in rules}))):
            alike = [rule for rule in rules if rule.protocol == protocol and rule.network.version == version]
            found += _merge(
                OpenPorts(version=version, protocol=protocol, low=low, high=high) for low, high in _open(alike)
            )
    return tuple(found)


def _open(rules: Sequence[_Rule]) -> Iterator[tuple[int, int]]:
    """Yield the ranges of ports that too many reach; what is let in changes only where a rule begins or ends."""
    edges = sorted({rule.low for rule in rules} | {rule.high + 1 for rule in rules})
    for low, beyond in itertools.pairwise(edges):
        if is_too_wide([rule.network for rule in rules if rule.low <= low and rule.high >= beyond - 1]):
            yield low, beyond - 1


def _merge(ranges: Iterator[OpenPorts]) -> list[OpenPorts]:
    merged: list[OpenPorts] = []
    for item in ranges:
        if merged and merged[-1].high + 1 == item.low:
            last = merged.pop()
            merged.append(OpenPorts(version=last.version, protocol=last.protocol, low=last.low, high=item.high))
        else:
            merged.append(item)
    return merged


def _rules(groups: Sequence[Group]) -> Iterator[_Rule]:
    for permission in _permissions(groups):
        named = str(permission.get("IpProtocol", "-1")).casefold()
        protocol = _PROTOCOLS.get(named, named)
        if protocol == "icmp":
            continue
        for kind in _WITH_PORTS if protocol == "-1" else (protocol,):
            low, high = _ports(permission) if kind == protocol and kind in _WITH_PORTS else _ALL_PORTS
            for network in _networks(permission):
                yield _Rule(protocol=kind, low=low, high=high, network=network)


def _ports(permission: Mapping[str, Any]) -> tuple[int, int]:
    low, high = permission.get("FromPort"), permission.get("ToPort")
    return _ALL_PORTS if low is None or high is None or low == -1 else (int(low), int(high))


def networks_let_in(groups: Sequence[Group], port: int | None = None) -> tuple[Network, ...]:
    """Return every network that any rule lets in, each once; with `port`, those that are let in to that one over TCP."""
    permissions = [item for item in _permissions(groups) if port is None or _covers(item, port)]
    return tuple(dict.fromkeys(item for permission in permissions for item in _networks(permission)))


def lets_from(groups: Sequence[Group], port: int, peers: Sequence[str]) -> bool:
    """Say whether members of one of the groups `peers`, by their ids, are let in to a port over TCP.

    What a prefix list holds is not in the rules, so it counts as them.
    """
    rules = [item for item in _permissions(groups) if _covers(item, port)]
    return any(
        rule.get("PrefixListIds") or any(item.get("GroupId") in peers for item in rule.get("UserIdGroupPairs") or ())
        for rule in rules
    )


def lets_out(groups: Sequence[Group], port: int, network: Network, members: Sequence[str]) -> bool:
    """Say whether groups let out to a port over TCP, into a network, or to members of groups by their ids.

    What a prefix list holds is not in the rules, so it counts as that.
    """
    rules = [item for group in groups for item in group.get("IpPermissionsEgress") or () if _covers(item, port)]
    return any(
        rule.get("PrefixListIds")
        or any(item.get("GroupId") in members for item in rule.get("UserIdGroupPairs") or ())
        or any(overlap(item, network) for item in _networks(rule))
        for rule in rules
    )


def overlap(one: Network, other: Network) -> bool:
    """Say whether two networks have an address in common."""
    return one.version == other.version and one.overlaps(other)


def _covers(permission: Mapping[str, Any], port: int) -> bool:
    named = str(permission.get("IpProtocol", "-1")).casefold()
    low, high = _ports(permission)
    return named == "-1" or (_PROTOCOLS.get(named, named) == "tcp" and low <= port <= high)


def lists_trusted(groups: Sequence[Group]) -> tuple[str, ...]:
    """Return the prefix lists that rules let in: what they hold is not in the rules, so nobody sees it here."""
    return tuple(
        dict.fromkeys(
            str(item.get("PrefixListId", ""))
            for permission in _permissions(groups)
            for item in permission.get("PrefixListIds") or ()
        )
    )


def _permissions(groups: Sequence[Group]) -> Iterator[Mapping[str, Any]]:
    for group in groups:
        yield from group.get("IpPermissions") or ()


def _networks(permission: Mapping[str, Any]) -> Iterator[Network]:
    for item in permission.get("IpRanges") or ():
        yield ipaddress.ip_network(str(item["CidrIp"]), strict=False)
    for item in permission.get("Ipv6Ranges") or ():
        yield ipaddress.ip_network(str(item["CidrIpv6"]), strict=False)
