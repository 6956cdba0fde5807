"""How instances on EC2 are reached, and what opens them: two choices, each with what it costs. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from ipaddress import ip_network
from typing import Any

from launchbay.planning.ingress import lets_from, lets_out, networks_let_in
from launchbay.spec.cidr import Network
from launchbay.units import format_usd

__all__ = ["AUTHS", "REACHES", "Endpoint", "Way", "auth_costs", "carries_connect", "reach_costs", "why_shut"]

REACHES = ("endpoint", "address")
"""How instances can be reached: through an Instance Connect Endpoint of their network, or at an address of theirs."""
AUTHS = ("one-time", "injected")
"""What can open them: a key that EC2 Instance Connect lets in for 60 seconds, or one that is there from the launch on."""

_SSH = 22
_MOST, _HOUR = 20, "an hour"
"""How many connections an endpoint has at a time, and how long one lasts. From EC2's user guide."""
_PRIVATE = tuple(map(ip_network, ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16")))
"""What networks on EC2 are made of as a rule: RFC 1918, and what carriers share."""
_CARRYING = re.compile(r"Ubuntu (?:2[0-9]|[3-9][0-9])\.\d\d|Amazon Linux (?:2|20\d\d)")
"""The systems whose images come with EC2 Instance Connect, by its user guide: Ubuntu from 20.04 on, Amazon Linux from 2 on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An EC2 Instance Connect Endpoint that stands: its id, its DNS name, the subnet that it is in, its security groups.

    Where it `keeps_client`, instances see the address of whoever comes through it, and their groups have to let that in.
    """

    id: str
    name: str
    subnet: str
    groups: tuple[str, ...]
    keeps_client: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How the instances of a launch are reached and opened. `networks` may come in by SSH at their addresses.

    `endpoint` is None where they are reached at an address. `is_one_time` says that no key is in the launch. `notes` are what
    has to be said of the choice.
    """

    networks: tuple[str, ...]
    endpoint: Endpoint | None = None
    is_one_time: bool = False
    notes: tuple[str, ...] = ()

    @property
    def peers(self) -> tuple[str, ...]:
        """The security groups whose members may come in by SSH: those of an endpoint that comes in its own name."""
        return () if self.endpoint is None or self.endpoint.keeps_client else self.endpoint.groups

    @property
    def reach(self) -> str:
        """How they are reached, as ``--reach`` says it."""
        return REACHES[0] if self.endpoint else REACHES[1]

    @property
    def auth(self) -> str:
        """What opens them, as ``--auth`` says it."""
        return AUTHS[0] if self.is_one_time else AUTHS[1]


def carries_connect(system: str | None) -> bool:
    """Say whether an image is known to take one-time keys, by the system in it; one that is not known may or may not."""
    return system is not None and _CARRYING.match(system) is not None


def why_shut(endpoint: Endpoint, its_groups: Sequence[Mapping[str, Any]], own: Sequence[Mapping[str, Any]]) -> str:
    """Say why an endpoint does not lead to instances; empty where it does, as far as groups show.

    `its_groups` are the endpoint's security groups, `own` those that a person has chosen for the instances, none for one of ours,
    all as DescribeSecurityGroups shows them. The endpoint's own address stands in neither, so any private network counts.
    """
    if not lets_out(its_groups, _SSH):
        return f"its security group {', '.join(endpoint.groups)} lets nothing out to port {_SSH}"
    if not own or lets_from(own, _SSH, endpoint.groups):
        return ""
    if endpoint.keeps_client:
        return ""
    if any(_overlaps(network, private) for network in networks_let_in(own, _SSH) for private in _PRIVATE):
        return ""
    names = ", ".join(str(group["GroupId"]) for group in own)
    return f"{names} does not let in port {_SSH} from its security group {', '.join(endpoint.groups)}"


def _overlaps(network: Network, other: Network) -> bool:
    return network.version == other.version and network.overlaps(other)


def reach_costs(way: Way, *, address_usd: Decimal | None, has_address: bool) -> str:
    """Say what it costs to reach instances that way: in money, and what else.

    `address_usd` is what the public addresses of all come to until the lease ends, None where that is not known.
    """
    usd = f"{format_usd(address_usd)} USD at most" if address_usd is not None else "at a price that is not known"
    if way.endpoint is not None:
        way_out = f"; the public addresses are their way out ({usd})" if has_address else ""
        return f"nothing; {_MOST} connections at a time, each for {_HOUR} at most, with your rights on AWS{way_out}"
    if has_address:
        return f"the public addresses ({usd}), and a port that those networks can try"
    return "nothing; only from where their network can be reached"


def auth_costs(way: Way) -> str:
    """Say what it costs to open instances that way."""
    if way.is_one_time:
        return "nothing; each connection asks AWS, and needs your right to send keys there"
    return "nothing; whoever has the key comes in, without AWS being asked, as long as the instances live"
