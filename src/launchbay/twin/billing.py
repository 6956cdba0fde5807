"""What of the twin's truth costs money right now, and how much.

What counts is what EC2 counts: an instance while it runs (not while it is pending, stopping or stopped), a volume and a
snapshot from when they are made until they are deleted, a public IPv4 address as long as somebody has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from launchbay.catalog.items import (
    GP3,
    GP3_IOPS,
    GP3_THROUGHPUT,
    PUBLIC_IPV4,
    SNAPSHOT,
    VOLUME_INITIALIZATION,
)
from launchbay.twin.backend import ec2, ec2_regions, instances, tags_of, volumes
from launchbay.twin.ledger import Billable

if TYPE_CHECKING:
    from launchbay.twin.world import World

__all__ = ["list_billables", "spot_usd"]

_SPOT_SHARE = Decimal("0.35")
"""What spot costs of on-demand where the catalogue knows no price of it: assumed, and said so wherever it is shown."""


_FREE_IOPS, _FREE_MIB_S = 3000, 125
"""What every gp3 disk has: operations and MiB a second."""


def list_billables(world: World) -> Iterator[Billable]:
    """Yield everything that costs at this moment."""
    for region in ec2_regions():
        yield from _of_instances(world, region)
        yield from _of_volumes(world, region)
        yield from _of_snapshots(world, region)
        yield from _of_addresses(world, region)


def spot_usd(world: World, type_name: str, zone: str) -> Decimal | None:
    """Return what an hour of a type costs on the spot market of a zone now, in US dollars; None where nobody knows."""
    prices = world.truth.spot_usd
    said = prices.get((type_name, zone), prices.get((type_name, "")))
    if said is not None:
        return said
    region = zone[:-1]
    price = world.catalogue.price(type_name, region, "spot")
    if price is not None:
        return price.usd_per_hour
    base = world.catalogue.price(type_name, region)
    return None if base is None else (base.usd_per_hour * _SPOT_SHARE).quantize(Decimal("0.0001"))


def _of_instances(world: World, region: str) -> Iterator[Billable]:
    charges = world.truth.noted("image charges")
    for item in instances(region):
        if item.state != "running":
            continue
        if item.lifecycle == "spot":
            usd, market = spot_usd(world, item.instance_type, item.availability_zone), "spot"
        else:
            price = world.catalogue.price(item.instance_type, region)
            usd, market = (price.usd_per_hour if price else None), "on-demand"
        what = f"{item.instance_type} {market}"
        yield Billable(
            resource=item.id, item=what, quantity=Decimal(1), unit="hour", usd=usd, owner=item.id, region=region
        )
        charge = charges.get(item.image_id)
        if charge is not None:
            yield Billable(
                resource=item.id,
                item=f"image {item.image_id}",
                quantity=Decimal(1),
                unit="hour",
                usd=Decimal(charge),
                owner=item.id,
                region=region,
            )


def _of_volumes(world: World, region: str) -> Iterator[Billable]:
    """Yield what volumes cost: their space, what a gp3 one has beyond the free speed, and that it was filled at a rate."""
    for volume in volumes(region):
        is_gp3 = volume.volume_type == "gp3"
        parts = [(GP3, f"{volume.volume_type} disk", int(volume.size), "GiB-month")]
        if is_gp3:
            parts.append((GP3_IOPS, "gp3 operations", int(volume.iops or 0) - _FREE_IOPS, "IOPS-month"))
            parts.append((GP3_THROUGHPUT, "gp3 throughput", int(volume.throughput or 0) - _FREE_MIB_S, "MiBps-month"))
        parts.append((VOLUME_INITIALIZATION, "disk filled at a rate", getattr(volume, "filled_gib", 0), "GiB"))
        for item, what, quantity, unit in parts:
            if quantity > 0:
                price = world.catalogue.side_price(item, region)
                is_known = price is not None and (is_gp3 or item == VOLUME_INITIALIZATION)
                yield Billable(
                    resource=volume.id,
                    item=what,
                    quantity=Decimal(quantity),
                    unit=unit,
                    usd=price.usd if price is not None and is_known else None,
                    owner=volume.attachment.instance.id if volume.attachment else "",
                    region=region,
                )


def _of_snapshots(world: World, region: str) -> Iterator[Billable]:
    price = world.catalogue.side_price(SNAPSHOT, region)
    for snapshot in list(ec2(region).snapshots.values()):
        if snapshot.owner_id == world.truth.settings.account:
            yield Billable(
                resource=snapshot.id,
                item="snapshot",
                quantity=Decimal(int(snapshot.volume.size)),
                unit="GiB-month",
                usd=price.usd if price else None,
                owner=tags_of(snapshot).get("launchbay:instance", ""),
                region=region,
            )


def _of_addresses(world: World, region: str) -> Iterator[Billable]:
    price = world.catalogue.side_price(PUBLIC_IPV4, region)
    held: dict[str, str] = {}
    for item in instances(region):
        address = _public_address(item)
        if address and item.state == "running":
            held[address] = item.id
    for address in ec2(region).addresses:
        held.setdefault(address.public_ip, "")
    for address, owner in held.items():
        yield Billable(
            resource=address,
            item="public IPv4 address",
            quantity=Decimal(1),
            unit="hour",
            usd=price.usd if price else None,
            owner=owner,
            region=region,
        )


def _public_address(instance: Any) -> str:
    return str(instance.public_ip or "") if instance.nics else ""
