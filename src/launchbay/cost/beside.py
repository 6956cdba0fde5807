"""The lines of what costs beside the instances: disks, addresses, snapshots, NAT gateways, buckets, traffic. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from launchbay.catalog.items import (
    GP3,
    GP3_IOPS,
    GP3_THROUGHPUT,
    NAT_GATEWAY,
    NAT_GATEWAY_DATA,
    PUBLIC_IPV4,
    S3_STANDARD,
    SNAPSHOT,
    TRANSFER_CROSS_ZONE,
    TRANSFER_INTER_REGION,
    TRANSFER_OUT,
    TRANSFER_OUT_TIERS,
)
from launchbay.catalog.price import Catalogue
from launchbay.cost.line import Line
from launchbay.cost.side import Entry, side_line
from launchbay.cost.tier import split_tiers
from launchbay.spec.beside import GP3_IOPS as FREE_IOPS
from launchbay.spec.beside import GP3_THROUGHPUT as FREE_THROUGHPUT
from launchbay.spec.beside import Bucket, Disk, NatGateway, Snapshot
from launchbay.spec.workload import Workload
from launchbay.units import format_amount

__all__ = ["lines_beside"]

_FIRST_S3_TIER = Decimal(51_200)
"""Up to how many GB the catalogue's price of a bucket holds: 50 TB. What lies above is cheaper, and not known here."""


def lines_beside(workload: Workload, catalogue: Catalogue) -> Iterator[Line]:
    """Yield what costs in a month beside the instances."""
    month = workload.month_hours
    for disk in workload.beside.disks:
        yield from _disk_lines(disk, month, catalogue)
    for snapshot in workload.beside.snapshots:
        yield _snapshot_line(snapshot, month, catalogue)
    for address in workload.beside.addresses:
        quantity = address.hours.in_month(month) * address.count
        what = f"public IPv4{_times(address.count)}"
        yield side_line(PUBLIC_IPV4, address, catalogue, category="address", what=what, quantity=quantity)
    for gateway in workload.beside.nat_gateways:
        yield from _nat_lines(gateway, month, catalogue)
    for bucket in workload.beside.buckets:
        yield from _bucket_lines(bucket, catalogue)
    yield from _transfer_lines(workload, catalogue)


def _disk_lines(disk: Disk, month: Decimal, catalogue: Catalogue) -> Iterator[Line]:
    part = disk.count * disk.hours.in_month(month) / month
    times = f"{disk.count} × " if disk.count > 1 else ""
    for item, billed, what in (
        (GP3, disk.size_gib, f"gp3, {times}{disk.size_gib} GiB"),
        (GP3_IOPS, disk.iops - FREE_IOPS, f"{times}{disk.iops} operations a second, {FREE_IOPS} free"),
        (GP3_THROUGHPUT, disk.throughput - FREE_THROUGHPUT, f"{times}{disk.throughput} MiB/s, {FREE_THROUGHPUT} free"),
    ):
        if billed:
            yield side_line(item, disk, catalogue, category="disk", what=what, quantity=billed * part)


def _snapshot_line(snapshot: Snapshot, month: Decimal, catalogue: Catalogue) -> Line:
    quantity = snapshot.size_gib * snapshot.count * snapshot.hours.in_month(month) / month
    what = f"{snapshot.size_gib} GiB{_times(snapshot.count)}"
    return side_line(SNAPSHOT, snapshot, catalogue, category="snapshot", what=what, quantity=quantity)


def _nat_lines(gateway: NatGateway, month: Decimal, catalogue: Catalogue) -> Iterator[Line]:
    hours = gateway.hours.in_month(month) * gateway.count
    what = f"NAT gateway{_times(gateway.count)}"
    yield side_line(NAT_GATEWAY, gateway, catalogue, category="nat", what=what, quantity=hours)
    if gateway.traffic_gb:
        through = gateway.traffic_gb * gateway.count
        yield side_line(NAT_GATEWAY_DATA, gateway, catalogue, category="nat", what="through it", quantity=through)
    if gateway.public_address:
        what = f"public IPv4 of the gateway{_times(gateway.count)}"
        yield side_line(PUBLIC_IPV4, gateway, catalogue, category="address", what=what, quantity=hours)


def _times(count: int) -> str:
    return f", {count} of them" if count > 1 else ""


def _bucket_lines(bucket: Bucket, catalogue: Catalogue) -> Iterator[Line]:
    known = min(bucket.size_gb, _FIRST_S3_TIER)
    what = f"S3 standard, {format_amount(known)} GB"
    yield side_line(S3_STANDARD, bucket, catalogue, category="bucket", what=what, quantity=known)
    if above := bucket.size_gb - known:
        yield Line(
            name=bucket.name,
            category="bucket",
            item=S3_STANDARD,
            region=bucket.region,
            what=f"S3 standard, {format_amount(above)} GB above 50 TB",
            quantity=above,
            unit="GiB-month",
        )


def _transfer_lines(workload: Workload, catalogue: Catalogue) -> Iterator[Line]:
    """Yield the lines of traffic. What goes out to the internet uses up one allowance and one set of tiers.

    Entries of several regions do so from the cheapest region on, so that their order does not matter and the bill is never
    too low.
    """

    def rank(entry: Entry) -> tuple[Decimal, str, str]:
        price = catalogue.side_price(TRANSFER_OUT, entry.region)
        return (Decimal(0) if price is None else price.usd, entry.region, entry.name)

    gone = Decimal(0)
    for entry in sorted(workload.beside.transfer, key=rank):
        for item, part in split_tiers(gone, entry.internet_out_gb, TRANSFER_OUT_TIERS):
            yield _internet_line(item, entry, part, catalogue)
        gone += entry.internet_out_gb
    for entry in workload.beside.transfer:
        if entry.cross_zone_gb:
            what, quantity = "to another zone, billed at both ends", 2 * entry.cross_zone_gb
            yield side_line(TRANSFER_CROSS_ZONE, entry, catalogue, category="transfer", what=what, quantity=quantity)
        if entry.between_regions_gb:
            what, quantity = "to another region", entry.between_regions_gb
            yield side_line(TRANSFER_INTER_REGION, entry, catalogue, category="transfer", what=what, quantity=quantity)


def _internet_line(item: str, entry: Entry, part: Decimal, catalogue: Catalogue) -> Line:
    if item:
        begin = next(begin for begin, name in TRANSFER_OUT_TIERS if name == item)
        what = f"out to the internet, above {begin} GB"
        return side_line(item, entry, catalogue, category="transfer", what=what, quantity=part)
    return Line(
        name=entry.name,
        category="transfer",
        item=f"{TRANSFER_OUT}-free",
        region=entry.region,
        what="out to the internet, the first 100 GB",
        quantity=part,
        unit="GB",
        unit_usd=Decimal(0),
        source="AWS: free for every account, over all its regions",
        method="free",
    )
