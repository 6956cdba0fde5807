"""Run a person's script as it is: copy its folder, give it its data, start it under the supervisor, follow it."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launchbay.errors import Conflict, LaunchbayError, NotFound, UsageError
from launchbay.files import explain_os_error, locked, remove_tree, sha256_file, write_json
from launchbay.home import new_id
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay, connect, image_of
from launchbay.onboard.process import identify
from launchbay.onboard.result import free_room
from launchbay.planning.fleet import Instance
from launchbay.providers.environment import find_environment
from launchbay.providers.processes import RUN_MARK
from launchbay.runs.end import end_run_processes, stop_run
from launchbay.runs.preview import preview, refuse_in
from launchbay.runs.work import copy_work
from launchbay.store.journal import open_journal
from launchbay.store.records import Run, process_alive, read_run, write_run
from launchbay.transport.onboard import install_onboard, parse_answer

__all__ = ["RunSpec", "find_script", "follow_run", "submit_run"]

_HASHED_BYTES = 256 << 20
_LONGEST_S = 365 * 86_400.0
_POLL_S = 0.2
_LATER_POLL_S = 1.0  # as `tail -f` does: each look costs what waking up costs, and hours have many
_EARLY_LOOKS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """What to run: a script, the folder it finds as ``data/``, its arguments, and seconds after which it is stopped.

    `env` names the environment, where an instance has several.
    """

    script: Path
    data: Path | None = None
    args: Sequence[str] = ()
    timeout_s: float | None = None
    env: str | None = None
    force: bool = False
    """Run it also where it is certain to fail."""


def submit_run(bay: Bay, instance: Instance, spec: RunSpec) -> Run:
    """Start a script in an instance and return once it runs; it goes on whatever happens to us.

    Raises NotFound (no script, no data), UsageError (a folder too large to copy), Conflict (the instance is stopped),
    WillFail (what it does is certain to fail there).
    """
    script = _check(spec)
    foreseen = preview(bay, instance, script, env=spec.env)
    if any(problem.is_sure for problem in foreseen) and not spec.force:
        raise refuse_in(bay, instance, script.name, foreseen, env=spec.env)
    for problem in foreseen:
        bay.reporter.note(f"{problem}\n  Try: {problem.hint}")
    with locked(bay.home.lock(f"fleet-{instance.fleet}"), shared=True):  # nobody stops or terminates it under us
        return _submit(bay, _look_again(bay, instance), spec, script, [str(problem) for problem in foreseen])


def _look_again(bay: Bay, instance: Instance) -> Instance:
    """Return the instance as it is now. Raises Conflict when it was terminated meanwhile."""
    now = next((item for item in bay.provider.observe() if item.id == instance.id), None)
    if now is None:
        raise Conflict(f"{instance.name} was terminated meanwhile", hint="bay ps")
    return now


def _submit(bay: Bay, instance: Instance, spec: RunSpec, script: Path, foreseen: Sequence[str]) -> Run:
    environment = find_environment(instance.root, image_of(bay, instance), spec.env)
    transport, python = connect(bay, instance, spec.env), str(environment.python)
    identity = new_id("run", bay.clock.now())
    draft, final = bay.home.tmp / f"new-{identity}", bay.home.runs / identity
    with open_journal(bay.home.journal, bay.clock, bay.reporter.note) as journal:
        operation = journal.begin("train", identity, {"instance": instance.name, "script": str(script)})
        try:
            # the lock tells every sweep that drafts are not left over, but being made
            with journal.step(operation, "prepare"), locked(bay.home.lock("create"), shared=True):
                copy_work(script, draft / "work", data=spec.data, home=bay.home.root)
                record = _record(bay, instance, environment.image, spec, script)
                write_run(draft, record | {"foreseen": foreseen})
                bay.home.runs.mkdir(parents=True, exist_ok=True)
                draft.rename(final)
            with journal.step(operation, "start") as result:
                request = _request(final, python, spec, script)
                done = transport.start(
                    [python, str(install_onboard(bay.home)), "supervise"],
                    data=json.dumps(request).encode(),
                    errors=str(final / "supervisor.log"),
                    variables={RUN_MARK: identity},
                )
                words = (final / "supervisor.log").read_bytes()
                result["pid"] = parse_answer(done.stdout, what="the supervisor", words=words, code=done.code)["pid"]
        except BaseException as error:
            try:
                journal.end(operation, "failed")  # first: ending processes takes its time, and may go wrong
            finally:
                with contextlib.suppress(OSError):  # a sweep finds what is left of it
                    remove_tree(draft)
                _give_up(bay, final, error)
            if isinstance(error, OSError):
                raise explain_os_error(error, f"starting {script.name}") from error
            raise
        journal.end(operation, "done")
    return read_run(final)


def _give_up(bay: Bay, folder: Path, error: BaseException) -> None:
    """End what was started of a run that could not be, and write down how it ended: nobody else will."""
    if not folder.exists():
        return
    is_interrupted = isinstance(error, KeyboardInterrupt)
    why = error.what if isinstance(error, LaunchbayError) else error
    what = "interrupted while it was starting" if is_interrupted else f"could not be started: {why}"
    is_ended = False
    try:
        with contextlib.suppress(LaunchbayError, OSError):  # noted below: the first error is the one that counts
            end_run_processes(bay, folder.name)
            is_ended = True
    finally:
        with contextlib.suppress(OSError):  # a full disk, say: again the first error is the one that counts
            _write_end(folder, "stopped" if is_interrupted else "failed", what)
        if is_interrupted or not is_ended:
            rest = "nothing of it runs" if is_ended else f"something of it may still run: bay stop {folder.name}"
            bay.reporter.note(f"{folder.name} {'was ' if is_interrupted else ''}{what}; {rest}")


def _write_end(folder: Path, state: str, what: str) -> None:
    free_room(str(folder))
    if not (folder / "result.json").exists():
        result = {"state": state, "exit_code": None, "signal": None, "notes": [what]}
        write_json(folder / "result.json", result, durable=True)


def find_script(path: Path) -> Path:
    """Return the absolute path of a script. Raises NotFound or UsageError when it is none that could be run."""
    script = path.expanduser().absolute()
    if script.is_dir():
        raise UsageError(f"a script must be a file, got the folder {path}", hint=f"{path}/train.py")
    if not script.exists():
        near = sorted(path.name for path in script.parent.glob("*.py"))[:5] if script.parent.is_dir() else []
        raise NotFound(f"there is no script {path}", hint=", ".join(near) or "a path from the current folder")
    if not script.is_file() or _is_stream(script):
        raise UsageError(f"a script must be a regular file, got {path}", hint="write it to a file: train.py")
    return script


def _check(spec: RunSpec) -> Path:
    script = find_script(spec.script)
    if spec.timeout_s is not None and not 0 < spec.timeout_s <= _LONGEST_S:
        raise UsageError(
            f"a time limit must be more than 0 and at most 365 days, got {spec.timeout_s:g} s",
            hint="--timeout 90s, 15m or 8h",
        )
    if spec.data is not None and not spec.data.is_dir():
        raise NotFound(f"there is no data folder {spec.data}", hint="bay fetch URL -o DIR")
    return script


def _is_stream(script: Path) -> bool:
    """Say whether a path stands for what somebody has open (`/dev/stdin`): in the run it would be another file."""
    places = (f"{script.parent.resolve()}/", os.readlink(script) if script.is_symlink() else "")
    return any(place.startswith("/proc/") for place in places)


def _record(bay: Bay, instance: Instance, image: Image, spec: RunSpec, script: Path) -> dict[str, Any]:
    return {
        "version": 1,
        "instance": instance.name,
        "instance_id": instance.id,
        "fleet": instance.fleet,
        "image": image.name,
        "digest": image.digest,
        "script": _text(script),
        "args": [_text(item) for item in spec.args],
        "data": _text(spec.data.expanduser().resolve()) if spec.data else None,
        "data_files": _describe_data(spec.data) if spec.data else {},
        "created_at": bay.clock.now(),
        "client": identify(os.getpid()),
    }


def _text(value: str | Path) -> str:
    """Return a name as a record can hold it: a name on disk may be any bytes, JSON is UTF-8."""
    return os.fsencode(value).decode(errors="replace")


def _describe_data(folder: Path) -> dict[str, dict[str, Any]]:
    """Return size and sha256 of each data file; beyond 256 MiB only sizes, because hashing would hold the start up."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())[:1000]
    sizes = {path: path.stat().st_size for path in paths}
    hashed = sum(sizes.values()) <= _HASHED_BYTES
    return {
        _text(path.relative_to(folder)): {"bytes": size, "sha256": sha256_file(path) if hashed else None}
        for path, size in sizes.items()
    }


def _request(folder: Path, python: str, spec: RunSpec, script: Path) -> dict[str, Any]:
    return {
        "v": 1,
        "folder": str(folder),
        "work": str(folder / "work"),
        # Python would take a name such as -x.py for options of its own
        "argv": [python, f"./{script.name}" if script.name.startswith("-") else script.name, *spec.args],
        "env": {"PYTHONUNBUFFERED": "1", RUN_MARK: folder.name},
        "timeout_s": spec.timeout_s,
    }


def follow_run(bay: Bay, run: Run, write: Callable[[bytes], None], *, on_interrupt: Callable[[], str]) -> Run:
    """Pass on what the script prints until it is over; return the run as it ended.

    `on_interrupt` is asked at Ctrl-C: "stop" ends the script, "detach" leaves it running, anything else goes on.
    """
    with contextlib.ExitStack() as stack:
        log, wait, is_news = None, _watch(bay, run, stack), False
        for look in itertools.count():
            try:
                if log is None and run.log.exists():
                    log = stack.enter_context(run.log.open("rb", buffering=0))
                while log is not None and (chunk := log.read(1 << 16)):
                    write(chunk)
                if is_news:
                    run = _read_again(run)
                    if run.is_over:
                        return run
                    wait = _watch(bay, run, stack)
                is_news = wait(_POLL_S if look < _EARLY_LOOKS else _LATER_POLL_S)
            except KeyboardInterrupt:
                answer = on_interrupt()
                if answer == "stop":
                    run, is_news = stop_run(bay, run), True
                elif answer == "detach":
                    break
    return _read_again(run)


def _watch(bay: Bay, run: Run, stack: contextlib.ExitStack) -> Callable[[float], bool]:
    """Return a way to wait that ends early, and says so, when the run's supervisor does.

    It is one call of the system: whoever only follows must cost next to nothing, and after a nap even a look for a
    file does. Where the system has no such call, or there is no supervisor (yet), every look may be news.
    """

    def nap(seconds: float) -> bool:
        bay.clock.sleep(seconds)
        return True

    if run.supervisor is None or not hasattr(os, "pidfd_open"):
        return nap
    try:
        descriptor = os.pidfd_open(int(run.supervisor["pid"]))
    except OSError:  # it is gone
        return nap
    stack.callback(os.close, descriptor)
    if not process_alive(run.supervisor):  # the number may be another's by now
        return nap
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return lambda seconds: bool(poll.poll(seconds * 1000))


def _read_again(run: Run) -> Run:
    """Read a run that was there a moment ago. Raises NotFound when somebody, or its own script, removed its folder."""
    try:
        return read_run(run.folder)
    except FileNotFoundError as error:
        raise NotFound(f"the folder of {run.id} is gone", where=str(run.folder), hint="bay runs") from error
