"""How a bill moves with what nobody knows beforehand: the month's length, the discount on spot, interruptions. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from launchbay.catalog.price import Catalogue
from launchbay.cost.bill import make_bill
from launchbay.cost.instances import hours_of, is_assumed_spot, job_hours
from launchbay.spec.assignment import Assignment
from launchbay.spec.schedule import Hours
from launchbay.spec.work import Job
from launchbay.spec.workload import Workload

__all__ = ["DISCOUNTS", "MONTHS", "Risk", "at_month", "over_discounts", "over_months", "risk_of"]

MONTHS = tuple(Decimal(24 * days) for days in (28, 29, 30, 31))
"""The months that there are, in hours."""

DISCOUNTS = tuple(Decimal(percent) / 100 for percent in range(0, 95, 5))
"""How far spot may be below on demand, as parts of 1; AWS says up to 90 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """How often an instance is interrupted in a month (None where that is not known), and how much fails with one at most."""

    interruptions: Decimal | None
    together: int


def risk_of(workload: Workload) -> Risk:
    """Return what a workload risks on the instances that it is assigned to."""
    on_spot = sum((hours_of(item, workload) for item in workload.instances if item.market == "spot"), Decimal(0))
    every = workload.spot.interrupted_every_seconds
    return Risk(
        interruptions=Decimal(0) if not on_spot else None if not every else on_spot * 3600 / every,
        together=max((len(item.runs) for item in workload.instances), default=0),
    )


def over_months(workload: Workload, catalogue: Catalogue, *, compute_only: bool) -> Iterator[tuple[Decimal, Decimal]]:
    """Yield months in hours with what each costs in US dollars, as far as all of it is known."""
    for hours in sorted({*MONTHS, workload.month_hours}):
        bill = make_bill(at_month(workload, hours), catalogue, compute_only=compute_only)
        if bill.complete and bill.usd is not None:
            yield hours, bill.usd


def at_month(workload: Workload, month_hours: Decimal) -> Workload:
    """Return a workload in a month of another length.

    Instances whose hours were worked out for what they run (so many a month) run as much longer as that does.
    """
    if month_hours == workload.month_hours:
        return workload
    instances = tuple(_stretched(item, workload, month_hours) for item in workload.instances)
    return replace(workload, month_hours=month_hours, instances=instances)


def _stretched(item: Assignment, workload: Workload, month_hours: Decimal) -> Assignment:
    hours = item.hours
    if hours is None or hours.amount is None or hours.per != "month" or not item.runs:
        return item
    before, after = _work(item, workload, workload.month_hours), _work(item, workload, month_hours)
    if before == after or not before:
        return item
    return replace(item, hours=Hours(amount=min(hours.amount * after / before, month_hours)))


def _work(item: Assignment, workload: Workload, month_hours: Decimal) -> Decimal:
    return sum(
        (
            job_hours(work, month_hours) if isinstance(work, Job) else work.hours.in_month(month_hours)
            for work in workload.work
            if work.name in item.runs
        ),
        Decimal(0),
    )


def over_discounts(workload: Workload, catalogue: Catalogue, *, compute_only: bool) -> Mapping[Decimal, Decimal]:
    """Return what a workload costs in US dollars, by how far spot is below on demand.

    Empty where nothing of it is on spot at an assumed price: what the market asks for is known then, or spot is not used.
    """
    found = {}
    for below in DISCOUNTS:
        assumed = replace(workload, spot=replace(workload.spot, below_on_demand=below))
        bill = make_bill(assumed, catalogue, compute_only=compute_only)
        if bill.complete and bill.usd is not None and any(is_assumed_spot(line) for line in bill.lines):
            found[below] = bill.usd
    return found
