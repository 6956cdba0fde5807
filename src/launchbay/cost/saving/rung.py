"""One alternative to what runs today: under which needs, at what cost, with what proof. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from launchbay.catalog.price import Catalogue
from launchbay.cost.instances import hours_of, lines_of_instance
from launchbay.cost.line import CATEGORIES, Bill, Line, total_of
from launchbay.cost.saving.lost import Lost
from launchbay.spec.workload import Workload
from launchbay.units import format_amount, format_usd

__all__ = ["Rung", "Used", "list_used"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """An entry of instances in a plan: what runs there, for how many hours in all, and what it costs with all beside it.

    `usd` is a lower bound unless it is `complete`, and None where nothing of it is known.
    """

    name: str
    type: str
    region: str
    market: str
    count: int
    runs: tuple[str, ...]
    hours: Decimal
    usd: Decimal | None
    complete: bool = True

    def as_json(self) -> Mapping[str, Any]:
        """Return the fields that `--json` shows."""
        return {
            "name": self.name,
            "type": self.type,
            "region": self.region,
            "market": self.market,
            "count": self.count,
            "runs": self.runs,
            "hours": format_amount(self.hours),
            "usd": None if self.usd is None else format_amount(self.usd, least=2),
            "complete": self.complete,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """The cheapest plan under some needs, by the name of what needs them. Where it could not be looked for, `missing` says why.

    `workload` and `bill` are the plan as `bay cost` would see it; `unmet` is what of the stated needs it does not meet.
    `bound_usd` is what no plan under these needs costs less than, None where that is not known. `reasons` say why it is what it
    is, `rejected` why the rest is not.
    """

    name: str
    needs: Mapping[str, str] = field(default_factory=dict)
    workload: Workload | None = None
    bill: Bill | None = None
    instances: tuple[Used, ...] = ()
    bound_usd: Decimal | None = None
    method: str = ""
    is_cut_short: bool = False
    baselines: Mapping[str, Decimal] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    rejected: tuple[Lost, ...] = ()
    assumptions: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unmet: tuple[str, ...] = ()

    @property
    def usd(self) -> Decimal | None:
        """What a month costs, exactly; a lower bound unless its bill is complete, None where there is none."""
        return None if self.bill is None else self.bill.usd

    @property
    def complete(self) -> bool:
        """Say whether every amount of its bill is known."""
        return self.bill is not None and self.bill.complete

    @property
    def gap(self) -> Decimal | None:
        """What is not proven, as a fraction of the cost; None where nothing is."""
        if self.usd is None or self.bound_usd is None:
            return None
        return (self.usd - self.bound_usd) / self.usd if self.usd else Decimal(0)

    @property
    def stale(self) -> tuple[str, ...]:
        """What of its bill has a price that is known to have changed since."""
        lines = self.bill.lines if self.bill else ()
        return tuple(sorted({line.item for line in lines if line.is_stale}))

    @property
    def unknown(self) -> tuple[Line, ...]:
        """The lines of its bill whose amount is not known."""
        return self.bill.unknown if self.bill else ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What its bill says that a person should look at, stale and assumed prices among it."""
        return self.bill.notes if self.bill else ()

    def as_json(self) -> Mapping[str, Any]:
        """Return the fields that `--json` shows."""
        gap = self.gap
        return {
            "name": self.name,
            "needs": self.needs,
            "missing": self.missing,
            "unmet": self.unmet,
            "unknown": [f"{line.category} of {line.name} ({line.what})" for line in self.unknown],
            "monthly_usd": None if self.bill is None else self.bill.monthly_usd,
            "complete": self.complete,
            "bound_usd": None if self.bound_usd is None else format_usd(self.bound_usd),
            "gap": None if gap is None else float(round(gap, 6)),
            "method": self.method or None,
            "cut_short": self.is_cut_short,
            "instances": self.instances,
            "reasons": self.reasons,
            "rejected": self.rejected,
            "baselines": {name: format_usd(usd) for name, usd in self.baselines.items()},
            "assumptions": self.assumptions,
            "stale": self.stale,
            "notes": self.notes,
        }


def list_used(workload: Workload, catalogue: Catalogue, *, compute_only: bool) -> Iterator[Used]:
    """Give the instances of a workload with their hours and what each costs, in the order of the workload."""
    for item in workload.instances:
        lines = [
            line
            for line in lines_of_instance(item, workload, catalogue)
            if line.category == CATEGORIES[0] or not compute_only
        ]
        yield Used(
            name=item.name,
            type=item.type,
            region=item.region,
            market=item.market,
            count=item.count,
            runs=item.runs,
            hours=hours_of(item, workload),
            usd=total_of(lines),
            complete=all(line.amount is not None for line in lines),
        )
