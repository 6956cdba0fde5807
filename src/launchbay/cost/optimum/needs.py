"""What is to run: services day and night, jobs for some hours, and what each needs of a machine. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from launchbay.errors import UsageError

__all__ = ["GIB_STEP", "VCPU_STEP", "Job", "Needs", "Service", "Units", "check_load", "round_down", "round_up"]

VCPU_STEP, GIB_STEP = 0.25, 0.5
"""Needs are rounded up to whole steps of these, capacities down: tables over whole numbers are exact."""

Units = tuple[int, int, int]
"""Quarters of a vCPU, halves of a GiB, GPUs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """The least that a machine must have free.

    vCPUs, memory and GPUs add up over what runs side by side. `gpu_memory_gib` is what *each* GPU must have, a
    threshold and never a sum; the share `gpu_slack` of it may be missing, because what is sold as 24 GB shows less.
    `requires` are traits of the machine, in the words of whoever describes the machines:
    ``x86_64``, ``cuda``, ``steady`` (no burstable type), ``us-west-2``.
    """

    vcpus: float
    memory_gib: float
    gpus: int = 0
    gpu_memory_gib: float = 0.0
    gpu_slack: float = 0.0
    requires: frozenset[str] = frozenset()

    @property
    def units(self) -> Units:
        """The needs that add up, rounded up to whole steps."""
        return round_up(self.vcpus, VCPU_STEP), round_up(self.memory_gib, GIB_STEP), self.gpus

    @property
    def least_gpu_memory_gib(self) -> float:
        """What each GPU must show at least."""
        return self.gpu_memory_gib * (1 - self.gpu_slack)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Something that runs day and night, in one or more copies. No two copies stand on the same instance."""

    name: str
    needs: Needs
    replicas: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Something that runs `runs_per_month` times for `hours_per_run` each, at the speed of a machine that just meets its needs.

    `speeds` says, by instance type, how many times faster it was *measured* to be there; a type that is not in it counts as
    1, however large. With `deadline_hours` a run must have ended so many hours after it could start. One that
    `can_be_interrupted` saves its state in `checkpoint_hours` and needs `restart_hours` to go on after an interruption.
    A run takes `instances` machines at a time. With `can_share`, one that takes a single machine may run in the idle
    capacity of an instance that stands for services.
    """

    name: str
    needs: Needs
    hours_per_run: float
    runs_per_month: float = 1.0
    deadline_hours: float | None = None
    can_be_interrupted: bool = False
    checkpoint_hours: float = 0.0
    restart_hours: float = 0.0
    instances: int = 1
    can_share: bool = True
    speeds: Mapping[str, float] = field(default_factory=dict)

    def run_hours(self, type_name: str) -> float:
        """Return how long one run takes on a type, without interruptions."""
        return self.hours_per_run / self.speeds.get(type_name, 1.0)

    def month_hours(self, type_name: str) -> float:
        """Return how long all runs of a month take on a type, without interruptions."""
        return self.run_hours(type_name) * self.runs_per_month


@lru_cache(maxsize=65536)
def round_up(amount: float, step: float) -> int:
    """Return how many steps hold an amount; one that is a step up to the noise of a float is not the next."""
    return math.ceil(round(amount / step, 6))


@lru_cache(maxsize=65536)
def round_down(amount: float, step: float) -> int:
    """Return how many whole steps an amount holds."""
    return math.floor(round(amount / step, 6))


def check_load(services: tuple[Service, ...], jobs: tuple[Job, ...]) -> None:
    """Raise UsageError for a need, count or time that cannot be, naming the service or job."""
    names: set[str] = set()
    everything: tuple[Service | Job, ...] = (*services, *jobs)
    for item in everything:
        if item.name in names:
            raise UsageError(f"two services or jobs are called {item.name!r}", hint="give each a name of its own")
        names.add(item.name)
        _check_needs(item.name, item.needs)
    for service in services:
        if service.replicas < 1:
            raise UsageError(f"replicas must be 1 or more, got {service.replicas}", where=service.name)
    for job in jobs:
        _check_times(job)


def _check_needs(name: str, needs: Needs) -> None:
    for what, amount in (
        ("vcpus", needs.vcpus),
        ("memory_gib", needs.memory_gib),
        ("gpus", needs.gpus),
        ("gpu_memory_gib", needs.gpu_memory_gib),
    ):
        if not 0 <= amount < math.inf:
            raise UsageError(f"{what} must be 0 or more, got {amount}", where=name)
    if not 0 <= needs.gpu_slack < 1:
        raise UsageError(f"gpu_slack must be 0 or more and below 1, got {needs.gpu_slack}", where=name)
    if needs.gpu_memory_gib and not needs.gpus:
        raise UsageError(f"{needs.gpu_memory_gib} GiB a GPU are needed, and no GPU", where=name, hint="gpus: 1")


def _check_times(job: Job) -> None:
    for what, amount in (
        ("hours_per_run", job.hours_per_run),
        ("runs_per_month", job.runs_per_month),
        *((f"the speed on {name}", speed) for name, speed in job.speeds.items()),
    ):
        if not 0 < amount < math.inf:
            raise UsageError(f"{what} must be above 0, got {amount}", where=job.name)
    if not (0 <= job.checkpoint_hours < math.inf and 0 <= job.restart_hours < math.inf):
        raise UsageError("checkpoint_hours and restart_hours must be 0 or more", where=job.name)
    if job.instances < 1:
        raise UsageError(f"instances must be 1 or more, got {job.instances}", where=job.name)
    if job.deadline_hours is not None and job.deadline_hours <= 0:
        raise UsageError(f"deadline_hours must be above 0, got {job.deadline_hours}", where=job.name)
