"""What a run took, as the needs of a job: measured, with room on top that is said, and nothing guessed in silence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from launchbay.errors import UsageError
from launchbay.spec.needs import Measured
from launchbay.store.records import Attempt, Run
from launchbay.units import format_bytes, format_duration

__all__ = ["measure_run"]

_ROOM = 1.25
"""Memory that is reckoned with, to that which was used at the peak: the system needs some, and the next run may be larger."""

_MIB = 1 << 20
_TOUCHED = 64 * _MIB
"""A context on a GPU takes more than that, and what the driver does by itself less."""

_HARDLY = 10.0
"""Percent of the time in which a kernel ran, below which it is worth a try without the GPU."""

_TAKES_ALL = 0.7
"""TensorFlow and JAX take at least that part of a GPU's memory at once, whatever they need."""


def measure_run(run: Run, where: str) -> Measured:
    """Return what a run took, over all its attempts. Raises UsageError, with `where`, for a run that is no measure."""
    attempts: Sequence[Attempt | Run] = (*run.earlier, run)
    _check(run, attempts, where)
    seconds = sum(item.seconds or 0.0 for item in attempts)
    mean = sum(item.cpu_seconds or 0.0 for item in attempts) / seconds if seconds else 1.0
    memory = max(item.peak_memory_bytes or 0 for item in attempts)
    vcpus = max(math.ceil(round(mean, 2)), 1)
    memory_mib = math.ceil(memory * _ROOM / _MIB)
    machine = " and ".join(dict.fromkeys(_machine(item.machine) for item in attempts))
    gpus = _join([(item.gpu or {}).get("gpus", ()) for item in attempts])
    used = [gpu for gpu in gpus if _is_used(gpu)]
    took = (
        f"{run.id} took {format_duration(seconds)} on {machine}: {mean:.2f} processors on average, for which {vcpus} are "
        f"reckoned with, and {format_bytes(memory)} at the peak of its largest process, for which "
        f"{format_bytes(memory_mib * _MIB)} are"
    )
    as_fast = f"another machine is taken to be as fast as {machine}{_with_gpus(used)}"
    said = [took, *_said_of_gpus(gpus, used), as_fast]
    return Measured(
        run=run.id,
        seconds=Decimal(str(round(seconds, 3))),
        vcpus=Decimal(vcpus),
        memory_mib=memory_mib,
        gpus=len(used),
        gpu_memory_mib=max(filter(None, map(_memory_mib, used)), default=None),
        said=tuple(said),
    )


def _check(run: Run, attempts: Sequence[Attempt | Run], where: str) -> None:
    hint = "name another run that is done (`bay runs`), or say hours, vcpus and memory"
    if run.state != "done":
        what = f"{run.id} is {run.state}, so what it took says nothing about what the job needs"
        raise UsageError(what, where=where, hint=hint)
    for number, item in enumerate(attempts, start=1):
        if item.seconds is None or item.cpu_seconds is None or not item.peak_memory_bytes:
            which = f"attempt {number} of {run.id}" if run.earlier else run.id
            raise UsageError(f"what {which} took was not written down ({item.state})", where=where, hint=hint)


def _join(attempts: Sequence[Sequence[Mapping[str, Any]]]) -> Sequence[Mapping[str, Any]]:
    """Return the GPUs of several attempts as those of one: each as busy, and as full, as it ever was."""
    joined: list[Mapping[str, Any]] = []
    for gpus in attempts:
        for place, gpu in enumerate(gpus):
            if place == len(joined):
                joined.append(gpu)
            else:
                joined[place] = max(joined[place], gpu, key=_busyness)
    return joined


def _busyness(gpu: Mapping[str, Any]) -> tuple[bool, float, int]:
    """Order GPUs by use: one of which nothing was seen stands for the most, for nobody knows."""
    taken = (gpu.get("peak_memory_bytes") or 0) - (gpu.get("memory_before_bytes") or 0)
    return gpu.get("max_percent") is None, gpu.get("mean_percent") or 0.0, taken


def _memory_mib(gpu: Mapping[str, Any]) -> int | None:
    """Return the memory of a GPU that is reckoned with: what was in use at the peak, else all that it has."""
    seen = gpu.get("peak_memory_bytes") or gpu.get("memory_bytes")
    return math.ceil(seen / _MIB) if seen else None


def _machine(machine: Mapping[str, Any] | None) -> str:
    """Name a machine by its instance type, else by its processors; a run of before did not write them down."""
    if machine is None:
        return "a machine that was not written down"
    if machine.get("type"):
        return str(machine["type"])
    name = machine.get("processor") or "processors of a kind that was not written down"
    return f"{machine.get('processors') or 'some'} × {name}"


def _with_gpus(used: Sequence[Mapping[str, Any]]) -> str:
    """Name the GPUs that made it as fast as it was; "" where none did. A run of before did not write their names down."""
    names = dict.fromkeys(str(gpu.get("name") or "a GPU that was not written down") for gpu in used)
    return f" with {' and '.join(names)}" if names else ""


def _is_used(gpu: Mapping[str, Any]) -> bool:
    """Say whether a GPU was used. Where that was not seen (the run was too short), it is taken to have been.

    The driver counts a kernel in samples, of which a script with small ones may show none: so memory counts too.
    """
    peak, before = gpu.get("peak_memory_bytes"), gpu.get("memory_before_bytes")
    if gpu.get("max_percent") is None or peak is None or before is None:
        return True
    return bool(gpu["max_percent"]) or peak - before > _TOUCHED


def _said_of_gpus(gpus: Sequence[Mapping[str, Any]], used: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if gpus:
        yield "what the driver says of a GPU counts all programs on it, of others too"
    if gpus and not used:
        yield "the GPU was idle, so none is reckoned with"
    elif len(used) < len(gpus):
        yield f"{len(used)} of {len(gpus)} GPUs were used, the others were idle"
    for gpu in used:
        mean, peak = gpu.get("mean_percent"), gpu.get("peak_memory_bytes")
        if mean is None:
            yield "the run was over before its use of the GPU could be seen, so all of that GPU is taken to be needed"
        elif mean < _HARDLY:
            yield (
                f"the GPU was busy {mean:g} % of the time: a run without it (CUDA_VISIBLE_DEVICES= in its environment) would "
                "show whether it is worth its price"
            )
        if peak and gpu.get("memory_bytes") and peak > _TAKES_ALL * gpu["memory_bytes"]:
            yield (
                f"{format_bytes(peak)} of the GPU's {format_bytes(gpu['memory_bytes'])} were taken; TensorFlow and JAX take most "
                "of a GPU at once whatever they need, so less may do"
            )
