"""A workload as services and jobs of the optimiser, and what each gets beside its machine. Pure.

What always stands is a service. An endpoint with hours is a job that cannot wait, a job is one by its runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from launchbay.cost.instances import LEAST_SECONDS
from launchbay.cost.optimum.needs import Job, Needs, Service
from launchbay.errors import UsageError
from launchbay.spec.assignment import Assignment
from launchbay.spec.schedule import Hours
from launchbay.spec.work import Endpoint
from launchbay.spec.work import Job as Runs
from launchbay.spec.workload import Workload

__all__ = ["Load", "Outfit", "hosts_of", "join_outfits", "load_instances", "load_work", "outfit_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outfit:
    """What an instance pays beside itself. A disk of None is one whose size nobody said: its cost is not known."""

    disk_gib: int | None = None
    public_address: bool = False
    software_usd_per_hour: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is to be placed. `runs` says, for each service and job by name, which jobs and endpoints of the workload it is.

    `outfits` are what each gets, `hours` how long an endpoint among the jobs stands. `kept` are instances that run nothing
    that is named: they stay as they are.
    """

    services: tuple[Service, ...]
    jobs: tuple[Job, ...]
    runs: Mapping[str, tuple[str, ...]]
    outfits: Mapping[str, Outfit]
    hours: Mapping[str, Hours]
    kept: tuple[Assignment, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def items(self) -> tuple[Service | Job, ...]:
        """All that is to be placed, services first."""
        return (*self.services, *self.jobs)

    def map_needs(self, needs: Mapping[str, Needs]) -> Load:
        """Return the same load with other needs, by the name of the service or job."""
        return replace(
            self,
            services=tuple(replace(item, needs=needs.get(item.name, item.needs)) for item in self.services),
            jobs=tuple(replace(item, needs=needs.get(item.name, item.needs)) for item in self.jobs),
        )

    def pin(self, workload: Workload) -> Load:
        """Return the same load, each of it in the region where it runs today, if that is one of several."""
        if len(workload.regions) == 1:
            return self
        pinned = {}
        for item in self.items:
            regions = {host.region for name in self.runs[item.name] for host in hosts_of(name, workload)}
            if len(regions) == 1:
                pinned[item.name] = replace(item.needs, requires=item.needs.requires | regions)
        return self.map_needs(pinned)


def hosts_of(name: str, workload: Workload) -> list[Assignment]:
    """Return the instances that run a job or endpoint today."""
    return [assignment for assignment in workload.instances if name in assignment.runs]


def outfit_of(item: Runs | Endpoint, workload: Workload) -> Outfit:
    """Return what an instance gets that runs a job or endpoint: what it says itself, else the most that it has today."""
    today = join_outfits(_outfit_today(host) for host in hosts_of(item.name, workload))
    disk, address = item.needs.disk_gib, item.needs.public_address
    return replace(
        today,
        disk_gib=today.disk_gib if disk is None else disk,
        public_address=today.public_address if address is None else address,
    )


def _outfit_today(host: Assignment) -> Outfit:
    return Outfit(
        disk_gib=host.disk_gib,
        public_address=host.public_address,
        software_usd_per_hour=host.software_usd_per_hour,
    )


def join_outfits(outfits: Iterable[Outfit]) -> Outfit:
    """Return what an instance gets that runs several: the largest disk, of which nothing is known where one is unknown."""
    found = list(outfits)
    disks = [item.disk_gib for item in found]
    known = [disk for disk in disks if disk is not None]
    software = [item.software_usd_per_hour for item in found if item.software_usd_per_hour is not None]
    return Outfit(
        disk_gib=max(known) if known and len(known) == len(disks) else None,
        public_address=any(item.public_address for item in found),
        software_usd_per_hour=max(software) if software else None,
    )


def load_work(workload: Workload, needs: Mapping[str, Needs]) -> Load:
    """Return the jobs and endpoints of a workload, each to be placed by itself."""
    month = workload.month_hours
    may_spot = workload.market != "on-demand"
    services = [
        Service(name=item.name, needs=needs[item.name], replicas=item.replicas)
        for item in workload.endpoints
        if _is_always(item, month)
    ]
    standing = [item for item in workload.endpoints if not _is_always(item, month)]
    made = [_job(item, needs[item.name], month, may_spot=may_spot) for item in workload.jobs]
    return Load(
        services=tuple(services),
        jobs=(*(job for job, _ in made), *(_as_job(item, needs[item.name], month) for item in standing)),
        runs={item.name: (item.name,) for item in workload.work},
        outfits={item.name: outfit_of(item, workload) for item in workload.work},
        hours={item.name: item.hours for item in standing},
        kept=_idle(workload),
        notes=(*(note for _, note in made if note), *_kept_notes(workload)),
    )


def load_instances(workload: Workload, capability: Mapping[str, Needs]) -> Load:
    """Return today's instances, each to be replaced by one of at least its capability (by the name of the instance).

    One on which something always stands is a service with all that it runs; of any other, each thing that it runs takes an
    instance like it for its own hours.
    """
    month = workload.month_hours
    always = {item.name for item in workload.endpoints if _is_always(item, month)}
    whole = [item for item in workload.instances if always.intersection(item.runs)]
    settled = {name for assignment in whole for name in assignment.runs}
    needs = {
        item.name: _least_upper([capability[host.name] for host in hosts_of(item.name, workload)])
        for item in workload.work
        if item.name not in settled
    }
    rest = replace(
        workload,
        jobs=tuple(item for item in workload.jobs if item.name in needs),
        endpoints=tuple(item for item in workload.endpoints if item.name in needs),
    )
    load = load_work(rest, needs)
    named = {f"instance {item.name}": item for item in whole}
    return replace(
        load,
        services=tuple(
            Service(name=name, needs=capability[item.name], replicas=item.count) for name, item in named.items()
        ),
        runs={**load.runs, **{name: item.runs for name, item in named.items()}},
        outfits={**load.outfits, **{name: _outfit_today(item) for name, item in named.items()}},
        kept=_idle(workload),
    )


def _is_always(item: Endpoint, month_hours: Decimal) -> bool:
    return item.hours.in_month(month_hours) >= month_hours


def _idle(workload: Workload) -> tuple[Assignment, ...]:
    return tuple(assignment for assignment in workload.instances if not assignment.runs)


def _kept_notes(workload: Workload) -> Sequence[str]:
    return [f"{item.name} runs nothing that is named, so it stays as it is" for item in _idle(workload)]


def _job(item: Runs, needs: Needs, month_hours: Decimal, *, may_spot: bool) -> tuple[Job, str]:
    """Return a job, and why it is not taken for one that can be interrupted although it says so."""
    unsaid = [
        name
        for name, seconds in (("checkpoint", item.checkpoint_seconds), ("restart", item.restart_seconds))
        if seconds is None
    ]
    job = Job(
        name=item.name,
        needs=needs,
        hours_per_run=_hours(max(item.run_seconds, LEAST_SECONDS)),
        runs_per_month=float(item.runs.in_month(month_hours)),
        deadline_hours=None if item.deadline_seconds is None else _hours(max(item.deadline_seconds, LEAST_SECONDS)),
        can_be_interrupted=item.interruptible and not unsaid and may_spot,
        checkpoint_hours=_hours(item.checkpoint_seconds or Decimal(0)),
        restart_hours=_hours(item.restart_seconds or Decimal(0)),
        instances=item.instances,
    )
    if not (item.interruptible and unsaid):
        return job, ""
    return (
        job,
        f"{item.name} can be interrupted but does not say its {' and '.join(unsaid)}, so spot is no option for it",
    )


def _hours(seconds: Decimal) -> float:
    return float(seconds / 3600)


def _as_job(item: Endpoint, needs: Needs, month_hours: Decimal) -> Job:
    """Return an endpoint with hours as a job: it stands as said, and its deadline keeps it from waiting for anything."""
    amount = item.hours.amount
    if not amount:
        raise UsageError(f"{item.name} stands {item.hours}", where=item.where, hint="leave it out, or hours: always")
    return Job(
        name=item.name,
        needs=needs,
        hours_per_run=float(amount),
        runs_per_month=float(item.hours.in_month(month_hours) / amount),
        deadline_hours=float(amount),
        instances=item.replicas,
    )


def _least_upper(needs: Sequence[Needs]) -> Needs:
    """Return needs that are at least each of these."""
    return Needs(
        vcpus=max(item.vcpus for item in needs),
        memory_gib=max(item.memory_gib for item in needs),
        gpus=max(item.gpus for item in needs),
        gpu_memory_gib=max(item.gpu_memory_gib for item in needs),
        requires=frozenset().union(*(item.requires for item in needs)),
    )
