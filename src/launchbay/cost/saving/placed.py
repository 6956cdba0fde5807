"""The optimiser's plan as a workload that says what runs where: what `bay cost` prices, to the cent. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import ROUND_UP, Decimal

from launchbay.cost.optimum.cheapest import CheapestPlan, Placement
from launchbay.cost.optimum.jobs import JobOption
from launchbay.cost.saving.load import Load, join_outfits
from launchbay.cost.saving.variant import type_of
from launchbay.spec.assignment import Assignment
from launchbay.spec.schedule import ALWAYS, Hours
from launchbay.spec.work import Job
from launchbay.spec.workload import Workload

__all__ = ["place"]

_FINEST = Decimal("1e-6")
"""Of an hour a month: the millionth part costs far less than a cent, and a file shows it in full."""


def place(workload: Workload, load: Load, plan: CheapestPlan) -> Workload:
    """Return the workload on the instances of a plan, beside those that run nothing that is named.

    Instances that stand always come first. One for a job is there for its runs and takes its disk with it when it goes.
    """
    jobs = {item.name: item for item in workload.jobs}
    found = [
        *_merge(_standing(item, load) for item in plan.instances),
        *(_passing(item, load, jobs, workload.month_hours) for item in plan.alone),
    ]
    taken = {item.name for item in load.kept}
    return replace(workload, instances=(*load.kept, *_named(found, taken)))


def _standing(placement: Placement, load: Load) -> Assignment:
    names = (*placement.services, *placement.hosted)
    outfit = join_outfits(load.outfits[name] for name in names)
    return Assignment(
        name="",
        type=type_of(placement.machine),
        region=placement.machine.region,
        hours=ALWAYS,
        runs=_runs(names, load),
        disk_gib=outfit.disk_gib,
        public_address=outfit.public_address,
        software_usd_per_hour=outfit.software_usd_per_hour,
    )


def _runs(names: Iterable[str], load: Load) -> tuple[str, ...]:
    return tuple(dict.fromkeys(run for name in names for run in load.runs[name]))


def _merge(assignments: Iterable[Assignment]) -> list[Assignment]:
    """Return equal instances as one entry with a count."""
    counts: dict[Assignment, int] = {}
    for item in assignments:
        counts[item] = counts.get(item, 0) + 1
    return [replace(item, count=count) for item, count in counts.items()]


def _passing(option: JobOption, load: Load, jobs: Mapping[str, Job], month_hours: Decimal) -> Assignment:
    """Return the instances of a job by itself. On demand its hours follow from its runs, and are left out where they do."""
    outfit = load.outfits[option.job]
    job = jobs.get(option.job)
    wide = job.instances if job else _replicas(option, load)
    count = max(wide, math.ceil(option.hours / month_hours))
    hours: Hours | None = load.hours.get(option.job)
    if job and option.market == "spot":
        each = (option.hours / count).quantize(_FINEST, rounding=ROUND_UP)
        hours = Hours(amount=min(each, month_hours))
    return Assignment(
        name="",
        type=type_of(option.machine),
        region=option.machine.region,
        market=option.market,
        count=count,
        hours=hours,
        runs=load.runs[option.job],
        disk_gib=outfit.disk_gib,
        disk_kept=False,
        public_address=outfit.public_address,
        software_usd_per_hour=outfit.software_usd_per_hour,
    )


def _replicas(option: JobOption, load: Load) -> int:
    return next(item.instances for item in load.jobs if item.name == option.job)


def _named(assignments: Iterable[Assignment], taken: set[str]) -> Iterator[Assignment]:
    """Yield instances under names of their own: the first thing that each runs, with a number where that is taken."""
    for item in assignments:
        stem = item.runs[0][:58]
        name, number = stem, 2
        while name in taken:
            name, number = f"{stem}-{number}", number + 1
        taken.add(name)
        yield replace(item, name=name)
