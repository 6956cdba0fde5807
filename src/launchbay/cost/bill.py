"""The month's bill of a workload, line by line. Pure: prices come from the catalogue that is given.

Money is Decimal from end to end. Each line is exact: its quantity times the price as its source says it. The total is
rounded once, half a cent up. A price or a quantity that is not known makes the amount unknown and the total a lower bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from launchbay.catalog.items import TRANSFER_OUT
from launchbay.catalog.price import Catalogue
from launchbay.cost.beside import lines_beside
from launchbay.cost.check import check_workload, shortfalls
from launchbay.cost.instances import is_assumed_spot, lines_of_instance
from launchbay.cost.line import CATEGORIES, Bill, Line
from launchbay.spec.workload import Workload
from launchbay.units import format_amount, format_duration

__all__ = ["make_bill"]


def make_bill(workload: Workload, catalogue: Catalogue, *, compute_only: bool = False) -> Bill:
    """Return what a workload costs in a month, as it is assigned.

    Raises NotFound for a region or type that is not there, UsageError for what cannot be bought.
    """
    check_workload(workload, catalogue)
    lines = [line for line in _lines(workload, catalogue) if line.category == CATEGORIES[0] or not compute_only]
    return Bill(
        workload=workload.name,
        regions=workload.regions,
        month_hours=workload.month_hours,
        lines=tuple(sorted(lines, key=lambda line: CATEGORIES.index(line.category))),
        compute_only=compute_only,
        assumptions=tuple(_assumptions(workload, lines)),
        notes=(*shortfalls(workload, catalogue), *_cures(lines), *_doubts(lines)),
    )


def _lines(workload: Workload, catalogue: Catalogue) -> Iterator[Line]:
    for assignment in workload.instances:
        yield from lines_of_instance(assignment, workload, catalogue)
    if not workload.instances:
        yield from _unassigned(workload)
    yield from lines_beside(workload, catalogue)


def _unassigned(workload: Workload) -> Iterator[Line]:
    """Yield what is to run and is on no instance yet: what it costs is not known before one is chosen."""
    for item in workload.work:
        yield Line(
            name=item.name,
            category="compute",
            item="",
            region=workload.regions[0],
            what="no instance chosen",
            quantity=None,
            unit="hour",
        )


def _assumptions(workload: Workload, lines: Sequence[Line]) -> Iterator[str]:
    yield f"a month of {format_amount(workload.month_hours)} hours"
    for job in workload.jobs:
        run = job.needs.measured
        if run is not None and job.run_seconds == run.seconds:
            yield f"{job.name} takes {format_duration(float(run.seconds))} a run, as {run.run} did"
    spot = sorted({line.item.split()[0] for line in lines if is_assumed_spot(line)})
    if spot and workload.spot.below_on_demand is not None:
        part = format_amount(workload.spot.below_on_demand * 100)
        yield f"spot {part} % below on demand, as the workload says, for {', '.join(spot)}: no market price is known"
    if any(line.item.startswith(TRANSFER_OUT) for line in lines):
        yield "nothing but this workload uses the 100 GB out to the internet that an account has free each month"


_DOUBTFUL = {
    "repaired": "chosen among contradicting sources",
    "assumed": "taken over from another region or type",
    "recalled": "noted from memory and not read from AWS",
}
"""Methods of the catalogue that a reader should know of."""


def _cures(lines: Sequence[Line]) -> Iterator[str]:
    """Say how what is not known could be."""
    if any(line.item.endswith(" spot") and line.amount is None for line in lines):
        yield "no price of spot is known: spot: {below_on_demand: 60%} assumes one, `bay types refresh` asks AWS"


def _doubts(lines: Sequence[Line]) -> Iterator[str]:
    """Say which prices are known to have changed since, and which were not read from AWS as they stand."""
    stale = sorted({line.item for line in lines if line.is_stale})
    if stale:
        yield f"known to have changed since: the prices of {', '.join(stale)}"
    for method, words in _DOUBTFUL.items():
        items = sorted({line.item for line in lines if line.method == method and not is_assumed_spot(line)})
        if items:
            yield f"{words}: the prices of {', '.join(items)}"
