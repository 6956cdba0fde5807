"""An instance type of the catalogue as DescribeInstanceTypes describes it. Pure.

`launchbay.catalog.described` reads every type back as it was. What the catalogue does not keep is left out of the answer, or is
what is remembered of such types: hypervisor, root devices, boot modes, placement, threads, how many network cards and interfaces.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

from launchbay.catalog.type import Accelerator, InstanceType

__all__ = ["describe_type"]

_XEN = frozenset(
    "c1 c3 c4 cc2 cr1 d2 f1 g2 g3 g3s h1 hi1 hs1 i2 i3 m1 m2 m3 m4 p2 p3 r3 r4 t1 t2 x1 x1e".split()  # noqa: SIM905
)
_WITH_INSTANCE_STORE = frozenset({"c1", "c3", "cc2", "d2", "g2", "i2", "m1", "m2", "m3", "r3"})
_ONE_THREAD = ("AWS", "Apple")
_NOT_CLUSTERED = ("mac", "t")
_REPORTED_MIB = {"Trainium2": 524_288}
"""What EC2 answers where it is not what the catalogue has."""

_CORES = {"Inferentia": (4, 1), "Inferentia2": (2, 2), "Trainium": (2, 2), "Trainium2": (8, 3)}
"""NeuronCores of a device, and their version."""

_INTERFACES = ((1, 2), (2, 3), (16, 4), (48, 8))
"""How many network interfaces a type may have, by up to how many vCPUs; 15 beyond."""


@functools.cache
def describe_type(item: InstanceType) -> Mapping[str, Any]:
    """Return a type in boto3's names; without the region, which is said of the answer and not of the type."""
    is_xen = item.family in _XEN and not item.is_bare_metal
    threads = 1 if item.processor in _ONE_THREAD or item.vcpus == 1 else 2
    described: dict[str, Any] = {
        "InstanceType": item.name,
        "CurrentGeneration": item.is_current,
        "SupportedUsageClasses": list(item.usage_classes),
        "SupportedRootDeviceTypes": ["ebs", "instance-store"] if item.family in _WITH_INSTANCE_STORE else ["ebs"],
        "SupportedVirtualizationTypes": ["hvm"],
        "BareMetal": item.is_bare_metal,
        "ProcessorInfo": {"SupportedArchitectures": list(item.architectures)},
        "VCpuInfo": {
            "DefaultVCpus": item.vcpus,
            "DefaultCores": item.vcpus // threads,
            "DefaultThreadsPerCore": threads,
        },
        "MemoryInfo": {"SizeInMiB": item.memory_mib},
        "InstanceStorageSupported": item.local_disk_gb > 0,
        "EbsInfo": _ebs(item, is_xen=is_xen),
        "NetworkInfo": _network(item, is_xen=is_xen),
        "PlacementGroupInfo": {"SupportedStrategies": _strategies(item)},
        "BurstablePerformanceSupported": item.is_burstable,
        "SupportedBootModes": _boot_modes(item, is_xen=is_xen),
    }
    if item.processor:
        described["ProcessorInfo"]["Manufacturer"] = item.processor
    if not item.is_bare_metal:
        described["Hypervisor"] = "xen" if is_xen else "nitro"
    if item.local_disk_gb:
        disk = {"SizeInGB": item.local_disk_gb, "Count": 1, "Type": item.local_disk_kind}
        described["InstanceStorageInfo"] = {
            "TotalSizeInGB": item.local_disk_gb,
            "Disks": [disk],
            "NvmeSupport": "unsupported" if is_xen else "required",
        }
    for device in item.accelerators:
        described |= _DESCRIBED[device.kind](device)
    return described


def _ebs(item: InstanceType, *, is_xen: bool) -> dict[str, Any]:
    info: dict[str, Any] = {
        "EbsOptimizedSupport": "default",
        "EncryptionSupport": "supported",
        "NvmeSupport": "unsupported" if is_xen else "required",
    }
    bandwidths = {
        "BaselineBandwidthInMbps": item.ebs_baseline_mbps,
        "MaximumBandwidthInMbps": item.ebs_maximum_mbps,
    }
    said = {name: value for name, value in bandwidths.items() if value is not None}
    if said:
        info["EbsOptimizedInfo"] = said
    else:
        info["EbsOptimizedSupport"] = "unsupported"
    return info


def _network(item: InstanceType, *, is_xen: bool) -> dict[str, Any]:
    written = re.match(r"(\d+)x ", item.network)
    cards = max(1, int(written.group(1)) if written else 1, item.efa_interfaces)
    interfaces = next((most for vcpus, most in _INTERFACES if item.vcpus <= vcpus), 15)
    info: dict[str, Any] = {
        "NetworkPerformance": item.network,
        "MaximumNetworkInterfaces": max(interfaces, 2 * cards if cards > 1 else 0),
        "MaximumNetworkCards": cards,
        "DefaultNetworkCardIndex": 0,
        "NetworkCards": [{"NetworkCardIndex": place, "NetworkPerformance": item.network} for place in range(cards)],
        "Ipv6Supported": item.family not in ("m1", "m2", "c1", "t1"),
        "EnaSupport": "supported" if is_xen else "required",
        "EfaSupported": item.efa_interfaces > 0,
    }
    for name, total in (
        ("BaselineBandwidthInGbps", item.network_baseline_gbps),
        ("PeakBandwidthInGbps", item.network_peak_gbps),
    ):
        if total is not None:
            for card, share in zip(info["NetworkCards"], _shares(total, cards), strict=True):
                card[name] = share
    if item.efa_interfaces:
        info["EfaInfo"] = {"MaximumEfaInterfaces": item.efa_interfaces}
    return info


def _shares(total: float, cards: int) -> list[float]:
    """Share a bandwidth between cards so that the sum is the total again, to the last bit."""
    each = float(total // cards)
    return [total - each * (cards - 1), *[each] * (cards - 1)]


def _strategies(item: InstanceType) -> list[str]:
    kind = re.match(r"[a-z]*", item.name)
    shared = ["partition", "spread"]
    return shared if kind and kind.group() in _NOT_CLUSTERED else ["cluster", *shared]


def _boot_modes(item: InstanceType, *, is_xen: bool) -> list[str]:
    if item.architectures[0].startswith("arm64"):
        return ["uefi"]
    return ["legacy-bios"] if is_xen else ["legacy-bios", "uefi"]


def _gpus(device: Accelerator) -> dict[str, Any]:
    gpu = {
        "Name": device.name,
        "Manufacturer": device.maker,
        "Count": device.count if device.share == 1 else 0,
        "LogicalGpuCount": device.count,
        "GpuPartitionSize": float(device.share),
        "MemoryInfo": {"SizeInMiB": device.memory_mib},
    }
    return {"GpuInfo": {"Gpus": [gpu], "TotalGpuMemoryInMiB": device.count * device.memory_mib}}


def _neuron(device: Accelerator) -> dict[str, Any]:
    """Describe Neuron devices; EC2 lists Inferentia among the inference accelerators as well."""
    memory = _REPORTED_MIB.get(device.name, device.memory_mib)
    found: dict[str, Any] = {"Count": device.count, "Name": device.name, "MemoryInfo": {"SizeInMiB": memory}}
    if device.name in _CORES:
        count, version = _CORES[device.name]
        found["CoreInfo"] = {"Count": count, "Version": version}
    described = {"NeuronInfo": {"NeuronDevices": [found], "TotalNeuronDeviceMemoryInMiB": device.count * memory}}
    return described | (_inference(device) if device.name.startswith("Inferentia") else {})


def _inference(device: Accelerator) -> dict[str, Any]:
    total = device.count * device.memory_mib
    return {"InferenceAcceleratorInfo": {"Accelerators": [_plain(device)], "TotalInferenceMemoryInMiB": total}}


def _media(device: Accelerator) -> dict[str, Any]:
    total = device.count * device.memory_mib
    return {"MediaAcceleratorInfo": {"Accelerators": [_plain(device)], "TotalMediaMemoryInMiB": total}}


def _fpgas(device: Accelerator) -> dict[str, Any]:
    total = device.count * device.memory_mib
    return {"FpgaInfo": {"Fpgas": [_plain(device)], "TotalFpgaMemoryInMiB": total}}


def _plain(device: Accelerator) -> dict[str, Any]:
    return {
        "Count": device.count,
        "Name": device.name,
        "Manufacturer": device.maker,
        "MemoryInfo": {"SizeInMiB": device.memory_mib},
    }


_DESCRIBED = {"gpu": _gpus, "neuron": _neuron, "inference": _inference, "media": _media, "fpga": _fpgas}
