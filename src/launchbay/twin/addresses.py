"""Under which addresses callers are shown: loopback ones as documentation addresses, so that a rule about one sees it as public.

The hosts, the security groups and "what is my address" all read this one table.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

__all__ = ["SHOWN", "presented"]

SHOWN: Mapping[IPv4Network | IPv6Network, IPv4Network | IPv6Network] = {
    ip_network(own): ip_network(shown)
    for own, shown in {
        "127.0.0.0/24": "203.0.113.0/24",
        "127.0.1.0/24": "198.51.100.0/24",
        "127.0.2.0/24": "192.0.2.0/24",
        "::1/128": "2001:db8::1/128",
    }.items()
}
"""The networks of callers, each with the one that it is shown as, address by address. They are for documentation (RFC 5737 and
3849): nobody on the internet has one."""


def presented(peer: str) -> str:
    """Return the address under which a caller is known in the twin; one that is not in the table is its own.

    Raises ValueError for what is no address.
    """
    address = ip_address(peer)
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    for own, shown in SHOWN.items():
        if address in own:
            return str(shown[int(address) - int(own[0])])
    return str(address)
