"""Resume a run: another attempt of the same script on the same data, where it finds the checkpoints of the one before."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from launchbay.errors import Conflict, NotFound, UsageError
from launchbay.files import locked
from launchbay.images.image import find_image
from launchbay.lifecycle.bay import Bay, image_of
from launchbay.onboard.process import identify, process_alive
from launchbay.planning.decide import select_one
from launchbay.planning.fleet import Instance
from launchbay.providers.environment import environments
from launchbay.providers.processes import run_processes
from launchbay.runs.data import changed_data, describe_data
from launchbay.runs.end import settle_run
from launchbay.runs.start import Start, check_time_limit, held, start_attempt
from launchbay.store.records import Run, find_run, write_run
from launchbay.units import count_of, format_bytes

__all__ = ["refuse_unless_over", "resume_run"]

_POLL_S = 0.1
_SUPERVISOR_POLLS = 50


def resume_run(bay: Bay, reference: str, *, instance: str | None = None, timeout_s: float | None = None) -> Run:
    """Start another attempt of a run that ended without being done; return once it runs.

    It runs in its own instance, or in another one on the same image. Whether anything of it still runs, and what of it
    is left, is looked at now. Raises Conflict (it goes on, it is done, another image), NotFound (no such run, its
    folder, data or instance is gone), UsageError (its arguments cannot be known again).
    """
    check_time_limit(timeout_s)
    with locked(bay.home.lock("resume")):  # whoever comes second finds it running
        run = find_run(bay.home, reference)
        refuse_unless_over(bay, run)
        run = settle_run(run)
        chosen = _choose(bay, run, instance)
        _refuse_if_changed(run)
        with held(bay, chosen) as now:
            env = _find_env(bay, run, now)
            _tell_what_is_left(bay, run)
            return _start(bay, now, run, env, timeout_s)


def refuse_unless_over(bay: Bay, run: Run) -> None:
    """Raise Conflict for a run that goes on, or of which something does, and for one that is done."""
    for _ in range(_SUPERVISOR_POLLS):  # a run is over a moment before its supervisor is
        if not (run.is_over and process_alive(run.supervisor)):
            break
        bay.clock.sleep(_POLL_S)
    if not run.is_over:
        raise Conflict(f"{run.id} still goes on", hint=f"bay logs {run.id} -f, or first: bay stop {run.id}")
    if run_processes(run.id):
        raise Conflict(f"something of {run.id} still runs", hint=f"bay stop {run.id}")
    if run.state == "done":
        raise Conflict(
            f"{run.id} is done: there is nothing to resume", hint="bay train INSTANCE SCRIPT begins a new run"
        )


def _choose(bay: Bay, run: Run, name: str | None) -> Instance:
    """Return the instance that was asked for, or the one in which the run was last, even if others have its name now."""
    observed = bay.provider.observe()
    if name is not None:
        return select_one(observed, name)
    for instance in observed:
        if instance.id == run.instance_id:
            return instance
    fit = [instance.name for instance in observed if instance.digest == run.digest]
    hint = (
        f"bay train {fit[0]} --resume {run.id}"
        if fit
        else f"bay launch {run.image}, then bay train INSTANCE --resume {run.id}"
    )
    raise NotFound(f"{run.instance}, in which {run.id} ran, is gone", hint=hint)


def _find_env(bay: Bay, run: Run, instance: Instance) -> str:
    """Name the instance's environment that is of the image in which the run began. Raises Conflict when none is."""
    there = environments(instance.root, image_of(bay, instance))
    for environment in there:
        if environment.image.digest == run.digest:
            return environment.image.name
    now = ", ".join(f"{item.image.name} {item.image.digest[:12]}" for item in there)
    image = run.digest[:12] if find_image(bay.home, run.digest) else run.image  # what is not built has no digest yet
    raise Conflict(
        f"{run.id} ran on the image {run.image} {run.digest[:12]}, and {instance.name} stands on {now}",
        hint=f"bay launch {image} --name again, then bay train again --resume {run.id}",
    )


def _refuse_if_changed(run: Run) -> None:
    """Refuse to go on with another script, other arguments or other data than the run began with."""
    script = run.work / Path(run.script).name
    if not script.is_file():
        raise NotFound(f"the script of {run.id} is gone", where=str(script), hint="train it anew")
    if "\ufffd" in "".join([run.script, run.data or "", *run.args]):
        what = f"{run.id} was given names that are no UTF-8 text, and its record does not hold them"
        raise UsageError(what, hint="train it anew")
    if run.data is None:
        return
    if not Path(run.data).is_dir():
        raise NotFound(f"the data of {run.id} is gone", where=run.data, hint="put it back, or train anew")
    if changed := changed_data(run.data_files, describe_data(Path(run.data))):
        names = ", ".join(changed[:3]) + (", ..." if changed[3:] else "")
        raise Conflict(
            f"the data of {run.id} is not what it began with: {names}",
            where=run.data,
            hint="put it back, or train anew",
        )


def _tell_what_is_left(bay: Bay, run: Run) -> None:
    sizes = run.checkpoint_sizes
    before = "the first attempt" if run.attempt == 1 else f"{run.attempt} attempts"
    if sizes:
        found = f"{count_of(len(sizes), 'file')}, {format_bytes(sum(sizes))}"
        bay.reporter.note(f"{run.checkpoints} holds what {before} left there: {found}")
    else:
        bay.reporter.note(f"no checkpoint was left by {before}: it starts from the beginning")


def _start(bay: Bay, instance: Instance, run: Run, env: str, timeout_s: float | None) -> Run:
    number = run.attempt + 1

    def prepare(draft: Path) -> None:
        run.checkpoints.mkdir(exist_ok=True)
        draft.mkdir(parents=True)
        write_run(draft, _record(bay, instance, _head_log(run, f"{run.id}: attempt {number}, in {instance.name}")))

    script = Path(run.script).name
    start = Start(
        run=run.folder,
        attempt=run.folder / "attempts" / str(number),
        script=script,
        args=run.args,
        timeout_s=timeout_s,
        env=env,
        since=run.created_at,
    )
    return start_attempt(bay, instance, start, prepare, {"script": run.script, "attempt": number})


def _record(bay: Bay, instance: Instance, log_start: int) -> dict[str, Any]:
    return {
        "version": 1,
        "instance": instance.name,
        "instance_id": instance.id,
        "fleet": instance.fleet,
        "created_at": bay.clock.now(),
        "log_start": log_start,
        "client": identify(os.getpid()),
    }


def _head_log(run: Run, words: str) -> int:
    """Write a line into the log where the next attempt begins; return where that is."""
    with run.log.open("a+b") as log:
        if log.tell():
            log.seek(-1, os.SEEK_END)
            log.write(b"" if log.read(1) == b"\n" else b"\n")
        log.write(f"--- {words} ---\n".encode())
        return log.tell()
