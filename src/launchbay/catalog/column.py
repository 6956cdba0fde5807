"""Every column that can be shown of an offer and sorted by. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from launchbay.catalog.capability import capability_of, format_capability, runs_cuda
from launchbay.catalog.offer import Offer
from launchbay.catalog.price import Price
from launchbay.units import count_of

__all__ = ["COLUMNS", "Column", "natural_order"]

_SIZES = {"nano": -6, "micro": -5, "small": -4, "medium": -3, "large": -2, "xlarge": -1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What can be shown of an offer, and what it is sorted by; None is unknown and comes last."""

    head: str
    text: Callable[[Offer], str]
    key: Callable[[Offer], Any]
    is_number: bool = True


@lru_cache(maxsize=4096)
def natural_order(name: str) -> tuple[str, int, str]:
    """Return what types are sorted by, as people do: family, then size."""
    family, _, size = name.partition(".")
    if size in _SIZES:
        return family, _SIZES[size], size
    digits = re.search(r"\d+", size)
    return family, int(digits[0]) if digits else 999, size


def _gpu(offer: Offer) -> str | None:
    gpu = offer.type.gpu
    return None if gpu is None else gpu.name if gpu.share == 1 else f"{gpu.share} {gpu.name}"


def _other_devices(offer: Offer) -> str | None:
    """Name its devices that are no GPUs."""
    words = [
        f"{item.count} {item.name} of {_gib(item.memory_mib)} GiB"
        for item in offer.type.accelerators
        if item.kind != "gpu"
    ]
    return ", ".join(words) or None


def _usd(price: Price | None) -> str:
    if price is None:
        return "unknown"
    return _amount(price.usd_per_hour) + ("*" if price.is_stale else "")


def _amount(usd: Decimal) -> str:
    """Write a price with four decimals, or with all that it has."""
    return f"{usd:.4f}" if -int(usd.as_tuple().exponent) <= 4 else f"{usd:f}"


def _per(offer: Offer, count: float) -> Decimal | None:
    """Return the price in the market asked for of each of its GPUs or vCPUs; None where it is unknown or there is none."""
    return offer.asked.usd_per_hour / Decimal(str(count)) if offer.asked and count else None


def _money(offer: Offer, count: float) -> str:
    value = _per(offer, count)
    if value is None or offer.asked is None:
        return "unknown" if count else "-"
    return f"{value:.4f}" + ("*" if offer.asked.is_stale else "")


def _range(price: Price | None) -> str:
    if price is None or price.before is None:
        return "-"
    span = " to ".join(map(_amount, (price.before.low_usd, price.before.high_usd)))
    return f"{span} in {count_of(price.before.days, 'day')}"


def _capability(offer: Offer) -> str:
    """Say it, or that it is not known; ``-`` where CUDA does not run."""
    found = capability_of(offer.type.gpu)
    return format_capability(found) if found else "unknown" if runs_cuda(offer.type.gpu) else "-"


def _whole_gpus(offer: Offer) -> float:
    return float(offer.type.gpu.count * offer.type.gpu.share) if offer.type.gpu else 0.0


def _gib(mib: float | None) -> str:
    return "-" if mib is None else f"{mib / 1024:.4g}"


def _gpu_mib(offer: Offer) -> int | None:
    return offer.type.gpu.memory_mib if offer.type.gpu else None


def _total_gpu_mib(offer: Offer) -> int | None:
    return offer.type.gpu.memory_mib * offer.type.gpu.count if offer.type.gpu else None


def _disk(offer: Offer) -> str:
    return f"{offer.type.local_disk_gb} {offer.type.local_disk_kind}" if offer.type.local_disk_gb else "-"


COLUMNS: dict[str, Column] = {
    "type": Column(
        head="TYPE",
        text=lambda offer: offer.type.name,
        key=lambda offer: natural_order(offer.type.name),
        is_number=False,
    ),
    "region": Column(head="REGION", text=lambda offer: offer.region, key=lambda offer: offer.region, is_number=False),
    "vcpus": Column(head="VCPUS", text=lambda offer: str(offer.type.vcpus), key=lambda offer: offer.type.vcpus),
    "memory": Column(
        head="MEMORY GiB", text=lambda offer: _gib(offer.type.memory_mib), key=lambda offer: offer.type.memory_mib
    ),
    "gpus": Column(head="GPUS", text=lambda offer: str(offer.type.gpus or "-"), key=lambda offer: offer.type.gpus),
    "gpu": Column(head="GPU", text=lambda offer: _gpu(offer) or "-", key=_gpu, is_number=False),
    "gpu-memory": Column(head="GPU GiB", text=lambda offer: _gib(_gpu_mib(offer)), key=_gpu_mib),
    "gpu-memory-total": Column(head="ALL GPU GiB", text=lambda offer: _gib(_total_gpu_mib(offer)), key=_total_gpu_mib),
    "capability": Column(
        head="CUDA",
        text=_capability,
        key=lambda offer: capability_of(offer.type.gpu),
    ),
    "accelerators": Column(
        head="ACCELERATORS", text=lambda offer: _other_devices(offer) or "-", key=_other_devices, is_number=False
    ),
    "price": Column(
        head="USD/HOUR",
        text=lambda offer: _usd(offer.price),
        key=lambda offer: offer.price.usd_per_hour if offer.price else None,
    ),
    "spot": Column(
        head="SPOT USD/H",
        text=lambda offer: _usd(offer.spot),
        key=lambda offer: offer.spot.usd_per_hour if offer.spot else None,
    ),
    "spot-range": Column(
        head="SPOT RANGE",
        text=lambda offer: _range(offer.spot),
        key=lambda offer: offer.spot.before.low_usd if offer.spot and offer.spot.before else None,
        is_number=False,
    ),
    "spot-zone": Column(
        head="SPOT ZONE",
        text=lambda offer: offer.spot.zone_id if offer.spot else "-",
        key=lambda offer: offer.spot.zone_id if offer.spot else None,
        is_number=False,
    ),
    "spot-priced": Column(
        head="SPOT PRICED",
        text=lambda offer: offer.spot.as_of.isoformat() if offer.spot else "-",
        key=lambda offer: offer.spot.as_of if offer.spot else None,
        is_number=False,
    ),
    "spot-source": Column(
        head="SPOT SOURCE",
        text=lambda offer: offer.spot.source if offer.spot else "-",
        key=lambda offer: offer.spot.source if offer.spot else None,
        is_number=False,
    ),
    "price-per-gpu": Column(
        head="USD/GPU H",
        text=lambda offer: _money(offer, _whole_gpus(offer)),
        key=lambda offer: _per(offer, _whole_gpus(offer)),
    ),
    "price-per-vcpu": Column(
        head="USD/VCPU H",
        text=lambda offer: _money(offer, offer.type.vcpus),
        key=lambda offer: _per(offer, offer.type.vcpus),
    ),
    "priced": Column(
        head="PRICED",
        text=lambda offer: offer.price.as_of.isoformat() if offer.price else "-",
        key=lambda offer: offer.price.as_of if offer.price else None,
        is_number=False,
    ),
    "method": Column(
        head="METHOD",
        text=lambda offer: offer.price.method if offer.price else "-",
        key=lambda offer: offer.price.method if offer.price else None,
        is_number=False,
    ),
    "source": Column(
        head="SOURCE",
        text=lambda offer: offer.price.source if offer.price else "-",
        key=lambda offer: offer.price.source if offer.price else None,
        is_number=False,
    ),
    "disk": Column(head="LOCAL DISK GB", text=_disk, key=lambda offer: offer.type.local_disk_gb),
    "network": Column(
        head="NETWORK",
        text=lambda offer: offer.type.network,
        key=lambda offer: offer.type.network_peak_gbps,
        is_number=False,
    ),
    "efa": Column(
        head="EFA",
        text=lambda offer: str(offer.type.efa_interfaces or "-"),
        key=lambda offer: offer.type.efa_interfaces,
    ),
    "ebs": Column(
        head="EBS Mbit/s",
        text=lambda offer: str(offer.type.ebs_baseline_mbps or "-"),
        key=lambda offer: offer.type.ebs_baseline_mbps,
    ),
    "arch": Column(
        head="ARCH",
        text=lambda offer: ", ".join(offer.type.architectures),
        key=lambda offer: offer.type.architectures,
        is_number=False,
    ),
    "processor": Column(
        head="PROCESSOR",
        text=lambda offer: offer.type.processor or "-",
        key=lambda offer: offer.type.processor or None,
        is_number=False,
    ),
    "generation": Column(
        head="GENERATION",
        text=lambda offer: "retired" if offer.type.is_retired else "current" if offer.type.is_current else "previous",
        key=lambda offer: (offer.type.is_retired, not offer.type.is_current),
        is_number=False,
    ),
}
"""By the name that ``--sort`` and ``--columns`` take."""
