"""What runs where today: instances, and the jobs and endpoints on each. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from launchbay.errors import UsageError
from launchbay.spec.beside import read_disk_size
from launchbay.spec.document import Document
from launchbay.spec.names import closest, read_name
from launchbay.spec.quantity import read_amount, read_count
from launchbay.spec.region import read_region
from launchbay.spec.schedule import ALWAYS, Hours, read_hours
from launchbay.spec.work import Endpoint, Job
from launchbay.units import format_amount

__all__ = ["ASSIGNMENT_FIELDS", "MARKETS", "Assignment", "check_assignments", "read_assignments"]

MARKETS = ("on-demand", "spot")

ASSIGNMENT_FIELDS: dict[str, str] = {
    "instances": "what runs today, a list; where it is left out, the cheapest way is to be found",
    "instances.name": "what it is called in the bill",
    "instances.type": "its EC2 instance type, such as g5.xlarge",
    "instances.count": "how many of them (default: 1)",
    "instances.hours": "how long each runs: `always`, `10h a day`, `24h a month` (default: as long as its jobs take, "
    "where it runs nothing but jobs; else always)",
    "instances.market": "`on-demand` or `spot` (default: the workload's)",
    "instances.region": "where it is (default: the first region)",
    "instances.runs": "the jobs and endpoints that it runs, by name",
    "instances.disk": "the size of its gp3 disk; one that is not said makes the bill a lower bound",
    "instances.disk_kept": "whether the disk stays, and costs, while the instance is off (default: true)",
    "instances.public_address": "whether it has a public IPv4 address while it runs (default: false)",
    "instances.software_usd_per_hour": "what software from the marketplace costs an hour on each, in US dollars",
}
"""Every field of `instances`, with its meaning."""

_TYPE = re.compile(r"[a-z0-9][a-z0-9-]*\.[a-z0-9-]+\Z")
_SLACK = Decimal("1.000001")  # 17.14 runs of a month that do not divide evenly


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Instances of one type, and what they run; None where nothing was said. `where` is their file and line."""

    name: str
    type: str
    region: str
    market: str = "on-demand"
    count: int = 1
    hours: Hours | None = None
    runs: tuple[str, ...] = ()
    disk_gib: int | None = None
    disk_kept: bool = True
    public_address: bool = False
    software_usd_per_hour: Decimal | None = None
    where: str = field(default="", compare=False)


def read_assignments(
    document: Document, *, regions: tuple[str, ...], month_hours: Decimal, market: str
) -> tuple[Assignment, ...]:
    """Read `instances`. Raises UsageError naming file, line and field."""
    found: list[Assignment] = []
    for entry in document.documents("instances"):
        assignment = Assignment(
            name=read_name(entry, "instance"),
            type=_read_type(entry),
            region=read_region(entry, regions),
            market=_read_market(entry, market),
            count=read_count(entry, "count", 1),
            hours=read_hours(entry, month_hours) if entry.has("hours") else None,
            runs=entry.texts("runs"),
            disk_gib=read_disk_size(entry, "disk") if entry.has("disk") else None,
            disk_kept=entry.flag("disk_kept", default=True),
            public_address=entry.flag("public_address", default=False),
            software_usd_per_hour=read_amount(entry, "software_usd_per_hour"),
            where=entry.where("name"),
        )
        entry.finish()
        found.append(assignment)
    return tuple(found)


def _read_type(entry: Document) -> str:
    name = entry.text("type")
    if not _TYPE.match(name):
        raise UsageError(f"type must be an instance type such as g5.xlarge, got {name!r}", where=entry.where("type"))
    return name


def _read_market(entry: Document, default: str) -> str:
    """Read an instance's market; where the workload takes any, what runs today is on demand unless it says otherwise."""
    market = entry.text("market") or (default if default in MARKETS else MARKETS[0])
    if market not in MARKETS:
        raise UsageError(f"market must be {' or '.join(MARKETS)}, got {market!r}", where=entry.where("market"))
    return market


def check_assignments(
    assignments: Sequence[Assignment], jobs: Sequence[Job], endpoints: Sequence[Endpoint], month_hours: Decimal
) -> None:
    """Raise UsageError where something runs nowhere, on what is not there, or on instances that cannot hold it."""
    work: tuple[Job | Endpoint, ...] = (*jobs, *endpoints)
    known = [item.name for item in work]
    for assignment in assignments:
        for name in assignment.runs:
            if name not in known:
                what = f"{assignment.name} runs {name!r}, and no job or endpoint has that name{closest(name, known)}"
                raise UsageError(what, where=assignment.where)
    if not assignments:
        return
    for item in work:
        hosts = [assignment for assignment in assignments if item.name in assignment.runs]
        if not hosts:
            what = f"{item.name} runs on no instance, and what runs today is to be said in full"
            raise UsageError(what, where=item.where, hint=f"runs: [{item.name}] in an entry of instances")
        if isinstance(item, Endpoint):
            _check_endpoint(item, hosts, month_hours)
    for assignment in assignments:
        _check_hours(assignment, [job for job in jobs if job.name in assignment.runs], assignments, month_hours)


def _check_endpoint(endpoint: Endpoint, hosts: Sequence[Assignment], month_hours: Decimal) -> None:
    there = sum(host.count for host in hosts)
    if there < endpoint.replicas:
        what = f"{endpoint.name} has {endpoint.replicas} replicas, each on its own instance, and {there} run it"
        raise UsageError(what, where=endpoint.where, hint=f"count: {endpoint.replicas}")
    stands = endpoint.hours.in_month(month_hours)
    for host in hosts:
        if host.hours is not None and host.hours.in_month(month_hours) * _SLACK < stands:
            what = f"{endpoint.name} stands {endpoint.hours}, and instance {host.name} runs {host.hours}"
            raise UsageError(what, where=host.where, hint=f"hours: {endpoint.hours}")


def _check_hours(
    assignment: Assignment, jobs: Sequence[Job], assignments: Sequence[Assignment], month_hours: Decimal
) -> None:
    """Refuse hours that the work does not fit into, and none where a job could be on this entry or on another."""
    alone = [job for job in jobs if sum(job.name in other.runs for other in assignments) == 1]
    if assignment.hours is None and len(alone) < len(jobs) and len(jobs) == len(assignment.runs):
        shared = next(job.name for job in jobs if job not in alone)
        what = f"{shared} runs on several entries, so the hours of {assignment.name} have to be said"
        raise UsageError(what, where=assignment.where, hint="hours: 24h a month")
    work = sum((job.hours_in(month_hours) for job in alone), Decimal(0))
    hours = (assignment.hours or ALWAYS).in_month(month_hours)  # without any it runs as long as they take
    if work > assignment.count * hours * _SLACK:
        takes, there = (format_amount(value, most=1) for value in (work, assignment.count * hours))
        names = ", ".join(job.name for job in alone)
        verb = "takes" if len(alone) == 1 else "take"
        what = f"instance {assignment.name} runs {there} hours in a month, and {names} {verb} {takes}"
        raise UsageError(what, where=assignment.where, hint=f"a higher count, or hours: {takes}h a month")
