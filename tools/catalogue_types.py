"""Instance types as EC2 describes them, from the copies of its answers that moto carries, as rows of a table. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from launchbay.catalog.described import INFOS, read_type
from launchbay.catalog.type import Accelerator

__all__ = ["COLUMNS", "Described", "is_accelerated", "merge_described", "row"]

COLUMNS = (
    "name",
    "vcpus",
    "memory_mib",
    "architectures",
    "processor",
    "accelerators",
    "burstable",
    "bare_metal",
    "current",
    "retired",
    "local_disk_gb",
    "local_disk_kind",
    "ebs_baseline_mbps",
    "ebs_maximum_mbps",
    "network",
    "network_baseline_gbps",
    "network_peak_gbps",
    "efa_interfaces",
    "usage_classes",
    "offered_in",
    "source",
)
"""Of ``types.csv``. Several values in a cell are parted by ``|``, the parts of an accelerator by ``:``.

`offered_in` is a hexadecimal number whose lowest bit stands for the first region that the manifest names.
"""

Described = Mapping[str, Any]


def merge_described(releases: Mapping[str, Mapping[str, Described]]) -> dict[str, tuple[str, Described]]:
    """Return every type with the newest release that describes it; releases are given newest first."""
    merged: dict[str, tuple[str, Described]] = {}
    for release, described in releases.items():
        for name, what in described.items():
            merged.setdefault(name, (release, what))
    return merged


def is_accelerated(described: Described) -> bool:
    """Say whether a type has devices besides its processors, so that its price is not one for its size alone."""
    return any(info in described for info in INFOS)


def row(
    described: Described, *, release: str, is_retired: bool, offered_in: Collection[str], regions: Sequence[str]
) -> list[str]:
    """Return a type as a row of the table."""
    item = read_type(described, regions=offered_in, is_retired=is_retired, source=f"moto {release}")
    mask = sum(1 << place for place, region in enumerate(regions) if region in item.regions)
    return [
        item.name,
        str(item.vcpus),
        str(item.memory_mib),
        "|".join(item.architectures),
        item.processor,
        "|".join(map(_accelerator, item.accelerators)),
        _flag(item.is_burstable),
        _flag(item.is_bare_metal),
        _flag(item.is_current),
        _flag(item.is_retired),
        str(item.local_disk_gb),
        item.local_disk_kind,
        _whole(item.ebs_baseline_mbps),
        _whole(item.ebs_maximum_mbps),
        item.network,
        _number(item.network_baseline_gbps),
        _number(item.network_peak_gbps),
        str(item.efa_interfaces),
        "|".join(item.usage_classes),
        f"{mask:x}",
        item.source,
    ]


def _flag(value: bool) -> str:  # noqa: FBT001 - it is the value that is written
    return "1" if value else ""


def _whole(value: int | None) -> str:
    return "" if value is None else str(value)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _accelerator(device: Accelerator) -> str:
    return f"{device.kind}:{device.maker}:{device.name}:{device.count}:{device.memory_mib}:{device.share}"
