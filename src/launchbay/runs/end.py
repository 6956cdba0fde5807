"""The end of a run that did not come by itself: it is stopped, or its supervisor is gone and cannot see to it."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Any

from launchbay.errors import Conflict, LaunchbayError
from launchbay.files import read_json, write_json
from launchbay.lifecycle.bay import Bay
from launchbay.onboard.artifacts import snapshot, take_stock
from launchbay.onboard.process import process_alive
from launchbay.onboard.result import free_room
from launchbay.providers.processes import RUN_MARK, end_marked, run_processes
from launchbay.store.records import Run, read_run

__all__ = ["end_run_processes", "settle_run", "stop_run"]

_POLL_S = 0.2
_STOP_POLLS = 150


def end_run_processes(bay: Bay, identity: str) -> None:
    """End all that runs of a run (SIGTERM, then SIGKILL). Raises LaunchbayError when something goes on all the same."""
    end_marked([f"{RUN_MARK}={identity}"], tell=bay.reporter.event)


def stop_run(bay: Bay, run: Run) -> Run:
    """Ask a run to stop (SIGTERM, SIGKILL ten seconds later) and wait until nothing of it runs.

    A script whose supervisor was killed is stopped too, and what it made is looked at. Raises Conflict for a run that is
    on another machine.
    """
    if run.afar:
        raise Conflict(f"{run.id} is on {run.afar}, and is stopped there", hint=f"bay stop {run.id} on {run.afar}")
    is_asked = False
    for _ in range(_STOP_POLLS):
        run = read_run(run.folder)
        is_alive = process_alive(run.supervisor)
        # the result is written a moment before the supervisor itself is gone; a run that was stopped has no processes
        if run.is_over and not is_alive:
            break
        if is_alive and not is_asked and run.supervisor is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(run.supervisor["pid"]), signal.SIGTERM)
            is_asked = True
        bay.clock.sleep(_POLL_S)
    else:
        raise LaunchbayError(f"{run.id} did not stop within 30 s", hint=f"bay logs {run.id}")
    end_run_processes(bay, run.id)
    return settle_run(run)


def settle_run(run: Run) -> Run:
    """Look at what a run made whose supervisor is gone and could not; any other comes back as it is.

    Raises Conflict while its script goes on: what it makes is not whole yet.
    """
    if not run.is_over or run.has_stock:
        return run
    if run_processes(run.id):
        raise Conflict(f"{run.id} has lost its supervisor, and its script goes on", hint=f"bay stop {run.id}")
    brought = snapshot(str(run.work), until=run.created_at)
    result = {**_ended(run), **take_stock(str(run.work), brought)}
    write_json(run.attempt_folder / "result.json", result, durable=True)
    free_room(str(run.attempt_folder))
    return read_run(run.folder)


def _ended(run: Run) -> dict[str, Any]:
    """Return how the run ended, as far as its supervisor came to write it down."""
    try:
        result = read_json(run.attempt_folder / "result.json")
    except FileNotFoundError:
        return {"state": "lost", "exit_code": None, "signal": None}
    return {name: value for name, value in result.items() if name != "taking_stock"}
