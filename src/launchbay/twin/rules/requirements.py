"""Instance types chosen by what they must have: vCPUs, memory, accelerators, network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from launchbay.catalog.type import Accelerator, InstanceType
from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.filters import is_like
from launchbay.twin.offers import region_types
from launchbay.twin.paging import cut_page
from launchbay.twin.rule import Rule

if TYPE_CHECKING:
    from launchbay.twin.world import World

__all__ = ["RULE", "matching_types"]

_MAKERS = {"Intel": "intel", "AMD": "amd", "AWS": "amazon-web-services", "Apple": "apple"}
_DEVICE_MAKERS = {
    "AMD": "amd",
    "AWS": "amazon-web-services",
    "Habana": "habana",
    "NVIDIA": "nvidia",
    "Xilinx": "xilinx",
}
_DEVICE_NAMES = {
    "Radeon Pro V520": "radeon-pro-v520",
    "Virtex UltraScale (VU9P)": "vu9p",
    "Gaudi HL-205": "gaudi-hl-205",
}
_TYPES = {"gpu": "gpu", "fpga": "fpga", "neuron": "inference", "inference": "inference", "media": "media"}


def matching_types(
    world: World, region: str, needs: Mapping[str, Any], architectures: Sequence[str] = ()
) -> list[InstanceType]:
    """Return the types of a region that have all that is asked for, by name.

    Prices are not looked at, nor is what only a description of the real service has (encryption in transit, CPU baselines).
    """
    return [
        item
        for item in region_types(world, region)
        if not item.is_retired
        and (not architectures or set(architectures) & set(item.architectures))
        and all(_claims(item, needs))
    ]


def _claims(item: InstanceType, needs: Mapping[str, Any]) -> Iterator[bool]:
    """Yield whether a type has each thing."""
    device = item.accelerators[0] if item.accelerators else None
    allowed, excluded = needs.get("AllowedInstanceTypes"), needs.get("ExcludedInstanceTypes") or ()
    generation = "current" if item.is_current else "previous"
    yield _within(item.vcpus, needs.get("VCpuCount"))
    yield _within(item.memory_mib, needs.get("MemoryMiB"))
    yield _within(item.memory_mib / 1024 / item.vcpus, needs.get("MemoryGiBPerVCpu"))
    yield _one_of(_MAKERS.get(item.processor, ""), needs.get("CpuManufacturers"))
    yield not allowed or any(is_like(item.name, pattern) for pattern in allowed)
    yield not any(is_like(item.name, pattern) for pattern in excluded)
    yield _one_of(generation, needs.get("InstanceGenerations"))
    yield _as_wished(needs.get("BareMetal", "excluded"), has=item.is_bare_metal)
    yield _as_wished(needs.get("BurstablePerformance", "excluded"), has=item.is_burstable)
    yield _as_wished(needs.get("LocalStorage", "included"), has=item.local_disk_gb > 0)
    yield _one_of(item.local_disk_kind, needs.get("LocalStorageTypes"))
    yield _within(item.local_disk_gb, needs.get("TotalLocalStorageGB"))
    yield _within(item.ebs_baseline_mbps or 0, needs.get("BaselineEbsBandwidthMbps"))
    yield _within(item.network_peak_gbps or 0, needs.get("NetworkBandwidthGbps"))
    yield from _device_claims(device, needs)


def _device_claims(device: Accelerator | None, needs: Mapping[str, Any]) -> Iterator[bool]:
    yield _within(device.count if device else 0, needs.get("AcceleratorCount"))
    yield _one_of(_TYPES[device.kind] if device else "", needs.get("AcceleratorTypes"))
    yield _one_of(_DEVICE_MAKERS.get(device.maker, "") if device else "", needs.get("AcceleratorManufacturers"))
    yield _one_of(_name(device.name) if device else "", needs.get("AcceleratorNames"))
    yield _within(device.count * device.memory_mib if device else 0, needs.get("AcceleratorTotalMemoryMiB"))


def _name(text: str) -> str:
    return _DEVICE_NAMES.get(text, text.lower().replace(" ", "-"))


def _within(value: float, wanted: Mapping[str, float] | None) -> bool:
    return not wanted or (value >= wanted.get("Min", 0) and value <= wanted.get("Max", float("inf")))


def _one_of(value: str, wanted: Sequence[str] | None) -> bool:
    return not wanted or value in wanted


def _as_wished(wish: str, *, has: bool) -> bool:
    return wish == "included" or has == (wish == "required")


def _before(call: Call, world: World) -> Mapping[str, Any] | Answer | None:
    needs = call.get("InstanceRequirements") or {}
    for name in ("VCpuCount", "MemoryMiB"):
        if "Min" not in (needs.get(name) or {}):
            raise Refused("MissingParameter", f"The request must contain the parameter InstanceRequirements.{name}.Min")
    found = matching_types(world, call.region, needs, call.get("ArchitectureTypes") or ())
    page, following = cut_page(found, call.get("NextToken"), call.get("MaxResults") or 1000)
    return {"InstanceTypes": [{"InstanceType": item.name} for item in page], "NextToken": following}


RULE = Rule(
    name="requirements",
    on=frozenset({"ec2:GetInstanceTypesFromInstanceRequirements"}),
    source="parameters, their defaults and the names of makers and accelerators verified in botocore's model",
    before=_before,
)
