"""Stop, start and terminate; each the same road as a launch, with another wish."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from launchbay.errors import Conflict, NotFound, UsageError
from launchbay.files import locked
from launchbay.lifecycle.bay import Bay, fleet_names
from launchbay.planning.decide import plan_power, plan_terminate, select
from launchbay.planning.fleet import Instance, Plan, look
from launchbay.providers.base import CanStop
from launchbay.store.journal import Journal, open_journal

__all__ = ["Ended", "change_power", "plan_end", "terminate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What was done: names of the instances, processes ended, and what of it still costs money (nothing, locally)."""

    verb: str
    names: Sequence[str]
    processes_ended: int = 0
    still_costs: Sequence[Mapping[str, Any]] = ()
    usd_per_day: str = "0.00"


def plan_end(bay: Bay, name: str) -> Plan:
    """Return what terminating `name` would do."""
    return plan_terminate(select(bay.provider.observe(), name))


def change_power(bay: Bay, verb: str, name: str) -> Ended:
    """Stop, start or reboot a fleet or an instance. Idempotent: one that is in that state already is left so."""
    instances = select(bay.provider.observe(), name)
    provider = bay.provider
    if not isinstance(provider, CanStop):
        raise UsageError(f"{provider.name} instances cannot be stopped and started", hint=f"bay terminate {name}")
    ended = 0
    plan = plan_power(verb, instances)
    with _holding(bay, instances), open_journal(bay.home.journal, bay.clock) as journal:
        operation = journal.begin(verb, name, {"names": [item.name for item in instances]})
        for action in plan.actions:
            with journal.step(operation, action.verb, names=list(action.names)) as result:
                for instance in instances:
                    if action.verb == "stop":
                        ended += provider.stop(instance)
                    else:
                        provider.start(instance)
                result["processes_ended"] = ended
        journal.end(operation, "done")
    return Ended(verb=verb, names=[item.name for item in instances], processes_ended=ended)


def terminate(bay: Bay, name: str, plan: Plan | None = None) -> Ended:
    """End a fleet or an instance for good: processes, layer, home and working folder. Runs, logs and models stay.

    A fleet whose launch or terminate was cut off is ended too, also when nothing of it is to be seen yet.
    """
    with open_journal(bay.home.journal, bay.clock) as journal:
        for note in journal.notes:
            bay.reporter.note(note)
        try:
            instances = select(bay.provider.observe(), name)
        except NotFound:
            if not _close_cut_off(bay, journal, name) and not journal.knows("terminate", name):
                raise
            bay.provider.sweep()
            return Ended(verb="terminate", names=())  # gone already, perhaps by a command that was cut off
        if plan is not None and plan.saw != look(instances):
            raise Conflict(f"{name!r} changed since the plan was shown", hint="the same command again")
        with _holding(bay, instances):
            operation = journal.begin("terminate", name, {"ids": [item.id for item in instances]})
            with journal.step(operation, "delete", names=[item.name for item in instances]):
                bay.provider.delete(instances)
            _close_cut_off(bay, journal, name)
            journal.end(operation, "done")
        bay.provider.sweep()
    return Ended(verb="terminate", names=[item.name for item in instances])


def _close_cut_off(bay: Bay, journal: Journal, name: str) -> bool:
    """End the journal's open operations on a name whose instances are gone; say whether there was one."""
    closed = False
    standing = {item.fleet for item in bay.provider.observe()} | {item.name for item in bay.provider.observe()}
    for verb in ("launch", "terminate"):
        for operation in journal.unfinished(verb, name):
            if name not in standing or verb == "terminate":
                journal.end(operation, "terminated")
                closed = True
    return closed


def _holding(bay: Bay, instances: Sequence[Instance]) -> ExitStack:
    """Hold the locks of all fleets concerned, in one order, or say who is in the way."""
    stack = ExitStack()
    for fleet in sorted(fleet_names(instances)):
        if not stack.enter_context(locked(bay.home.lock(f"fleet-{fleet}"), wait=False)):
            stack.close()
            raise Conflict(
                f"another command is changing {fleet!r} right now", hint="wait for it, then the same command again"
            )
    return stack
