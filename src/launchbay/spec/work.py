"""What has to be done: jobs that run and end, endpoints that stand and answer. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from launchbay.errors import UsageError
from launchbay.spec.document import Document
from launchbay.spec.names import read_name
from launchbay.spec.needs import Measure, Needs, read_needs
from launchbay.spec.quantity import read_count, read_seconds
from launchbay.spec.schedule import ALWAYS, Hours, Runs, read_hours, read_runs
from launchbay.units import format_duration

__all__ = ["WORK_FIELDS", "Endpoint", "Job", "read_endpoints", "read_jobs"]

WORK_FIELDS: dict[str, str] = {
    "jobs": "what runs and ends, a list",
    "jobs.name": "what it is called; `runs` of an instance says it",
    "jobs.needs": "what it needs of a machine",
    "jobs.hours": "how long one run takes, such as 12 or 90m (default: as long as the run that it is `like`)",
    "jobs.runs": "how often it runs, `4 a week`",
    "jobs.cron": "how often it runs, as a line of cron; counted as its average over the calendar's 400 years",
    "jobs.timezone": "the timezone of the cron line; it changes no count",
    "jobs.instances": "how many instances a run takes at a time (default: 1)",
    "jobs.interruptible": "whether it can be cut off and go on from its checkpoint (default: false)",
    "jobs.checkpoint": "how long saving a checkpoint takes, such as 30s",
    "jobs.restart": "how long it takes to go on from a checkpoint, such as 3m",
    "jobs.deadline": "how long after its start a run has to be done",
    "endpoints": "what stands and answers, a list",
    "endpoints.name": "what it is called; `runs` of an instance says it",
    "endpoints.needs": "what each replica needs of a machine",
    "endpoints.replicas": "how many stand at a time, each on an instance of its own (default: 1)",
    "endpoints.hours": "how long it stands, `always`, `10h a day` or `24h a month` (default: always)",
}
"""Every field of `jobs` and `endpoints`, with its meaning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What runs and ends; durations in seconds, None where nothing was said. `where` is its file and line."""

    name: str
    run_seconds: Decimal
    runs: Runs
    needs: Needs = field(default_factory=Needs)
    instances: int = 1
    interruptible: bool = False
    checkpoint_seconds: Decimal | None = None
    restart_seconds: Decimal | None = None
    deadline_seconds: Decimal | None = None
    where: str = field(default="", compare=False)

    def hours_in(self, month_hours: Decimal) -> Decimal:
        """Return how many instance-hours its runs take in a month."""
        return self.runs.in_month(month_hours) * self.instances * self.run_seconds / 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """What stands and answers. `where` is its file and line."""

    name: str
    needs: Needs = field(default_factory=Needs)
    replicas: int = 1
    hours: Hours = ALWAYS
    where: str = field(default="", compare=False)


def read_jobs(document: Document, measure: Measure | None = None) -> tuple[Job, ...]:
    """Read `jobs`. Raises UsageError naming file, line and field."""
    return tuple(_read_job(entry, measure) for entry in document.documents("jobs"))


def _read_job(entry: Document, measure: Measure | None) -> Job:
    needs = read_needs(entry.document("needs"), measure)
    interruptible = entry.flag("interruptible", default=False)
    job = Job(
        name=read_name(entry, "job"),
        runs=read_runs(entry),
        needs=needs,
        instances=read_count(entry, "instances", 1),
        interruptible=interruptible,
        checkpoint_seconds=read_seconds(entry, "checkpoint"),
        restart_seconds=read_seconds(entry, "restart"),
        deadline_seconds=read_seconds(entry, "deadline"),
        run_seconds=_read_run_seconds(entry, needs),  # last: a field that was mistyped may be why it is not there
        where=entry.where("name"),
    )
    entry.finish()  # before the rules: a field that was mistyped may be why one is broken
    for name in ("checkpoint", "restart"):
        if entry.has(name) and not interruptible:
            what = f"{name} says what an interruption costs, and {job.name} cannot be interrupted"
            raise UsageError(what, where=entry.where(name), hint="interruptible: true")
    if job.deadline_seconds is not None and job.deadline_seconds < job.run_seconds:
        takes, least = format_duration(float(job.run_seconds)), entry.typed("deadline")
        what = f"a run of {job.name} takes {takes}, so it cannot be done within {least}"
        raise UsageError(what, where=entry.where("deadline"), hint=f"deadline: {takes.replace(' ', '')} or more")
    return job


def _read_run_seconds(entry: Document, needs: Needs) -> Decimal:
    """Read how long a run takes, or took; a number without a unit is hours, as the field's name says."""
    text = entry.typed("hours")
    if not text and needs.measured is not None:
        return needs.measured.seconds
    if not text:
        entry.finish()
        what = "a job must say how long a run takes"
        if needs.like:
            what += f": the run that it is like, {needs.like}, is not here"
        raise UsageError(what, where=entry.where("name"), hint="hours: 12")
    seconds = read_seconds(entry, "hours", plain_unit="h")
    if not seconds:
        raise UsageError(f"hours must be above 0, got {text!r}", where=entry.where("hours"), hint="hours: 12")
    return seconds


def read_endpoints(document: Document, month_hours: Decimal, measure: Measure | None = None) -> tuple[Endpoint, ...]:
    """Read `endpoints`. Raises UsageError naming file, line and field."""
    endpoints = []
    for entry in document.documents("endpoints"):
        endpoints.append(
            Endpoint(
                name=read_name(entry, "endpoint"),
                needs=read_needs(entry.document("needs"), measure),
                replicas=read_count(entry, "replicas", 1),
                hours=read_hours(entry, month_hours),
                where=entry.where("name"),
            )
        )
        entry.finish()
    return tuple(endpoints)
