"""An EC2 instance type, as DescribeInstanceTypes describes it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

__all__ = ["Accelerator", "InstanceType", "architecture_named"]

_ARCHITECTURES = {"amd64": "x86_64", "x64": "x86_64", "aarch64": "arm64"}


def architecture_named(name: str) -> str:
    """Return what EC2 calls an architecture that systems and people call so."""
    return _ARCHITECTURES.get(name.casefold(), name.casefold())


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """Devices of one kind in an instance type.

    `kind` is ``gpu``, ``neuron``, ``inference``, ``media`` or ``fpga``, as the cloud sorts them. `count` is how many the
    system shows (EC2's LogicalGpuCount where it says one): a type with an eighth of a GPU has a count of 1 and a
    `share` of 1/8. `memory_mib` is what each of them has: a threshold for a program, never a sum over several.
    """

    kind: str
    maker: str
    name: str
    count: int
    memory_mib: int
    share: Fraction = Fraction(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceType:
    """An instance type. Memory in MiB, local disks in GB (10^9 bytes), bandwidths in Mbit/s and Gbit/s, as EC2 says them.

    `regions` are those that offer it at the snapshot's date; `is_retired` that the newest source no longer knows it.
    `source` names where the description comes from.
    """

    name: str
    vcpus: int
    memory_mib: int
    architectures: tuple[str, ...]
    processor: str
    accelerators: tuple[Accelerator, ...]
    is_burstable: bool
    is_bare_metal: bool
    is_current: bool
    is_retired: bool
    local_disk_gb: int
    local_disk_kind: str
    ebs_baseline_mbps: int | None
    ebs_maximum_mbps: int | None
    network: str
    network_baseline_gbps: float | None
    network_peak_gbps: float | None
    efa_interfaces: int
    usage_classes: tuple[str, ...]
    regions: frozenset[str]
    source: str

    @property
    def family(self) -> str:
        """What stands before the dot: ``g5``."""
        return self.name.partition(".")[0]

    @property
    def gpu(self) -> Accelerator | None:
        """Its GPUs, if it has any; no type has two kinds of them."""
        return next((item for item in self.accelerators if item.kind == "gpu"), None)

    @property
    def gpus(self) -> int:
        """How many GPUs the system shows."""
        return self.gpu.count if self.gpu else 0
