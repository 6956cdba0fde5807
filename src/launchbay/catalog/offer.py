"""A type in a region with its prices, and what a program needs to know of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from launchbay.catalog.capability import capability_of, format_capability
from launchbay.catalog.price import Price
from launchbay.catalog.type import InstanceType

__all__ = ["FIELDS", "Offer", "named_gbps"]

_GIGABIT = re.compile(r"(\d+(?:\.\d+)?) Gigabit")


class Offer(NamedTuple):
    """A type in a region. A price that is None is unknown; `market` is the one that was asked for.

    A question over all types makes some 1,400, and a frozen dataclass takes three times as long to make.
    """

    type: InstanceType
    region: str
    price: Price | None
    spot: Price | None
    market: str = "on-demand"

    @property
    def asked(self) -> Price | None:
        """The price in the market that was asked for."""
        return self.spot if self.market == "spot" else self.price

    def as_json(self) -> dict[str, Any]:
        """Return what a program needs to know of it, flat; unknown is None."""
        return {name: read(self) for name, read in FIELDS.items()}


def _of_price(read: Callable[[Price], Any]) -> Callable[[Offer], Any]:
    """Return what reads something of the on-demand price; None where that is not known."""
    return lambda offer: read(offer.price) if offer.price else None


def _of_spot(read: Callable[[Price], Any]) -> Callable[[Offer], Any]:
    return lambda offer: read(offer.spot) if offer.spot else None


def _of_days(name: str) -> Callable[[Offer], Any]:
    """Return what reads an amount of the days before the spot price."""
    return lambda offer: f"{getattr(offer.spot.before, name):f}" if offer.spot and offer.spot.before else None


def _capability(offer: Offer) -> str | None:
    found = capability_of(offer.type.gpu)
    return format_capability(found) if found else None


FIELDS: Mapping[str, Callable[[Offer], Any]] = {
    "type": lambda offer: offer.type.name,
    "region": lambda offer: offer.region,
    "vcpus": lambda offer: offer.type.vcpus,
    "memory_gib": lambda offer: _whole(offer.type.memory_mib / 1024),
    "gpus": lambda offer: offer.type.gpus,
    "gpu": lambda offer: offer.type.gpu.name if offer.type.gpu else None,
    "gpu_memory_gib": lambda offer: round(offer.type.gpu.memory_mib / 1024, 2) if offer.type.gpu else None,
    "gpu_share": lambda offer: str(offer.type.gpu.share) if offer.type.gpu else None,
    "gpu_maker": lambda offer: offer.type.gpu.maker if offer.type.gpu else None,
    "compute_capability": _capability,
    "accelerators": lambda offer: [
        {"kind": item.kind, "maker": item.maker, "name": item.name, "count": item.count}
        | {"memory_mib": item.memory_mib, "share": str(item.share)}
        for item in offer.type.accelerators
    ],
    "usd_per_hour": _of_price(lambda price: f"{price.usd_per_hour:f}"),
    "spot_usd_per_hour": _of_spot(lambda spot: f"{spot.usd_per_hour:f}"),
    "priced_on": _of_price(lambda price: price.as_of.isoformat()),
    "source": _of_price(lambda price: price.source),
    "method": _of_price(lambda price: price.method),
    "stale": _of_price(lambda price: price.is_stale),
    "spot_priced_on": _of_spot(lambda spot: spot.as_of.isoformat()),
    "spot_source": _of_spot(lambda spot: spot.source),
    "spot_zone_id": _of_spot(lambda spot: spot.zone_id),
    "spot_days": _of_spot(lambda spot: spot.before.days if spot.before else None),
    "spot_mean_usd": _of_days("mean_usd"),
    "spot_low_usd": _of_days("low_usd"),
    "spot_high_usd": _of_days("high_usd"),
    "architectures": lambda offer: list(offer.type.architectures),
    "processor": lambda offer: offer.type.processor or None,
    "local_disk_gb": lambda offer: offer.type.local_disk_gb,
    "local_disk_kind": lambda offer: offer.type.local_disk_kind or None,
    "network": lambda offer: offer.type.network,
    "network_baseline_gbps": lambda offer: offer.type.network_baseline_gbps,
    "network_peak_gbps": lambda offer: offer.type.network_peak_gbps,
    "ebs_baseline_mbps": lambda offer: offer.type.ebs_baseline_mbps,
    "ebs_maximum_mbps": lambda offer: offer.type.ebs_maximum_mbps,
    "efa_interfaces": lambda offer: offer.type.efa_interfaces,
    "usage_classes": lambda offer: list(offer.type.usage_classes),
    "current": lambda offer: offer.type.is_current,
    "burstable": lambda offer: offer.type.is_burstable,
    "bare_metal": lambda offer: offer.type.is_bare_metal,
    "retired": lambda offer: offer.type.is_retired,
    "described_by": lambda offer: offer.type.source,
}
"""The fields of an offer in JSON and CSV, in this order."""


def _whole(value: float) -> float:
    """Return a whole number as one."""
    return int(value) if value == int(value) else round(value, 3)


@lru_cache(maxsize=256)
def named_gbps(network: str) -> float | None:
    """Return the bandwidth that EC2's words for it name, of one card where they name several; None for ``Moderate``."""
    found = _GIGABIT.search(network)
    return float(found[1]) if found else None
