"""Runs: train, list, follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

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

    `env` names the environment, where the instance has several; without it, the one that the script fits best. Raises
    WillFail, before anything is started, when reading the script shows that it is certain to fail there (unless `force`).
    """
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
    resumed = resume_run(bay, run, instance=instance, timeout_s=timeout_s)
    if on_start is not None:
        on_start(resumed)
    if detach:
        return resumed
    return follow_run(bay, resumed, write or _drop, on_interrupt=on_interrupt, skip=resumed.log_start)


def _drop(_: bytes) -> None:
    """Let what a script prints go; it is in its log."""


def list_runs(bay: Bay) -> Sequence[Run]:
    """List all runs, oldest first, those of terminated instances too."""
    return list(records.list_runs(bay.home))


def logs(bay: Bay, run: str, *, write: Callable[[bytes], None], follow: bool = False) -> Run:
    """Pass on what a run printed; with `follow`, until it is over."""
    found = find_run(bay.home, run)
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
