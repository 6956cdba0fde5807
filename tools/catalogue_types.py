"""Instance types as EC2 describes them, from the copies of its answers that moto carries, as rows of a table. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

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
    "hypervisor",
    "offered_in",
    "source",
)
"""Of ``types.csv``. Several values in a cell are parted by ``|``, the parts of an accelerator by ``:``.

`offered_in` is a hexadecimal number whose lowest bit stands for the first region that the manifest names.
"""

_KINDS = (
    ("gpu", "GpuInfo", "Gpus"),
    ("neuron", "NeuronInfo", "NeuronDevices"),
    ("inference", "InferenceAcceleratorInfo", "Accelerators"),
    ("media", "MediaAcceleratorInfo", "Accelerators"),
    ("fpga", "FpgaInfo", "Fpgas"),
)
_MEMORY_MIB = {"Trainium2": 98304}
"""EC2 answers 512 GiB for each of these; AWS's page on Trn2 says 1.5 TB for 16, which is 96 GiB each."""

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
    return any(info in described for _, info, _ in _KINDS)


def row(
    described: Described, *, release: str, is_retired: bool, offered_in: Collection[str], regions: Sequence[str]
) -> list[str]:
    """Return a type as a row of the table."""
    ebs = described.get("EbsInfo", {}).get("EbsOptimizedInfo", {})
    network = described.get("NetworkInfo", {})
    cards = network.get("NetworkCards", [])
    disks = described.get("InstanceStorageInfo", {})
    mask = sum(1 << place for place, region in enumerate(regions) if region in offered_in)
    return [
        described["InstanceType"],
        str(described["VCpuInfo"]["DefaultVCpus"]),
        str(described["MemoryInfo"]["SizeInMiB"]),
        "|".join(described["ProcessorInfo"]["SupportedArchitectures"]),
        described["ProcessorInfo"].get("Manufacturer", ""),
        "|".join(_accelerators(described)),
        _flag(described["BurstablePerformanceSupported"]),
        _flag(described["BareMetal"]),
        _flag(described["CurrentGeneration"]),
        _flag(is_retired),
        str(disks.get("TotalSizeInGB", 0)),
        "|".join(sorted({disk["Type"] for disk in disks.get("Disks", [])})),
        str(ebs.get("BaselineBandwidthInMbps", "")),
        str(ebs.get("MaximumBandwidthInMbps", "")),
        network["NetworkPerformance"],
        _total(card.get("BaselineBandwidthInGbps") for card in cards),
        _total(card.get("PeakBandwidthInGbps") for card in cards),
        str(network.get("EfaInfo", {}).get("MaximumEfaInterfaces", 0)),
        "|".join(described["SupportedUsageClasses"]),
        described.get("Hypervisor", ""),
        f"{mask:x}",
        f"moto {release}",
    ]


def _flag(value: bool) -> str:  # noqa: FBT001 - it is the value that is written
    return "1" if value else ""


def _total(values: Iterator[float | None]) -> str:
    """Return the sum over all network cards, empty where one does not say."""
    found = list(values)
    return f"{sum(value for value in found if value is not None):g}" if found and None not in found else ""


def _accelerators(described: Described) -> Iterator[str]:
    """Yield each kind of device; Inferentia is listed as two kinds of thing, and counts once."""
    seen: set[str] = set()
    for kind, info, devices in _KINDS:
        for device in described.get(info, {}).get(devices, []):
            if device["Name"] not in seen:
                seen.add(device["Name"])
                maker = device.get("Manufacturer", "AWS")  # Neuron devices do not say, and are AWS's own
                count = device.get("LogicalGpuCount", device["Count"])
                memory = _MEMORY_MIB.get(device["Name"], device.get("MemoryInfo", {}).get("SizeInMiB", 0))
                share = Fraction(device.get("GpuPartitionSize", 1)).limit_denominator(64)
                yield f"{kind}:{maker}:{device['Name']}:{count}:{memory}:{share}"
