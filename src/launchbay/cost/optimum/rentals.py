"""Machines from the catalogue: each type in each region, with what an instance pays beside its hours. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from launchbay.catalog.burst import surplus_item, surplus_vcpus
from launchbay.catalog.price import Catalogue
from launchbay.catalog.type import InstanceType
from launchbay.cost.optimum.machine import Machine

__all__ = ["CURRENT", "STEADY", "list_machines", "traits_of"]

STEADY = "steady"
"""The trait of a type that is not slowed down, or charged a surplus, under lasting load: no burstable one."""

CURRENT = "current"
"""The trait of a type that EC2 counts among its current generation."""


def list_machines(
    catalogue: Catalogue,
    regions: Sequence[str],
    *,
    month_hours: Decimal,
    disk_gib: int = 0,
    with_address: bool = False,
    spot_mean_hours: Mapping[tuple[str, str], float] | None = None,
    counts_surplus: bool = True,
) -> list[Machine]:
    """Return every type that a region offers. One whose price, disk or address has no known price there has none itself.

    A disk is paid by the month, whatever the hours of the month; its share of an hour is a month's over `month_hours`.
    `spot_mean_hours` says, by type and region, how long a spot instance runs on average until it is taken back; where it is
    missing no spot instance is considered. A burstable type at full processor costs its surplus on top; where
    that is not known it has no hourly price for jobs. Without `counts_surplus` nothing is, for what is there already.
    """
    found = []
    for place, region in enumerate(regions):
        beside = _beside(catalogue, region, month_hours, disk_gib, with_address=with_address)
        for kind in catalogue.types.values():
            if region in kind.regions:
                surplus = _surplus(catalogue, kind, region) if counts_surplus else Decimal(0)
                machine = _machine(catalogue, kind, region, beside, surplus)
                hourly, mean = machine.hourly_usd, (spot_mean_hours or {}).get((kind.name, region))
                usd = hourly * month_hours if hourly is not None else None
                is_charged = surplus is None
                found.append(
                    replace(
                        machine,
                        place=place,
                        always_on_usd=usd,
                        hourly_usd=None if is_charged else hourly,
                        spot_usd=None if is_charged else machine.spot_usd,
                        spot_mean_hours=mean,
                    )
                )
    return found


def _beside(
    catalogue: Catalogue, region: str, month_hours: Decimal, disk_gib: int, *, with_address: bool
) -> Decimal | None:
    """Return what an instance pays an hour beside itself, None where a price is not known."""
    total = Decimal(0)
    for item, amount in (("gp3", Decimal(disk_gib) / month_hours), ("public-ipv4", Decimal(int(with_address)))):
        price = catalogue.side_price(item, region)
        if amount and price is None:
            return None
        total += amount * price.usd if price else Decimal(0)
    return total


def _surplus(catalogue: Catalogue, kind: InstanceType, region: str) -> Decimal | None:
    """Return what an hour at full processor costs on top; None for a burstable type of which that is not known."""
    if not kind.is_burstable:
        return Decimal(0)
    price, vcpus = catalogue.side_price(surplus_item(kind), region), surplus_vcpus(kind)
    return None if price is None or vcpus is None else price.usd * vcpus


def _machine(
    catalogue: Catalogue,
    kind: InstanceType,
    region: str,
    beside: Decimal | None,
    surplus: Decimal | None,
) -> Machine:
    gpu = kind.gpu
    on_demand, spot = (catalogue.price(kind.name, region, market) for market in ("on-demand", "spot"))
    hourly = on_demand.usd_per_hour + beside if on_demand and beside is not None else None
    return Machine(
        type=kind.name,
        region=region,
        vcpus=kind.vcpus,
        memory_gib=kind.memory_mib / 1024,
        gpus=gpu.count if gpu and gpu.share == 1 else 0,
        gpu_memory_gib=gpu.memory_mib / 1024 if gpu and gpu.share == 1 else 0.0,
        traits=traits_of(kind),
        hourly_usd=hourly,
        spot_usd=spot.usd_per_hour + beside if spot and beside is not None else None,
        surplus_usd=surplus or Decimal(0),
    )


def traits_of(kind: InstanceType) -> frozenset[str]:
    """Return what a type can be asked to be: its architectures, ``steady``, ``current``, its GPU's maker and name."""
    traits = set(kind.architectures)
    traits |= {STEADY} if not kind.is_burstable else set()
    traits |= {CURRENT} if kind.is_current and not kind.is_retired else set()
    if kind.gpu:
        traits |= {kind.gpu.name, *(("cuda",) if kind.gpu.maker == "NVIDIA" else ())}
    return frozenset(traits)
