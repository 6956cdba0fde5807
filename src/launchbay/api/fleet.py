"""Instances: launch, verify, work in, stop, terminate."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from launchbay.api.place import regions_of
from launchbay.cloud.end import CloudEnded, CloudEndPlan, end_cloud, plan_end_cloud
from launchbay.cloud.fleet import CloudFleet, list_fleets
from launchbay.cloud.power import CloudPower, change_cloud_power
from launchbay.cloud.proof import verify_far
from launchbay.cloud.standing import FarInstance, find_far, find_one_far
from launchbay.cloud.training import is_far, stop_far
from launchbay.cloud.update import FarUpdate, update_far
from launchbay.cloud.work import copy_far, execute_far, shell_far
from launchbay.errors import Conflict, NotFound, StateError, UsageError
from launchbay.lifecycle.bay import Bay, connect, image_of
from launchbay.lifecycle.cloud import CLOUDS
from launchbay.lifecycle.elsewhere import note_elsewhere
from launchbay.lifecycle.end import Ended, change_power, plan_end
from launchbay.lifecycle.end import terminate as end_local
from launchbay.lifecycle.launch import Launch, launch_fleet
from launchbay.lifecycle.update import Update, update_fleet
from launchbay.lifecycle.verify import Verification, verify_instances
from launchbay.planning.decide import select, select_one
from launchbay.planning.fleet import Instance, Plan
from launchbay.ports import Event
from launchbay.providers.layer import find_layer
from launchbay.providers.processes import run_processes
from launchbay.providers.resources import give_parts, look_at_machine, part_of, say_parts
from launchbay.runs.end import stop_run
from launchbay.spec.names import LATEST, instance_names, is_run_id
from launchbay.spec.resources import Resources
from launchbay.store.records import Run, find_run
from launchbay.transport.base import Transport

if TYPE_CHECKING:
    from launchbay.cloud.extend import Extended

__all__ = [
    "copy",
    "execute",
    "extend",
    "launch",
    "reboot",
    "shell",
    "start",
    "stop",
    "terminate",
    "terminate_plan",
    "update",
    "verify",
]


def launch(
    bay: Bay,
    image: str,
    *,
    count: int = 1,
    name: str | None = None,
    overlay: bool = False,
    accelerator: str = "auto",
    resources: Resources | None = None,
) -> Launch:
    """Launch `count` identical instances, building the image if it is missing; all of them or none.

    With `overlay` each sees a whole environment of its own, from which it can also remove packages of the image; that
    needs Linux and the right to mount (Conflict without). `accelerator` is ``cpu``, ``cuda``, or ``auto``: CUDA where the
    machine has an NVIDIA GPU and the recipe a CUDA lock. With `resources` each gets its part of the machine.
    """
    layer = "overlay" if overlay else "layer"
    taken = [fleet.name for fleet in list_fleets(bay.home)]
    clash = [item for item in (name, *instance_names(name, count)) if item in taken] if name is not None else []
    if name is not None and (clash or find_far(bay, name)):
        raise Conflict(f"the name {[*clash, name][0]!r} is taken by a fleet on EC2", hint="another --name")
    machine = look_at_machine(bay.environ) if resources else None
    if resources and machine:
        part_of(machine, 0, resources)  # refused before anything is made
    launched = launch_fleet(bay, image, count=count, name=name, layer=layer, accelerator=accelerator, taken=taken)
    if resources and machine:
        parts = give_parts(launched.instances, resources, machine)
        names = [item.name for item in launched.instances]
        launched = replace(launched, parts=say_parts(dict(zip(names, parts, strict=True)), machine))
    # of all, not only of those just made: a launch that was killed before it came here is given again
    return replace(launched, elsewhere=note_elsewhere(bay, launched.instances, region=regions_of(bay, ())[0]))


def update(bay: Bay, fleet: str, image: str) -> Update | FarUpdate:
    """Move a standing fleet to another image, all of it or nothing; homes, working folders and runs stay."""
    if find_far(bay, fleet):
        return update_far(bay, fleet, image)
    return update_fleet(bay, fleet, image)


def verify(bay: Bay, name: str) -> Verification:
    """Prove that the instances of a fleet are identical; names the odd one and what differs."""
    if fars := find_far(bay, name):
        return verify_far(bay, fars)
    instances = select(bay.provider.observe(), name)
    progress = Event(task=f"verify {name}", total=len(instances), unit="instances")
    bay.reporter.event(progress)
    images = len({item.digest for item in instances})
    hashing = Event(task=f"hash the image of {name}", total=images, unit="images")
    seen = itertools.count(1)  # from several threads at once

    def tell() -> None:
        done = next(seen)
        bay.reporter.event(replace(progress, done=done, finished=done == len(instances)))
        if done == len(instances):
            bay.reporter.event(hashing)  # what comes next, and takes longer

    proof = verify_instances(bay, instances, full=True, told=tell)
    bay.reporter.event(replace(hashing, done=images, finished=True))
    return proof


def execute(
    bay: Bay, name: str, command: Sequence[str], *, capture: bool = False, env: str | None = None
) -> tuple[int, bytes]:
    """Run a command in an instance, on the caller's terminal or capturing what it prints; return (its code, its output).

    `env` names the environment, where it has several.
    """
    if not command:
        raise UsageError("exec needs a command", hint=f"bay exec {name} -- python -V")
    if far := find_one_far(bay, name):
        return execute_far(bay, far, command, capture=capture, env=env)
    with _inside(bay, name, env) as transport:
        if not capture:
            return transport.attach(command), b""
        done = transport.run(command)
        return (128 - done.code if done.code < 0 else done.code), done.stdout + done.stderr


def shell(bay: Bay, name: str, *, env: str | None = None) -> int:
    """Open a shell in an instance, in its working folder."""
    if far := find_one_far(bay, name):
        return shell_far(bay, far, env=env)
    with _inside(bay, name, env) as transport:
        return transport.attach([bay.environ.get("SHELL") or "/bin/sh"])


@contextlib.contextmanager
def _inside(bay: Bay, name: str, env: str | None) -> Iterator[Transport]:
    """Lend the way into an instance; what a package removed there takes of the image's commands is given back."""
    instance = select_one(bay.provider.observe(), name)
    transport, layer, image = connect(bay, instance, env), find_layer(instance.layer), image_of(bay, instance)
    layer.restore(instance.root, image)
    try:
        yield transport
    finally:
        layer.restore(instance.root, image)


def copy(bay: Bay, source: str, target: str) -> str:
    """Copy a file or folder between here and an instance (``INSTANCE:PATH``); return the instance's name."""
    there, here = (_split_place(bay, source), _split_place(bay, target))
    if (there is None) == (here is None):
        raise UsageError(
            f"exactly one side must be INSTANCE:PATH, got {source} and {target}",
            hint="bay cp notes.txt exp-1:notes.txt",
        )
    place, path = there or here or (None, "")
    assert place is not None
    if isinstance(place, FarInstance):
        far_source, far_target = (path, target) if there else (source, path)
        copy_far(bay, place, far_source, far_target, is_upload=there is None)
    elif there is not None:
        connect(bay, place).get(path, target)
    else:
        connect(bay, place).put(source, path)
    return place.name


def _split_place(bay: Bay, text: str) -> tuple[Instance | FarInstance, str] | None:
    name, colon, path = text.partition(":")
    if not colon or "/" in name:
        return None
    if far := find_one_far(bay, name):
        return far, path or "."
    return select_one(bay.provider.observe(), name), path or "."


def stop(bay: Bay, name: str) -> Ended | CloudPower:
    """Stop a fleet or an instance (all that runs in it ends, its files stay), or a run.

    A run is named by its whole id, the last part of it, or ``latest``; a beginning could be meant for a fleet.
    """
    run = _find_run_to_stop(bay, name)
    if run is None:
        return _change_power(bay, "stop", name)
    if is_far(run):
        return stop_far(bay, run)
    own = run.supervisor["pid"] if run.supervisor else None
    ended = sum(pid != own for pid in run_processes(run.id))
    changed = bool(ended) or not run.is_over  # the script of a lost run may go on
    run = stop_run(bay, run)
    return Ended(verb="stop", names=[run.id], processes_ended=ended, state=run.state, changed=changed)


def _find_run_to_stop(bay: Bay, name: str) -> Run | None:
    if find_far(bay, name) or any(name in (item.fleet, item.name, item.id) for item in bay.provider.observe()):
        return None
    if name == LATEST or is_run_id(name):
        return find_run(bay.home, name)
    with contextlib.suppress(NotFound, UsageError):
        run = find_run(bay.home, name)
        return run if run.id.endswith(f"-{name}") else None
    return None


def start(bay: Bay, name: str) -> Ended | CloudPower:
    """Let a stopped fleet or instance run again."""
    return _change_power(bay, "start", name)


def reboot(bay: Bay, name: str) -> Ended | CloudPower:
    """Stop and start: ends all that runs in it."""
    return _change_power(bay, "reboot", name)


def _change_power(bay: Bay, verb: str, name: str) -> Ended | CloudPower:
    fars = find_far(bay, name)
    return change_cloud_power(bay, verb, fars) if fars else change_power(bay, verb, name)


def extend(bay: Bay, name: str, seconds: float) -> Extended:
    """Let a fleet or an instance on EC2 live for so many seconds from now on, instead of until the end that it has."""
    from launchbay.cloud.extend import extend_lease

    fars = find_far(bay, name)
    if not fars:
        select(bay.provider.observe(), name)  # says what is wrong with the name, if anything is
        raise UsageError(f"{name} is on this machine, and has no lease", hint=f"`bay terminate {name}` ends it")
    return extend_lease(bay, fars, seconds)


def terminate_plan(
    bay: Bay, name: str, *, provider: str | None = None, region: str | None = None
) -> Plan | CloudEndPlan:
    """Return what terminating `name` would do, to be shown and handed to `terminate`.

    A fleet that another machine launched on EC2 is meant by `provider` and `region`. Raises NotFound for what never was.
    """
    fleet = _kept(bay, name, is_said=provider in CLOUDS)
    if fleet is not None and (provider or fleet.provider, region or fleet.region) != (fleet.provider, fleet.region):
        what = f"{name!r} is on {fleet.provider} in {fleet.region}, and not where you say"
        raise NotFound(what, hint=f"`bay terminate {name}` alone means that one")
    if provider in CLOUDS or fleet is not None:
        place = fleet.region if fleet is not None else regions_of(bay, (region,) if region else ())[0]
        found = plan_end_cloud(bay, name, provider=provider if provider in CLOUDS else "", region=place)
        if found is None:
            raise NotFound(f"there is no fleet {name!r} of ours on {provider} in {place}", hint="bay ps; --region R")
        return found
    try:
        return plan_end(bay, name)
    except NotFound:
        found = plan_end_cloud(bay, name)  # a launch that was cut off before anything was kept of it
        if found is None:
            raise
        return found


def _kept(bay: Bay, name: str, *, is_said: bool) -> CloudFleet | None:
    """Return the fleet on EC2 that a name means; where a person says where it is, a record that is damaged is none."""
    try:
        fars = find_far(bay, name)
    except StateError:
        if not is_said:
            raise
        return None
    return fars[0].fleet if fars else None


def terminate(bay: Bay, name: str, plan: Plan | CloudEndPlan | None = None) -> Ended | CloudEnded:
    """End a fleet or an instance for good: processes, home and working folder, or disks. Runs, logs and models stay.

    On EC2 what its runs made is brought here first. One that is gone already is fine.
    """
    plan = plan or terminate_plan(bay, name)
    return end_local(bay, name, plan) if isinstance(plan, Plan) else end_cloud(bay, plan)
