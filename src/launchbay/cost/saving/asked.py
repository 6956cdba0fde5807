"""What is asked of the optimiser, and one answer to it: a plan, the workload that it makes, and its bill. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from launchbay.catalog.price import Catalogue
from launchbay.cost.bill import make_bill
from launchbay.cost.line import Bill
from launchbay.cost.optimum.cheapest import CheapestPlan, find_cheapest
from launchbay.cost.saving.choice import Choice, check_fit, list_choice
from launchbay.cost.saving.load import Load, Outfit
from launchbay.cost.saving.placed import place
from launchbay.cost.saving.room import Runtime
from launchbay.spec.workload import Workload

__all__ = ["Answer", "Asked", "bill_of", "choice_of", "solve"]

_NOISE = Decimal("0.001")
"""US dollars a month: what hours in millionths and the optimiser's millionth of a dollar may differ from the bill by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A workload, the prices, and how to look for something cheaper.

    `images` is what images run on, by the name that the workload gives them. With `compute_only` instances alone are counted,
    with `current_only` types of previous generations are left out. `savings_rates` are US dollars an hour under a Savings Plan,
    by type and region, as far as they are known, and `savings_plan` says which plan that is. `clock` tells seconds, of which
    one search uses at most so many.
    """

    workload: Workload
    catalogue: Catalogue
    clock: Callable[[], float]
    seconds: float = 60.0
    images: Mapping[str, Runtime] = field(default_factory=dict)
    savings_rates: Mapping[tuple[str, str], Decimal] = field(default_factory=dict)
    savings_plan: str = ""
    compute_only: bool = False
    current_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A plan, the workload that it makes and its bill. No plan for the same load costs less than `bound_usd`."""

    plan: CheapestPlan
    workload: Workload
    bill: Bill
    bound_usd: Decimal

    @property
    def usd(self) -> Decimal:
        """The bill's total, exactly; a lower bound where the bill is one."""
        return self.bill.usd or Decimal(0)


def bill_of(asked: Asked, workload: Workload) -> Bill:
    """Return the bill of a workload under what was asked."""
    return make_bill(workload, asked.catalogue, compute_only=asked.compute_only)


def choice_of(asked: Asked, load: Load, *, types: frozenset[str] | None = None, counts_surplus: bool = True) -> Choice:
    """Return what may be rented for a load. Raises UserError where something of it fits nowhere, naming the nearest."""
    bare = replace(load, outfits={name: Outfit() for name in load.outfits}) if asked.compute_only else load
    choice = list_choice(
        asked.workload,
        asked.catalogue,
        bare,
        types=types,
        current_only=asked.current_only,
        counts_surplus=counts_surplus,
    )
    check_fit(choice, asked.workload.work)
    return replace(choice, load=replace(choice.load, outfits=load.outfits))


def solve(asked: Asked, choice: Choice) -> Answer:
    """Find the cheapest plan for a load on what may be rented for it, and price it as a workload.

    What is paid beside the plan, for disks and addresses of the workload and for instances that stay, is added to the bound.
    """
    workload, load = asked.workload, choice.load
    plan = find_cheapest(
        load.services,
        load.jobs,
        choice.machines,
        month_hours=workload.month_hours,
        clock=asked.clock,
        seconds=asked.seconds,
    )
    placed = place(workload, load, plan)
    bill = bill_of(asked, placed)
    beside = bill_of(asked, replace(workload, jobs=(), endpoints=(), instances=load.kept)).usd or Decimal(0)
    total = bill.usd or Decimal(0)
    bound = plan.bound_usd + beside
    return Answer(plan=plan, workload=placed, bill=bill, bound_usd=total if total - bound < _NOISE else bound)
