"""The permissions of a security group as a call states them: read, put into their usual form, and judged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from launchbay.twin.call import Call, Refused

__all__ = ["MOST_RULES", "Entry", "check", "entries_of", "read_permissions"]

MOST_RULES = 60
"""How many rules a group may have in a direction, for IPv4 and for IPv6 each."""

_PROTOCOLS = {"6": "tcp", "17": "udp", "1": "icmp", "58": "icmpv6", "all": "-1"}
_WITH_PORTS = ("tcp", "udp")
_LAST_PORT = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One rule: a protocol, its ports (-1 for all protocols) and one peer, which is a network, a group or a prefix list."""

    protocol: str
    first: int
    last: int
    peer: str

    def __str__(self) -> str:
        if self.protocol == "-1":
            return f"peer: {self.peer}, ALL, ALLOW"
        return f"peer: {self.peer}, {self.protocol.upper()}, from port: {self.first}, to port: {self.last}, ALLOW"


def read_permissions(call: Call) -> list[dict[str, Any]] | None:
    """Return the permissions of a call with their networks in the usual form (host bits cleared), None where it has none.

    Raises Refused for a malformed network and for ports that make no sense.
    """
    given: Sequence[Mapping[str, Any]] = call.get("IpPermissions", default=[])
    if not given and call.get("CidrIp"):
        flat = {name: call.params[name] for name in ("IpProtocol", "FromPort", "ToPort") if name in call.params}
        given = [{**flat, "IpRanges": [{"CidrIp": call.params["CidrIp"]}]}]
    return [_usual(item) for item in given] or None


def _usual(permission: Mapping[str, Any]) -> dict[str, Any]:
    _check_ports(permission)
    found = dict(permission)
    for name, key, version in (("IpRanges", "CidrIp", 4), ("Ipv6Ranges", "CidrIpv6", 6)):
        if permission.get(name):
            found[name] = [{**item, key: _network(str(item.get(key, "")), version)} for item in permission[name]]
    return found


def _network(text: str, version: int) -> str:
    network: IPv4Network | IPv6Network | None = None
    if "/" in text:
        try:
            network = ip_network(text, strict=False)
        except ValueError:
            network = None
    if network is None or network.version != version:
        raise Refused("InvalidParameterValue", f"CIDR block {text} is malformed")
    return str(network)


def _check_ports(permission: Mapping[str, Any]) -> None:
    if _protocol(permission) not in _WITH_PORTS:
        return
    first, last = permission.get("FromPort"), permission.get("ToPort")
    if first is None or last is None:
        what = "Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange."
        raise Refused("InvalidParameterValue", what)
    if not 0 <= first <= last <= _LAST_PORT:
        raise Refused("InvalidParameterValue", f"Invalid value '{first}-{last}' for portRange.")


def _protocol(permission: Mapping[str, Any]) -> str:
    text = str(permission.get("IpProtocol", "-1")).lower()
    return _PROTOCOLS.get(text, text)


def entries_of(permissions: Iterable[Mapping[str, Any]]) -> Iterator[Entry]:
    """Yield the single rules that permissions stand for, in the order in which they are added."""
    for item in permissions:
        protocol = _protocol(item)
        ports = (-1, -1) if protocol == "-1" else (int(item.get("FromPort", -1)), int(item.get("ToPort", -1)))
        peers = [
            *(one["CidrIp"] for one in item.get("IpRanges", [])),
            *(one["CidrIpv6"] for one in item.get("Ipv6Ranges", [])),
            *(one.get("GroupId") or one.get("GroupName") for one in item.get("UserIdGroupPairs", [])),
            *(one["PrefixListId"] for one in item.get("PrefixListIds", [])),
        ]
        for peer in peers:
            yield Entry(protocol=protocol, first=ports[0], last=ports[1], peer=str(peer))


def check(added: Iterable[Entry], standing: Iterable[Entry]) -> None:
    """Judge new rules beside those that stand, before any is added. Raises Refused for the first that cannot be."""
    new, old = list(added), list(standing)
    if len(set(new)) < len(new):
        raise Refused("InvalidParameterValue", "The same permission must not appear multiple times")
    for entry in new:
        if entry in old:
            raise Refused("InvalidPermission.Duplicate", f'the specified rule "{entry}" already exists')
    both = [*old, *new]
    narrow = sum(":" not in entry.peer for entry in both)
    wide = sum("." not in entry.peer for entry in both)
    if max(narrow, wide) > MOST_RULES:
        what = "The maximum number of rules per security group has been reached."
        raise Refused("RulesPerSecurityGroupLimitExceeded", what)
