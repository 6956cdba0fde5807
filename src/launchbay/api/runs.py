"""Runs: train, list, follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from launchbay.cloud.placing import is_on_s3, refuse_s3_here
from launchbay.cloud.standing import find_one_far
from launchbay.cloud.training import follow_far, is_far, refresh_runs, resume_far, show_log, take_home, train_far
from launchbay.lifecycle.bay import Bay
from launchbay.planning.decide import select_one
from launchbay.providers.processes import run_processes
from launchbay.runs.hints import explain_failure
from launchbay.runs.preview import choose_environment
from launchbay.runs.resume import resume_run
from launchbay.runs.train import RunSpec, find_script, follow_run, submit_run
from launchbay.store import records
from launchbay.store.records import Run, find_run

__all__ = ["explain", "list_runs", "logs", "resume", "train"]


def train(
    bay: Bay,
    instance: str,
    script: str | Path,
    *,
    data: str | Path | None = None,
    args: Sequence[str] = (),
    timeout_s: float | None = None,
    env: str | None = None,
    write: Callable[[bytes], None] | None = None,
    on_interrupt: Callable[[], str] = lambda: "stop",
    on_start: Callable[[Run], None] | None = None,
    detach: bool = False,
    force: bool = False,
) -> Run:
    """Run a script as it is in an instance, and (unless `detach`) pass on what it prints until it ends.

    `data` is a folder here or, for an instance on EC2, one on S3 (``s3://bucket/prefix``), which never comes here. `env`
    names the environment, where the instance has several; without it, the one that the script fits best. Raises
    WillFail, before anything is started, when reading the script shows that it is certain to fail there (unless `force`).
    """
    far = find_one_far(bay, instance)
    if far is not None:
        source = str(data) if data and is_on_s3(str(data)) else ""
        spec = RunSpec(
            script=Path(script),
            data=Path(data) if data and not source else None,
            args=tuple(args),
            timeout_s=timeout_s,
            env=env,
            force=force,
            source=source,
        )
        watched: dict[str, Any] = {"on_interrupt": on_interrupt, "on_start": on_start or _ignore, "detach": detach}
        return train_far(bay, far, spec, write=write or _drop, **watched)
    refuse_s3_here(data)
    standing = select_one(bay.provider.observe(), instance)
    if env is None and (chosen := choose_environment(bay, standing, find_script(Path(script)))):
        bay.reporter.note(f"{Path(script).name} fits {chosen} best of the environments of {standing.name}")
        env = chosen
    spec = RunSpec(
        script=Path(script),
        data=Path(data) if data else None,
        args=tuple(args),
        timeout_s=timeout_s,
        env=env,
        force=force,
    )
    run = submit_run(bay, standing, spec)
    if on_start is not None:
        on_start(run)
    return run if detach else follow_run(bay, run, write or _drop, on_interrupt=on_interrupt)


def resume(
    bay: Bay,
    run: str,
    *,
    instance: str | None = None,
    timeout_s: float | None = None,
    write: Callable[[bytes], None] | None = None,
    on_interrupt: Callable[[], str] = lambda: "stop",
    on_start: Callable[[Run], None] | None = None,
    detach: bool = False,
) -> Run:
    """Start another attempt of a run that was killed, stopped or failed, and follow it as `train` does.

    Script, arguments and data are the run's own. Without `instance` it runs where it ran before.
    """
    found = find_run(bay.home, run)
    far = find_one_far(bay, instance) if instance else None
    if far is not None or (instance is None and is_far(found)):
        watched: dict[str, Any] = {"on_interrupt": on_interrupt, "on_start": on_start or _ignore, "detach": detach}
        return resume_far(bay, found, far, timeout_s=timeout_s, write=write or _drop, **watched)
    if is_far(found):
        select_one(bay.provider.observe(), instance or "")  # before it is one of this machine
        take_home(bay, found, is_moved=True)
    resumed = resume_run(bay, found.id, instance=instance, timeout_s=timeout_s)
    if on_start is not None:
        on_start(resumed)
    if detach:
        return resumed
    return follow_run(bay, resumed, write or _drop, on_interrupt=on_interrupt, skip=resumed.log_start)


def _ignore(_: Run) -> None:
    """Tell nobody that a run has started."""


def _drop(_: bytes) -> None:
    """Let what a script prints go; it is in its log."""


def list_runs(bay: Bay) -> Sequence[Run]:
    """List all runs, oldest first, those of terminated instances too; what is new of those on EC2 is brought first."""
    return refresh_runs(bay, list(records.list_runs(bay.home)))


def logs(bay: Bay, run: str, *, write: Callable[[bytes], None], follow: bool = False) -> Run:
    """Pass on what a run printed; with `follow`, until it is over. One that goes on on EC2 is asked for what is new."""
    found = find_run(bay.home, run)
    if not found.is_over and is_far(found):
        return follow_far(bay, found, write) if follow else show_log(bay, found, write)
    if follow and not found.is_over:
        return follow_run(bay, found, write, on_interrupt=lambda: "detach")
    if found.log.exists():
        with found.log.open("rb") as log:
            while chunk := log.read(1 << 16):
                write(chunk)
    return found


def explain(run: Run) -> str:
    """Say why a run failed and what to do, if its last words tell; empty otherwise."""
    if not run.is_over or run.state == "done":
        return ""
    if run.state == "lost" and run_processes(run.id):
        return f"its supervisor is gone and the script goes on alone: bay stop {run.id}, then it can be resumed"
    tail = b""
    if run.log.exists():
        with run.log.open("rb") as log:
            log.seek(max(run.log_start, run.log.stat().st_size - 8192))
            tail = log.read()
    return explain_failure(
        tail.decode(errors="replace"),
        signal=run.signal,
        state=run.state,
        instance=run.instance,
    )
