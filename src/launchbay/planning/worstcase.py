"""What a launch can cost at most until its lease ends. Pure, and exact: Decimal, rounded once, when the sum is shown.

Everything runs until the last second of the lease, and nothing ends early. What is unknown makes the sum unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from launchbay.catalog.burst import surplus_item, surplus_vcpus
from launchbay.catalog.items import GP3, GP3_IOPS, GP3_THROUGHPUT, ITEMS, PUBLIC_IPV4, VOLUME_INITIALIZATION
from launchbay.catalog.price import Price, SidePrice
from launchbay.catalog.type import InstanceType
from launchbay.cost.instances import LEAST_SECONDS
from launchbay.cost.line import Line, total_of
from launchbay.errors import UsageError
from launchbay.planning.cloudwish import CloudWish
from launchbay.units import count_of, format_duration, format_usd

__all__ = ["SHORTEST_MONTH_HOURS", "Disk", "WorstCase", "disks_of", "worst_case"]

SHORTEST_MONTH_HOURS = Decimal(28 * 24)
"""Disks are priced by the month and billed by the second; in a February a second is dearest."""

_FREE_IOPS, _FREE_THROUGHPUT = 3000, 125


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A gp3 disk of each instance: its size, what it has beyond 3000 operations and 125 MiB a second, how it is filled.

    `filled_gib` is the size of the snapshot that is read at a rate of one's own, 0 where none is. One that `is_kept` goes on
    costing after the lease.
    """

    name: str
    gib: int
    iops: int = _FREE_IOPS
    throughput: int = _FREE_THROUGHPUT
    filled_gib: int = 0
    is_kept: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstCase:
    """The lines of what a launch can cost at most. `notes` say what goes on costing, or is in no line."""

    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()

    @property
    def unknown(self) -> tuple[str, ...]:
        """Why the sum is not known: each line without an amount, and what is not known of it."""
        return tuple(
            f"{line.what}: the price of {line.item} in {line.region} is not known"
            if line.unit_usd is None
            else line.what
            for line in self.lines
            if line.amount is None
        )

    @property
    def usd(self) -> Decimal | None:
        """The exact sum; None where an amount is not known, for a part of the worst case bounds nothing."""
        return None if self.unknown else total_of(self.lines)

    @property
    def at_least_usd(self) -> Decimal:
        """The exact sum of what is known."""
        return sum((line.amount for line in self.lines if line.amount is not None), Decimal(0))

    def as_json(self) -> Mapping[str, Any]:
        """Return the fields that `--json` shows: amounts with two decimals, half a cent rounded up."""
        return {
            "usd": None if self.usd is None else format_usd(self.usd),
            "at_least_usd": format_usd(self.at_least_usd),
            "unknown": self.unknown,
            "lines": self.lines,
            "notes": self.notes,
        }


def worst_case(
    type_: InstanceType,
    *,
    region: str,
    count: int,
    ttl_s: int,
    market: str,
    price: Price | None,
    disks: Sequence[Disk],
    public_address: bool,
    side: Mapping[str, SidePrice],
    image_usd_per_hour: Decimal | None = Decimal(0),
) -> WorstCase:
    """Return what `count` instances can cost at most in the `ttl_s` seconds of their lease, a minute at least.

    `price` is that on demand, also on the spot market: a spot price moves, and without a highest price of one's own it goes up
    to that one. `side` are the region's side prices by item. `image_usd_per_hour` is what the image's maker takes, None
    where that is not known. Raises UsageError where the price is of another type, region or market.
    """
    if price is not None and (price.type, price.region, price.market) != (type_.name, region, "on-demand"):
        got = f"{price.type} in {price.region}, {price.market}"
        raise UsageError(f"the worst case of {type_.name} in {region} needs its price on demand, got that of {got}")
    seconds = max(Decimal(ttl_s), LEAST_SECONDS)
    hours = seconds * count / 3600
    plain = Line(
        name="launch",
        category="compute",
        item=f"{type_.name} on-demand",
        region=region,
        what="",
        quantity=hours,
        unit="hour",
    )
    times = f"{count} × {type_.name} for {format_duration(float(seconds))}"
    until = "" if market == "on-demand" else f", {market}, which costs at most what it does on demand"
    lines = [_priced(replace(plain, what=f"{times}{until}"), price)]
    lines += _surplus(type_, plain, side)
    if image_usd_per_hour != 0:
        software = replace(plain, category="software", item="image", what="what the image's maker takes")
        lines.append(replace(software, unit_usd=image_usd_per_hour, method="said" if image_usd_per_hour else ""))
    for disk in disks:
        lines += _of_disk(disk, plain, count, side)
    if public_address:
        what = f"public IPv4, {count_of(count, 'instance')}"
        lines.append(_side(plain, PUBLIC_IPV4, side, category="address", what=what, quantity=hours))
    return WorstCase(lines=tuple(lines), notes=tuple(_notes(disks, count)))


def disks_of(wish: CloudWish) -> tuple[Disk, ...]:
    """Return the disks that each instance of a wish has."""
    image = wish.image
    filled = 1 if wish.rate is not None else 0
    root = Disk(
        name="root",
        gib=max(wish.root_gib or 0, image.root.snapshot_gib),
        iops=wish.root_iops or _FREE_IOPS,
        throughput=wish.root_throughput or _FREE_THROUGHPUT,
        filled_gib=filled * image.root.snapshot_gib,
    )
    others = [
        Disk(name=item.device, gib=item.snapshot_gib, filled_gib=filled * item.snapshot_gib) for item in image.others
    ]
    volumes = [
        Disk(
            name=item.mount,
            gib=item.gib,
            iops=item.iops or _FREE_IOPS,
            throughput=item.throughput or _FREE_THROUGHPUT,
            is_kept=item.is_kept,
        )
        for item in wish.volumes
    ]
    return (root, *others, *volumes)


def _priced(line: Line, price: Price | None) -> Line:
    if price is None:
        return line
    return replace(
        line,
        unit_usd=price.usd_per_hour,
        source=price.source,
        as_of=price.as_of,
        method=price.method,
        is_stale=price.is_stale,
    )


def _side(
    plain: Line, item: str, side: Mapping[str, SidePrice], *, category: str, what: str, quantity: Decimal | None
) -> Line:
    unit = ITEMS[item][0] if item in ITEMS else "GiB"
    line = replace(plain, category=category, item=item, what=what, quantity=quantity, unit=unit)
    price = side.get(item)
    if price is None:
        return line
    return replace(line, unit_usd=price.usd, source=price.source, as_of=price.as_of, method=price.method)


def _surplus(type_: InstanceType, plain: Line, side: Mapping[str, SidePrice]) -> Iterator[Line]:
    """Yield what a burstable type takes on top when it is used in full, which by default it may be (unlimited mode)."""
    if type_.is_burstable:
        vcpus, item = surplus_vcpus(type_), surplus_item(type_) or f"cpu-surplus-{type_.family}"
        what = f"{type_.name} at full processor, above its baseline"
        quantity = None if vcpus is None or plain.quantity is None else vcpus * plain.quantity
        yield replace(_side(plain, item, side, category="compute", what=what, quantity=quantity), unit="vCPU-hour")


def _of_disk(disk: Disk, plain: Line, count: int, side: Mapping[str, SidePrice]) -> Iterator[Line]:
    """Yield what a disk costs for as long as its instance may live, each part that has a price of its own."""
    months = (plain.quantity or Decimal(0)) / SHORTEST_MONTH_HOURS
    named = f"{disk.name}, {count} × {disk.gib} GiB"
    yield _side(plain, GP3, side, category="disk", what=f"gp3 {named}", quantity=disk.gib * months)
    for item, has, free, unit in (
        (GP3_IOPS, disk.iops, _FREE_IOPS, "operations a second"),
        (GP3_THROUGHPUT, disk.throughput, _FREE_THROUGHPUT, "MiB/s"),
    ):
        if has > free:
            what = f"{disk.name}: {has} {unit}, {free} of them free"
            yield _side(plain, item, side, category="disk", what=what, quantity=(has - free) * months)
    if disk.filled_gib:
        what = f"{disk.name}: {count} × {disk.filled_gib} GiB filled at a rate of its own"
        yield _side(
            plain, VOLUME_INITIALIZATION, side, category="disk", what=what, quantity=Decimal(count * disk.filled_gib)
        )


def _notes(disks: Sequence[Disk], count: int) -> Iterator[str]:
    kept = [disk for disk in disks if disk.is_kept]
    if kept:
        names = ", ".join(disk.name for disk in kept)
        total = count * sum(disk.gib for disk in kept)
        yield f"kept, and costs on after the lease until it is deleted: {names}, {total} GiB together"
    yield "what leaves AWS, and what a bucket stores, is in no line: nobody knows how much that will be"
