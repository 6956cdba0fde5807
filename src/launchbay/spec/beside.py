"""What costs beside the instances: disks, addresses, snapshots, NAT gateways, buckets, traffic. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from launchbay.errors import UsageError
from launchbay.spec.document import Document
from launchbay.spec.quantity import read_count, read_size, read_traffic
from launchbay.spec.region import read_region
from launchbay.spec.schedule import ALWAYS, Hours, read_hours

__all__ = [
    "BESIDE_FIELDS",
    "GP3_IOPS",
    "GP3_THROUGHPUT",
    "Address",
    "Beside",
    "Bucket",
    "Disk",
    "NatGateway",
    "Snapshot",
    "Transfer",
    "read_beside",
    "read_disk_size",
]

GP3_IOPS, GP3_THROUGHPUT = 3000, 125
"""What every gp3 disk has without a charge: operations a second, and MiB a second."""
_Item = TypeVar("_Item")
_Amount = TypeVar("_Amount", int, Decimal)
_MOST_IOPS, _MOST_THROUGHPUT, _MOST_SIZE = 80_000, 2000, 65_536

BESIDE_FIELDS: dict[str, str] = {
    "disks": "gp3 disks beside those of the instances, a list",
    "disks.name": "what it is called in the bill (default: disk, disk-2, ...; likewise below)",
    "disks.size": "its size, such as 500GiB; decimal units are rounded up to GiB",
    "disks.iops": "operations a second, 3000 to 80000 (default: 3000, which cost nothing)",
    "disks.throughput": "MiB a second, 125 to 2000 (default: 125, which cost nothing)",
    "disks.count": "how many of them (default: 1)",
    "disks.hours": "how long it is there, `always` or `12h a month` (default: always)",
    "disks.region": "where it is (default: the first region; likewise below)",
    "addresses": "public IPv4 addresses that are kept, attached or not, a list; those of instances are said there",
    "addresses.name": "what it is called in the bill",
    "addresses.count": "how many of them (default: 1)",
    "addresses.hours": "how long it is kept (default: always)",
    "addresses.region": "where it is",
    "snapshots": "snapshots of disks, a list",
    "snapshots.name": "what it is called in the bill",
    "snapshots.size": "the size of the blocks it holds: all of the first, only the changed ones of those that follow",
    "snapshots.count": "how many of them (default: 1)",
    "snapshots.hours": "how long it is kept (default: always)",
    "snapshots.region": "where it is",
    "nat_gateways": "NAT gateways, a list",
    "nat_gateways.name": "what it is called in the bill",
    "nat_gateways.count": "how many of them (default: 1)",
    "nat_gateways.hours": "how long it is there (default: always)",
    "nat_gateways.traffic": "what goes through each in a month, both ways together, such as 200GB",
    "nat_gateways.public_address": "whether it has a public IPv4 address, which costs besides (default: true)",
    "nat_gateways.region": "where it is",
    "buckets": "S3 buckets of the standard class, a list; requests are not counted",
    "buckets.name": "what it is called in the bill",
    "buckets.size": "what lies in it on average, such as 500GB",
    "buckets.region": "where it is",
    "transfer": "traffic that AWS bills, a list; what comes in from the internet is free",
    "transfer.name": "what it is called in the bill",
    "transfer.internet_out": "what goes out to the internet in a month; the first 100 GB are free, once for an account",
    "transfer.cross_zone": "what goes from one zone to another of the region; AWS bills it at both ends",
    "transfer.between_regions": "what goes out to another region",
    "transfer.region": "where it goes out",
}
"""Every field of what costs beside the instances, with its meaning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A gp3 disk; size in GiB, throughput in MiB/s."""

    name: str
    region: str
    size_gib: int
    iops: int = GP3_IOPS
    throughput: int = GP3_THROUGHPUT
    count: int = 1
    hours: Hours = ALWAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A public IPv4 address that is kept, whether it is used or not."""

    name: str
    region: str
    count: int = 1
    hours: Hours = ALWAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A snapshot of a disk; the size of the blocks that it holds, in GiB."""

    name: str
    region: str
    size_gib: int
    count: int = 1
    hours: Hours = ALWAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class NatGateway:
    """A NAT gateway, and what goes through each in a month, in GB."""

    name: str
    region: str
    traffic_gb: Decimal = Decimal(0)
    count: int = 1
    hours: Hours = ALWAYS
    public_address: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """An S3 bucket of the standard class; what lies in it on average, in GB."""

    name: str
    region: str
    size_gb: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Traffic of a month that AWS bills, in GB."""

    name: str
    region: str
    internet_out_gb: Decimal = Decimal(0)
    cross_zone_gb: Decimal = Decimal(0)
    between_regions_gb: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """Everything that costs beside the instances."""

    disks: tuple[Disk, ...] = ()
    addresses: tuple[Address, ...] = ()
    snapshots: tuple[Snapshot, ...] = ()
    nat_gateways: tuple[NatGateway, ...] = ()
    buckets: tuple[Bucket, ...] = ()
    transfer: tuple[Transfer, ...] = ()


def read_beside(document: Document, *, regions: tuple[str, ...], month_hours: Decimal) -> Beside:
    """Read everything that costs beside the instances. Raises UsageError naming file, line and field."""

    def read(field: str, noun: str, build: Callable[[Document, _Common], _Item]) -> tuple[_Item, ...]:
        items = []
        names: list[str] = []
        for entry in document.documents(field):
            name = entry.text("name") or (f"{noun}-{len(names) + 1}" if names else noun)
            if name in names:
                raise UsageError(f"{field} has two entries named {name!r}", where=entry.where("name"))
            names.append(name)
            items.append(build(entry, _Common(name=name, region=read_region(entry, regions), month_hours=month_hours)))
            entry.finish()
        return tuple(items)

    return Beside(
        disks=read("disks", "disk", _read_disk),
        addresses=read("addresses", "address", _read_address),
        snapshots=read("snapshots", "snapshot", _read_snapshot),
        nat_gateways=read("nat_gateways", "nat", _read_nat_gateway),
        buckets=read("buckets", "bucket", _read_bucket),
        transfer=read("transfer", "transfer", _read_transfer),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Common:
    name: str
    region: str
    month_hours: Decimal

    def count(self, entry: Document) -> int:
        return read_count(entry, "count", 1)

    def hours(self, entry: Document) -> Hours:
        return read_hours(entry, self.month_hours)


def _read_disk(entry: Document, common: _Common) -> Disk:
    return Disk(
        name=common.name,
        region=common.region,
        iops=read_count(entry, "iops", GP3_IOPS, least=GP3_IOPS, most=_MOST_IOPS),
        throughput=read_count(entry, "throughput", GP3_THROUGHPUT, least=GP3_THROUGHPUT, most=_MOST_THROUGHPUT),
        count=common.count(entry),
        hours=common.hours(entry),
        size_gib=read_disk_size(entry, "size"),
    )


def read_disk_size(entry: Document, field: str) -> int:
    """Read the size of a gp3 disk in GiB. Raises UsageError unless EC2 has such a disk."""
    size = _said(read_size(entry, field), entry, field)
    if size > _MOST_SIZE:
        raise UsageError(f"{field} must be at most {_MOST_SIZE} GiB, got {size} GiB", where=entry.where(field))
    return size


def _read_address(entry: Document, common: _Common) -> Address:
    return Address(name=common.name, region=common.region, count=common.count(entry), hours=common.hours(entry))


def _read_snapshot(entry: Document, common: _Common) -> Snapshot:
    return Snapshot(
        name=common.name,
        region=common.region,
        count=common.count(entry),
        hours=common.hours(entry),
        size_gib=_said(read_size(entry, "size"), entry, "size"),
    )


def _read_nat_gateway(entry: Document, common: _Common) -> NatGateway:
    return NatGateway(
        name=common.name,
        region=common.region,
        traffic_gb=read_traffic(entry, "traffic") or Decimal(0),
        public_address=entry.flag("public_address", default=True),
        count=common.count(entry),
        hours=common.hours(entry),
    )


def _read_bucket(entry: Document, common: _Common) -> Bucket:
    size = _said(read_traffic(entry, "size"), entry, "size")
    return Bucket(name=common.name, region=common.region, size_gb=size)


def _read_transfer(entry: Document, common: _Common) -> Transfer:
    return Transfer(
        name=common.name,
        region=common.region,
        internet_out_gb=read_traffic(entry, "internet_out") or Decimal(0),
        cross_zone_gb=read_traffic(entry, "cross_zone") or Decimal(0),
        between_regions_gb=read_traffic(entry, "between_regions") or Decimal(0),
    )


def _said(amount: _Amount | None, entry: Document, field: str) -> _Amount:
    """Return what an entry must say; asked for last, because a field that was mistyped may be why it does not."""
    if amount is None:
        entry.finish()
        raise UsageError(f"an entry must say its {field}", where=entry.where(field), hint=f"{field}: 100GiB")
    return amount
