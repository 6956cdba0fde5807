"""How instances on EC2 are reached, and what opens them: two choices, each with what it costs. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from ipaddress import ip_network
from typing import Any

from launchbay.planning.ingress import lets_from, lets_out, networks_let_in, overlap
from launchbay.spec.project import AUTHS, REACHES
from launchbay.units import format_usd

__all__ = ["Endpoint", "Way", "auth_costs", "carries_connect", "reach_costs", "why_shut"]

_SSH = 22
_MOST, _HOUR = 20, "an hour"
"""How many connections an endpoint has at a time, and how long one lasts. From EC2's user guide."""
_CARRYING = re.compile(r"Ubuntu (?:2[0-9]|[3-9][0-9])\.\d\d|Amazon Linux (?:2|20\d\d)")
"""The systems whose images come with EC2 Instance Connect, by its user guide: Ubuntu from 20.04 on, Amazon Linux from 2 on."""
_BARE = re.compile(r"minimal|-ecs-")
"""How images are named that have less in them than their system has as a rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An EC2 Instance Connect Endpoint that stands: its id, its DNS name, the subnet that it is in, its security groups.

    `addresses` are those of its network interfaces, by which instances see it. Where it `keeps_client`, they see the address of
    whoever comes through it in place of those, and their groups have to let that in.
    """

    id: str
    name: str
    subnet: str
    groups: tuple[str, ...]
    addresses: tuple[str, ...]
    keeps_client: bool = False

    @property
    def networks(self) -> tuple[str, ...]:
        """Its addresses, each as a network."""
        return tuple(f"{address}/32" for address in self.addresses)


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
    def let_in(self) -> tuple[str, ...]:
        """The networks that the instances' group has to let in: those, and an endpoint that comes in its own name."""
        if self.endpoint is None or self.endpoint.keeps_client:
            return self.networks
        return tuple(dict.fromkeys((*self.networks, *self.endpoint.networks)))

    @property
    def reach(self) -> str:
        """How they are reached, as ``--reach`` says it."""
        return REACHES[0] if self.endpoint else REACHES[1]

    @property
    def auth(self) -> str:
        """What opens them, as ``--auth`` says it."""
        return AUTHS[0] if self.is_one_time else AUTHS[1]


def carries_connect(system: str | None, name: str) -> bool:
    """Say whether an image is known to take one-time keys, by the system in it and its name; another may or may not."""
    return system is not None and _CARRYING.match(system) is not None and not _BARE.search(name)


def why_shut(
    endpoint: Endpoint,
    its_groups: Sequence[Mapping[str, Any]],
    own: Sequence[Mapping[str, Any]],
    *,
    blocks: Sequence[str],
    caller: str = "",
) -> str:
    """Say why an endpoint does not lead to instances; empty where it does, as far as security groups show.

    `its_groups` are the endpoint's, `own` those that a person has chosen for the instances, none for one of ours, all as
    DescribeSecurityGroups shows them. `blocks` are the networks of the subnets that instances may be in. `caller` is our own
    network, empty where it is not known, which an endpoint that keeps its clients' addresses shows them.
    """
    members = [str(group["GroupId"]) for group in own]
    if shut := [block for block in blocks if not lets_out(its_groups, _SSH, ip_network(block), members)]:
        return f"its security group {', '.join(endpoint.groups)} lets nothing out to port {_SSH} of {', '.join(shut)}"
    shown = [caller] if endpoint.keeps_client else endpoint.networks
    if not own or not any(shown) or lets_from(own, _SSH, endpoint.groups):
        return ""
    if any(overlap(ip_network(item), network) for item in shown for network in networks_let_in(own, _SSH)):
        return ""
    return f"{', '.join(members)} does not let in port {_SSH} from {', '.join(shown)}"


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
