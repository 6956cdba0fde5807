"""The month's bill of a workload: what it comes to, against another workload, against what AWS billed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launchbay.catalog.known import known_regions, load_catalogue
from launchbay.cost.bill import make_bill
from launchbay.cost.compare import Comparison, compare_bills
from launchbay.cost.line import Bill
from launchbay.cost.reconcile import Reconciliation, reconcile
from launchbay.cost.report import read_report
from launchbay.lifecycle.bay import Bay
from launchbay.spec.workload import read_workload

__all__ = ["Cost", "bill"]


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
    cache, note = bay.home.catalog, bay.reporter.note
    known = known_regions(cache, note).intersection(workload.regions)  # of any other the bill says where it stands
    return make_bill(workload, load_catalogue(cache, note, regions=known), compute_only=compute_only)
