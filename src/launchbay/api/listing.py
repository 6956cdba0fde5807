"""What there is. Apart from the other verbs, because it is typed most and must not pay for importing them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from launchbay.lifecycle.bay import Bay
from launchbay.planning.fleet import Instance
from launchbay.providers.tree import process_memory
from launchbay.store.person import find_owner
from launchbay.store.records import open_runs
from launchbay.store.service import Service, list_services
from launchbay.store.spent import Elsewhere, Spent, add_up, read_spent, spent_now
from launchbay.units import count_of, format_amount, format_bytes, format_usd

__all__ = ["Row", "ps"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An instance in the list of `ps`; amounts are US dollars, None is unknown. Local instances cost nothing.

    On EC2 `type`, `market` and `region` say what it is, and `ends_at` until when it may live, in seconds since 1970; its price is
    that while it runs, with its disks and address.

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
    type: str | None = None
    market: str | None = None
    region: str | None = None
    ends_at: float | None = None


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
    rows = [
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
    return [*rows, *(_on_ec2(bay, running) if bay.home.cloud.is_dir() else ())]


def _on_ec2(bay: Bay, running: Mapping[str, Sequence[str]]) -> Iterator[Row]:
    """Yield the instances on EC2 that were launched from here."""
    from launchbay.cloud.listing import list_cloud  # who has none does not pay for it
    from launchbay.cloud.shares import people_of
    from launchbay.cloud.tunnels import services_of

    tunnels = services_of(bay.home)
    people: dict[str, Mapping[str, str]] = {}
    now = bay.clock.now()
    for item in list_cloud(bay):
        fleet = item.fleet
        is_off = item.state == "stopped"
        yield Row(
            name=item.name,
            fleet=fleet.name,
            state=item.state,
            image=fleet.image,
            provider=fleet.provider,
            usd_per_hour=_rate(fleet.disk_usd_per_hour, "0" if is_off else fleet.usd_per_hour),
            cost_so_far=None if item.usd is None else format_usd(item.usd),
            age_s=round(max(now - fleet.created_at if item.age_s is None else item.age_s, 0.0), 1),
            id=item.row.id if item.row else "",
            digest=fleet.digest,
            running=running.get(item.name, []),
            services=tunnels.get(item.name, ()),
            person=people.setdefault(fleet.name, people_of(bay.home, fleet.name)).get(item.name),
            fleet_so_far=None if item.fleet_usd is None else format_usd(item.fleet_usd),
            type=item.row.type if item.row else fleet.type,
            market=fleet.market,
            region=fleet.region,
            ends_at=fleet.ends_of(item.name),
        )


def _rate(*parts: str | None) -> str | None:
    known = [Decimal(part) for part in parts if part is not None]
    return format_amount(sum(known, Decimal(0))) if len(known) == len(parts) else None


def _spent(bay: Bay, fleet: str, observed: Sequence[Instance], now: float) -> Sequence[Spent]:
    """Return what each instance of a fleet cost until now, and what those did that are gone."""
    members = [item for item in observed if item.fleet == fleet]
    return [*read_spent(bay.home, fleet, members), *(spent_now(item, now) for item in members)]


def _standing(bay: Bay) -> Sequence[Service]:
    """Return the boards and notebooks that run, with the memory they hold; looks at the processes once, if at all."""
    found = [service for service in list_services(bay.home) if service.pid is not None]
    memory = process_memory([service.pid for service in found if service.pid]) if found else {}
    return [replace(service, memory_bytes=memory.get(service.pid or 0)) for service in found]
