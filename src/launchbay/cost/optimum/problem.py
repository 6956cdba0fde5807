"""The packing as numbers: kinds of services, guests, bins, and the patterns that fill a bin. Pure.

A *kind* is a set of services with equal needs and equally many replicas: they are interchangeable, and one row of the model.
A *guest* is a job that may run in what services leave free on a bin. Guests of one bin run one after another: each
needs its own room, not the sum of all, and their hours add up. A *bin* is a machine seen from this workload: what it can
hold is cut at what could ever be put on it. A *pattern* is one bin with what stands on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from launchbay.cost.optimum.machine import Machine, why_not
from launchbay.cost.optimum.needs import Job, Needs, Service, Units

__all__ = ["Bin", "Guest", "Kind", "Pattern", "Problem", "build_problem", "can_queue", "fits", "members"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Services with equal needs and replicas. `demand` counts all copies, of which a bin takes one of each service."""

    services: tuple[str, ...]
    needs: Needs
    units: Units
    replicas: int
    demand: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """A job that may be hosted, and what it costs by itself in a month, in US dollars: what hosting it saves."""

    job: Job
    units: Units
    alone_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """A machine seen from a workload. `kinds` and `guests` are bit masks of what it can take at all.

    `allowed` is the mask of kinds that its traits and GPUs allow, whatever their size; `guest_hours` says how long the runs
    of a month of each guest would take on it.
    """

    machine: Machine
    usd: float
    units: Units
    allowed: int
    kinds: int
    guests: int
    guest_hours: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """What stands on an instance of one bin: how many services of each kind, and which guests."""

    bin: int
    counts: tuple[int, ...]
    guests: tuple[int, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing stands there."""
        return not self.guests and not any(self.counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """The whole packing. A month has `month_hours`, and so have the guests of one instance together."""

    kinds: tuple[Kind, ...]
    guests: tuple[Guest, ...]
    bins: tuple[Bin, ...]
    month_hours: float

    @property
    def demands(self) -> list[int]:
        """Copies by kind, then a 1 for each guest: the right side of the model."""
        return [kind.demand for kind in self.kinds] + [1] * len(self.guests)

    def used(self, counts: Sequence[int]) -> Units:
        """Return what so many services of each kind take together."""
        taken = [(kind.units, count) for kind, count in zip(self.kinds, counts, strict=True) if count]
        vcpus, memory, gpus = (sum(units[axis] * count for units, count in taken) for axis in range(3))
        return vcpus, memory, gpus

    def rows(self, pattern: Pattern) -> dict[int, int]:
        """Return what a pattern contributes to each row of the model."""
        found = {row: count for row, count in enumerate(pattern.counts) if count}
        found.update({len(self.kinds) + guest: 1 for guest in pattern.guests})
        return found


def members(mask: int) -> list[int]:
    """Return the numbers of the bits that are set."""
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found


def fits(units: Units, room: Units) -> bool:
    """Tell whether something fits in every measure."""
    return units[0] <= room[0] and units[1] <= room[1] and units[2] <= room[2]


def can_queue(jobs: Iterable[Job], type_name: str, month_hours: float) -> bool:
    """Tell whether jobs can share a room one after another: their hours fit into the month, and their waits into deadlines.

    At worst a run waits for one run of each of the others.
    """
    queue = list(jobs)
    if sum(job.month_hours(type_name) for job in queue) > month_hours:
        return False
    round_hours = sum(job.run_hours(type_name) for job in queue)
    return all(job.deadline_hours is None or round_hours <= job.deadline_hours for job in queue)


def build_problem(
    services: Sequence[Service],
    jobs: Sequence[tuple[Job, float]],
    machines: Sequence[Machine],
    month_hours: float,
) -> Problem:
    """Put services, jobs with what each costs alone, and machines with a price into numbers, ordered by price."""
    kinds = _kinds(services)
    guests = tuple(
        Guest(job=job, units=job.needs.units, alone_usd=usd)
        for job, usd in sorted(jobs, key=lambda pair: pair[0].name)
        if job.can_share and job.instances == 1
    )
    bins = [_bin(machine, kinds, guests, month_hours) for machine in machines if machine.always_on_usd is not None]
    return Problem(
        kinds=kinds,
        guests=guests,
        bins=tuple(
            sorted(
                (item for item in bins if item.kinds or item.guests), key=lambda item: (item.usd, item.machine.order)
            )
        ),
        month_hours=month_hours,
    )


def _kinds(services: Sequence[Service]) -> tuple[Kind, ...]:
    """Gather services that are interchangeable, in an order that does not depend on how they were given."""
    found: dict[tuple[object, ...], list[Service]] = {}
    for service in sorted(services, key=lambda item: item.name):
        needs = service.needs
        key = (needs.units, needs.gpu_memory_gib, needs.gpu_slack, needs.requires, service.replicas)
        found.setdefault(key, []).append(service)
    return tuple(
        Kind(
            services=tuple(service.name for service in same),
            needs=same[0].needs,
            units=same[0].needs.units,
            replicas=same[0].replicas,
            demand=same[0].replicas * len(same),
        )
        for same in found.values()
    )


def _bin(machine: Machine, kinds: Sequence[Kind], guests: Sequence[Guest], month_hours: float) -> Bin:
    """See a machine from the workload. What it holds is cut at one of each service it can take, and room for any guest.

    A guest is taken where it could run by the hour without a surplus: what is idle on a burstable type is not free.
    """
    taken = [index for index, kind in enumerate(kinds) if not why_not(kind.needs, machine)]
    hosted = [
        index
        for index, guest in enumerate(guests)
        if machine.hourly_usd is not None
        and not machine.surplus_usd
        and not why_not(guest.job.needs, machine, guest.job)
        and guest.job.month_hours(machine.type) <= month_hours
    ]
    vcpus, memory, gpus = (
        min(
            machine.units[axis],
            sum(kinds[index].units[axis] * len(kinds[index].services) for index in taken)
            + max((guests[index].units[axis] for index in hosted), default=0),
        )
        for axis in range(3)
    )
    return Bin(
        machine=machine,
        usd=float(machine.always_on_usd or 0),
        units=(vcpus, memory, gpus),
        allowed=sum(1 << index for index, kind in enumerate(kinds) if _is_allowed(kind.needs, machine)),
        kinds=sum(1 << index for index in taken),
        guests=sum(1 << index for index in hosted),
        guest_hours=tuple(guest.job.month_hours(machine.type) for guest in guests),
    )


def _is_allowed(needs: Needs, machine: Machine) -> bool:
    """Tell whether a machine has the traits and the kind of GPU, whatever its size."""
    has_traits = needs.requires <= machine.traits | {machine.region}
    return has_traits and (
        not needs.gpus or (machine.gpus > 0 and needs.least_gpu_memory_gib <= machine.gpu_memory_gib)
    )
