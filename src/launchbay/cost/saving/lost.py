"""What a plan has no use for, and why: each type for what always stands, and the next best ways for each job. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from launchbay.cost.optimum.cheapest import CheapestPlan
from launchbay.cost.optimum.jobs import JobOption, list_options
from launchbay.cost.saving.choice import Choice
from launchbay.cost.saving.variant import type_of
from launchbay.units import format_amount, format_usd

__all__ = ["Lost", "list_lost"]

_NEAREST = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A type that is not part of a plan. `job` names the job that it was no good for, "" for what always stands.

    `cause` and `reason` are the optimiser's; `usd_more` is how much dearer a month would be, None where that is not what
    decides.
    """

    job: str
    type: str
    region: str
    market: str
    cause: str
    reason: str
    usd_more: Decimal | None = None

    def as_json(self) -> Mapping[str, Any]:
        """Return the fields that `--json` shows."""
        return {
            "job": self.job or None,
            "type": self.type,
            "region": self.region,
            "market": self.market,
            "cause": self.cause,
            "reason": self.reason,
            "usd_more": None if self.usd_more is None else format_amount(self.usd_more, most=4, least=2),
        }


def list_lost(plan: CheapestPlan, choice: Choice) -> tuple[Lost, ...]:
    """Return what lost, what came nearest first, and what no amount decides last; of each job the nearest types alone."""
    hosts = {name: place.machine.name for place in plan.instances for name in place.hosted}
    found = [
        *_for_services(plan),
        *(
            item
            for job in choice.load.jobs
            for item in _for_job(list_options(job, choice.machines), hosts.get(job.name, ""))
        ),
    ]
    used = {(type_of(place.machine), place.machine.region) for place in plan.instances}
    best: dict[tuple[str, str, str, str], Lost] = {}
    for item in sorted(found, key=_rank):
        if item.job or (item.type, item.region) not in used:  # with another disk it would only be dearer
            best.setdefault((item.job, item.type, item.region, item.market), item)
    return tuple(sorted(best.values(), key=_rank))


def _rank(item: Lost) -> tuple[bool, Decimal, str, str, str, str]:
    return item.usd_more is None, item.usd_more or Decimal(0), item.type, item.region, item.market, item.job


def _for_services(plan: CheapestPlan) -> Iterator[Lost]:
    for item in plan.rejected:
        yield Lost(
            job="",
            type=type_of(item.machine),
            region=item.machine.region,
            market="on-demand",
            cause=item.cause,
            reason=item.reason,
            usd_more=item.usd_more,
        )


def _for_job(ways: Sequence[JobOption], host: str) -> Iterator[Lost]:
    """Yield the ways that a job does not take, the best of each type; one that has a host takes none of them."""
    best = ways[0]
    seen = set() if host else {_offer(best)}
    for way in ways:
        if len(seen) > _NEAREST:
            return
        if _offer(way) in seen:
            continue
        seen.add(_offer(way))
        more = way.usd if host else way.usd - best.usd
        if host:
            reason = f"by itself it costs ${format_usd(more)} a month, on {host} nothing more"
        else:
            said = f"${format_usd(more)} a month dearer than" if more else "costs the same as"
            reason = f"{said} {best.machine.name}, {best.market.replace('-', ' ')}"
        yield Lost(
            job=way.job,
            type=type_of(way.machine),
            region=way.machine.region,
            market=way.market,
            cause="dearer",
            reason=reason,
            usd_more=more,
        )


def _offer(way: JobOption) -> tuple[str, str, str]:
    return type_of(way.machine), way.machine.region, way.market
