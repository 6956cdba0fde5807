"""A type in a region with its prices, and what a program needs to know of it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from launchbay.catalog.capability import capability_of, format_capability
from launchbay.catalog.price import Price
from launchbay.catalog.type import InstanceType

__all__ = ["Offer", "named_gbps"]

_GIGABIT = re.compile(r"(\d+(?:\.\d+)?) Gigabit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A type in a region. A price that is None is unknown."""

    type: InstanceType
    region: str
    price: Price | None
    spot: Price | None

    def in_market(self, market: str) -> Price | None:
        """Return the price in a market."""
        return self.spot if market == "spot" else self.price

    def as_json(self) -> dict[str, Any]:
        """Return what a program needs to know of it, flat; unknown is None."""
        kind, price = self.type, self.price
        capability = capability_of(kind.gpu)
        return {
            "type": kind.name,
            "region": self.region,
            "vcpus": kind.vcpus,
            "memory_gib": _whole(kind.memory_mib / 1024),
            "gpus": kind.gpus,
            "gpu": kind.gpu.name if kind.gpu else None,
            "gpu_memory_gib": round(kind.gpu.memory_mib / 1024, 2) if kind.gpu else None,
            "gpu_share": str(kind.gpu.share) if kind.gpu else None,
            "gpu_maker": kind.gpu.maker if kind.gpu else None,
            "compute_capability": format_capability(capability) if capability else None,
            "accelerators": [
                {"kind": item.kind, "maker": item.maker, "name": item.name, "count": item.count}
                | {"memory_mib": item.memory_mib, "share": str(item.share)}
                for item in kind.accelerators
            ],
            "usd_per_hour": f"{price.usd_per_hour:f}" if price else None,
            "spot_usd_per_hour": f"{self.spot.usd_per_hour:f}" if self.spot else None,
            "priced_on": price.as_of.isoformat() if price else None,
            "source": price.source if price else None,
            "method": price.method if price else None,
            "stale": price.is_stale if price else None,
            "architectures": list(kind.architectures),
            "processor": kind.processor or None,
            "local_disk_gb": kind.local_disk_gb,
            "local_disk_kind": kind.local_disk_kind or None,
            "network": kind.network,
            "network_baseline_gbps": kind.network_baseline_gbps,
            "network_peak_gbps": kind.network_peak_gbps,
            "ebs_baseline_mbps": kind.ebs_baseline_mbps,
            "ebs_maximum_mbps": kind.ebs_maximum_mbps,
            "efa_interfaces": kind.efa_interfaces,
            "usage_classes": list(kind.usage_classes),
            "current": kind.is_current,
            "burstable": kind.is_burstable,
            "bare_metal": kind.is_bare_metal,
            "retired": kind.is_retired,
            "described_by": kind.source,
        }


def _whole(value: float) -> float:
    """Return a whole number as one."""
    return int(value) if value == int(value) else round(value, 3)


@lru_cache(maxsize=256)
def named_gbps(network: str) -> float | None:
    """Return the bandwidth that EC2's words for it name, of one card where they name several; None for ``Moderate``."""
    found = _GIGABIT.search(network)
    return float(found[1]) if found else None
