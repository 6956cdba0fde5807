"""What there is. Apart from the other verbs, because it is typed most and must not pay for importing them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from launchbay.lifecycle.bay import Bay
from launchbay.planning.fleet import Instance
from launchbay.providers.tree import process_memory
from launchbay.store.person import find_owner
from launchbay.store.records import open_runs
from launchbay.store.service import Service, list_services
from launchbay.store.spent import Elsewhere, Spent, add_up, read_spent, spent_now
from launchbay.units import count_of, format_bytes

__all__ = ["Row", "ps"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An instance in the list of `ps`; amounts are US dollars, None is unknown. Local instances cost nothing.

    `elsewhere` is what the same would be on EC2, at the price of its launch. What it and its fleet cost so far counts what
    stood in their places before; the fleet's is the same for each of its instances.
    """

    name: str
    fleet: str
    state: str
    image: str
    provider: str
    usd_per_hour: str | None
    cost_so_far: str | None
    age_s: float
    id: str
    digest: str
    running: Sequence[str]
    services: Sequence[Service] = ()
    person: str | None = None
    elsewhere: Elsewhere | None = None
    elsewhere_so_far: str | None = None
    fleet_so_far: str | None = None
    fleet_elsewhere_so_far: str | None = None


def ps(bay: Bay) -> Sequence[Row]:
    """List the instances there are, what runs in them, and what they cost; note how many cannot be read."""
    running: dict[str, list[str]] = {}
    for run in open_runs(bay.home):
        running.setdefault(run.instance, []).append(run.id)
    services = _standing(bay)
    now = bay.clock.now()
    observed = bay.provider.observe()
    if (unread := bay.provider.unread(observed)) > 0:
        bay.reporter.note(f"{count_of(unread, 'instance')} not listed: the record cannot be read (`bay doctor`).")
    for service in services:
        if service.instance_id is None:
            memory = f" ({format_bytes(service.memory_bytes)} of memory)" if service.memory_bytes else ""
            bay.reporter.note(f"A board of runs stands{memory}: {service.url}")
    spent = {fleet: _spent(bay, fleet, observed, now) for fleet in {item.fleet for item in observed}}
    sums = {
        fleet: (add_up(one.usd for one in found), add_up(one.usd_elsewhere for one in found))
        for fleet, found in spent.items()
    }
    own = {item.id: [one for one in spent[item.fleet] if one.name == item.name] for item in observed}
    return [
        Row(
            name=item.name,
            fleet=item.fleet,
            state=item.state,
            image=item.image,
            provider=item.provider,
            usd_per_hour=item.usd_per_hour,
            cost_so_far=add_up(one.usd for one in own[item.id]),
            age_s=round(now - item.created_at, 1),
            id=item.id,
            digest=item.digest,
            running=running.get(item.name, []),
            person=owner.name if (owner := find_owner(item.root)) else None,
            services=[service for service in services if service.instance_id == item.id],
            elsewhere=next(one.elsewhere for one in own[item.id] if one.id == item.id),
            elsewhere_so_far=add_up(one.usd_elsewhere for one in own[item.id]),
            fleet_so_far=sums[item.fleet][0],
            fleet_elsewhere_so_far=sums[item.fleet][1],
        )
        for item in observed
    ]


def _spent(bay: Bay, fleet: str, observed: Sequence[Instance], now: float) -> Sequence[Spent]:
    """Return what each instance of a fleet cost until now, and what those did that are gone."""
    members = [item for item in observed if item.fleet == fleet]
    return [*read_spent(bay.home, fleet, members), *(spent_now(item, now) for item in members)]


def _standing(bay: Bay) -> Sequence[Service]:
    """Return the boards and notebooks that run, with the memory they hold; looks at the processes once, if at all."""
    found = [service for service in list_services(bay.home) if service.pid is not None]
    memory = process_memory([service.pid for service in found if service.pid]) if found else {}
    return [replace(service, memory_bytes=memory.get(service.pid or 0)) for service in found]
