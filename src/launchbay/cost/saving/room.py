"""What a job or endpoint of a workload needs, in the words of the optimiser. Pure.

Traits of machines are words. Those that a catalogue does not have (a local disk of some size, a compute capability) are
written so that they read well behind "is not", which is how the optimiser says that one is missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from launchbay.catalog.capability import Capability, capability_of, format_capability
from launchbay.catalog.match import GPU_SLACK
from launchbay.catalog.price import Catalogue
from launchbay.catalog.type import InstanceType
from launchbay.cost.check import gpu_named
from launchbay.cost.optimum.machine import Machine
from launchbay.cost.optimum.needs import Needs as Room
from launchbay.cost.optimum.rentals import STEADY, traits_of
from launchbay.spec.needs import Needs
from launchbay.spec.workload import Workload
from launchbay.units import format_amount

__all__ = [
    "Runtime",
    "add_traits",
    "capability_room",
    "find_needs",
    "is_throttled",
    "needs_text",
    "own_traits",
    "room_of",
]

_DISK = "a type with {} GB of local disk"
_CAPABILITY = "of CUDA capability {} or newer"
_DEFAULT = "x86_64"


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What an image runs on. `capability` is the least one of a GPU that it uses, None where it uses none."""

    architectures: tuple[str, ...]
    capability: Capability | None = None


def find_needs(workload: Workload) -> tuple[dict[str, Needs], tuple[str, ...]]:
    """Return what each job and endpoint needs, by name, and say in sentences what is missing."""
    found, missing = {}, []
    for item in workload.work:
        needs = item.needs
        if needs.like and needs.measured is None:
            missing.append(
                f"{item.name} needs what the run {needs.like} did, and there is no such run here (`bay runs`)"
            )
            continue
        unsaid = [name for name, said in (("vcpus", needs.vcpus), ("memory", needs.memory_mib)) if said is None]
        if unsaid:
            missing.append(f"{item.name} does not say its {' and '.join(unsaid)}")
        else:
            found[item.name] = needs
    return found, tuple(missing)


def room_of(needs: Needs, catalogue: Catalogue, runtime: Runtime | None, *, where: str = "") -> tuple[Room, str]:
    """Return the room that needs take, and what was assumed of the architecture ("" where it was said).

    Raises NotFound, with the nearest names, for a GPU that no type has.
    """
    requires, assumed = _architecture(needs, runtime)
    if not needs.burstable:
        requires |= {STEADY}
    if needs.local_disk_gb:
        requires |= {_DISK.format(needs.local_disk_gb)}
    if needs.gpus:
        requires |= {gpu_named(needs.gpu, catalogue, where)} if needs.gpu else {"cuda"}
        if runtime is not None and runtime.capability is not None:
            requires |= {_CAPABILITY.format(format_capability(runtime.capability))}
    room = Room(
        vcpus=float(needs.vcpus or 0),
        memory_gib=(needs.memory_mib or 0) / 1024,
        gpus=needs.gpus,
        gpu_memory_gib=(needs.gpu_memory_mib or 0) / 1024,
        gpu_slack=0.0 if needs.like else GPU_SLACK,  # what was measured is no name on a box
        requires=requires,
    )
    return room, assumed


def _architecture(needs: Needs, runtime: Runtime | None) -> tuple[frozenset[str], str]:
    """Return the architecture that is required; Arm is one where the needs or the image say that it does."""
    if needs.architecture:
        return frozenset({needs.architecture}), ""
    if runtime is None or not runtime.architectures:
        return frozenset({_DEFAULT}), "neither its needs nor an image say that Arm does"
    if len(runtime.architectures) == 1:
        return frozenset(runtime.architectures), ""
    return frozenset(), ""


def capability_room(kind: InstanceType) -> Room:
    """Return what a type has as needs: another that has it can do whatever runs on it, as far as vCPUs, memory, GPUs go."""
    gpu = kind.gpu if kind.gpu is not None and kind.gpu.share == 1 else None
    traits = own_traits(kind) & {STEADY, "cuda"} | {kind.architectures[-1]}
    return Room(
        vcpus=float(kind.vcpus),
        memory_gib=kind.memory_mib / 1024,
        gpus=gpu.count if gpu else 0,
        gpu_memory_gib=gpu.memory_mib / 1024 if gpu else 0.0,
        requires=frozenset(traits),
    )


def add_traits(machine: Machine, kind: InstanceType, wanted: Iterable[str]) -> Machine:
    """Return a machine with those of the wanted traits that only a catalogue can tell, and not steady where it is throttled."""
    has = capability_of(kind.gpu)
    own = {_DISK.format(word) for word in _numbers(wanted, _DISK) if kind.local_disk_gb >= int(word)}
    if has is not None:
        own |= {
            _CAPABILITY.format(word)
            for word in _numbers(wanted, _CAPABILITY)
            if has >= tuple(int(part) for part in word.split("."))
        }
    throttled = {STEADY} if is_throttled(kind) else set()
    return replace(machine, traits=machine.traits - throttled | own)


def _numbers(words: Iterable[str], form: str) -> list[str]:
    begin, end = form.split("{}")
    return [word[len(begin) : len(word) - len(end)] for word in words if word.startswith(begin) and word.endswith(end)]


def is_throttled(kind: InstanceType) -> bool:
    """Say whether a type is slowed down, or charged, under lasting load.

    EC2 marks burstable ones. Of two more it does not say so in its descriptions: t1 has bursts without credits, and a "flex"
    family promises its full speed for 95 % of a day, and 40 % of it always (EC2's user guide).
    """
    return kind.is_burstable or kind.family == "t1" or kind.family.endswith("-flex")


def own_traits(kind: InstanceType) -> frozenset[str]:
    """Return the traits of a type, of which ``steady`` is none where it is throttled."""
    return traits_of(kind) - ({STEADY} if is_throttled(kind) else set())


def needs_text(room: Room) -> str:
    """Write needs as a person would: ``2 vCPUs, 8 GiB, 1 GPU of 11 GiB, x86_64, steady``."""
    parts = [f"{_number(room.vcpus)} vCPUs", f"{_number(room.memory_gib)} GiB"]
    if room.gpus:
        each = f" of {_number(room.gpu_memory_gib)} GiB" if room.gpu_memory_gib else ""
        parts.append(f"{room.gpus} GPU{'s' if room.gpus > 1 else ''}{each}")
    return ", ".join([*parts, *sorted(room.requires)])


def _number(value: float) -> str:
    return format_amount(Decimal(repr(value)), most=2)
