"""What may be rented for a workload: types in its regions, with what every instance of it pays beside. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from launchbay.catalog.items import GP3, PUBLIC_IPV4
from launchbay.catalog.price import Catalogue, Price
from launchbay.catalog.type import InstanceType
from launchbay.cost.optimum.machine import Machine, why_not
from launchbay.cost.optimum.needs import Needs as Room
from launchbay.cost.optimum.rentals import list_machines
from launchbay.cost.saving.load import Load, Outfit
from launchbay.cost.saving.room import add_traits
from launchbay.errors import UserError
from launchbay.spec.workload import Workload
from launchbay.units import count_of

__all__ = ["Choice", "assume_spot", "check_fit", "list_choice"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The machines that may be rented, and in sentences what is not among them and why."""

    machines: tuple[Machine, ...]
    notes: tuple[str, ...] = ()


def assume_spot(catalogue: Catalogue, workload: Workload) -> Catalogue:
    """Return the catalogue with the workload's assumption about spot wherever no market price is known, as its bill has it."""
    below = workload.spot.below_on_demand
    if below is None:
        return catalogue
    assumed: dict[tuple[str, str, str], Price] = {}
    for price in catalogue.prices.values():
        key = (price.type, price.region, "spot")
        kind = catalogue.types.get(price.type)
        if price.market == "on-demand" and key not in catalogue.prices and kind and "spot" in kind.usage_classes:
            usd = price.usd_per_hour * (1 - below)
            assumed[key] = replace(price, market="spot", usd_per_hour=usd, method="assumed", source=workload.source)
    return replace(catalogue, prices={**assumed, **catalogue.prices})


def list_choice(
    workload: Workload,
    catalogue: Catalogue,
    load: Load,
    *,
    types: Collection[str] | None = None,
    current_only: bool = False,
    surplus_usd_per_vcpu: Decimal | None = None,
) -> Choice:
    """Return what may be rented for a load: with `types` these alone, offered or not, for they are in use.

    An instance pays at least the least that anything of the load gets beside its machine; one for a job alone, the least that
    any job gets. Raises UserError where no type has a known price.
    """
    kinds = _considered(workload, catalogue, types, current_only=current_only)
    known = assume_spot(replace(catalogue, types={kind.name: kind for kind in kinds}), workload)
    every = workload.spot.interrupted_every_seconds
    mean = None if every is None else float(every / 3600)
    means = {(kind.name, region): mean or 0.0 for kind in kinds for region in workload.regions} if mean else {}

    def priced(base: Outfit) -> list[Machine]:
        return [
            _with_software(item, base, workload.month_hours)
            for item in list_machines(
                known,
                workload.regions,
                month_hours=workload.month_hours,
                disk_gib=base.disk_gib or 0,
                with_address=base.public_address,
                spot_mean_hours=means,
                surplus_usd_per_vcpu=surplus_usd_per_vcpu,
            )
        ]

    base = _least(load.outfits.values())
    passing = _least(load.outfits[job.name] for job in load.jobs)
    wanted = _traits(load)
    machines = [
        add_traits(
            replace(always, hourly_usd=hourly.hourly_usd, spot_usd=hourly.spot_usd), known.types[always.type], wanted
        )
        for always, hourly in zip(priced(base), priced(passing), strict=True)
    ]
    if not any(item.always_on_usd is not None for item in machines):
        raise _no_prices(workload, catalogue, base)
    return Choice(
        machines=tuple(machines),
        notes=tuple(_notes(workload, machines, types, current_only=current_only, mean=mean)),
    )


def _least(outfits: Iterable[Outfit]) -> Outfit:
    """Return what every instance gets, whatever runs on it; an unknown size counts as nothing, for this is a least."""
    found = list(outfits)
    software = [item.software_usd_per_hour or Decimal(0) for item in found]
    return Outfit(
        disk_gib=min((item.disk_gib or 0 for item in found), default=0),
        public_address=bool(found) and all(item.public_address for item in found),
        software_usd_per_hour=min(software, default=Decimal(0)),
    )


def _considered(
    workload: Workload, catalogue: Catalogue, types: Collection[str] | None, *, current_only: bool
) -> list[InstanceType]:
    """Return the types that are looked at, those in use as if they were offered in every region."""
    if types is not None:
        everywhere = frozenset(workload.regions)
        return [replace(kind, regions=everywhere) for name, kind in catalogue.types.items() if name in types]
    return [
        kind
        for kind in catalogue.types.values()
        if not kind.is_bare_metal
        and "on-demand" in kind.usage_classes
        and not (current_only and (kind.is_retired or not kind.is_current))
    ]


def _traits(load: Load) -> frozenset[str]:
    rooms = [item.needs for item in load.items]
    return frozenset(trait for room in rooms for trait in room.requires)


def _with_software(machine: Machine, base: Outfit, month_hours: Decimal) -> Machine:
    usd = base.software_usd_per_hour
    if not usd:
        return machine

    def more(amount: Decimal | None, hours: Decimal = Decimal(1)) -> Decimal | None:
        return None if amount is None else amount + usd * hours

    return replace(
        machine,
        always_on_usd=more(machine.always_on_usd, month_hours),
        hourly_usd=more(machine.hourly_usd),
        spot_usd=more(machine.spot_usd),
    )


def _no_prices(workload: Workload, catalogue: Catalogue, base: Outfit) -> UserError:
    regions = " and ".join(workload.regions)
    for item, is_needed in ((GP3, bool(base.disk_gib)), (PUBLIC_IPV4, base.public_address)):
        if is_needed and all(catalogue.side_price(item, region) is None for region in workload.regions):
            return UserError(f"no price of {item} is known in {regions}, and every instance would pay it")
    return UserError(f"no price of an instance is known in {regions}", hint="region: us-west-2, or `bay types refresh`")


def _notes(
    workload: Workload,
    machines: Collection[Machine],
    types: Collection[str] | None,
    *,
    current_only: bool,
    mean: float | None,
) -> Iterable[str]:
    unpriced = sum(1 for item in machines if item.always_on_usd is None)
    if unpriced:
        yield f"{unpriced} of {count_of(len(machines), 'offer')} have no known price, so they were not looked at"
    if types is None:
        yield "bare metal was not looked at" + (", nor were types of previous generations" if current_only else "")
    if any(job.interruptible for job in workload.jobs):
        if mean is None:
            yield "spot was not looked at: how often an instance is interrupted is not known (spot: {interrupted_every: 12h})"
        elif not any(item.spot_usd is not None for item in machines):
            yield "spot was not looked at: no price of it is known, and none assumed (spot: {below_on_demand: 60%})"


def check_fit(load: Load, choice: Choice, wheres: Mapping[str, str]) -> None:
    """Raise UserError for a service or job that no machine with a known price can run, naming the nearest."""
    priced = [item for item in choice.machines if item.always_on_usd is not None]
    for item in load.items:
        if all(why_not(item.needs, machine) for machine in priced):
            closest = min(priced, key=lambda machine: _distance(item.needs, machine))
            what = f"{item.name} needs more than any type with a known price has"
            hint = f"the nearest, {closest.name}, {why_not(item.needs, closest)}"
            raise UserError(f"{what}; {hint}", where=wheres.get(item.name, ""), hint="less of it, or another region")


def _distance(room: Room, machine: Machine) -> tuple[int, float, Decimal, str]:
    """Return how far a machine is from what is needed: how many measures fall short, then by how much."""
    pairs = (
        (room.gpus, machine.gpus),
        (room.gpu_memory_gib if room.gpus else 0.0, machine.gpu_memory_gib),
        (room.vcpus, machine.vcpus),
        (room.memory_gib, machine.memory_gib),
    )
    lacks = [(wanted - there) / wanted for wanted, there in pairs if wanted > there]
    traits = len(room.requires - machine.traits - {machine.region})
    return traits + len(lacks), sum(lacks), machine.always_on_usd or Decimal(0), machine.name
