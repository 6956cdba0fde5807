"""Who may reach an instance, as networks: read as they are typed, and refused where they are close to everybody. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import TypeVar

from launchbay.errors import UsageError

__all__ = [
    "FORCING",
    "FORCING_MEANS",
    "MOST_IPV4",
    "MOST_IPV6",
    "SHORTEST_IPV4",
    "SHORTEST_IPV6",
    "Network",
    "check_cidrs",
    "is_too_wide",
    "read_cidr",
]

Network = IPv4Network | IPv6Network

SHORTEST_IPV4 = 8
"""The shortest prefix that a network of IPv4 may have: the widest that anybody has inside is 10.0.0.0/8."""
SHORTEST_IPV6 = 16
"""The shortest of IPv6; registries give nobody a wider one."""
MOST_IPV4 = 2 ** (32 - SHORTEST_IPV4)
"""How many addresses of IPv4 all networks may hold together, each counted once."""
MOST_IPV6 = 2 ** (128 - SHORTEST_IPV6)
"""The same of IPv6."""

FORCING = "--allow-anyone"
"""The flag that forces it."""
FORCING_MEANS = "every machine in these networks, of whomever, may then try to get in as often as it likes"
"""What forcing means, in a sentence."""

_HINT = f"your own address, as in 203.0.113.7/32; {FORCING} forces it: {FORCING_MEANS}"

_MAPPED = IPv6Network("::ffff:0:0/96")
"""All of IPv4, spelled as IPv6."""
_BARE_ANY = ("0.0.0.0", "::")  # noqa: S104 - what is refused, not what is bound
_PREFIX = re.compile(r"(0|[1-9][0-9]{0,2})\Z", re.ASCII)


def read_cidr(text: str, *, where: str = "") -> Network:
    """Read ``203.0.113.7``, ``10.1.0.0/16`` or ``2001:db8::/48``; an address alone is a network of one.

    Raises UsageError for anything else, with what was probably meant: bits set behind the prefix, a mask instead of a
    prefix, blanks, a zone (``%eth0``), leading zeros, an address as one number, IPv4 written as IPv6.
    """
    plain = text.strip()
    if plain != text or any(letter.isspace() for letter in text):
        meant = "".join(text.split())
        raise _wrong(text, "without blanks", where, meant if _reads(meant) else "203.0.113.7/32")
    address, slash, prefix = text.partition("/")
    parsed = _read_address(address, text, where)
    if slash and not _PREFIX.match(prefix):
        raise _wrong(text, "with a plain number behind the slash", where, _with_prefix(text, parsed))
    if slash and int(prefix) > parsed.max_prefixlen:
        raise _wrong(text, f"with at most {parsed.max_prefixlen} behind the slash", where, str(parsed))
    if not slash and address in _BARE_ANY:
        what = f"a network must be of somebody, and {address} is the address of nobody"
        raise UsageError(what, where=where, hint=f"your own address; {address}/0 means everybody, and needs {FORCING}")
    network = ipaddress.ip_network(f"{parsed}/{prefix if slash else parsed.max_prefixlen}", strict=False)
    if network.network_address != parsed:
        what = f"{text} has bits set behind its prefix; the network it lies in is {network}"
        raise UsageError(what, where=where, hint=f"{network}, or {parsed} for this one address")
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        inside = IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
        raise _wrong(text, "in the form of IPv4 where it is one", where, str(inside))
    return network


def check_cidrs(texts: Iterable[str], *, force: bool = False, where: str = "") -> tuple[str, ...]:
    """Return the networks as they are written down, each once, in the order given; none lets in nobody.

    Raises UsageError for one that is none, forced or not; unless forced, also for one that is wider than /8 (IPv6: /16),
    and for several that hold more addresses together than one such network does.
    """
    networks = list(dict.fromkeys(read_cidr(text, where=where) for text in texts))
    if not force:
        for network in networks:
            _check_width(network, where)
        if is_too_wide(networks):
            named = [*map(str, networks[:3]), *([f"{len(networks) - 3} more"] if len(networks) > 3 else [])]
            what = f"{' and '.join(named)} are together more than one /{_shortest(networks)}"
            raise UsageError(f"{what}: close to everybody", where=where, hint=_HINT)
    return tuple(map(str, networks))


def is_too_wide(networks: Iterable[Network]) -> bool:
    """Say whether networks hold more addresses together than one /8 of IPv4, or one /16 of IPv6."""
    old, new = _sorted_out(networks)
    return _exceeds(old, MOST_IPV4) or _exceeds(new, MOST_IPV6)


def _check_width(network: Network, where: str) -> None:
    if not is_too_wide([network]):
        return
    if network.prefixlen == 0:
        what = f"{network} is everybody"
    elif isinstance(network, IPv6Network) and _MAPPED.subnet_of(network):
        what = f"{network} holds all of IPv4 ({_MAPPED}), which is everybody"
    else:
        what = f"a network must be /{_shortest([network])} or smaller, got {network}"
    raise UsageError(what, where=where, hint=_HINT)


def _shortest(networks: Sequence[Network]) -> str:
    old, _ = _sorted_out(networks)
    return str(SHORTEST_IPV4) if _exceeds(old, MOST_IPV4) else f"{SHORTEST_IPV6} of IPv6"


def _sorted_out(networks: Iterable[Network]) -> tuple[list[IPv4Network], list[IPv6Network]]:
    """Return the networks of IPv4 and of IPv6; one of IPv6 that holds all of IPv4 counts as that, too."""
    old: list[IPv4Network] = []
    new: list[IPv6Network] = []
    for network in networks:
        if isinstance(network, IPv4Network):
            old.append(network)
        else:
            new.append(network)
            old += [IPv4Network("0.0.0.0/0")] if _MAPPED.subnet_of(network) else []
    return old, new


_Kind = TypeVar("_Kind", IPv4Network, IPv6Network)


def _exceeds(networks: Sequence[_Kind], most: int) -> bool:
    """Say whether networks of one kind hold more addresses than that, each counted once."""
    return sum(network.num_addresses for network in ipaddress.collapse_addresses(networks)) > most


def _read_address(address: str, text: str, where: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    if "%" in address:
        raise _wrong(
            text, "without a zone, which means something on one machine only", where, address.partition("%")[0]
        )
    if re.fullmatch(r"0[xX][0-9a-fA-F]+|[0-9]+", address, re.ASCII):
        raise _wrong(text, "four numbers with dots between them", where, _from_number(address))
    if re.search(r"(\A|\.)0[0-9]+(\.|\Z)", address, re.ASCII):
        shorter = re.sub(r"(\A|\.)0+(?=[0-9])", r"\1", address)
        raise _wrong(text, "without leading zeros, which some read as octal", where, shorter)
    try:
        return ipaddress.ip_address(address)
    except ValueError:
        raise _wrong(
            text, "an address, or a network with its prefix", where, "203.0.113.7/32 or 2001:db8::/48"
        ) from None


def _from_number(address: str) -> str:
    number = int(address, 0) if address[:2] in ("0x", "0X") else int(address[:40])
    return str(ipaddress.IPv4Address(number)) if number < 2**32 else "203.0.113.7/32"


def _with_prefix(text: str, parsed: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        return f"{parsed}/{parsed.max_prefixlen}"


def _reads(text: str) -> bool:
    try:
        read_cidr(text)
    except UsageError:
        return False
    return True


def _wrong(text: str, expected: str, where: str, hint: str) -> UsageError:
    return UsageError(f"a network must be {_verb(expected)}{expected}, got {text[:60]!r}", where=where, hint=hint)


def _verb(expected: str) -> str:
    return "" if expected.startswith(("an ", "four ")) else "written "
