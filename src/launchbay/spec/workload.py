"""`workload.yaml`: what runs in a month, and what it needs or runs on today."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from launchbay.errors import UsageError
from launchbay.spec.assignment import (
    ASSIGNMENT_FIELDS,
    MARKETS,
    Assignment,
    check_assignments,
    read_assignments,
)
from launchbay.spec.beside import BESIDE_FIELDS, Beside, read_beside
from launchbay.spec.document import Document, read_document
from launchbay.spec.needs import NEEDS_FIELDS, Measure
from launchbay.spec.quantity import read_percentage, read_seconds
from launchbay.spec.region import read_regions
from launchbay.spec.schedule import read_month
from launchbay.spec.work import WORK_FIELDS, Endpoint, Job, read_endpoints, read_jobs

__all__ = ["WORKLOAD_FIELDS", "SpotAssumption", "Workload", "read_workload"]

WORKLOAD_FIELDS: dict[str, str] = {
    "name": "what the workload is called (default: the file's name)",
    "region": "the region that it runs in, such as us-west-2",
    "regions": "several regions, instead of `region`; the first counts where nothing else is said",
    "month": "how many hours the month has: `720h` is 30 days, `730.001h` the average month (default: 730h, as in AWS's "
    "calculator)",
    "market": "`on-demand`: nothing runs on spot; `spot`: instances are on spot that say nothing else; `any`: those are on "
    "demand, and a plan of `--optimize` may use both (default: any)",
    "spot": "what is assumed of spot instances where no price is known",
    "spot.below_on_demand": "how far their price is below that on demand, such as 60%",
    "spot.interrupted_every": "how long one lives on average until it is interrupted, such as 12h",
    **WORK_FIELDS,
    **{f"needs.{name}": meaning for name, meaning in NEEDS_FIELDS.items()},
    **ASSIGNMENT_FIELDS,
    **BESIDE_FIELDS,
}
"""Every field of a workload with its meaning, entries of lists as ``list.field``; the reference is generated from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotAssumption:
    """What is assumed of spot instances; None where nothing was said. `below_on_demand` is a part of 1."""

    below_on_demand: Decimal | None = None
    interrupted_every_seconds: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What runs in a month. Without `instances` it says what is needed, and not on what it runs.

    `regions_at` is the file and line of its regions.
    """

    name: str
    source: str
    regions: tuple[str, ...]
    month_hours: Decimal
    market: str = "any"
    spot: SpotAssumption = SpotAssumption()
    jobs: tuple[Job, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    instances: tuple[Assignment, ...] = ()
    beside: Beside = field(default_factory=Beside)
    regions_at: str = field(default="", compare=False)

    @property
    def work(self) -> tuple[Job | Endpoint, ...]:
        """All that has to be done, jobs first."""
        return (*self.jobs, *self.endpoints)


def read_workload(path: Path, measure: Measure | None = None) -> Workload:
    """Read a workload.yaml; `measure` knows the runs that needs may be like. Raises UsageError naming file, line and field."""
    document = read_document(path)
    regions, month_hours, market = read_regions(document), read_month(document), _read_market(document)
    workload = Workload(
        name=document.text("name") or path.stem,
        source=str(path),
        regions=regions,
        month_hours=month_hours,
        market=market,
        spot=_read_spot(document.document("spot")),
        jobs=read_jobs(document, measure),
        endpoints=read_endpoints(document, month_hours, measure),
        instances=read_assignments(document, regions=regions, month_hours=month_hours, market=market),
        beside=read_beside(document, regions=regions, month_hours=month_hours),
        regions_at=document.where("regions" if document.has("regions") else "region"),
    )
    document.finish()
    _refuse_double(workload)
    check_assignments(workload.instances, workload.jobs, workload.endpoints, month_hours)
    if not (workload.work or workload.instances or workload.beside != Beside()):
        hint = "an entry of jobs, endpoints, instances or disks"
        raise UsageError("a workload must hold something that runs or costs", where=document.source, hint=hint)
    return workload


def _read_market(document: Document) -> str:
    market = document.text("market") or "any"
    if market not in (*MARKETS, "any"):
        raise UsageError(f"market must be on-demand, spot or any, got {market!r}", where=document.where("market"))
    return market


def _read_spot(entry: Document | None) -> SpotAssumption:
    if entry is None:
        return SpotAssumption()
    spot = SpotAssumption(
        below_on_demand=read_percentage(entry, "below_on_demand"),
        interrupted_every_seconds=read_seconds(entry, "interrupted_every"),
    )
    if spot.interrupted_every_seconds == 0:
        what = f"interrupted_every must be above 0, got {entry.typed('interrupted_every')}"
        raise UsageError(what, where=entry.where("interrupted_every"), hint="interrupted_every: 12h")
    entry.finish()
    return spot


def _refuse_double(workload: Workload) -> None:
    """Refuse a name that stands twice: lines of a bill could not be told apart, nor what an instance runs."""
    for items in (workload.work, workload.instances):
        first: dict[str, str] = {}
        for item in items:
            if item.name in first:
                raise UsageError(f"the name {item.name!r} stands twice, first in {first[item.name]}", where=item.where)
            first[item.name] = item.where
