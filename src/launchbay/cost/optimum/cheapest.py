"""The cheapest plan for services and jobs, what no plan can be below, and why everything else lost. Pure.

See docs/explanation/cheapest-plan.md for the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Decimal

from launchbay.cost.optimum.budget import Budget
from launchbay.cost.optimum.dominance import drop_dominated
from launchbay.cost.optimum.jobs import JobOption, choose_option, exact_hours
from launchbay.cost.optimum.machine import Machine, check_machines, why_not
from launchbay.cost.optimum.naming import name_services
from launchbay.cost.optimum.needs import Job, Service, check_load
from launchbay.cost.optimum.packing import Packing
from launchbay.cost.optimum.problem import Pattern, Problem, build_problem
from launchbay.cost.optimum.rejected import Rejected, list_rejected
from launchbay.cost.optimum.search import Found, search
from launchbay.cost.optimum.solver import need_solver
from launchbay.cost.optimum.spot import MISSED
from launchbay.errors import UsageError, UserError
from launchbay.units import count_of

__all__ = ["CheapestPlan", "Placement", "find_cheapest"]

_BEST_OPTIONS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """An instance that stands day and night: the services on it, the jobs it hosts and for how long, its price for a month."""

    machine: Machine
    services: tuple[str, ...]
    hosted: tuple[str, ...]
    hosted_hours: Decimal
    usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class CheapestPlan:
    """What to run where. No plan costs less than `bound_usd`, however many instances of a type it takes.

    `gap` is what the plan is above the bound, as a fraction of its cost; it is 0 where the plan is proven to be the
    cheapest. `options` holds, for each job, the best ways to run it by itself, the best first, also where it is hosted.
    `baselines` are the costs of plainer plans. `method` is ``all patterns`` (exact) or ``column generation``. `is_cut_short`
    says that a step of the search ended because its time was over; then, and only then, equal inputs may give another plan on
    another machine.
    """

    instances: tuple[Placement, ...]
    alone: tuple[JobOption, ...]
    usd: Decimal
    bound_usd: Decimal
    method: str
    is_cut_short: bool
    baselines: Mapping[str, Decimal]
    options: Mapping[str, tuple[JobOption, ...]]
    rejected: tuple[Rejected, ...]
    assumptions: tuple[str, ...]

    @property
    def gap(self) -> Decimal:
        """What is not proven, as a fraction of the cost."""
        return (self.usd - self.bound_usd) / self.usd if self.usd else Decimal(0)


def find_cheapest(
    services: Sequence[Service],
    jobs: Sequence[Job],
    machines: Sequence[Machine],
    *,
    month_hours: Decimal,
    clock: Callable[[], float],
    seconds: float = 60.0,
    good_enough: float = 0.01,
    missed: float = MISSED,
) -> CheapestPlan:
    """Find the cheapest plan for a month; for up to about 16 different services exactly, else until the gap is `good_enough`.

    `clock` tells seconds, of which at most so many are used. `missed` is the share of spot interruptions whose notice is of
    no use. Raises UsageError for a need that cannot be, UserError where a service or job fits nowhere, or HiGHS is not installed.
    """
    check_load(tuple(services), tuple(jobs))
    check_machines(machines)
    if month_hours <= 0:
        raise UsageError(f"a month must have more than 0 hours, got {month_hours}")
    if not (0 <= good_enough < 1 and 0 <= missed <= 1):
        raise UsageError(f"good_enough and missed are fractions of 1, got {good_enough} and {missed}")
    budget = Budget.start(seconds, clock)
    options = {job.name: choose_option(job, machines, missed=missed) for job in jobs}
    _check_services(services, machines)
    need_solver()
    alone = [(job, float(options[job.name][0].usd)) for job in jobs]
    whole = build_problem(services, alone, machines, float(month_hours))
    kept, beaten = drop_dominated(whole.bins)
    problem = replace(whole, bins=tuple(kept))
    found = search(problem, budget, good_enough=good_enough)
    rejected = list_rejected(machines, problem, beaten, found) if services else ()
    return _report(found, problem, options, rejected)


def _check_services(services: Sequence[Service], machines: Sequence[Machine]) -> None:
    """Raise UserError for a service that no machine with a known price can take."""
    usable = [machine for machine in machines if machine.always_on_usd is not None]
    for service in services:
        reasons: dict[str, int] = {}
        for machine in usable:
            why = why_not(service.needs, machine)
            if not why:
                break
            reasons[why] = reasons.get(why, 0) + 1
        else:
            said = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))[:3]
            raise UserError(
                f"none of {count_of(len(usable), 'machine')} with a known price can run the service {service.name!r}",
                hint="; ".join(f"{count} of them: {why}" for why, count in said)
                or "name at least one region with prices",
            )


def _report(
    found: Found,
    problem: Problem,
    options: Mapping[str, Sequence[JobOption]],
    rejected: tuple[Rejected, ...],
) -> CheapestPlan:
    """Turn what was found into names and exact amounts."""
    instances = _place(found.packing, problem)
    usd = _exact_usd(found.packing, problem, options)
    hosted = {name for placement in instances for name in placement.hosted}
    constant = sum((ways[0].usd for ways in options.values()), Decimal(0)) - sum(
        (options[guest.job.name][0].usd for guest in problem.guests), Decimal(0)
    )
    is_optimal = found.bound >= found.usd
    bound = Decimal(found.bound).quantize(Decimal("0.000001"), rounding=ROUND_DOWN) + constant
    return CheapestPlan(
        instances=instances,
        alone=tuple(ways[0] for name, ways in sorted(options.items()) if name not in hosted),
        usd=usd,
        bound_usd=usd if is_optimal else min(bound, usd),
        method=found.method,
        is_cut_short=found.is_cut_short,
        baselines={name: _exact_usd(packing, problem, options) for name, packing in found.baselines.items()},
        options={name: tuple(ways[:_BEST_OPTIONS]) for name, ways in options.items()},
        rejected=rejected,
        assumptions=_assumptions(instances, problem, options),
    )


def _exact_usd(packing: Packing, problem: Problem, options: Mapping[str, Sequence[JobOption]]) -> Decimal:
    """Return what a packing and the jobs that it does not host cost, from the prices themselves."""
    hosted = {problem.guests[guest].job.name for pattern in packing for guest in pattern.guests}
    alone = (ways[0].usd for name, ways in options.items() if name not in hosted)
    return sum((_usd(problem, pattern) for pattern in packing), Decimal(0)) + sum(alone, Decimal(0))


def _usd(problem: Problem, pattern: Pattern) -> Decimal:
    return problem.bins[pattern.bin].machine.always_on_usd or Decimal(0)


def _place(packing: Packing, problem: Problem) -> tuple[Placement, ...]:
    """Return the instances, the dearest first."""
    ordered = sorted(packing, key=lambda item: (-_usd(problem, item), item.bin, item.counts, item.guests))
    placements = []
    for pattern, names in zip(ordered, name_services(problem, ordered), strict=True):
        item = problem.bins[pattern.bin]
        jobs = [problem.guests[guest].job for guest in pattern.guests]
        hours = sum((exact_hours(job, item.machine.type) for job in jobs), Decimal(0))
        placements.append(
            Placement(
                machine=item.machine,
                services=names,
                hosted=tuple(sorted(job.name for job in jobs)),
                hosted_hours=hours,
                usd=_usd(problem, pattern),
            )
        )
    return tuple(placements)


def _assumptions(
    instances: Sequence[Placement], problem: Problem, options: Mapping[str, Sequence[JobOption]]
) -> tuple[str, ...]:
    """Say what the figures rest on and nobody measured."""
    said = ["needs are rounded up to 0.25 vCPU and 0.5 GiB, what an instance has is rounded down"]
    if any(not guest.job.speeds for guest in problem.guests):
        said.append("a job without measured speeds takes as long on any machine that meets its needs")
    if any(placement.hosted for placement in instances):
        said.append("hosted jobs run one after another, and wait for each other")
    chosen = [ways[0] for ways in options.values()]
    if any(way.market == "spot" for way in chosen):
        said.append("spot instances are interrupted at a constant rate, and costs are expected values")
    return tuple(said)
