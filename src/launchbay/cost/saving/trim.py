"""What could be spent less on with what is there: smaller types, fewer hours, no disks that wait. Pure.

Each returns the workload as it would be, and in a sentence what changed ("" where nothing did).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import ROUND_UP, Decimal

from launchbay.cost.instances import hours_of, job_hours
from launchbay.cost.optimum.jobs import list_options
from launchbay.cost.optimum.machine import Machine, why_not
from launchbay.cost.optimum.needs import Needs as Room
from launchbay.cost.saving.asked import Asked, bill_of
from launchbay.cost.saving.choice import Choice
from launchbay.cost.saving.load import hosts_of
from launchbay.cost.saving.variant import type_of
from launchbay.spec.assignment import Assignment
from launchbay.spec.schedule import Hours
from launchbay.spec.work import Job
from launchbay.spec.workload import Workload
from launchbay.units import format_amount

__all__ = ["clean_up", "keep_disks", "right_size", "schedule"]


def right_size(asked: Asked, choice: Choice) -> tuple[Workload, str]:
    """Put each instance on the cheapest type that meets the needs of what runs there, where one costs less than today's."""
    rooms = {item.name: item.needs for item in choice.load.items}
    jobs = {item.name for item in asked.workload.jobs}
    found, said = [], []
    for item in asked.workload.instances:
        best = _cheaper(asked, item, rooms, jobs, choice) if item.runs else None
        found.append(item if best is None else replace(item, type=best))
        if best is not None:
            said.append(f"{item.name}: {best} in the place of {item.type}")
    return replace(asked.workload, instances=tuple(found)), "; ".join(said)


def _cheaper(asked: Asked, item: Assignment, rooms: Mapping[str, Room], jobs: set[str], choice: Choice) -> str | None:
    """Return the cheapest type in an instance's region and market that holds what it runs; None where today's is."""
    room = _together(item, rooms, jobs)

    def usd(kind: str) -> Decimal | None:
        alone = replace(asked.workload, instances=(replace(item, type=kind),))
        bill = bill_of(asked, alone)
        return bill.usd if bill.complete else None

    today = usd(item.type)
    fitting: list[tuple[Decimal, str]] = []
    for machine in _candidates(item, room, choice, is_passing=bool(jobs.intersection(item.runs))):
        kind = type_of(machine)
        amount = usd(kind)
        if amount is not None and today is not None and amount < today:
            fitting.append((amount, kind))
    return min(fitting)[1] if fitting else None


def _candidates(item: Assignment, room: Room, choice: Choice, *, is_passing: bool) -> Iterator[Machine]:
    """Yield the machines that could stand in for an instance; for jobs only those whose hour has a price at full load."""
    for machine in choice.machines:
        usd = machine.hourly_usd if is_passing else machine.always_on_usd
        usd = machine.spot_usd if item.market == "spot" else usd
        if machine.region == item.region and usd is not None and not why_not(room, machine):
            yield machine


def _together(item: Assignment, rooms: Mapping[str, Room], jobs: set[str]) -> Room:
    """Return what all that an instance runs needs: endpoints side by side, jobs one after another beside them."""
    standing = [rooms[name] for name in item.runs if name not in jobs]
    passing = [rooms[name] for name in item.runs if name in jobs]

    def least(measure: str) -> float:
        beside = max((float(getattr(room, measure)) for room in passing), default=0.0)
        return sum(float(getattr(room, measure)) for room in standing) + beside

    both = [*standing, *passing]
    return Room(
        vcpus=least("vcpus"),
        memory_gib=least("memory_gib"),
        gpus=int(least("gpus")),
        gpu_memory_gib=max(room.least_gpu_memory_gib for room in both),
        requires=frozenset().union(*(room.requires for room in both)),
    )


def schedule(workload: Workload, choice: Choice) -> tuple[Workload, str]:
    """Let each instance run no longer than what it runs, where nothing of that always stands; on spot with interruptions."""
    found, said = [], []
    for item in workload.instances:
        needed = _needed_hours(item, workload, choice)
        there = hours_of(item, workload) / item.count
        changed = needed is not None and needed < there
        found.append(replace(item, hours=Hours(amount=needed)) if changed else item)
        if changed and needed is not None:
            said.append(f"{item.name}: {format_amount(needed, most=1)} hours instead of {format_amount(there, most=1)}")
    return replace(workload, instances=tuple(found)), "; ".join(said)


def _needed_hours(item: Assignment, workload: Workload, choice: Choice) -> Decimal | None:
    """Return the hours that each instance of an entry is needed, rounded up to millionths; None where that is not known.

    Which part of a job is done where it has several entries to run on is not said, so those stay as they are.
    """
    month = workload.month_hours
    total = Decimal(0)
    for work in workload.work:
        if work.name not in item.runs:
            continue
        if sum(1 for other in workload.instances if work.name in other.runs) > 1:
            return None
        if isinstance(work, Job):
            takes = job_hours(work, month) if item.market != "spot" else _spot_hours(work, item, choice)
            if takes is None:
                return None
            total += takes
        else:
            total += work.hours.in_month(month) * item.count
    if not item.runs:
        return None
    each = (total / item.count).quantize(Decimal("1e-6"), rounding=ROUND_UP)
    return min(each, month)


def _spot_hours(job: Job, item: Assignment, choice: Choice) -> Decimal | None:
    """Return the hours that a job is expected to take on the spot instances it is on, None where that is not known."""
    for load in choice.load.jobs:
        if load.name == job.name:
            for way in list_options(load, choice.machines):
                if way.spot is not None and (type_of(way.machine), way.machine.region) == (item.type, item.region):
                    return way.hours
    return None


def keep_disks(workload: Workload, today: Workload) -> Workload:
    """Let the disk of each instance stay while it is off, where that of what runs there stays today."""
    found = []
    for item in workload.instances:
        before = [host for name in item.runs for host in hosts_of(name, today)]
        stays = any(host.disk_kept and host.disk_gib for host in before)
        found.append(replace(item, disk_kept=True) if stays else item)
    return replace(workload, instances=tuple(found))


def clean_up(workload: Workload) -> tuple[Workload, str]:
    """Let the disk of each instance go with it. Addresses that are kept stay: nobody says whether something uses them."""
    found, said = [], []
    for item in workload.instances:
        is_off = hours_of(item, workload) < workload.month_hours * item.count
        is_freed = bool(item.runs) and item.disk_kept and is_off and bool(item.disk_gib)
        found.append(replace(item, disk_kept=False) if is_freed else item)
        if is_freed:
            said.append(f"{item.name}: its disk of {item.disk_gib} GiB is there only while it runs")
    return replace(workload, instances=tuple(found)), "; ".join(said)
