"""The month's bill of a workload: what it comes to, against another workload, against what AWS billed, and how to lower it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launchbay.catalog.capability import parse_capability
from launchbay.catalog.known import known_regions, load_catalogue, load_savings_rates
from launchbay.catalog.price import Catalogue
from launchbay.cost.bill import make_bill
from launchbay.cost.compare import Comparison, compare_bills
from launchbay.cost.line import Bill
from launchbay.cost.reconcile import Reconciliation, reconcile
from launchbay.cost.report import read_report
from launchbay.errors import Conflict, NotFound, UsageError, UserError
from launchbay.lifecycle.bay import Bay
from launchbay.pictures import DRAWING_HINT, Kind, check_drawing, picture_kind, write_output
from launchbay.spec.needs import Measured
from launchbay.spec.rewrite import write_instances
from launchbay.spec.workload import Workload, read_workload

if TYPE_CHECKING:
    from launchbay.cost.saving.cheapest import Cheapest
    from launchbay.cost.saving.room import Runtime

__all__ = ["Cost", "bill", "cheapest_plan"]

_PLANS = (".yaml", ".yml")
_PLAN, _PAYMENT, _YEARS = "Compute", "No Upfront", 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """A bill, and what it was held against."""

    bill: Bill
    against: Comparison | None = None
    reconciled: Reconciliation | None = None

    def as_json(self) -> Mapping[str, Any]:
        """Return the bill's own fields, and below them what it was held against."""
        return {**self.bill.as_json(), "against": self.against, "reconciled": self.reconciled}


def bill(
    bay: Bay,
    workload: str | Path,
    *,
    compute_only: bool = False,
    against: str | Path | None = None,
    report: str | Path | None = None,
    output: str | Path | None = None,
) -> Cost:
    """Return what a workload costs in a month, from the prices that are known here; asks nobody.

    `against` is another workload, `report` a Cost and Usage Report of AWS as CSV, `output` a picture to be written, .html,
    .svg or .png. Raises UsageError for a file that says something impossible, naming its line, and NotFound for a type or
    region that is not there.
    """
    if output is not None:
        _check_picture(Path(output))
    asked = _read(bay, Path(workload))
    catalogue = _catalogue(bay, asked)
    here = make_bill(asked, catalogue, compute_only=compute_only)
    if output is not None:
        _draw(asked, catalogue, here, None, Path(output))
    return Cost(
        bill=here,
        against=None if against is None else compare_bills(here, _bill(bay, Path(against), compute_only=compute_only)),
        reconciled=None if report is None else reconcile(here, read_report(Path(report)), report=str(report)),
    )


def _bill(bay: Bay, path: Path, *, compute_only: bool) -> Bill:
    workload = _read(bay, path)
    return make_bill(workload, _catalogue(bay, workload), compute_only=compute_only)


def _read(bay: Bay, path: Path) -> Workload:
    """Read a workload, with what runs of this machine took in the place of needs that are like them."""

    def measure(name: str, where: str) -> Measured | None:
        from launchbay.runs.measured import measure_run  # records of runs; only who names one needs them
        from launchbay.store.records import find_run

        try:
            return measure_run(find_run(bay.home, name), where)
        except NotFound:
            return None  # it may be a colleague's: what needs it says so

    return read_workload(path, measure)


def _catalogue(bay: Bay, workload: Workload) -> Catalogue:
    cache, note = bay.home.catalog, bay.reporter.note
    known = known_regions(cache, note).intersection(workload.regions)  # of any other the bill says where it stands
    return load_catalogue(cache, note, regions=known)


def cheapest_plan(
    bay: Bay,
    workload: str | Path,
    *,
    compute_only: bool = False,
    current_only: bool = False,
    seconds: float = 60.0,
    output: str | Path | None = None,
) -> Cheapest:
    """Find the cheapest way to run a workload, from the prices that are known here; asks nobody.

    On three rungs: on the types that run today, with the capability that they have, for what is needed. `current_only` leaves
    out types of previous generations; a search takes at most `seconds`. `output` is where the cheapest plan is written as a
    workload file (.yaml), which `bill` bills to the same cent, or all of it as a picture (.html, .svg or .png).
    Raises UsageError for a file that says something impossible, NotFound for a type, region, GPU or image that is not there,
    UserError for a need that no type meets and where HiGHS is not installed, Conflict where the plan would replace the workload.
    """
    from launchbay.cost.saving.asked import Asked  # the optimiser: who only asks for a bill does not wait for it
    from launchbay.cost.saving.cheapest import find_alternatives

    if not 0 < seconds < math.inf:
        raise UsageError(f"a search needs more than 0 seconds, got {seconds:g}", hint="--seconds 60")
    source = Path(workload)
    asked = _read(bay, source)
    if output is not None:
        _check_output(source, Path(output))
    catalogue = _catalogue(bay, asked)
    found = find_alternatives(
        Asked(
            workload=asked,
            catalogue=catalogue,
            clock=bay.clock.now,
            seconds=seconds,
            images=_runtimes(bay, asked),
            savings_rates=_savings_rates(bay, asked),
            savings_plan=f"{_PLAN} Savings Plan, {_YEARS} year, {_PAYMENT.lower()}",
            compute_only=compute_only,
            current_only=current_only,
        )
    )
    if output is not None and Path(output).suffix in _PLANS:
        _write(found, source, Path(output))
    elif output is not None:
        _draw(asked, catalogue, found.bill, found, Path(output))
    return found


def _kind_of(path: Path) -> Kind:
    return picture_kind(path, what="a bill", hint="-o report.html, or with --optimize a plan: -o plan.yaml")


def _check_picture(path: Path) -> None:
    check_drawing(_kind_of(path), hint=DRAWING_HINT)


def _draw(asked: Workload, catalogue: Catalogue, here: Bill | None, cheapest: Cheapest | None, path: Path) -> None:
    """Write a bill, and with `cheapest` its alternatives, as a picture. Raises UserError where matplotlib is missing."""
    from launchbay.cost.picture.charts import charts_of_bill, charts_of_plans
    from launchbay.cost.picture.page import render_page
    from launchbay.cost.picture.panels import draw_all

    best = cheapest.best if cheapest is not None else None
    if here is None and (best is None or best.bill is None):
        what = "there is nothing to draw: none of the alternatives could be worked out"
        raise UserError(what, where=asked.source)
    if cheapest is not None:
        charts = charts_of_plans(cheapest, asked, catalogue)
    else:
        assert here is not None
        charts = charts_of_bill(asked, here, catalogue)
    kind = _kind_of(path)
    write_output(render_page(charts, cheapest).encode() if kind == "html" else draw_all(charts, kind), path)


def _savings_rates(bay: Bay, workload: Workload) -> dict[tuple[str, str], Decimal]:
    """Return the rates of the Savings Plan that binds least, as far as AWS was asked for them."""
    found = load_savings_rates(
        bay.home.catalog, bay.reporter.note, regions=workload.regions, plan=_PLAN, payment=_PAYMENT, years=_YEARS
    )
    return {key: rate.usd_per_hour for key, rate in found.items()}


def _runtimes(bay: Bay, workload: Workload) -> dict[str, Runtime]:
    """Return what the images of a workload run on. Raises NotFound, with the line, for one that is not there."""
    from launchbay.cost.saving.room import Runtime
    from launchbay.lifecycle.needs import find_needs  # recipes and locks; only who names an image needs them

    found = {}
    for item in workload.work:
        if item.needs.image and item.needs.image not in found:
            try:
                needs = find_needs(bay, item.needs.image)
            except NotFound as error:
                raise NotFound(error.what, where=item.where, hint=error.hint) from error
            least = parse_capability(needs.capability) if needs.capability else None
            found[item.needs.image] = Runtime(architectures=needs.architectures, capability=least)
    return found


def _check_output(source: Path, target: Path) -> None:
    """Raise UsageError or Conflict where a plan could not be written to a file: before the search, not after."""
    if target.is_dir():
        raise UsageError(f"there is a folder named {target.name}", where=str(target), hint="-o plan.yaml")
    if target.suffix not in _PLANS:
        _check_picture(target)
    if target.exists() and target.samefile(source):
        raise Conflict(
            "the plan would replace the workload that it is made for", where=str(target), hint="-o plan.yaml"
        )


def _write(cheapest: Cheapest, source: Path, target: Path) -> None:
    best = cheapest.best
    if best is None or best.workload is None:
        raise UserError("there is no plan to write: none of the alternatives could be worked out", where=str(source))
    text = write_instances(source.read_text(encoding="utf-8"), str(source), best.workload.instances)
    write_output(text.encode(), target)
