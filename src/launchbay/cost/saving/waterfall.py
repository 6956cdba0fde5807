"""From what runs today to the cheapest plan, step by step, each with its dollars and the risk that it adds. Pure.

Each step is the difference of two bills, of the workload before and after it. So the steps add up to the whole, whatever their
order; it is the order in which a person would take them, what cannot be undone last. What is not known is never a saving.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from launchbay.cost.instances import hours_of
from launchbay.cost.optimum.savings_plan import Segment, Usage, choose_commitment
from launchbay.cost.saving.asked import Answer, Asked, bill_of, solve
from launchbay.cost.saving.choice import Choice
from launchbay.cost.saving.load import Load, hosts_of
from launchbay.cost.saving.trim import clean_up, keep_disks, right_size, schedule
from launchbay.cost.saving.variant import type_of
from launchbay.spec.assignment import Assignment
from launchbay.spec.schedule import ALWAYS
from launchbay.spec.workload import Workload
from launchbay.units import format_amount, format_usd

__all__ = ["BEFORE_SPOT", "STEPS", "Step", "Waterfall", "find_waterfall"]

STEPS = ("right-size", "schedule", "split or share", "spot", "Savings Plan", "clean-up")
"""In the order in which they are taken: first what is there, then where things run, then how it is paid, then what is left."""

BEFORE_SPOT = STEPS[2]
"""The step after which everything is where it will be, and nothing new is on spot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a step saves a month, in US dollars, exactly; below 0 where it costs. `what` says what it does, or why nothing.

    `workload` is what it leads to; None for one that changes nothing but how it is paid.
    """

    name: str
    saves_usd: Decimal
    left_usd: Decimal
    what: str
    risk: str = ""
    workload: Workload | None = None

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

    @property
    def committed_usd(self) -> Decimal:
        """What a commitment would save a month, in US dollars, besides what the plan itself costs."""
        return next((step.saves_usd for step in self.steps if step.name == STEPS[4]), Decimal(0))

    def as_json(self) -> Mapping[str, Any]:
        """Return the fields that `--json` shows."""
        return {
            "begin_usd": None if self.begin_usd is None else format_usd(self.begin_usd),
            "end_usd": None if self.end_usd is None else format_usd(self.end_usd),
            "steps": self.steps,
            "missing": self.missing or None,
        }


def find_waterfall(asked: Asked, choice: Choice, answer: Answer) -> Waterfall:
    """Return the steps from what runs today to the cheapest plan for what is needed."""
    today = asked.workload
    first = bill_of(asked, today)
    if not (first.complete and answer.bill.complete):
        which = "today's bill" if not first.complete else "the bill of the plan"
        return Waterfall(missing=f"{which} holds amounts that are not known, and what is not known is no saving")
    sized, resized = right_size(asked, choice)
    scheduled, rested = schedule(sized, choice)
    kept = keep_disks(answer.workload, today)
    before = _without_new_spot(asked, choice.load, answer)
    moved = answer if before is choice.load else solve(asked, replace(choice, load=before))
    stages = (
        (
            STEPS[0],
            sized,
            resized or "nothing that meets the needs of what runs there costs less",
            _SIZED if resized else "",
        ),
        (STEPS[1], scheduled, rested or "every instance runs as long as what it runs", _RESTED if rested else ""),
        (STEPS[2], keep_disks(moved.workload, today), *_moved(moved, scheduled)),
        (STEPS[3], kept, *(_no_spot(choice, answer) if moved is answer else (_cut(answer), _cut_risk(asked)))),
    )
    begin = first.usd or Decimal(0)
    steps = [*_steps(asked, begin, stages)]
    steps.append(_commit(asked, answer, steps[-1].left_usd))
    steps.append(_free(asked, kept, answer, steps[-1].left_usd))
    return Waterfall(begin_usd=begin, end_usd=steps[-1].left_usd, steps=tuple(steps))


_SIZED = "less room for peaks than today"
_RESTED = "what is wanted outside these hours has to wait until an instance is up"
_FREED = "what is on a disk is gone with its instance: whatever must stay has to be saved before"
_COMMITTED = "a commitment is paid for its whole term, whatever runs"
_DEARER = (
    "dearer, for here everything gets what it needs as that is stated: room, disk, and on spot hours for interruptions"
)


def _steps(asked: Asked, begin: Decimal, stages: Sequence[tuple[str, Workload, str, str]]) -> Iterator[Step]:
    """Yield the steps: a step's dollars are those by which the bill falls."""
    before = begin
    for name, workload, what, risk in stages:
        after = bill_of(asked, workload).usd or Decimal(0)
        saves = before - after
        dearer = f"; {_DEARER}" if saves < 0 else ""
        yield Step(name=name, saves_usd=saves, left_usd=after, what=f"{what}{dearer}", risk=risk, workload=workload)
        before = after


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


def _moved(answer: Answer, before: Workload) -> tuple[str, str]:
    """Say what runs where in a plan on demand, and what that risks; nothing, where all of it ran there before."""
    there = {_place(item, before) for item in before.instances}
    if all(_place(item, answer.workload) in there for item in answer.workload.instances):
        return "everything stays where it is", ""
    said, risks = [], []
    if any(len(item.runs) > 1 for item in answer.workload.instances):
        risks.append("what shares an instance fails together")
    if any(item.runs and item.hours != ALWAYS for item in answer.workload.instances):
        risks.append("what starts for a run waits until its instance is up")
    for item in answer.workload.instances:
        if item.runs:
            when = (
                "always" if item.hours == ALWAYS else f"{format_amount(hours_of(item, answer.workload), most=1)} hours"
            )
            times = f"{item.count} × " if item.count > 1 else ""
            where = f" in {item.region}" if len(answer.workload.regions) > 1 else ""
            said.append(f"{', '.join(item.runs)} on {times}{item.type}{where}, {when}")
    return "; ".join(said), "; ".join(risks)


def _place(item: Assignment, workload: Workload) -> tuple[object, ...]:
    return item.type, item.region, item.market, item.count, frozenset(item.runs), hours_of(item, workload)


def _commit(asked: Asked, answer: Answer, before: Decimal) -> Step:
    """Return the step to a Savings Plan for what runs on demand in the plan as it is."""
    segments = list(_duration_curve(asked, answer.workload))
    usages = [usage for segment in segments for usage in segment.usages]
    found = choose_commitment(segments)
    saves = found.saved_usd
    if saves:
        what, risk = f"commit to ${format_amount(found.usd_per_hour, most=4)} an hour{_of_plan(asked)}", _COMMITTED
    elif any(usage.plan_usd is not None for usage in usages):
        what, risk = "nothing runs for so many hours that a commitment pays", ""
    elif usages:
        what, risk = "its rates are not known, and what is not known is no saving", ""
    else:
        what, risk = "nothing of the plan runs on demand", ""
    return Step(name=STEPS[4], saves_usd=saves, left_usd=before - saves, what=what, risk=risk)


def _of_plan(asked: Asked) -> str:
    return f" ({asked.savings_plan})" if asked.savings_plan else ""


def _duration_curve(asked: Asked, workload: Workload) -> Iterator[Segment]:
    """Yield the month as a load-duration curve: hours in which the same instances run on demand, the most of them first.

    When in a month an instance runs is not said. So those that run longer run whenever a shorter one does, which is the worst
    for a commitment: of all ways to lay the same hours, it has the most of them above any level. What is saved is a least.
    """
    month = workload.month_hours
    running: list[tuple[Decimal, Usage]] = []
    for item in workload.instances:
        price = asked.catalogue.price(item.type, item.region)
        if item.market == "on-demand" and price is not None:
            each = min(hours_of(item, workload) / item.count, month)
            plan = asked.savings_rates.get((item.type, item.region))
            usage = Usage(name=item.name, on_demand_usd=price.usd_per_hour, plan_usd=plan, count=item.count)
            running.append((each, usage))
    before = Decimal(0)
    for end in sorted({*(hours for hours, _ in running), month}):
        if end > before:
            usages = tuple(usage for hours, usage in running if hours >= end)
            yield Segment(hours=end - before, usages=usages)
        before = end


def _free(asked: Asked, kept: Workload, answer: Answer, before: Decimal) -> Step:
    """Return the step from disks that stay while their instance is off, as today, to those that go with it."""
    freed = "" if asked.compute_only else clean_up(kept)[1]
    saves = (bill_of(asked, kept).usd or Decimal(0)) - answer.usd
    none = "disks are not counted" if asked.compute_only else "no disk stays while its instance is off"
    what, risk = freed or none, _FREED if freed else ""
    return Step(
        name=STEPS[5],
        saves_usd=saves,
        left_usd=before - saves,
        what=what,
        risk=risk,
        workload=answer.workload,
    )


def _cut(answer: Answer) -> str:
    """Say what is on spot in a plan."""
    return "; ".join(
        f"{way.job} on {type_of(way.machine)}, {format_amount(way.hours, most=1)} hours with its interruptions"
        for way in answer.plan.alone
        if way.spot is not None
    )


def _no_spot(choice: Choice, answer: Answer) -> tuple[str, str]:
    """Say why nothing moves to spot, at no risk."""
    if any(way.spot is not None for way in answer.plan.alone):
        return "what can be interrupted is on spot already", ""
    said = next((note for note in choice.notes if note.startswith("spot was not")), "")
    said = said or "; ".join(note for note in choice.load.notes if note.endswith("spot is no option for it"))
    return said or "nothing can be interrupted, or spot is not cheaper for it", ""


def _cut_risk(asked: Asked) -> str:
    every = asked.workload.spot.interrupted_every_seconds or Decimal(0)  # without it, nothing is on spot
    return f"a run is interrupted every {float(every / 3600):g} hours on average, and may have to wait for an instance"
