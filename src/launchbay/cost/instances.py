"""The lines of an instance: its hours, the software on it, its disk and its address. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from launchbay.catalog.burst import surplus_item, surplus_vcpus
from launchbay.catalog.items import GP3, PUBLIC_IPV4
from launchbay.catalog.price import Catalogue, Price
from launchbay.cost.line import Line
from launchbay.cost.side import side_line
from launchbay.spec.assignment import Assignment
from launchbay.spec.schedule import ALWAYS
from launchbay.spec.work import Job
from launchbay.spec.workload import Workload
from launchbay.units import count_of, format_amount

__all__ = ["LEAST_SECONDS", "hours_of", "is_assumed_spot", "job_hours", "lines_of_instance"]

LEAST_SECONDS = Decimal(60)
"""What a start of a Linux instance costs at least; after that EC2 bills by the second."""


def job_hours(job: Job, month_hours: Decimal) -> Decimal:
    """Return the instance-hours of a job that are billed in a month, a minute a run at least."""
    return job.runs.in_month(month_hours) * job.instances * max(job.run_seconds, LEAST_SECONDS) / 3600


def hours_of(assignment: Assignment, workload: Workload) -> Decimal:
    """Return how many hours instances of an assignment run in a month, all of them together.

    Where no hours are said and they run nothing but jobs, they run as long as these take, a minute a run at least.
    """
    jobs = [job for job in workload.jobs if job.name in assignment.runs]
    if assignment.hours is None and jobs and len(jobs) == len(assignment.runs):
        return sum((job_hours(job, workload.month_hours) for job in jobs), Decimal(0))
    return (assignment.hours or ALWAYS).in_month(workload.month_hours) * assignment.count


def lines_of_instance(assignment: Assignment, workload: Workload, catalogue: Catalogue) -> Iterator[Line]:
    """Yield what instances of an assignment cost in a month."""
    hours = hours_of(assignment, workload)
    yield _compute_line(assignment, hours, workload, catalogue)
    yield from _surplus_lines(assignment, workload, catalogue)
    if assignment.software_usd_per_hour is not None:
        yield Line(
            name=assignment.name,
            category="software",
            item="software",
            region=assignment.region,
            what="software from the marketplace",
            quantity=hours,
            unit="hour",
            unit_usd=assignment.software_usd_per_hour,
            source=assignment.where,
            method="said",
        )
    yield _disk_line(assignment, hours, workload, catalogue)
    if assignment.public_address:
        what = f"public IPv4, {count_of(assignment.count, 'instance')}"
        yield side_line(PUBLIC_IPV4, assignment, catalogue, category="address", what=what, quantity=hours)


def _compute_line(assignment: Assignment, hours: Decimal, workload: Workload, catalogue: Catalogue) -> Line:
    times = f"{assignment.count} × " if assignment.count > 1 else ""
    line = Line(
        name=assignment.name,
        category="compute",
        item=f"{assignment.type} {assignment.market}",
        region=assignment.region,
        what=f"{times}{assignment.type}, {assignment.market.replace('-', ' ')}",
        quantity=hours,
        unit="hour",
    )
    price = catalogue.price(assignment.type, assignment.region, assignment.market)
    if price is not None:
        return _priced(line, price, price.usd_per_hour, source=price.source, method=price.method)
    on_demand = catalogue.price(assignment.type, assignment.region)
    below = workload.spot.below_on_demand
    if on_demand is None or below is None:  # neither a market price nor something to assume one from
        return line
    source = f"{format_amount(below * 100)} % below on demand ({workload.source}); on demand: {on_demand.source}"
    return _priced(line, on_demand, on_demand.usd_per_hour * (1 - below), source=source, method="assumed")


def _surplus_lines(assignment: Assignment, workload: Workload, catalogue: Catalogue) -> Iterator[Line]:
    """Yield what jobs cost on top on a burstable type, which they use in full; of what stands nobody knows its load.

    Where a job is on several entries, which part of it is on which is not said, so the quantity is not known.
    """
    kind = catalogue.types[assignment.type]
    jobs = [job for job in workload.jobs if job.name in assignment.runs]
    if not kind.is_burstable or not jobs:
        return
    vcpus = surplus_vcpus(kind)
    alone = all(sum(job.name in other.runs for other in workload.instances) == 1 for job in jobs)
    hours = sum((job_hours(job, workload.month_hours) for job in jobs), Decimal(0)) if alone else None
    item = surplus_item(kind)
    what = f"{assignment.type} at full processor, above its baseline"
    quantity = None if hours is None or vcpus is None else hours * vcpus
    if item:
        yield side_line(item, assignment, catalogue, category="compute", what=what, quantity=quantity)
    else:
        yield Line(
            name=assignment.name,
            category="compute",
            item=f"cpu-surplus-{kind.family}",
            region=assignment.region,
            what=what,
            quantity=quantity,
            unit="vCPU-hour",
        )


def _priced(line: Line, price: Price, usd: Decimal, *, source: str, method: str) -> Line:
    return replace(line, unit_usd=usd, source=source, as_of=price.as_of, method=method, is_stale=price.is_stale)


def is_assumed_spot(line: Line) -> bool:
    """Say whether a line's price is the workload's own assumption about spot."""
    return line.category == "compute" and line.item.endswith(" spot") and line.method == "assumed"


def _disk_line(assignment: Assignment, hours: Decimal, workload: Workload, catalogue: Catalogue) -> Line:
    """Return the line of an instance's own disk. Every instance has one: if its size is not said, the cost is not known."""
    size, count = assignment.disk_gib, assignment.count
    if size is None:
        return side_line(GP3, assignment, catalogue, category="disk", what="gp3, size not said", quantity=None)
    there = workload.month_hours * count if assignment.disk_kept else hours
    times = f"{count} × " if count > 1 else ""
    stays = ", all month" if assignment.disk_kept and hours < there else ""
    quantity = size * there / workload.month_hours
    what = f"gp3, {times}{size} GiB{stays}"
    return side_line(GP3, assignment, catalogue, category="disk", what=what, quantity=quantity)
