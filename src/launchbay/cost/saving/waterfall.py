"""From what runs today to the cheapest plan, step by step, each with its dollars and the risk that it adds. Pure.

Each step is the difference of two bills, of the workload before and after it. So the steps add up to the whole, whatever their
order; it is the order in which a person would take them. What is not known is never a saving.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_UP, Decimal
from typing import Any

from launchbay.cost.instances import LEAST_SECONDS, hours_of
from launchbay.cost.optimum.machine import Machine, why_not
from launchbay.cost.optimum.needs import Needs as Room
from launchbay.cost.saving.asked import Answer, Asked, bill_of, solve
from launchbay.cost.saving.choice import Choice
from launchbay.cost.saving.load import Load, hosts_of
from launchbay.spec.assignment import Assignment
from launchbay.spec.schedule import ALWAYS, Hours
from launchbay.spec.work import Job
from launchbay.spec.workload import Workload
from launchbay.units import format_amount, format_usd

__all__ = ["STEPS", "Step", "Waterfall", "find_waterfall"]

STEPS = ("right-size", "schedule", "clean-up", "split or share", "spot", "Savings Plan")
"""In the order in which they are taken: first what is there, then where things run, then how it is paid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a step saves a month, in US dollars, exactly; below 0 where it costs. `what` says what it does, or why nothing."""

    name: str
    saves_usd: Decimal
    left_usd: Decimal
    what: str
    risk: str = ""

    def as_json(self) -> Mapping[str, Any]:
        """Return the fields that `--json` shows."""
        return {
            "name": self.name,
            "saves_usd": format_amount(self.saves_usd, least=2),
            "left_usd": format_amount(self.left_usd, least=2),
            "what": self.what,
            "risk": self.risk or None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Waterfall:
    """The steps from `begin_usd` a month to `end_usd`. Where there are none, `missing` says why."""

    begin_usd: Decimal | None = None
    end_usd: Decimal | None = None
    steps: tuple[Step, ...] = ()
    missing: str = ""

    def as_json(self) -> Mapping[str, Any]:
        """Return the fields that `--json` shows."""
        return {
            "begin_usd": None if self.begin_usd is None else format_usd(self.begin_usd),
            "end_usd": None if self.end_usd is None else format_usd(self.end_usd),
            "steps": self.steps,
            "missing": self.missing or None,
        }


def find_waterfall(asked: Asked, load: Load, choice: Choice, answer: Answer) -> Waterfall:
    """Return the steps from what runs today to the cheapest plan for what is needed."""
    today = asked.workload
    first = bill_of(asked, today)
    if not (first.complete and answer.bill.complete):
        which = "today's bill" if not first.complete else "the bill of the plan"
        return Waterfall(missing=f"{which} holds amounts that are not known, and what is not known is no saving")
    sized, resized = _right_size(asked, load, choice)
    scheduled, rested = _schedule(sized)
    cleaned, freed = _clean_up(scheduled)
    before = _without_new_spot(asked, load, answer)
    moved = answer if before is load else solve(asked, before, choice.machines)
    stages = (
        (
            STEPS[0],
            sized,
            resized or "nothing that meets the needs of what runs there costs less",
            _SIZED if resized else "",
        ),
        (STEPS[1], scheduled, rested or "every instance runs as long as what it runs", _RESTED if rested else ""),
        (STEPS[2], cleaned, freed or "no disk stays while its instance is off", _FREED if freed else ""),
        (STEPS[3], moved.workload, _moved(moved), _MOVED),
        (
            STEPS[4],
            answer.workload,
            *(_no_spot(choice, answer) if moved is answer else (_cut(answer), _cut_risk(asked))),
        ),
        (STEPS[5], answer.workload, "its rates are not known, and what is not known is no saving", ""),
    )
    begin = first.usd or Decimal(0)
    return Waterfall(begin_usd=begin, end_usd=answer.usd, steps=tuple(_steps(asked, begin, stages)))


_SIZED = "less room for peaks than today"
_RESTED = "what is wanted outside these hours has to wait until an instance is up"
_FREED = "what is on a disk is gone with its instance: whatever must stay has to be saved before"
_DEARER = "dearer, for here needs are met as they are stated, and the hours of interruptions count"
_MOVED = "what shares an instance fails together; what starts for a run waits until its instance is up"


def _steps(asked: Asked, begin: Decimal, stages: Sequence[tuple[str, Workload, str, str]]) -> Iterator[Step]:
    """Yield the steps: a step's dollars are those by which the bill falls."""
    before = begin
    for name, workload, what, risk in stages:
        after = bill_of(asked, workload).usd or Decimal(0)
        saves = before - after
        dearer = f"; {_DEARER}" if saves < 0 else ""
        yield Step(name=name, saves_usd=saves, left_usd=after, what=f"{what}{dearer}", risk=risk)
        before = after


# --- what is there --------------------------------------------------------------------------------------------------


def _right_size(asked: Asked, load: Load, choice: Choice) -> tuple[Workload, str]:
    """Put each instance on the cheapest type that meets the needs of what runs there, where one costs less than today's."""
    rooms = {item.name: item.needs for item in load.items}
    jobs = {item.name for item in asked.workload.jobs}
    found, said = [], []
    for item in asked.workload.instances:
        best = _cheaper(asked, item, rooms, jobs, choice) if item.runs else None
        found.append(item if best is None else replace(item, type=best))
        if best is not None:
            said.append(f"{item.name}: {best} in the place of {item.type}")
    return replace(asked.workload, instances=tuple(found)), "; ".join(said)


def _cheaper(asked: Asked, item: Assignment, rooms: Mapping[str, Room], jobs: set[str], choice: Choice) -> str | None:
    """Return the cheapest type in an instance's region and market that holds what it runs; None where today's is."""
    room = _together(item, rooms, jobs)

    def usd(kind: str) -> Decimal | None:
        alone = replace(asked.workload, instances=(replace(item, type=kind),))
        bill = bill_of(asked, alone)
        return bill.usd if bill.complete else None

    today = usd(item.type)
    fitting: list[tuple[Decimal, str]] = []
    for machine in _candidates(item, room, choice, is_passing=bool(jobs.intersection(item.runs))):
        amount = usd(machine.type)
        if amount is not None and today is not None and amount < today:
            fitting.append((amount, machine.type))
    return min(fitting)[1] if fitting else None


def _candidates(item: Assignment, room: Room, choice: Choice, *, is_passing: bool) -> Iterator[Machine]:
    """Yield the machines that could stand in for an instance; for jobs only those whose hour has a price at full load."""
    for machine in choice.machines:
        usd = machine.hourly_usd if is_passing else machine.always_on_usd
        usd = machine.spot_usd if item.market == "spot" else usd
        if machine.region == item.region and usd is not None and not why_not(room, machine):
            yield machine


def _together(item: Assignment, rooms: Mapping[str, Room], jobs: set[str]) -> Room:
    """Return what all that an instance runs needs: endpoints side by side, jobs one after another beside them."""
    standing = [rooms[name] for name in item.runs if name not in jobs]
    passing = [rooms[name] for name in item.runs if name in jobs]

    def least(measure: str) -> float:
        beside = max((float(getattr(room, measure)) for room in passing), default=0.0)
        return sum(float(getattr(room, measure)) for room in standing) + beside

    both = [*standing, *passing]
    return Room(
        vcpus=least("vcpus"),
        memory_gib=least("memory_gib"),
        gpus=int(least("gpus")),
        gpu_memory_gib=max(room.gpu_memory_gib for room in both),
        requires=frozenset().union(*(room.requires for room in both)),
    )


def _schedule(workload: Workload) -> tuple[Workload, str]:
    """Let each instance run no longer than what it runs, where nothing of that always stands."""
    found, said = [], []
    for item in workload.instances:
        needed = _needed_hours(item, workload)
        there = hours_of(item, workload) / item.count
        changed = needed is not None and needed < there
        found.append(replace(item, hours=Hours(amount=needed)) if changed else item)
        if changed and needed is not None:
            said.append(f"{item.name}: {format_amount(needed, most=1)} hours instead of {format_amount(there, most=1)}")
    return replace(workload, instances=tuple(found)), "; ".join(said)


def _needed_hours(item: Assignment, workload: Workload) -> Decimal | None:
    """Return the hours that each instance of an entry is needed, rounded up to millionths; None where that is not known.

    Which part of a job is done where it has several entries to run on is not said, so those stay as they are.
    """
    month = workload.month_hours
    total = Decimal(0)
    for work in workload.work:
        if work.name not in item.runs:
            continue
        if sum(1 for other in workload.instances if work.name in other.runs) > 1:
            return None
        if isinstance(work, Job):
            total += _work_hours(work, month)
        else:
            total += work.hours.in_month(month) * item.count
    if not item.runs:
        return None
    each = (total / item.count).quantize(Decimal("1e-6"), rounding=ROUND_UP)
    return min(each, month)


def _work_hours(job: Job, month_hours: Decimal) -> Decimal:
    return job.runs.in_month(month_hours) * job.instances * max(job.run_seconds, LEAST_SECONDS) / 3600


def _clean_up(workload: Workload) -> tuple[Workload, str]:
    """Let the disk of each instance go with it. Addresses that are kept stay: nobody says whether something uses them."""
    found, said = [], []
    for item in workload.instances:
        is_off = hours_of(item, workload) < workload.month_hours * item.count
        is_freed = bool(item.runs) and item.disk_kept and is_off and bool(item.disk_gib)
        found.append(replace(item, disk_kept=False) if is_freed else item)
        if is_freed:
            said.append(f"{item.name}: its disk of {item.disk_gib} GiB is there only while it runs")
    return replace(workload, instances=tuple(found)), "; ".join(said)


# --- where things run, and how it is paid -----------------------------------------------------------------------------


def _without_new_spot(asked: Asked, load: Load, answer: Answer) -> Load:
    """Return the load with nothing on spot that is not there today; the load itself where the plan has none of that."""
    there = {
        name
        for name in load.runs
        if (hosts := hosts_of(name, asked.workload)) and all(host.market == "spot" for host in hosts)
    }
    if all(way.spot is None or way.job in there for way in answer.plan.alone):
        return load
    jobs = (replace(job, can_be_interrupted=job.can_be_interrupted and job.name in there) for job in load.jobs)
    return replace(load, jobs=tuple(jobs))


def _moved(answer: Answer) -> str:
    """Say what runs where in a plan on demand."""
    said = []
    for item in answer.workload.instances:
        if item.runs:
            when = (
                "always" if item.hours == ALWAYS else f"{format_amount(hours_of(item, answer.workload), most=1)} hours"
            )
            times = f"{item.count} × " if item.count > 1 else ""
            said.append(f"{', '.join(item.runs)} on {times}{item.type}, {when}")
    return "; ".join(said)


def _cut(answer: Answer) -> str:
    """Say what is on spot in a plan."""
    return "; ".join(
        f"{way.job} on {way.machine.type}, {format_amount(way.hours, most=1)} hours with its interruptions"
        for way in answer.plan.alone
        if way.spot is not None
    )


def _no_spot(choice: Choice, answer: Answer) -> tuple[str, str]:
    """Say why nothing moves to spot, at no risk."""
    if any(way.spot is not None for way in answer.plan.alone):
        return "what can be interrupted is on spot already", ""
    said = next((note for note in choice.notes if note.startswith("spot was not")), "")
    return said or "nothing can be interrupted, or spot is not cheaper for it", ""


def _cut_risk(asked: Asked) -> str:
    every = asked.workload.spot.interrupted_every_seconds or Decimal(0)  # without it, nothing is on spot
    return f"a run is interrupted every {float(every / 3600):g} hours on average, and may have to wait for an instance"
