"""What a job or an endpoint needs of the machine it runs on. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from launchbay.errors import UsageError
from launchbay.spec.beside import read_disk_size
from launchbay.spec.document import Document
from launchbay.spec.quantity import read_amount, read_count, read_size

__all__ = ["ARCHITECTURES", "NEEDS_FIELDS", "Measure", "Measured", "Needs", "read_needs"]

ARCHITECTURES = ("x86_64", "arm64")

NEEDS_FIELDS: dict[str, str] = {
    "vcpus": "how many vCPUs; a part of one can be said (0.5)",
    "memory": "how much memory, such as 16GiB",
    "gpus": "how many GPUs (default: 1 where `gpu` or `gpu_memory` is said, else 0)",
    "gpu": "which GPU, by name: `T4`, `A10G`, `H100`",
    "gpu_memory": "the least memory that each of the GPUs has; never a sum over several",
    "architecture": "`x86_64` or `arm64` (default: whatever the image runs on)",
    "image": "the image that it runs on, whose own needs then count too",
    "local_disk": "the least disk inside the machine itself, such as 200GB",
    "disk": "the size of its instance's gp3 disk in a plan that `--optimize` finds (default: that of the instance today)",
    "public_address": "whether its instance in such a plan has a public IPv4 address (default: as today, else false)",
    "burstable": "whether a type that is slowed down under lasting load will do (default: false)",
    "like": "a run of `bay train` whose measured needs these are, in the place of vcpus, memory and GPUs; a job that does not "
    "say its hours takes as long as that run did",
}
"""Every field of `needs`, with its meaning."""

_MEASURED = ("vcpus", "memory", "gpus", "gpu", "gpu_memory")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a run took, as needs: memory in MiB, that of each GPU too. `said` are sentences on what was measured and assumed."""

    run: str
    seconds: Decimal
    vcpus: Decimal
    memory_mib: int
    gpus: int = 0
    gpu_memory_mib: int | None = None
    said: tuple[str, ...] = ()


Measure: TypeAlias = Callable[[str, str], Measured | None]
"""Looks up what a run took, by its name and the place that names it. None for one that is not here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """The least that will do; None and empty where nothing was said. Memory in MiB, local disk in GB (10^9 bytes).

    `disk_gib` and `public_address` are what its instance gets beside itself, whatever its type. `measured` is the run that it
    is `like`, None where that run is not here.
    """

    vcpus: Decimal | None = None
    memory_mib: int | None = None
    gpus: int = 0
    gpu: str = ""
    gpu_memory_mib: int | None = None
    architecture: str = ""
    image: str = ""
    local_disk_gb: int | None = None
    disk_gib: int | None = None
    public_address: bool | None = None
    burstable: bool = False
    like: str = ""
    measured: Measured | None = None


def read_needs(document: Document | None, measure: Measure | None = None) -> Needs:
    """Read `needs`; nothing is needed where it is not there. Raises UsageError where they contradict each other."""
    if document is None:
        return Needs()
    like = document.text("like")
    said = [field for field in _MEASURED if document.has(field)]
    if like and said:
        what = f"needs are either like a run or said, got like and {said[0]}"
        raise UsageError(what, where=document.where(said[0]), hint=f"needs: {{like: {like}}}")
    measured = measure(like, document.where("like")) if like and measure else None
    needs = Needs(
        vcpus=measured.vcpus if measured else _read_vcpus(document),
        memory_mib=measured.memory_mib if measured else read_size(document, "memory", unit=1 << 20),
        gpus=measured.gpus if measured else _read_gpus(document),
        gpu=document.text("gpu"),
        gpu_memory_mib=measured.gpu_memory_mib if measured else read_size(document, "gpu_memory", unit=1 << 20),
        architecture=_read_architecture(document),
        image=document.text("image"),
        local_disk_gb=read_size(document, "local_disk", unit=10**9),
        disk_gib=read_disk_size(document, "disk") if document.has("disk") else None,
        public_address=document.flag("public_address", default=False) if document.has("public_address") else None,
        burstable=document.flag("burstable", default=False),
        like=like,
        measured=measured,
    )
    document.finish()
    return needs


def _read_vcpus(document: Document) -> Decimal | None:
    vcpus = read_amount(document, "vcpus")
    if vcpus is not None and not 0 < vcpus <= 1000:
        raise UsageError(f"vcpus must be above 0 and at most 1000, got {vcpus}", where=document.where("vcpus"))
    return vcpus


def _read_gpus(document: Document) -> int:
    which = next((field for field in ("gpu", "gpu_memory") if document.has(field)), "")
    gpus = read_count(document, "gpus", 1 if which else 0, least=0, most=64)
    if which and not gpus:
        what = f"needs contradict each other: no GPU is wanted, and {which} says which"
        raise UsageError(what, where=document.where("gpus"), hint=f"gpus: 1, or no {which}")
    return gpus


def _read_architecture(document: Document) -> str:
    name = document.text("architecture")
    if name and name not in ARCHITECTURES:
        what = f"architecture must be {' or '.join(ARCHITECTURES)}, got {name!r}"
        raise UsageError(what, where=document.where("architecture"))
    return name
