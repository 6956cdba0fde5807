"""How facts about a region stand in the cache: a table for each kind, a row for each fact. Pure.

Amounts are text, exactly as AWS wrote them. What all rows of a kind share (date, source) stands once, in ``answers``.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from launchbay.catalog.live import Live, SavingsRate, SpotHistory
from launchbay.catalog.price import Price, SidePrice
from launchbay.catalog.type import Accelerator, InstanceType

__all__ = ["KINDS", "Kind", "Origin", "kinds_of"]

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What all rows of one kind in one region share: when AWS was asked, and what."""

    region: str
    as_of: date
    source: str
    regions: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of fact: its table's columns, and how a fact becomes a row and a row a fact."""

    name: str
    columns: str
    write: Callable[[Any], Row]
    read: Callable[[Row, Origin], Any]

    @property
    def names(self) -> str:
        """The columns' names, as a query lists them."""
        return ", ".join(column.split()[0] for column in self.columns.split(", "))


def kinds_of(live: Live) -> Mapping[str, Sequence[Any]]:
    """Return what is there to be stored, by kind; a kind that AWS would not say is not among them."""
    found: Mapping[str, Sequence[Any] | None] = {
        "types": live.types,
        "offers": tuple(live.zones.items()),
        "prices": live.prices,
        "side": live.side,
        "spot": live.spot,
        "savings": live.savings,
    }
    return {name: facts for name, facts in found.items() if facts is not None}


def _write_type(item: InstanceType) -> Row:
    devices = [[x.kind, x.maker, x.name, x.count, x.memory_mib, str(x.share)] for x in item.accelerators]
    return (
        item.name,
        item.vcpus,
        item.memory_mib,
        " ".join(item.architectures),
        item.processor,
        json.dumps(devices) if devices else "",
        int(item.is_burstable),
        int(item.is_bare_metal),
        int(item.is_current),
        item.local_disk_gb,
        item.local_disk_kind,
        item.ebs_baseline_mbps,
        item.ebs_maximum_mbps,
        item.network,
        item.network_baseline_gbps,
        item.network_peak_gbps,
        item.efa_interfaces,
        " ".join(item.usage_classes),
    )


def _read_type(row: Row, origin: Origin) -> InstanceType:
    return InstanceType(
        name=row[0],
        vcpus=row[1],
        memory_mib=row[2],
        architectures=_words(row[3]),
        processor=row[4],
        accelerators=tuple(_read_device(device) for device in json.loads(row[5])) if row[5] else (),
        is_burstable=bool(row[6]),
        is_bare_metal=bool(row[7]),
        is_current=bool(row[8]),
        is_retired=False,
        local_disk_gb=row[9],
        local_disk_kind=row[10],
        ebs_baseline_mbps=row[11],
        ebs_maximum_mbps=row[12],
        network=row[13],
        network_baseline_gbps=row[14],
        network_peak_gbps=row[15],
        efa_interfaces=row[16],
        usage_classes=_words(row[17]),
        regions=origin.regions,
        source=origin.source,
    )


@functools.cache
def _words(text: str) -> tuple[str, ...]:
    """Return the words of a cell; few combinations of them serve all types."""
    return tuple(text.split())


def _read_device(device: Sequence[Any]) -> Accelerator:
    kind, maker, name, count, memory, share = device
    return Accelerator(kind=kind, maker=maker, name=name, count=count, memory_mib=memory, share=Fraction(share))


def _read_price(row: Row, origin: Origin) -> Price:
    return Price(
        type=row[0],
        region=origin.region,
        market="on-demand",
        usd_per_hour=Decimal(row[1]),
        as_of=origin.as_of,
        source=origin.source,
        method="live",
    )


def _read_side(row: Row, origin: Origin) -> SidePrice:
    item, usd, unit = row
    return SidePrice(
        item=item,
        region=origin.region,
        usd=Decimal(usd),
        unit=unit,
        as_of=origin.as_of,
        source=origin.source,
        method="live",
    )


def _write_spot(fact: SpotHistory) -> Row:
    amounts = (fact.usd_per_hour, fact.mean_usd, fact.low_usd, fact.high_usd)
    return (fact.type, fact.zone_id, *map(str, amounts), fact.days)


def _read_spot(row: Row, origin: Origin) -> SpotHistory:
    usd, mean, low, high = map(Decimal, row[2:6])
    return SpotHistory(
        type=row[0],
        region=origin.region,
        zone_id=row[1],
        usd_per_hour=usd,
        mean_usd=mean,
        low_usd=low,
        high_usd=high,
        days=row[6],
        as_of=origin.as_of,
        source=origin.source,
    )


def _read_savings(row: Row, origin: Origin) -> SavingsRate:
    return SavingsRate(
        type=row[0],
        region=origin.region,
        plan=row[1],
        payment=row[2],
        years=row[3],
        usd_per_hour=Decimal(row[4]),
        as_of=origin.as_of,
        source=origin.source,
    )


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            name="types",
            columns="name TEXT, vcpus INTEGER, memory_mib INTEGER, architectures TEXT, processor TEXT, accelerators TEXT, "
            "burstable INTEGER, bare_metal INTEGER, current INTEGER, local_disk_gb INTEGER, local_disk_kind TEXT, "
            "ebs_baseline_mbps INTEGER, ebs_maximum_mbps INTEGER, network TEXT, network_baseline_gbps REAL, "
            "network_peak_gbps REAL, efa_interfaces INTEGER, usage_classes TEXT",
            write=_write_type,
            read=_read_type,
        ),
        Kind(
            name="offers",
            columns="type TEXT, zones TEXT",
            write=lambda fact: (fact[0], " ".join(fact[1])),
            read=lambda row, _: (row[0], _words(row[1])),
        ),
        Kind(
            name="prices",
            columns="type TEXT, usd TEXT",
            write=lambda fact: (fact.type, str(fact.usd_per_hour)),
            read=_read_price,
        ),
        Kind(
            name="side",
            columns="item TEXT, usd TEXT, unit TEXT",
            write=lambda fact: (fact.item, str(fact.usd), fact.unit),
            read=_read_side,
        ),
        Kind(
            name="spot",
            columns="type TEXT, zone_id TEXT, usd TEXT, mean_usd TEXT, low_usd TEXT, high_usd TEXT, days INTEGER",
            write=_write_spot,
            read=_read_spot,
        ),
        Kind(
            name="savings",
            columns="type TEXT, plan TEXT, payment TEXT, years INTEGER, usd TEXT",
            write=lambda fact: (fact.type, fact.plan, fact.payment, fact.years, str(fact.usd_per_hour)),
            read=_read_savings,
        ),
    )
}
"""Every kind of fact, by the name of its table."""
