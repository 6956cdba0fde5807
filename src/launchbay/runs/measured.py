"""What a run took, as the needs of a job: measured, with room on top that is said, and nothing guessed in silence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from launchbay.errors import UsageError
from launchbay.spec.needs import Measured
from launchbay.store.records import Run
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
    if run.state != "done" or run.seconds is None or run.cpu_seconds is None or not run.peak_memory_bytes:
        what = f"{run.id} is {run.state}, so what it took says nothing about what the job needs"
        raise UsageError(what, where=where, hint="name a run that is done (`bay runs`)")
    seconds = sum((item.seconds or 0.0 for item in run.earlier), run.seconds)
    cpu_seconds = sum((item.cpu_seconds or 0.0 for item in run.earlier), run.cpu_seconds)
    memory = max([run.peak_memory_bytes, *(item.peak_memory_bytes or 0 for item in run.earlier)])
    mean = cpu_seconds / seconds if seconds else 1.0
    vcpus = max(math.ceil(round(mean, 2)), 1)
    memory_mib = math.ceil(memory * _ROOM / _MIB)
    gpus: Sequence[Mapping[str, Any]] = (run.gpu or {}).get("gpus", ())
    used = [gpu for gpu in gpus if _is_used(gpu)]
    peaks = [gpu["peak_memory_bytes"] for gpu in used if gpu.get("peak_memory_bytes")]
    took = (
        f"{run.id} took {format_duration(seconds)} on {_machine(run.machine)}: {mean:.2g} processors on average, for which "
        f"{vcpus} are reckoned with, and {format_bytes(memory)} at the peak of its largest process, for which "
        f"{format_bytes(memory_mib * _MIB)} are"
    )
    said = [
        took,
        *_said_of_gpus(gpus, used),
        f"another machine is taken to be as fast as {_machine(run.machine)}",
    ]
    return Measured(
        run=run.id,
        seconds=Decimal(str(round(seconds, 3))),
        vcpus=Decimal(vcpus),
        memory_mib=memory_mib,
        gpus=len(used),
        gpu_memory_mib=math.ceil(max(peaks) / _MIB) if peaks else None,
        said=tuple(said),
    )


def _machine(machine: Mapping[str, Any] | None) -> str:
    """Name a machine by its instance type, else by its processors; a run of before did not write them down."""
    if machine is None:
        return "a machine that was not written down"
    if machine.get("type"):
        return str(machine["type"])
    name = machine.get("processor") or "processors of a kind that was not written down"
    return f"{machine.get('processors') or 'some'} × {name}"


def _is_used(gpu: Mapping[str, Any]) -> bool:
    """Say whether a GPU was used. Where that was not seen (the run was too short), it is taken to have been.

    The driver counts a kernel in samples, of which a script with small ones may show none: so memory counts too.
    """
    peak, before = gpu.get("peak_memory_bytes"), gpu.get("memory_before_bytes")
    if gpu.get("max_percent") is None or peak is None or before is None:
        return True
    return bool(gpu["max_percent"]) or peak - before > _TOUCHED


def _said_of_gpus(gpus: Sequence[Mapping[str, Any]], used: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if gpus and not used:
        yield "the GPU was idle, so none is reckoned with"
    elif len(used) < len(gpus):
        yield f"{len(used)} of {len(gpus)} GPUs were used, the others were idle"
    for gpu in used:
        mean, peak = gpu.get("mean_percent"), gpu.get("peak_memory_bytes")
        if mean is None:
            yield "the run was over before its use of the GPU could be seen, so the GPU is taken to be needed"
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
