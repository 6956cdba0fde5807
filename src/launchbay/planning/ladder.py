"""Where a launch is tried, and in which order: zones, then sister types, then (where allowed) other markets. Pure.

A rung is tried once, with a token of its own, after the one before it is proven to have made nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from launchbay.catalog.column import natural_order
from launchbay.catalog.type import InstanceType
from launchbay.errors import UsageError
from launchbay.planning.fit import Ami, ImageNeeds, why_not
from launchbay.units import count_of, format_amount, format_duration

__all__ = ["RECENT_S", "Rung", "Shortage", "ZoneOffer", "is_sister", "list_rungs"]

RECENT_S = 1800.0
"""For how long a zone that had no room comes last. Nobody says how fast room comes back; AWS: wait some minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneOffer:
    """A type that a zone offers in a market, with its price there; None where that is not known."""

    zone: str
    type: InstanceType
    market: str
    usd_per_hour: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """A zone that had no room for a type in a market, and how many seconds ago."""

    zone: str
    type: str
    market: str
    age_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One place to try. `why` says in a few words why it is on the ladder, and where on it."""

    zone: str
    type: str
    market: str
    usd_per_hour: Decimal | None
    why: str


def list_rungs(
    asked: InstanceType,
    offers: Iterable[ZoneOffer],
    *,
    needs: ImageNeeds,
    ami: Ami | None,
    markets: Sequence[str] = ("on-demand",),
    with_sisters: bool = False,
    least_efa: int = 0,
    shortages: Sequence[Shortage] = (),
    most_usd_per_hour: Decimal | None = None,
) -> tuple[Rung, ...]:
    """Return the rungs in the order in which they are tried; the same for the same input, in whatever order that is.

    `markets` are those allowed, the one asked for first. In each come the zones of the asked type, by price, those that had
    no room lately last (the longest ago first); then each sister type, the nearest in price first. Unknown prices come
    last, and never pass a ceiling. A type that the image does not run on is on no rung. Raises UsageError where that is the
    type that was asked for.
    """
    if reasons := why_not(needs, asked, ami):
        raise UsageError("; ".join(reasons), hint="another --type, or an image for that one")
    found = [
        offer
        for offer in offers
        if offer.market in markets and _is_fitting(asked, offer.type, needs, ami, least_efa, with_sisters=with_sisters)
    ]
    if most_usd_per_hour is not None:
        found = [item for item in found if item.usd_per_hour is not None and item.usd_per_hour <= most_usd_per_hour]
    lately = {(item.zone, item.type, item.market): item.age_s for item in _by_age(shortages) if item.age_s < RECENT_S}
    lowest = _lowest(found)
    unique = {(offer.zone, offer.type.name, offer.market): offer for offer in sorted(found, key=_dearest_first)}
    ordered = sorted(
        unique.values(),
        key=lambda offer: (
            list(markets).index(offer.market),
            offer.type.name != asked.name,
            *_distance(lowest, asked.name, offer),
            natural_order(offer.type.name),
            *_in_type(offer, lately.get((offer.zone, offer.type.name, offer.market))),
        ),
    )
    return tuple(_rung(offer, asked, markets[0], lately) for offer in ordered)


def is_sister(asked: InstanceType, other: InstanceType) -> bool:
    """Say whether a type does what the asked one does: the same GPU, as many of them and whole, as much of all else.

    Without a GPU: none of any accelerator either. One that is burstable or bare metal stands in for its like only.
    """
    if other.name == asked.name:
        return False
    if [item.kind for item in other.accelerators] != [item.kind for item in asked.accelerators]:
        return False
    for mine, theirs in zip(asked.accelerators, other.accelerators, strict=True):
        if (mine.name, mine.share) != (theirs.name, theirs.share) or theirs.count < mine.count:
            return False
        if theirs.memory_mib < mine.memory_mib:
            return False
    return (
        other.vcpus >= asked.vcpus
        and other.memory_mib >= asked.memory_mib
        and other.local_disk_gb >= asked.local_disk_gb
        and not set(asked.architectures).isdisjoint(other.architectures)
        and (other.is_burstable, other.is_bare_metal) == (asked.is_burstable, asked.is_bare_metal)
    )


def _is_fitting(
    asked: InstanceType, other: InstanceType, needs: ImageNeeds, ami: Ami | None, least_efa: int, *, with_sisters: bool
) -> bool:
    if other.efa_interfaces < least_efa:
        return False
    return other.name == asked.name or (with_sisters and is_sister(asked, other) and not why_not(needs, other, ami))


def _by_age(shortages: Sequence[Shortage]) -> list[Shortage]:
    """Return shortages with the newest last, which is the one that counts."""
    return sorted(shortages, key=lambda item: -item.age_s)


def _lowest(offers: Sequence[ZoneOffer]) -> dict[tuple[str, str], Decimal]:
    """Return the lowest known price of each type and market."""
    found: dict[tuple[str, str], Decimal] = {}
    for offer in offers:
        key, usd = (offer.type.name, offer.market), offer.usd_per_hour
        if usd is not None:
            found[key] = min(usd, found.get(key, usd))
    return found


def _dearest_first(offer: ZoneOffer) -> tuple[bool, Decimal]:
    """Sort so that of one place that is named twice the lower known price stays."""
    return offer.usd_per_hour is not None, -(offer.usd_per_hour or Decimal(0))


def _distance(lowest: dict[tuple[str, str], Decimal], asked: str, offer: ZoneOffer) -> tuple[bool, Decimal, Decimal]:
    """Return how far a type's price is from the asked one's, in its market; the cheaper of two as far comes first."""
    own, other = lowest.get((asked, offer.market), Decimal(0)), lowest.get((offer.type.name, offer.market))
    return (True, Decimal(0), Decimal(0)) if other is None else (False, abs(other - own), other)


def _in_type(offer: ZoneOffer, age_s: float | None) -> tuple[bool, float, bool, Decimal, str]:
    """Return the order of a type's zones."""
    known = offer.usd_per_hour is not None
    return age_s is not None, -(age_s or 0.0), not known, offer.usd_per_hour or Decimal(0), offer.zone


def _rung(offer: ZoneOffer, asked: InstanceType, market: str, lately: dict[tuple[str, str, str], float]) -> Rung:
    age_s = lately.get((offer.zone, offer.type.name, offer.market))
    said = [
        "as asked" if offer.type.name == asked.name else f"another with {_devices(offer.type)}",
        *([f"{offer.market} instead of {market}"] if offer.market != market else []),
        *([f"had no room {format_duration(age_s)} ago"] if age_s is not None else []),
        *(["price not known"] if offer.usd_per_hour is None else []),
    ]
    return Rung(
        zone=offer.zone,
        type=offer.type.name,
        market=offer.market,
        usd_per_hour=offer.usd_per_hour,
        why=", ".join(said),
    )


def _devices(kind: InstanceType) -> str:
    devices = [f"{item.count} × {item.name}" for item in kind.accelerators]
    memory = f"{format_amount(Decimal(kind.memory_mib) / 1024, most=1)} GiB"
    return ", ".join((*devices, count_of(kind.vcpus, "vCPU"), memory))
