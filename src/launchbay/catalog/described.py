"""Instance types as DescribeInstanceTypes describes them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from fractions import Fraction
from typing import Any

from launchbay.catalog.type import Accelerator, InstanceType

__all__ = ["INFOS", "read_type"]

_KINDS = (
    ("gpu", "GpuInfo", "Gpus"),
    ("neuron", "NeuronInfo", "NeuronDevices"),
    ("inference", "InferenceAcceleratorInfo", "Accelerators"),
    ("media", "MediaAcceleratorInfo", "Accelerators"),
    ("fpga", "FpgaInfo", "Fpgas"),
)
INFOS = tuple(info for _, info, _ in _KINDS)
"""What a type with devices besides its processors has one of."""

_MEMORY_MIB = {"Trainium2": 98304}
"""EC2 answers 512 GiB for each of these; AWS's page on Trn2 says 1.5 TB for 16, which is 96 GiB each."""


def read_type(row: Mapping[str, Any], *, regions: Collection[str], is_retired: bool, source: str) -> InstanceType:
    """Read one row of the answer. Raises KeyError, TypeError or ValueError for a row that lacks what every type has."""
    processor = row["ProcessorInfo"]
    ebs = row.get("EbsInfo", {}).get("EbsOptimizedInfo", {})
    network = row["NetworkInfo"]
    cards = network.get("NetworkCards", [])
    disks = row.get("InstanceStorageInfo", {})
    return InstanceType(
        name=row["InstanceType"],
        vcpus=int(row["VCpuInfo"]["DefaultVCpus"]),
        memory_mib=int(row["MemoryInfo"]["SizeInMiB"]),
        architectures=tuple(processor["SupportedArchitectures"]),
        processor=processor.get("Manufacturer", ""),
        accelerators=tuple(_accelerators(row)),
        is_burstable=bool(row["BurstablePerformanceSupported"]),
        is_bare_metal=bool(row["BareMetal"]),
        is_current=bool(row["CurrentGeneration"]),
        is_retired=is_retired,
        local_disk_gb=int(disks.get("TotalSizeInGB", 0)),
        local_disk_kind="|".join(sorted({disk["Type"] for disk in disks.get("Disks", [])})),
        ebs_baseline_mbps=ebs.get("BaselineBandwidthInMbps"),
        ebs_maximum_mbps=ebs.get("MaximumBandwidthInMbps"),
        network=network["NetworkPerformance"],
        network_baseline_gbps=_total(card.get("BaselineBandwidthInGbps") for card in cards),
        network_peak_gbps=_total(card.get("PeakBandwidthInGbps") for card in cards),
        efa_interfaces=int(network.get("EfaInfo", {}).get("MaximumEfaInterfaces", 0)),
        usage_classes=tuple(row["SupportedUsageClasses"]),
        regions=frozenset(regions),
        source=source,
    )


def _total(values: Iterator[float | None]) -> float | None:
    """Return the sum over all network cards, None where one does not say."""
    found = list(values)
    known = [value for value in found if value is not None]
    return float(sum(known)) if known and len(known) == len(found) else None


def _accelerators(row: Mapping[str, Any]) -> Iterator[Accelerator]:
    """Yield each kind of device; Inferentia is listed as two kinds of thing, and counts once."""
    seen: set[str] = set()
    for kind, info, devices in _KINDS:
        for device in row.get(info, {}).get(devices, []):
            name = device["Name"]
            if name not in seen:
                seen.add(name)
                yield Accelerator(
                    kind=kind,
                    maker=device.get("Manufacturer", "AWS"),  # Neuron devices do not say, and are AWS's own
                    name=name,
                    count=int(device.get("LogicalGpuCount", device["Count"])),
                    memory_mib=_MEMORY_MIB.get(name) or int(device["MemoryInfo"]["SizeInMiB"]),
                    share=Fraction(device.get("GpuPartitionSize", 1)).limit_denominator(64),
                )
