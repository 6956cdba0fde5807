"""The month's bill of a workload: what it comes to, against another workload, against what AWS billed, and how to lower it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launchbay.catalog.capability import parse_capability
from launchbay.catalog.known import known_regions, load_catalogue
from launchbay.catalog.price import Catalogue
from launchbay.cost.bill import make_bill
from launchbay.cost.compare import Comparison, compare_bills
from launchbay.cost.line import Bill
from launchbay.cost.reconcile import Reconciliation, reconcile
from launchbay.cost.report import read_report
from launchbay.errors import Conflict, NotFound, UsageError, UserError
from launchbay.files import write_atomic
from launchbay.lifecycle.bay import Bay
from launchbay.spec.needs import Needs
from launchbay.spec.rewrite import write_instances
from launchbay.spec.workload import Workload, read_workload

if TYPE_CHECKING:
    from launchbay.cost.saving.cheapest import Cheapest
    from launchbay.cost.saving.room import Runtime

__all__ = ["Cost", "bill", "cheapest_plan"]


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
) -> Cost:
    """Return what a workload costs in a month, from the prices that are known here; asks nobody.

    `against` is another workload, `report` a Cost and Usage Report of AWS as CSV. Raises UsageError for a file that says
    something impossible, naming its line, and NotFound for a type or region that is not there.
    """
    here = _bill(bay, Path(workload), compute_only=compute_only)
    return Cost(
        bill=here,
        against=None if against is None else compare_bills(here, _bill(bay, Path(against), compute_only=compute_only)),
        reconciled=None if report is None else reconcile(here, read_report(Path(report)), report=str(report)),
    )


def _bill(bay: Bay, path: Path, *, compute_only: bool) -> Bill:
    workload = read_workload(path)
    return make_bill(workload, _catalogue(bay, workload), compute_only=compute_only)


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
    measured: Mapping[str, Needs] | None = None,
    output: str | Path | None = None,
) -> Cheapest:
    """Find the cheapest way to run a workload, from the prices that are known here; asks nobody.

    On three rungs: on the types that run today, with the capability that they have, for what is needed. `current_only` leaves
    out types of previous generations; a search takes at most `seconds`. `measured` are needs by run, for `needs: {like: RUN}`.
    `output` is where the cheapest plan is written as a workload file, which `bill` bills to the same cent.
    Raises UsageError for a file that says something impossible, NotFound for a type, region, GPU or image that is not there,
    UserError for a need that no type meets and where HiGHS is not installed, Conflict where the plan would replace the workload.
    """
    from launchbay.cost.saving.asked import Asked  # the optimiser: who only asks for a bill does not wait for it
    from launchbay.cost.saving.cheapest import find_alternatives

    if not 0 < seconds < math.inf:
        raise UsageError(f"a search needs more than 0 seconds, got {seconds:g}", hint="--seconds 60")
    source = Path(workload)
    asked = read_workload(source)
    if output is not None:
        _check_output(source, Path(output))
    found = find_alternatives(
        Asked(
            workload=asked,
            catalogue=_catalogue(bay, asked),
            clock=bay.clock.now,
            seconds=seconds,
            measured=measured or {},
            images=_runtimes(bay, asked),
            compute_only=compute_only,
            current_only=current_only,
        )
    )
    if output is not None:
        _write(found, source, Path(output))
    return found


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
    if target.suffix not in (".yaml", ".yml"):
        raise UsageError(f"a plan is written as .yaml, got {target.name!r}", hint="-o plan.yaml")
    if target.exists() and target.samefile(source):
        raise Conflict(
            "the plan would replace the workload that it is made for", where=str(target), hint="-o plan.yaml"
        )


def _write(cheapest: Cheapest, source: Path, target: Path) -> None:
    best = cheapest.best
    if best is None or best.workload is None:
        raise UserError("there is no plan to write: none of the alternatives could be worked out", where=str(source))
    text = write_instances(source.read_text(encoding="utf-8"), str(source), best.workload.instances)
    try:
        write_atomic(target, text.encode())
    except OSError as error:
        raise UserError(f"the plan cannot be written: {error.strerror}", where=str(target)) from error
