"""Three rungs below what runs today: the same types, the same capability, what is needed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from launchbay.catalog.burst import surplus_item
from launchbay.catalog.price import Catalogue
from launchbay.catalog.type import InstanceType
from launchbay.cost.check import unmet
from launchbay.cost.optimum.needs import Needs as Room
from launchbay.cost.optimum.rentals import STEADY
from launchbay.cost.saving.asked import Answer, Asked, bill_of, choice_of, solve
from launchbay.cost.saving.choice import Choice
from launchbay.cost.saving.load import Load, hosts_of, load_instances, load_work
from launchbay.cost.saving.lost import list_lost
from launchbay.cost.saving.room import capability_room, find_needs, is_throttled, needs_text, own_traits, room_of
from launchbay.cost.saving.rung import Rung, list_used
from launchbay.errors import UserError
from launchbay.spec.assignment import Assignment
from launchbay.spec.needs import ARCHITECTURES
from launchbay.units import format_usd

__all__ = ["RUNGS", "Need", "need_of", "same_capability", "same_types", "stated_need"]

RUNGS = ("same types", "same capability", "stated need")
"""The names of the rungs, each of which leaves more open than the one before. The last is called `MEASURED` where needs are."""

MEASURED = "measured need"

_NO_INSTANCES = "what runs today is not said (instances)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a workload's jobs and endpoints need, as a load and as texts; `missing` where that is not known of all of them."""

    load: Load | None
    texts: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def need_of(asked: Asked) -> Need:
    """Return the stated or measured needs. Raises NotFound for a GPU that no type has."""
    needs, missing = find_needs(asked.workload)
    if missing:
        return Need(load=None, missing=missing)
    rooms: dict[str, Room] = {}
    texts: dict[str, str] = {}
    x86, unsteady = [], []
    for item in asked.workload.work:
        wanted = needs[item.name]
        runtime = asked.images.get(wanted.image)
        rooms[item.name], assumed = room_of(wanted, asked.catalogue, runtime, where=item.where)
        texts[item.name] = needs_text(rooms[item.name])
        x86 += [item.name] if assumed else []
        unsteady += [item.name] if not wanted.burstable else []
    notes = []
    if x86:
        notes.append(
            f"Arm was not considered for {_and(x86)}: neither their needs nor an image say that they run there"
        )
    if unsteady:
        notes.append(
            f"burstable types were not considered for {_and(unsteady)}: their needs do not say that one will do"
        )
    load = load_work(asked.workload, rooms)
    bursting = [job.name for job in load.jobs if STEADY not in job.needs.requires]
    if bursting and not _knows_surplus(asked, asked.catalogue.types):
        surplus = "what a burstable type costs on top at full processor is not known"
        notes.append(f"burstable types were not considered for {_and(bursting)}: {surplus}")
    return Need(load=load, texts=texts, notes=(*notes, *load.notes))


def _knows_surplus(asked: Asked, types: Iterable[str]) -> bool:
    """Say whether it is known of any of these types what it costs on top at full processor."""
    items = {surplus_item(asked.catalogue.types[name]) for name in types} - {""}
    regions = asked.workload.regions
    return any(asked.catalogue.side_price(item, region) is not None for item in items for region in regions)


def stated_need(asked: Asked, need: Need) -> tuple[Rung, Answer | None, Choice | None]:
    """Return the cheapest way to meet the needs on whatever is offered. Raises UserError where nothing meets one of them."""
    name = MEASURED if any(item.needs.like for item in asked.workload.work) else RUNGS[2]
    if need.load is None:
        return Rung(name=name, missing=need.missing), None, None
    choice = choice_of(asked, need.load)
    answer = solve(asked, choice)
    return _rung(name, asked, need.texts, choice, answer, notes=(*choice.notes, *need.notes)), answer, choice


def same_types(asked: Asked, need: Need) -> Rung:
    """Return the cheapest way to use the types that run today; only schedule, sharing and market may change."""
    if not asked.workload.instances:
        return Rung(name=RUNGS[0], missing=(_NO_INSTANCES,))
    if need.load is None:
        return Rung(name=RUNGS[0], missing=need.missing)
    kinds = asked.catalogue.types
    load = need.load.map_needs(dict(_tamed(asked, need.load, kinds))).pin(asked.workload)
    types = frozenset(item.type for item in asked.workload.instances if item.runs)
    try:
        choice = choice_of(asked, load, types=types, counts_surplus=_knows_surplus(asked, types))
        answer = solve(asked, choice)
    except UserError as error:
        return _today(asked, f"nothing else was found on the same types: {error.what}")
    today = bill_of(asked, asked.workload)
    if today.usd is not None and answer.usd > today.usd and today.complete:
        return _today(
            asked,
            f"the cheapest on the same types that meets the needs as they are stated would cost ${format_usd(answer.usd)} a "
            "month: today something has less than it needs, or is on spot without hours for its interruptions",
        )
    return _rung(RUNGS[0], asked, need.texts, choice, answer, notes=(*choice.notes, *load.notes))


def _tamed(asked: Asked, load: Load, kinds: Mapping[str, InstanceType]) -> Iterator[tuple[str, Room]]:
    """Yield needs that the types of today meet: whatever they say, each runs where it runs."""
    for item in load.items:
        hosts = [kinds[host.type] for host in hosts_of(item.name, asked.workload)]
        most = [capability_room(kind) for kind in hosts]
        traits = frozenset().union(*(own_traits(kind) for kind in hosts))
        gpus = max(room.gpus for room in most)
        each = max(room.gpu_memory_gib for room in most)
        yield (
            item.name,
            replace(
                item.needs,
                vcpus=min(item.needs.vcpus, max(room.vcpus for room in most)),
                memory_gib=min(item.needs.memory_gib, max(room.memory_gib for room in most)),
                gpus=min(item.needs.gpus, gpus),
                gpu_memory_gib=min(item.needs.least_gpu_memory_gib, each) if gpus else 0.0,
                gpu_slack=0.0,
                requires=item.needs.requires & traits,
            ),
        )


def _today(asked: Asked, why: str) -> Rung:
    """Return the rung on which everything stays as it is, of which nothing is proven."""
    return Rung(
        name=RUNGS[0],
        workload=asked.workload,
        bill=bill_of(asked, asked.workload),
        instances=tuple(list_used(asked.workload, asked.catalogue, compute_only=asked.compute_only)),
        reasons=("everything stays as it is", why),
        unmet=unmet(asked.workload, asked.catalogue),
    )


def same_capability(asked: Asked) -> Rung:
    """Return the cheapest instances with at least the vCPUs, memory, GPUs and memory of each GPU of those that run today.

    A GPU of another model will do. What runs together today stays together.
    """
    running = [item for item in asked.workload.instances if item.runs]
    if not running:
        return Rung(name=RUNGS[1], missing=(_NO_INSTANCES,))
    rooms = {item.name: _with_named(asked, item, capability_room(asked.catalogue.types[item.type])) for item in running}
    load = load_instances(asked.workload, rooms).pin(asked.workload)
    texts = {item.name: needs_text(item.needs) for item in load.items}
    try:
        choice = choice_of(asked, load)
        answer = solve(asked, choice)
    except UserError as error:
        return Rung(name=RUNGS[1], needs=texts, missing=(error.what,))
    return _rung(RUNGS[1], asked, texts, choice, answer, notes=(*choice.notes, *load.notes))


def _with_named(asked: Asked, item: Assignment, room: Room) -> Room:
    """Return a capability with what the work there asks for by name, and vCPUs and memory do not say: a GPU, a local disk."""
    named: set[str] = set()
    for work in asked.workload.work:
        if work.name in item.runs:
            wanted, _ = room_of(work.needs, asked.catalogue, asked.images.get(work.needs.image), where=work.where)
            named |= wanted.requires - {STEADY, "cuda", *ARCHITECTURES}
    return replace(room, requires=room.requires | named)


def _rung(
    name: str, asked: Asked, texts: Mapping[str, str], choice: Choice, answer: Answer, *, notes: Sequence[str]
) -> Rung:
    plan = answer.plan
    return Rung(
        name=name,
        needs=texts,
        workload=answer.workload,
        bill=answer.bill,
        instances=tuple(list_used(answer.workload, asked.catalogue, compute_only=asked.compute_only)),
        bound_usd=answer.bound_usd,
        method=plan.method,
        is_cut_short=plan.is_cut_short,
        baselines=plan.baselines,
        reasons=(*_choices(answer, asked.catalogue), *_moves(asked, answer), *notes),
        rejected=list_lost(plan, choice),
        assumptions=(*answer.bill.assumptions, *_assumptions(asked, answer)),
        unmet=unmet(answer.workload, asked.catalogue),
    )


def _assumptions(asked: Asked, answer: Answer) -> Iterator[str]:
    """Yield what the plan rests on; of spot only where something of it is on spot."""
    for work in asked.workload.work:
        if work.needs.measured is not None:
            yield from (f"{work.name}: {line}" for line in work.needs.measured.said)
    every = asked.workload.spot.interrupted_every_seconds
    is_spot = any(item.market == "spot" for item in answer.workload.instances)
    for said in answer.plan.assumptions:
        if is_spot or not said.startswith("spot "):
            yield said
    if is_spot and every is not None:
        yield f"a spot instance is interrupted every {float(every / 3600):g} hours on average, as the workload says"


def _choices(answer: Answer, catalogue: Catalogue) -> Iterator[str]:
    """Say what is special about the types of a plan, once for each."""
    seen: set[str] = set()
    for item in answer.workload.instances:
        kind = catalogue.types[item.type]
        if not item.runs or kind.name in seen:
            continue
        seen.add(kind.name)
        if is_throttled(kind):
            yield f"{kind.name} is burstable: {_and(item.runs)} may be slowed down there, or charged, under lasting load"
        if kind.architectures[-1] == "arm64":
            yield f"{kind.name} has Arm processors, on which {_and(item.runs)} can run"
        if kind.is_retired:
            yield f"{kind.name} is a type that AWS no longer lists: another one like it may not be had"
        elif not kind.is_current:
            slower = "; it may be far slower than what a run was measured on (--current leaves such types out)"
            was_measured = any(work.needs.measured for work in answer.workload.work if work.name in item.runs)
            yield (
                f"{kind.name} is of a previous generation: still offered, and the cheapest that will do"
                f"{slower if was_measured else ''}"
            )
    for way in answer.plan.alone:
        if way.spot is not None:
            yield (
                f"{way.job} is expected to take {way.spot.factor:.3f} times as long on spot, so spot pays below "
                f"{way.spot.break_even:.0%} of the price on demand"
            )


def _moves(asked: Asked, answer: Answer) -> Iterator[str]:
    """Say what leaves its region; what that costs in traffic is not known."""
    for item in answer.workload.instances:
        for name in item.runs:
            before = {host.region for host in hosts_of(name, asked.workload)}
            if before and item.region not in before:
                yield (
                    f"{name} moves from {_and(sorted(before))} to {item.region}: traffic and copies between regions are not "
                    "counted, nor how long its answers take"
                )


def _and(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
