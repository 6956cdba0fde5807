"""What may be rented for a workload: types in its regions, with what every instance of it pays beside. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from launchbay.catalog.items import GP3, PUBLIC_IPV4
from launchbay.catalog.price import Catalogue
from launchbay.catalog.type import InstanceType
from launchbay.cost.optimum.machine import Machine, why_not
from launchbay.cost.optimum.needs import Needs as Room
from launchbay.cost.optimum.rentals import list_machines
from launchbay.cost.saving.load import Load, Outfit
from launchbay.cost.saving.room import add_traits
from launchbay.cost.saving.variant import ask_for_outfits, list_variants
from launchbay.errors import UserError
from launchbay.spec.work import Endpoint, Job
from launchbay.spec.workload import Workload
from launchbay.units import count_of

__all__ = ["Choice", "assume_spot", "check_fit", "list_choice"]

_LESS = "less of it, or another region"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A load with what it asks of machines, the machines that may be rented for it, and in sentences what is not among them."""

    load: Load
    machines: tuple[Machine, ...]
    notes: tuple[str, ...] = ()


def assume_spot(catalogue: Catalogue, workload: Workload) -> Catalogue:
    """Return the catalogue with the workload's assumption about spot wherever no market price is known, as its bill has it."""
    below = workload.spot.below_on_demand
    if below is None:
        return catalogue
    assumed = {
        (price.type, price.region, "spot"): replace(
            price,
            market="spot",
            usd_per_hour=price.usd_per_hour * (1 - below),
            method="assumed",
            source=workload.source,
        )
        for price in catalogue.prices.values()
        if price.market == "on-demand" and _is_on_spot(catalogue, price.type)
    }
    return replace(catalogue, prices={**assumed, **catalogue.prices})


def _is_on_spot(catalogue: Catalogue, type_name: str) -> bool:
    return type_name in catalogue.types and "spot" in catalogue.types[type_name].usage_classes


def list_choice(
    workload: Workload,
    catalogue: Catalogue,
    load: Load,
    *,
    types: Collection[str] | None = None,
    current_only: bool = False,
    counts_surplus: bool = True,
) -> Choice:
    """Return what may be rented for a load: with `types` these alone, offered or not, for they are in use.

    Each type is there once for every disk and address that an instance of the load could get. Raises UserError where no type
    has a known price.
    """
    kinds = _considered(workload, catalogue, types, current_only=current_only)
    known = assume_spot(replace(catalogue, types={kind.name: kind for kind in kinds}), workload)
    every = workload.spot.interrupted_every_seconds
    mean = None if every is None else float(every / 3600)
    means = {(kind.name, region): mean or 0.0 for kind in kinds for region in workload.regions} if mean else {}

    seen = ask_for_outfits(load)
    wanted = frozenset(trait for item in seen.items for trait in item.needs.requires)
    machines = []
    variants = list_variants(load)
    for variant in variants:
        offered = list_machines(
            known,
            workload.regions,
            month_hours=workload.month_hours,
            disk_gib=variant.outfit.disk_gib or 0,
            with_address=variant.outfit.public_address,
            spot_mean_hours=means,
            counts_surplus=counts_surplus,
        )
        machines += [
            variant.dress(add_traits(item, known.types[item.type], wanted), workload.month_hours) for item in offered
        ]
    if not any(item.always_on_usd is not None for item in machines):
        raise _no_prices(workload, catalogue, variants[0].outfit)
    bare = machines[: len(machines) // len(variants)]  # each offer once
    return Choice(
        load=seen,
        machines=tuple(machines),
        notes=tuple(_notes(workload, bare, types, current_only=current_only, mean=mean)),
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
        if workload.market == "on-demand":
            yield "spot was not looked at: the workload says market: on-demand"
        elif mean is None:
            yield "spot was not looked at: how often an instance is interrupted is not known (spot: {interrupted_every: 12h})"
        elif not any(item.spot_usd is not None for item in machines):
            yield "spot was not looked at: no price of it is known, and none assumed (spot: {below_on_demand: 60%})"


def check_fit(choice: Choice, works: Iterable[Job | Endpoint]) -> None:
    """Raise UserError for a service or job that no machine with a known price can run, naming the nearest."""
    said = {work.name: work for work in works}
    priced = [item for item in choice.machines if item.always_on_usd is not None]
    for item in choice.load.items:
        if all(why_not(item.needs, machine) for machine in priced):
            closest = min(priced, key=lambda machine: _distance(item.needs, machine))
            what = f"{item.name} needs more than any type with a known price has"
            nearest = f"the nearest, {closest.name}, {why_not(item.needs, closest)}"
            work = said.get(item.name)
            where, hint = (work.where, _less(work)) if work else ("", _LESS)
            raise UserError(f"{what}; {nearest}", where=where, hint=hint)


def _less(work: Job | Endpoint) -> str:
    """Say how less can be asked for: what a run took cannot be said beside it."""
    measured = work.needs.measured
    if measured is None:
        return _LESS
    fields = "vcpus, memory, gpus and gpu_memory" if measured.gpus else "vcpus and memory"
    said = "".join(f"; {line}" for line in measured.said if "less may do" in line)
    return f"say {fields} in the place of `like: {measured.run}`{said}"


def _distance(room: Room, machine: Machine) -> tuple[int, float, Decimal, str]:
    """Return how far a machine is from what is needed: how many measures fall short, then by how much."""
    pairs = (
        (room.gpus, machine.gpus),
        (room.least_gpu_memory_gib if room.gpus else 0.0, machine.gpu_memory_gib),
        (room.vcpus, machine.vcpus),
        (room.memory_gib, machine.memory_gib),
    )
    lacks = [(wanted - there) / wanted for wanted, there in pairs if wanted > there]
    traits = len(room.requires - machine.traits - {machine.region})
    return traits + len(lacks), sum(lacks), machine.always_on_usd or Decimal(0), machine.name
