"""Where a job runs by itself: every type, region and market that can take it, and what its month costs there. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from launchbay.cost.optimum.machine import Machine, why_not
from launchbay.cost.optimum.needs import Job
from launchbay.cost.optimum.spot import MISSED, SpotRun, expect, use_notice
from launchbay.errors import UserError
from launchbay.units import count_of

__all__ = ["LATENESS", "JobOption", "choose_option", "exact_hours", "list_options", "why_no_option"]

LATENESS = 0.05
"""How likely a run on the spot market may miss its deadline, by a bound that holds for any distribution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOption:
    """A job on a machine of its own. `usd` is for a month; `hours` are the month's instance-hours, expected.

    `spot` says what is expected of one run on the spot market, None on demand.
    """

    job: str
    machine: Machine
    market: str
    usd: Decimal
    hours: Decimal
    spot: SpotRun | None = None

    @property
    def rank(self) -> tuple[Decimal, str, tuple[str, int, str]]:
        """The order in which options are preferred: price, then on demand before spot, then the machine's own."""
        return self.usd, self.market, self.machine.order


def list_options(job: Job, machines: Sequence[Machine], *, missed: float = MISSED) -> list[JobOption]:
    """Return all ways to run a job by itself, the best first.

    `missed` is the share of interruptions of which no use of the notice can be made; 1 plans without any notice.
    """
    found = []
    for machine in machines:
        if why_not(job.needs, machine, job):
            continue
        if machine.hourly_usd is not None:
            found.append(_on_demand(job, machine, machine.hourly_usd))
        if not _why_not_spot(job, machine, missed) and machine.spot_usd is not None:
            found.append(_on_spot(job, machine, machine.spot_usd, _expected(job, machine, missed)))
    return sorted(found, key=lambda option: option.rank)


def choose_option(job: Job, machines: Sequence[Machine], *, missed: float = MISSED) -> list[JobOption]:
    """Return all ways to run a job, the best first. Raises UserError where there is none, saying what is in the way."""
    options = list_options(job, machines, missed=missed)
    if not options:
        reasons: dict[str, int] = {}
        for machine in machines:
            why = why_no_option(job, machine, "on-demand", missed=missed)
            reasons[why] = reasons.get(why, 0) + 1
        said = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))[:3]
        raise UserError(
            f"none of {count_of(len(machines), 'machine')} can run the job {job.name!r}",
            hint="; ".join(f"{count} of them: {why}" for why, count in said) or "name at least one region with prices",
        )
    return options


def why_no_option(job: Job, machine: Machine, market: str, *, missed: float = MISSED) -> str:
    """Say why a job does not run on a machine in a market; "" where it can."""
    too_little = why_not(job.needs, machine, job)
    if too_little:
        return too_little
    if market == "spot":
        return _why_not_spot(job, machine, missed)
    return "" if machine.hourly_usd is not None else "its price is unknown"


def _why_not_spot(job: Job, machine: Machine, missed: float) -> str:
    if not job.can_be_interrupted:
        return "the job must not be interrupted"
    if machine.spot_usd is None:
        return "its spot price is unknown"
    if machine.spot_mean_hours is None:
        return "how often it is interrupted is unknown"
    run = _expected(job, machine, missed)
    if math.isinf(run.hours):
        return "a run would be interrupted again and again before its first checkpoint"
    late = run.lateness(job.deadline_hours) if job.deadline_hours is not None else 0.0
    return f"a run may miss its deadline (up to {late:.0%} likely)" if late > LATENESS else ""


def _expected(job: Job, machine: Machine, missed: float) -> SpotRun:
    kind = use_notice(machine.spot_mean_hours or 0.0, job.checkpoint_hours, job.restart_hours, missed)
    return expect(job.run_hours(machine.type), kind)


def _exact(amount: float) -> Decimal:
    return Decimal(repr(amount))


def exact_hours(job: Job, type_name: str) -> Decimal:
    """Return the instance-hours of a month on a type, without interruptions, from the figures as they were written."""
    speed = job.speeds.get(type_name, 1.0)
    return _exact(job.hours_per_run) * _exact(job.runs_per_month) * job.instances / _exact(speed)


def _on_demand(job: Job, machine: Machine, hourly_usd: Decimal) -> JobOption:
    hours = exact_hours(job, machine.type)
    return JobOption(
        job=job.name, machine=machine, market="on-demand", usd=hours * (hourly_usd + machine.surplus_usd), hours=hours
    )


def _on_spot(job: Job, machine: Machine, spot_usd: Decimal, run: SpotRun) -> JobOption:
    hours = exact_hours(job, machine.type) * _exact(round(run.factor, 9))
    usd = hours * (spot_usd + machine.surplus_usd)
    return JobOption(job=job.name, machine=machine, market="spot", usd=usd, hours=hours, spot=run)
