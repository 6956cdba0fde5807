"""What a workload costs today, and what it would cost at the least: three rungs and the steps to the last. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from launchbay.cost.bill import make_bill
from launchbay.cost.check import check_workload
from launchbay.cost.line import Bill
from launchbay.cost.saving.asked import Asked
from launchbay.cost.saving.ladder import need_of, same_capability, same_types, stated_need
from launchbay.cost.saving.rung import Rung
from launchbay.cost.saving.waterfall import Waterfall, find_waterfall
from launchbay.errors import UsageError
from launchbay.units import format_usd

__all__ = ["Cheapest", "find_alternatives"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cheapest:
    """The bill of today (None where the workload does not say what runs), its alternatives, and the steps to the last."""

    workload: str
    bill: Bill | None
    alternatives: tuple[Rung, ...]
    waterfall: Waterfall

    @property
    def best(self) -> Rung | None:
        """The cheapest of the alternatives that meet all needs and of which every amount is known, else some are."""
        priced = [rung for rung in self.alternatives if rung.usd is not None and not rung.unmet]
        known = [rung for rung in priced if rung.complete] or priced
        return min(known, key=lambda rung: rung.usd or Decimal(0), default=None)

    def saves_usd(self, rung: Rung) -> Decimal | None:
        """Return by how much a rung is cheaper than today; None where either is not known in full."""
        if self.bill is None or not self.bill.complete or not rung.complete:
            return None
        return (self.bill.usd or Decimal(0)) - (rung.usd or Decimal(0))

    def as_json(self) -> Mapping[str, Any]:
        """Return the fields that `--json` shows: those of the cheapest alternative, and all of them."""
        best = self.best
        shown = best.as_json() if best else {}
        return {
            "workload": self.workload,
            "today": self.bill,
            "best": shown.get("name"),
            **{
                name: shown.get(name)
                for name in (
                    "monthly_usd",
                    "complete",
                    "bound_usd",
                    "gap",
                    "instances",
                    "assumptions",
                    "stale",
                    "rejected",
                )
            },
            "alternatives": [{**rung.as_json(), "saves_usd": self._saves(rung)} for rung in self.alternatives],
            "waterfall": self.waterfall,
        }

    def _saves(self, rung: Rung) -> str | None:
        saves = self.saves_usd(rung)
        return None if saves is None else format_usd(saves)


def find_alternatives(asked: Asked) -> Cheapest:
    """Find the cheapest way to run a workload on each rung, and the steps from today to the last rung.

    Raises NotFound for a region, type or GPU that is not there, UsageError for a workload with nothing to place, UserError for
    a need that no type meets, naming the nearest, and where HiGHS is not installed.
    """
    workload = asked.workload
    check_workload(workload, asked.catalogue)
    if not workload.work:
        hint = "an entry of jobs or endpoints"
        raise UsageError("nothing is said to run, so there is nothing to place", where=workload.source, hint=hint)
    today = make_bill(workload, asked.catalogue, compute_only=asked.compute_only) if workload.instances else None
    need = need_of(asked)
    last, answer, choice = stated_need(asked, need)
    if today is None:
        waterfall = Waterfall(missing="what runs today is not said (instances)")
    elif answer is None or choice is None:
        waterfall = Waterfall(missing="; ".join(last.missing))
    else:
        waterfall = find_waterfall(asked, choice, answer)
    return Cheapest(
        workload=workload.name,
        bill=today,
        alternatives=(same_types(asked, need), same_capability(asked), last),
        waterfall=waterfall,
    )
