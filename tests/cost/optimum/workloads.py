"""Small random workloads, and the cheapest plan for them by trying everything: slow, plain, and independent of the model."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from decimal import Decimal

from launchbay.cost.optimum.cheapest import CheapestPlan, find_cheapest
from launchbay.cost.optimum.machine import Machine
from launchbay.cost.optimum.needs import Job, Needs, Service

MONTH = Decimal(720)


def no_clock() -> float:
    """Tell a time at which nothing is ever over."""
    return 0.0


def cheapest(
    services: Sequence[Service], jobs: Sequence[Job], machines: Sequence[Machine], **how: float
) -> CheapestPlan:
    return find_cheapest(services, jobs, machines, month_hours=MONTH, clock=no_clock, **how)


def machine(
    name: str,
    vcpus: float,
    memory_gib: float,
    hourly: str,
    *,
    gpus: int = 0,
    gpu_memory_gib: float = 0.0,
    traits: Sequence[str] = ("x86_64", "steady"),
    region: str = "us-west-2",
) -> Machine:
    """Return a machine whose month costs 720 of its hours."""
    return Machine(
        type=name,
        region=region,
        vcpus=vcpus,
        memory_gib=memory_gib,
        gpus=gpus,
        gpu_memory_gib=gpu_memory_gib,
        traits=frozenset(traits),
        always_on_usd=Decimal(hourly) * MONTH,
        hourly_usd=Decimal(hourly),
    )


def service(name: str, vcpus: float, memory_gib: float, replicas: int = 1, **more: object) -> Service:
    return Service(name=name, needs=Needs(vcpus=vcpus, memory_gib=memory_gib, **more), replicas=replicas)  # type: ignore[arg-type]


def job(name: str, vcpus: float, memory_gib: float, hours: float, runs: float = 1.0, **more: object) -> Job:
    needs = Needs(vcpus=vcpus, memory_gib=memory_gib)
    return Job(name=name, needs=needs, hours_per_run=hours, runs_per_month=runs, **more)  # type: ignore[arg-type]


def random_machines(chance: random.Random, count: int) -> list[Machine]:
    """Return machines of which the first can take whatever `random_services` and `random_jobs` think of."""
    found = [machine("huge.1", 32, 128, "3.1", gpus=4, gpu_memory_gib=24.0, traits=("x86_64", "arm64", "steady"))]
    for number in range(count - 1):
        vcpus = chance.choice([1, 2, 4, 8])
        memory = vcpus * chance.choice([2, 4, 8])
        gpus = chance.choice([0, 0, 0, 1, 2])
        usd = vcpus * 0.03 + memory * 0.004 + gpus * 0.4
        traits = [chance.choice(["x86_64", "arm64"]), *chance.choice([["steady"], []])]
        found.append(
            machine(
                f"m{number}.{vcpus}",
                vcpus,
                memory,
                f"{usd * chance.uniform(0.7, 1.3):.4f}",
                gpus=gpus,
                gpu_memory_gib=chance.choice([8.0, 16.0]) if gpus else 0.0,
                traits=traits,
            )
        )
    return found


def random_needs(chance: random.Random, *, gpus: bool) -> Needs:
    wanted = chance.choice([0, 0, 0, 1]) if gpus else 0
    requires = [trait for trait, share in (("x86_64", 0.4), ("steady", 0.3)) if chance.random() < share]
    return Needs(
        vcpus=chance.choice([0.1, 0.25, 0.5, 1, 1.5, 2, 3]),
        memory_gib=chance.choice([0.3, 0.5, 1, 2, 3.7, 6, 10]),
        gpus=wanted,
        gpu_memory_gib=chance.choice([0.0, 6.0, 12.0]) if wanted else 0.0,
        requires=frozenset(requires),
    )


def random_services(chance: random.Random, most: int = 6, most_copies: int = 8) -> list[Service]:
    found: list[Service] = []
    left = most_copies
    for number in range(chance.randint(1, most)):
        replicas = min(chance.choice([1, 1, 1, 2, 3]), left - (most - number - 1))
        if replicas < 1:
            break
        left -= replicas
        needs = found[-1].needs if found and chance.random() < 0.15 else random_needs(chance, gpus=True)
        found.append(Service(name=f"s{number}", needs=needs, replicas=replicas))
    return found


def random_jobs(chance: random.Random, most: int) -> list[Job]:
    return [
        Job(
            name=f"j{number}",
            needs=random_needs(chance, gpus=False),
            hours_per_run=chance.choice([2.0, 24.0, 100.0]),
            runs_per_month=chance.choice([1.0, 3.0, 6.0]),
            deadline_hours=chance.choice([None, None, 110.0]),
            can_share=chance.random() < 0.9,
        )
        for number in range(chance.randint(0, most))
    ]


def try_everything(
    services: Sequence[Service],
    jobs: Sequence[Job],
    machines: Sequence[Machine],
    with_one_of: Machine | None = None,
) -> Decimal:
    """Return the least cost over every way to put copies together, and every way to host jobs beside them or run them alone.

    With `with_one_of` the least cost of a plan that has at least one instance of that machine.
    """
    search = _Everything(services, jobs, machines)
    return min(search.costs(with_one_of))


class _Everything:
    """Every plan, with what an instance for each set of services and jobs costs, worked out once."""

    def __init__(self, services: Sequence[Service], jobs: Sequence[Job], machines: Sequence[Machine]) -> None:
        self._services, self._jobs, self._machines = services, jobs, machines
        self._by_name = {item.name: item for item in services}
        self._jobs_by_name = {item.name: item for item in jobs}
        self._known: dict[tuple[str, ...], list[Machine]] = {}

    def costs(self, with_one_of: Machine | None) -> Iterator[Decimal]:
        """Give the cost of every plan, at the cheapest machines for it."""
        alone = {item.name: min(_alone(item, self._machines)) for item in self._jobs}
        choices = [(False, True) if item.can_share else (False,) for item in self._jobs]
        copies = [item.name for item in self._services for _ in range(item.replicas)]
        for choice in itertools.product(*choices):
            hosted = [item.name for item, is_hosted in zip(self._jobs, choice, strict=True) if is_hosted]
            start = sum((usd for name, usd in alone.items() if name not in hosted), Decimal(0))
            for groups in _groups(copies):
                for queues in _assignments(hosted, len(groups)):
                    holders = [
                        self._holders(tuple(names), tuple(queue))
                        for names, queue in zip([*groups, []], queues, strict=True)
                        if names or queue
                    ]
                    if all(holders):
                        yield start + _least(holders, with_one_of)

    def _holders(self, names: tuple[str, ...], queue: tuple[str, ...]) -> list[Machine]:
        """Return the machines that hold these, the cheapest first."""
        key = (*names, "|", *queue)
        if key not in self._known:
            there = [self._by_name[name] for name in names]
            waiting = [self._jobs_by_name[name] for name in queue]
            holders = [item for item in self._machines if _holds(item, there, waiting)]
            self._known[key] = sorted(holders, key=_usd)
        return self._known[key]


def _usd(item: Machine) -> Decimal:
    assert item.always_on_usd is not None
    return item.always_on_usd


def _least(holders: Sequence[Sequence[Machine]], with_one_of: Machine | None) -> Decimal:
    """Return what the cheapest instances cost, one of them of a given machine, or an empty one of it beside them."""
    usd = sum((_usd(items[0]) for items in holders), Decimal(0))
    if with_one_of is None:
        return usd
    more = [_usd(with_one_of) - _usd(items[0]) for items in holders if with_one_of in items]
    return usd + min([*more, _usd(with_one_of)])


def _alone(item: Job, machines: Sequence[Machine]) -> Iterator[Decimal]:
    for there in machines:
        if _holds(there, [], [item]) and there.hourly_usd is not None:
            yield Decimal(str(item.hours_per_run)) * Decimal(str(item.runs_per_month)) * there.hourly_usd


def _holds(there: Machine, services: Sequence[Service], queue: Sequence[Job]) -> bool:
    """Tell whether a machine holds all these services, and room for the largest of the jobs in each measure."""
    everything: list[Service | Job] = [*services, *queue]
    for item in everything:
        if not item.needs.requires <= there.traits | {there.region}:
            return False
        if item.needs.gpus and item.needs.gpu_memory_gib > there.gpu_memory_gib:
            return False
    for what, step in (("vcpus", "0.25"), ("memory_gib", "0.5"), ("gpus", "1")):
        wanted = [_stepped(getattr(item.needs, what), step) for item in services]
        largest = max((_stepped(getattr(item.needs, what), step) for item in queue), default=0)
        if sum(wanted) + largest > Decimal(str(getattr(there, what))) / Decimal(step):
            return False
    if sum(item.hours_per_run * item.runs_per_month for item in queue) > MONTH:
        return False
    waits = sum(item.hours_per_run for item in queue)
    return all(item.deadline_hours is None or waits <= item.deadline_hours for item in queue)


def _stepped(amount: float, step: str) -> int:
    return math.ceil(Decimal(str(amount)) / Decimal(step))


def _groups(copies: Sequence[str]) -> Iterator[list[list[str]]]:
    """Give every way to group copies, no two of one service together; some ways come more than once."""
    if not copies:
        yield []
        return
    for groups in _groups(copies[1:]):
        seen = set()
        for place, group in enumerate(groups):
            if copies[0] not in group and tuple(sorted(group)) not in seen:
                seen.add(tuple(sorted(group)))
                yield [*groups[:place], sorted([*group, copies[0]]), *groups[place + 1 :]]
        yield [*groups, [copies[0]]]


def _assignments(names: Sequence[str], places: int) -> Iterator[list[list[str]]]:
    """Give every way to put jobs beside these groups, or on one more instance for jobs alone."""
    for choice in itertools.product(range(places + 1), repeat=len(names)):
        queues: list[list[str]] = [[] for _ in range(places + 1)]
        for name, place in zip(names, choice, strict=True):
            queues[place].append(name)
        yield queues
