"""Start an attempt of a run: prepare its folder, hand it to a supervisor, and leave nothing half begun."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launchbay.errors import Conflict, LaunchbayError, NotFound, UsageError
from launchbay.files import explain_os_error, locked, remove_tree, write_json
from launchbay.lifecycle.bay import Bay, connect, python_of
from launchbay.onboard.result import free_room
from launchbay.planning.fleet import Instance
from launchbay.providers.processes import RUN_MARK
from launchbay.runs.end import end_run_processes
from launchbay.store.journal import open_journal
from launchbay.store.records import Run, read_run
from launchbay.transport.onboard import install_onboard, parse_answer

__all__ = ["CHECKPOINT_VARIABLE", "Start", "check_time_limit", "held", "read_again", "start_attempt"]

CHECKPOINT_VARIABLE = "LAUNCHBAY_CHECKPOINT_DIR"
"""The variable that names the folder in which a script may keep checkpoints, from attempt to attempt."""

_LONGEST_S = 365 * 86_400.0


def check_time_limit(seconds: float | None) -> None:
    """Raise UsageError for a time limit that is none."""
    if seconds is not None and not 0 < seconds <= _LONGEST_S:
        raise UsageError(
            f"a time limit must be more than 0 and at most 365 days, got {seconds:g} s", hint="--timeout 90s, 15m or 8h"
        )


@contextlib.contextmanager
def held(bay: Bay, instance: Instance) -> Iterator[Instance]:
    """Give the instance as it is now, and let nobody stop or terminate it meanwhile. Raises Conflict when it is gone."""
    with locked(bay.home.lock(f"fleet-{instance.fleet}"), shared=True):
        now = next((item for item in bay.provider.observe() if item.id == instance.id), None)
        if now is None:
            raise Conflict(f"{instance.name} was terminated meanwhile", hint="bay ps")
        yield now


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What is to be started: `attempt` is the folder that its supervisor writes into, of the first attempt the run's own.

    `env` names the environment, where the instance has several. `since` (seconds since 1970) is when the run began: what
    changed later, some attempt of it made.
    """

    run: Path
    attempt: Path
    script: str
    args: Sequence[str]
    timeout_s: float | None
    env: str | None = None
    since: float | None = None


def start_attempt(
    bay: Bay, instance: Instance, start: Start, prepare: Callable[[Path], None], wish: Mapping[str, Any]
) -> Run:
    """Let `prepare` fill a draft, make it the attempt's folder, start the script there; return once it runs."""
    transport, python = connect(bay, instance, start.env), python_of(bay, instance, start.env)
    identity = start.run.name
    folder = start.attempt
    with open_journal(bay.home.journal, bay.clock, bay.reporter.note) as journal:
        operation = journal.begin("train", identity, {"instance": instance.name, **wish})
        # of its own name: that of an attempt which was killed meanwhile may still lie there
        draft = bay.home.tmp / f"new-{identity}-{operation.id}"
        try:
            # the lock tells every sweep that drafts are not left over, but being made
            with journal.step(operation, "prepare"), locked(bay.home.lock("create"), shared=True):
                prepare(draft)
                folder.parent.mkdir(parents=True, exist_ok=True)
                draft.rename(folder)
            with journal.step(operation, "start") as result:
                done = transport.start(
                    [python, str(install_onboard(bay.home)), "supervise"],
                    data=json.dumps(_request(start, python)).encode(),
                    errors=str(folder / "supervisor.log"),
                    variables={RUN_MARK: identity},
                )
                words = (folder / "supervisor.log").read_bytes()
                result["pid"] = parse_answer(done.stdout, what="the supervisor", words=words, code=done.code)["pid"]
        except BaseException as error:
            try:
                journal.end(operation, "failed")  # first: ending processes takes its time, and may go wrong
            finally:
                with contextlib.suppress(OSError):  # a sweep finds what is left of it
                    remove_tree(draft)
                _give_up(bay, start, error)
            if isinstance(error, OSError):
                raise explain_os_error(error, f"starting {start.script}") from error
            raise
        journal.end(operation, "done")
    return read_again(start.run)


def read_again(folder: Path) -> Run:
    """Read a run that was there a moment ago. Raises NotFound when somebody, or its own script, removed its folder."""
    try:
        return read_run(folder)
    except FileNotFoundError as error:
        raise NotFound(f"the folder of {folder.name} is gone", where=str(folder), hint="bay runs") from error


def _request(start: Start, python: str) -> dict[str, Any]:
    # Python would take a name such as -x.py for options of its own
    script = f"./{start.script}" if start.script.startswith("-") else start.script
    checkpoints = start.run / "checkpoints"
    return {
        "v": 1,
        "folder": str(start.attempt),
        "work": str(start.run / "work"),
        "log": str(start.run / "output.log"),
        "since": start.since,
        "argv": [python, script, *start.args],
        "env": {"PYTHONUNBUFFERED": "1", RUN_MARK: start.run.name, CHECKPOINT_VARIABLE: str(checkpoints)},
        "timeout_s": start.timeout_s,
    }


def _give_up(bay: Bay, start: Start, error: BaseException) -> None:
    """End what was started of an attempt that could not be, and write down how it ended: nobody else will."""
    if not start.attempt.exists():
        return
    identity = start.run.name
    is_interrupted = isinstance(error, KeyboardInterrupt)
    why = error.what if isinstance(error, LaunchbayError) else error
    what = "interrupted while it was starting" if is_interrupted else f"could not be started: {why}"
    is_ended = False
    try:
        with contextlib.suppress(LaunchbayError, OSError):  # noted below: the first error is the one that counts
            end_run_processes(bay, identity)
            is_ended = True
    finally:
        with contextlib.suppress(OSError):  # a full disk, say: again the first error is the one that counts
            _write_end(start.attempt, "stopped" if is_interrupted else "failed", what)
        if is_interrupted or not is_ended:
            rest = "nothing of it runs" if is_ended else f"something of it may still run: bay stop {identity}"
            bay.reporter.note(f"{identity} {'was ' if is_interrupted else ''}{what}; {rest}")


def _write_end(folder: Path, state: str, what: str) -> None:
    free_room(str(folder))
    if not (folder / "result.json").exists():
        result = {"state": state, "exit_code": None, "signal": None, "notes": [what]}
        write_json(folder / "result.json", result, durable=True)
