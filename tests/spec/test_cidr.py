from __future__ import annotations

import ipaddress
import random

import pytest

from launchbay.errors import UsageError
from launchbay.spec.cidr import FORCING, MOST_IPV4, MOST_IPV6, Network, check_cidrs, is_too_wide, read_cidr


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("203.0.113.7", "203.0.113.7/32"),
        ("203.0.113.7/32", "203.0.113.7/32"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:DB8:0:0::1", "2001:db8::1/128"),
        ("2001:db8::/48", "2001:db8::/48"),
        ("::/0", "::/0"),
    ],
)
def test_a_network_is_read_in_one_form(text: str, network: str) -> None:
    assert str(read_cidr(text)) == network


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        ("10.1.2.3/8", "bits set behind its prefix; the network it lies in is 10.0.0.0/8", "10.0.0.0/8, or 10.1.2.3"),
        ("2001:db8::1/48", "the network it lies in is 2001:db8::/48", "2001:db8::/48"),
        ("::ffff:203.0.113.7", "in the form of IPv4", "203.0.113.7/32"),
        ("::ffff:10.0.0.0/104", "in the form of IPv4", "10.0.0.0/8"),
        ("::ffff:0:0/96", "in the form of IPv4", "0.0.0.0/0"),
        ("fe80::1%eth0", "without a zone", "fe80::1"),
        ("fe80::%1/64", "without a zone", "fe80::"),
        ("010.0.0.1", "without leading zeros", "10.0.0.1"),
        ("10.0.0.007/32", "without leading zeros", "10.0.0.7"),
        ("10.0.0.0/08", "a plain number behind the slash", "10.0.0.0/"),
        (" 10.0.0.0/8", "without blanks", "10.0.0.0/8"),
        ("10.0.0.0 /8", "without blanks", "10.0.0.0/8"),
        ("10.0.0.0/8\n", "without blanks", "10.0.0.0/8"),
        ("10.0.0.1\u00a0", "without blanks", "10.0.0.1"),
        ("a b", "without blanks", "203.0.113.7/32"),
        ("3405803783", "four numbers", "203.0.113.7"),
        ("0xcb007107", "four numbers", "203.0.113.7"),
        ("99999999999999999999", "four numbers", "203.0.113.7/32"),
        ("9" * 6000, "four numbers", "203.0.113.7/32"),
        ("10.0.0.0/255.0.0.0", "a plain number behind the slash", "10.0.0.0/8"),
        ("10.0.0.0/0.255.255.255", "a plain number behind the slash", "10.0.0.0/8"),
        ("10.0.0.0/", "a plain number behind the slash", "10.0.0.0/32"),
        ("10.0.0.0/-1", "a plain number behind the slash", "10.0.0.0/32"),
        ("10.0.0.0/8/8", "a plain number behind the slash", "10.0.0.0/32"),
        ("10.0.0.0/33", "at most 32 behind the slash", "10.0.0.0"),
        ("2001:db8::/129", "at most 128 behind the slash", "2001:db8::"),
        ("0.0.0.0", "the address of nobody", FORCING),
        ("::", "the address of nobody", FORCING),
        ("", "an address, or a network", "203.0.113.7/32"),
        ("10.1/16", "an address, or a network", ""),
        ("10.0.0.256", "an address, or a network", ""),
        ("10.0.0.0x8", "an address, or a network", ""),
        ("[2001:db8::1]", "an address, or a network", ""),
        ("10.0.0.1:22", "an address, or a network", ""),
        ("10.0.0.0/8,10.1.0.0/16", "a plain number behind the slash", ""),
        ("١٠.0.0.1", "an address, or a network", ""),
        ("anyone", "an address, or a network", ""),
    ],
)
def test_what_is_no_network_is_named(text: str, what: str, hint: str) -> None:
    for force in (False, True):
        with pytest.raises(UsageError) as caught:
            check_cidrs([text], force=force, where="bay.yaml:4")
        assert what in caught.value.what
        assert hint in caught.value.hint
        assert caught.value.where == "bay.yaml:4"


@pytest.mark.parametrize(
    "texts",
    [
        [],
        ["203.0.113.7"],
        ["10.0.0.0/8"],
        ["10.0.0.0/8", "10.1.0.0/16", "10.255.255.255"],
        ["10.0.0.0/9", "10.128.0.0/9"],
        ["172.16.0.0/12", "192.168.0.0/16"],
        ["2001::/16"],
        ["::/95"],  # ends right below the addresses of IPv4
        ["10.0.0.0/8", "2600::/16"],
    ],
)
def test_what_is_of_somebody_passes(texts: list[str]) -> None:
    assert check_cidrs(texts) == tuple(str(read_cidr(text)) for text in texts)


def test_what_is_said_twice_counts_once() -> None:
    assert check_cidrs(["10.0.0.7", "2001:DB8::/32", "10.0.0.7/32", "2001:db8::/32"]) == (
        "10.0.0.7/32",
        "2001:db8::/32",
    )


@pytest.mark.parametrize(
    ("texts", "what"),
    [
        (["0.0.0.0/0"], "0.0.0.0/0 is everybody"),
        (["::/0"], "::/0 is everybody"),
        (["0:0:0:0:0:0:0:0/0"], "::/0 is everybody"),
        (["203.0.113.7", "0.0.0.0/0"], "0.0.0.0/0 is everybody"),
        (["0.0.0.0/1", "128.0.0.0/1"], "must be /8 or smaller, got 0.0.0.0/1"),
        (["10.0.0.0/7"], "must be /8 or smaller, got 10.0.0.0/7"),
        (["2000::/3"], "must be /16 of IPv6 or smaller, got 2000::/3"),
        (["2600::/15"], "must be /16 of IPv6 or smaller"),
        (["::/64"], "holds all of IPv4"),
        (["::fffe:0:0/95"], "holds all of IPv4"),
        (["10.0.0.0/8", "192.168.0.0/16"], "together more than one /8: close to everybody"),
        (["10.0.0.0/8", "11.0.0.0/8"], "together more than one /8"),
        (["2600::/16", "2a00::/32"], "together more than one /16 of IPv6"),
    ],
)
def test_close_to_everybody_has_to_be_forced(texts: list[str], what: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_cidrs(texts)
    assert what in caught.value.what
    assert FORCING in caught.value.hint
    assert check_cidrs(texts, force=True) == tuple(str(read_cidr(text)) for text in texts)


def test_all_of_a_world_in_small_pieces_is_refused() -> None:
    pieces = [f"{first}.0.0.0/8" for first in range(256)]
    assert check_cidrs(pieces[10:11]) == ("10.0.0.0/8",)
    with pytest.raises(UsageError, match="together more than one /8"):
        check_cidrs(pieces)


def _some(chance: random.Random) -> list[Network]:
    """Return networks that lie near one another, so that they overlap, touch and repeat."""
    found: list[Network] = []
    for _ in range(chance.randint(0, 12)):
        if chance.random() < 0.6:
            prefix = chance.randint(6, 32)
            address = (10 << 24) | chance.getrandbits(25)
            found.append(ipaddress.IPv4Network((address, prefix), strict=False))
        else:
            prefix = chance.randint(13, 128)
            found.append(ipaddress.IPv6Network(((0x2600 << 112) | chance.getrandbits(114), prefix), strict=False))
    return found


def _held(networks: list[Network], version: int) -> int:
    """Count the addresses by the edges of ranges, which is not how the package does it."""
    edges = sorted(
        (int(item.network_address), int(item.broadcast_address)) for item in networks if item.version == version
    )
    total, reached = 0, -1
    for low, high in edges:
        total += max(0, high - max(low, reached + 1) + 1)
        reached = max(reached, high)
    return total


@pytest.mark.parametrize("seed", range(40))
def test_together_they_hold_no_more_than_one_wide_network_does(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(25):
        networks = _some(chance)
        texts = [str(item) for item in networks]
        too_many = _held(networks, 4) > MOST_IPV4 or _held(networks, 6) > MOST_IPV6
        assert is_too_wide(networks) is too_many
        if too_many:
            with pytest.raises(UsageError):
                check_cidrs(texts)
        else:
            passed = check_cidrs(texts)
            assert check_cidrs(passed) == passed
            chance.shuffle(texts)
            assert set(check_cidrs(texts)) == set(passed)


@pytest.mark.parametrize("seed", range(20))
def test_no_way_of_cutting_up_everybody_passes(seed: int) -> None:
    chance = random.Random(seed)
    pieces: list[Network] = [ipaddress.ip_network("0.0.0.0/0" if seed % 2 else "::/0")]
    for _ in range(chance.randint(1, 300)):
        piece = pieces.pop(chance.randrange(len(pieces)))
        pieces += piece.subnets()
    assert is_too_wide(pieces)
    assert not is_too_wide([])


@pytest.mark.parametrize("seed", range(10))
def test_every_address_of_anybody_is_let_in_alone(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(100):
        address = ipaddress.IPv4Address(chance.getrandbits(32) or 1)
        assert check_cidrs([str(address)]) == (f"{address}/32",)
        new = ipaddress.IPv6Address((0x2001 << 112) | chance.getrandbits(112))
        assert check_cidrs([str(new)]) == (f"{new}/128",)
