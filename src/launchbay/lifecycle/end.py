"""Stop, start and terminate; each the same road as a launch, with another wish."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from launchbay.errors import Conflict, NotFound, UsageError
from launchbay.files import locked
from launchbay.jsonable import fields_of
from launchbay.lifecycle.bay import Bay, fleet_names
from launchbay.planning.decide import plan_power, plan_terminate, select
from launchbay.planning.fleet import Instance, Plan, look
from launchbay.providers.base import CanStop
from launchbay.store.authorized import remove_entries
from launchbay.store.journal import Journal, open_journal
from launchbay.store.person import find_owner
from launchbay.store.service import forget_services
from launchbay.store.spent import Spent, add_up, note_spent, spent_now

__all__ = ["Ended", "change_power", "plan_end", "terminate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What was done: names of the instances, processes ended, and what of it still costs money (nothing, locally).

    `state` is what it is in now; `changed` is false when all of it was so already. Of a fleet that ended, `spent` says what
    each of its instances cost since it was launched, those included that were gone before.
    """

    verb: str
    names: Sequence[str]
    processes_ended: int = 0
    state: str = ""
    changed: bool = True
    still_costs: Sequence[Mapping[str, Any]] = ()
    usd_per_day: str = "0.00"
    spent: Sequence[Spent] = ()

    def as_json(self) -> Mapping[str, Any]:
        """Return its fields, with what was spent added up; null is unknown."""
        sums = {
            "cost_so_far": add_up(item.usd for item in self.spent),
            "cost_elsewhere": add_up(item.usd_elsewhere for item in self.spent),
        }
        return {**fields_of(self), **sums}


def plan_end(bay: Bay, name: str) -> Plan:
    """Return what terminating `name` would do; nothing, when it is gone already. Raises NotFound for what never was."""
    try:
        return plan_terminate(select(bay.provider.observe(), name))
    except NotFound:
        with open_journal(bay.home.journal, bay.clock, bay.reporter.note, frees=True) as journal:
            if not _was_meant(journal, name):
                raise
        return plan_terminate(())


def change_power(bay: Bay, verb: str, name: str) -> Ended:
    """Stop, start or reboot a fleet or an instance. Idempotent: one that is in that state already is left so."""
    instances = select(bay.provider.observe(), name)
    provider = bay.provider
    if not isinstance(provider, CanStop):
        raise UsageError(f"{provider.name} instances cannot be stopped and started", hint=f"bay terminate {name}")
    ended = 0
    plan = plan_power(verb, instances)
    with (
        _holding(bay, fleet_names(instances)),
        open_journal(bay.home.journal, bay.clock, bay.reporter.note, frees=verb != "start") as journal,
    ):
        if look(_standing(bay, name)) != plan.saw:
            raise Conflict(f"{name!r} changed meanwhile", hint="the same command again")
        operation = journal.begin(verb, name, {"names": [item.name for item in instances]})
        for action in plan.actions:
            with journal.step(operation, action.verb, names=list(action.names)) as result:
                if action.verb == "stop":
                    ended += provider.stop(instances)
                else:
                    provider.start(instances)
                result["processes_ended"] = ended
        journal.end(operation, "done")
    state = {"stop": "stopped", "start": "running", "reboot": "running"}[verb]
    return Ended(
        verb=verb,
        names=[item.name for item in instances],
        processes_ended=ended,
        state=state,
        changed=verb == "reboot" or bool(ended) or any(item.state != state for item in instances),
    )


def terminate(bay: Bay, name: str, plan: Plan | None = None) -> Ended:
    """End a fleet or an instance for good: processes, layer, home and working folder. Runs, logs and models stay.

    One that is gone already, or whose launch or terminate was cut off before anything of it was to be seen, is fine.
    """
    plan = plan or plan_end(bay, name)
    with (
        open_journal(bay.home.journal, bay.clock, bay.reporter.note, frees=True) as journal,
        _holding(bay, fleet_names(_standing(bay, name)) or [name]),
    ):
        spent: list[Spent] = []
        instances = _standing(bay, name)
        if instances and look(instances) != plan.saw:
            raise Conflict(f"{name!r} changed since the plan was shown", hint="the same command again")
        if instances:
            operation = journal.begin("terminate", name, {"ids": [item.id for item in instances]})
            with journal.step(operation, "delete", names=[item.name for item in instances]):
                _shut_out(instances)
                spent += _note_spent(bay, instances)
                bay.provider.delete(instances)
                forget_services(bay.home, {item.id for item in instances})
            journal.end(operation, "done")
        _close_cut_off(bay, journal, name)
    bay.provider.sweep()
    names = [item.name for item in instances]
    return Ended(verb="terminate", names=names, state="terminated", changed=bool(instances), spent=spent)


def _note_spent(bay: Bay, ending: Sequence[Instance]) -> Iterator[Spent]:
    """Write down what is about to end cost, before nobody can tell any more; yield that, and what its fleet spent before."""
    ids = {instance.id for instance in ending}
    observed, now = bay.provider.observe(), bay.clock.now()
    for fleet in fleet_names(ending):
        members = [instance for instance in ending if instance.fleet == fleet]
        staying = [item for item in observed if item.fleet == fleet and item.id not in ids]
        try:
            yield from note_spent(bay.home, fleet, members, staying=staying, now=now)
        except OSError as error:  # nobody is kept from ending what costs
            bay.reporter.note(f"What it cost could not be written down: {(error.strerror or str(error)).lower()}.")
            yield from (spent_now(item, now) for item in members)


def _shut_out(instances: Sequence[Instance]) -> None:
    """Let nobody in any more whom instances were shared with: they know where those lines stand, and are about to go."""
    for instance in instances:
        if owner := find_owner(instance.root):
            remove_entries(owner.authorized_keys, [instance.id])


def _standing(bay: Bay, name: str) -> Sequence[Instance]:
    """Return what answers to `name` now; nothing when all of it is gone."""
    try:
        return select(bay.provider.observe(), name)
    except NotFound:
        return ()


def _was_meant(journal: Journal, name: str) -> bool:
    """Say whether somebody launched or terminated that name, although nothing of it is to be seen."""
    return journal.knows("terminate", name) or bool(journal.unfinished("launch", name))


def _close_cut_off(bay: Bay, journal: Journal, name: str) -> None:
    """End the journal's open operations on a name, those of launches only when nothing of it stands."""
    for verb in ("launch", "terminate", "update"):
        for operation in journal.unfinished(verb, name):
            if verb == "terminate" or not _standing(bay, name):
                journal.end(operation, "terminated")


@contextmanager
def _holding(bay: Bay, fleets: Sequence[str]) -> Iterator[None]:
    """Hold the locks of all fleets concerned, in one order, or say who is in the way."""
    with ExitStack() as stack:
        for fleet in sorted(fleets):
            if not stack.enter_context(locked(bay.home.lock(f"fleet-{fleet}"), wait=False)):
                raise Conflict(
                    f"another command is changing {fleet!r} right now", hint="wait for it, then the same command again"
                )
        yield
