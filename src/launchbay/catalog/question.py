"""What is asked of the catalogue, as a value. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from launchbay.catalog.capability import Capability
from launchbay.catalog.ranges import Range
from launchbay.errors import UsageError

__all__ = ["ACCELERATORS", "ARCHITECTURES", "MARKETS", "Question", "check_question"]

ACCELERATORS = ("gpu", "neuron", "inference", "media", "fpga")
"""The kinds of devices that EC2 tells apart."""
ARCHITECTURES = ("x86_64", "arm64", "i386", "x86_64_mac", "arm64_mac")
MARKETS = ("on-demand", "spot")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which types are wanted, in which regions, in which order; None or empty means that anything will do.

    Memory is in GiB, local disks in GB (10^9 bytes), bandwidth in Gbit/s as EC2 names it (of ``4x 100 Gigabit`` it is
    100). Names of GPUs, makers, devices and families may hold ``*``; case and blanks do not matter. `gpu_memory_gib` is
    what each GPU has. `capability` is the least CUDA compute capability; GPUs of AMD and Habana have none, and ANY_CUDA
    asks for any that CUDA runs on. `market` is the one that the price ceiling and the order by price mean.
    """

    regions: tuple[str, ...]
    gpus: Range | None = None
    gpu: str = ""
    gpu_memory_gib: Range | None = None
    gpu_memory_total_gib: Range | None = None
    maker: str = ""
    capability: Capability | None = None
    accelerator: str = ""
    vcpus: Range | None = None
    memory_gib: Range | None = None
    architectures: tuple[str, ...] = ()
    processor: str = ""
    local_disk_gb: Range | None = None
    network_gbps: Range | None = None
    efa: bool | None = None
    families: tuple[str, ...] = ()
    is_current: bool | None = None
    is_burstable: bool | None = None
    is_bare_metal: bool | None = None
    is_retired_too: bool = False
    max_usd_per_hour: Decimal | None = None
    market: str = "on-demand"
    sort: str = "price"
    is_reversed: bool = False
    limit: int | None = None


def check_question(question: Question) -> Question:
    """Return a question whose words all mean something. Raises UsageError for one that does not."""
    if unknown := [item for item in question.architectures if item not in ARCHITECTURES]:
        raise UsageError(f"--arch must be one of {', '.join(ARCHITECTURES)}, got {unknown[0]!r}", hint="--arch x86_64")
    if question.market not in MARKETS:
        raise UsageError(f"market must be on-demand or spot, got {question.market!r}")
    if question.max_usd_per_hour is not None and question.max_usd_per_hour <= 0:
        raise UsageError(f"--max-price must be above 0, got {question.max_usd_per_hour}", hint="--max-price 1.50")
    if question.limit is not None and question.limit < 1:
        raise UsageError(f"--limit must be 1 or more, got {question.limit}", hint="--limit 20")
    return question
