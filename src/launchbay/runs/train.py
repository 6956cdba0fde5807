"""Run a person's script as it is: copy its folder, give it its data, start it under the supervisor, follow it."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launchbay.errors import Conflict, LaunchbayError, NotFound, UsageError
from launchbay.files import explain_os_error, locked, remove_tree, sha256_file
from launchbay.home import new_id
from launchbay.lifecycle.bay import Bay, connect, python_of
from launchbay.onboard.process import identify
from launchbay.planning.fleet import Instance
from launchbay.store.journal import open_journal
from launchbay.store.records import Run, process_alive, read_run, write_run
from launchbay.transport.onboard import install_onboard, parse_answer

__all__ = ["RunSpec", "follow_run", "stop_run", "submit_run"]

_NEVER_COPIED = (
    ".git",
    "__pycache__",
    ".venv",
    "venv",
    "node_modules",
    ".ipynb_checkpoints",
    ".mypy_cache",
    ".ruff_cache",
)
_MOST_BYTES = 1 << 30
_HASHED_BYTES = 256 << 20
_POLL_S = 0.2
_STOP_POLLS = 150
_LIVENESS_POLLS = 10  # a dead supervisor is rare: looking for it every two seconds is soon enough


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """What to run: a script, the folder it finds as ``data/``, its arguments, and seconds after which it is stopped."""

    script: Path
    data: Path | None = None
    args: Sequence[str] = ()
    timeout_s: float | None = None


def submit_run(bay: Bay, instance: Instance, spec: RunSpec) -> Run:
    """Start a script in an instance and return once it runs; it goes on whatever happens to us.

    Raises NotFound (no script, no data), UsageError (a folder too large to copy), Conflict (the instance is stopped).
    """
    script = _check(spec)
    with locked(bay.home.lock(f"fleet-{instance.fleet}"), shared=True):  # nobody stops or terminates it under us
        return _submit(bay, _look_again(bay, instance), spec, script)


def _look_again(bay: Bay, instance: Instance) -> Instance:
    """Return the instance as it is now. Raises Conflict when it was terminated meanwhile."""
    now = next((item for item in bay.provider.observe() if item.id == instance.id), None)
    if now is None:
        raise Conflict(f"{instance.name} was terminated meanwhile", hint="bay ps")
    return now


def _submit(bay: Bay, instance: Instance, spec: RunSpec, script: Path) -> Run:
    transport = connect(bay, instance)
    identity = new_id("run", bay.clock.now())
    draft, final = bay.home.tmp / f"new-{identity}", bay.home.runs / identity
    with open_journal(bay.home.journal, bay.clock, bay.reporter.note) as journal:
        operation = journal.begin("train", identity, {"instance": instance.name, "script": str(script)})
        try:
            # the lock tells every sweep that drafts are not left over, but being made
            with journal.step(operation, "prepare"), locked(bay.home.lock("create"), shared=True):
                _prepare(draft, spec, script, home=bay.home.root)
                write_run(draft, _record(bay, instance, spec, script))
                bay.home.runs.mkdir(parents=True, exist_ok=True)
                draft.rename(final)
            with journal.step(operation, "start") as result:
                request = _request(final, python_of(instance), spec, script)
                answer = transport.start(
                    [python_of(instance), str(install_onboard(bay.home)), "supervise"],
                    data=json.dumps(request).encode(),
                    errors=str(final / "supervisor.log"),
                )
                words = (final / "supervisor.log").read_bytes()
                result["pid"] = parse_answer(answer, what="the supervisor", words=words, code=0)["pid"]
        except BaseException as error:
            remove_tree(draft)
            journal.end(operation, "failed")
            if isinstance(error, OSError):
                raise explain_os_error(error, f"starting {script.name}") from error
            raise
        journal.end(operation, "done")
    return read_run(final)


def _check(spec: RunSpec) -> Path:
    script = spec.script.expanduser().absolute()
    if script.is_dir():
        raise UsageError(f"a script must be a file, got the folder {spec.script}", hint=f"{spec.script}/train.py")
    if not script.exists():
        near = sorted(path.name for path in script.parent.glob("*.py"))[:5] if script.parent.is_dir() else []
        raise NotFound(f"there is no script {spec.script}", hint=", ".join(near) or "a path from the current folder")
    if spec.timeout_s is not None and spec.timeout_s <= 0:
        raise UsageError(f"a time limit must be more than 0, got {spec.timeout_s:g} s", hint="--timeout 90s, 15m or 8h")
    if spec.data is not None and not spec.data.is_dir():
        raise NotFound(f"there is no data folder {spec.data}", hint="bay fetch URL -o DIR")
    return script


def _prepare(draft: Path, spec: RunSpec, script: Path, *, home: Path) -> None:
    """Copy the script's folder and link its data. The data itself is not copied: it may be large, and is the person's."""
    data = spec.data.expanduser().resolve() if spec.data else None
    # our own home may lie in the folder, and the copy with it: it would be copied into itself
    apart = {home.resolve(), *([data, script.parent.resolve() / "data"] if data else [])}
    _refuse_too_large(script.parent, apart)
    draft.mkdir(parents=True)

    def leave_out(folder: str, names: list[str]) -> set[str]:
        return {name for name in names if _left_out(Path(folder) / name, apart)}

    shutil.copytree(script.parent, draft / "work", symlinks=True, ignore=leave_out)
    _anchor_links(script.parent, draft / "work")
    if data is not None:
        (draft / "work" / "data").symlink_to(data)


def _anchor_links(source: Path, copy: Path) -> None:
    """Make relative links that leave the script's folder absolute: from the copy they would point nowhere."""
    for folder, folders, files in os.walk(copy):
        for name in folders + files:
            path = Path(folder) / name
            if path.is_symlink() and not os.path.isabs(target := os.readlink(path)):
                origin = source / path.relative_to(copy)
                meant = os.path.normpath(origin.parent / target)
                if not Path(meant).is_relative_to(source):
                    path.unlink()
                    path.symlink_to(meant)


def _left_out(path: Path, apart: Collection[Path]) -> bool:
    """Say whether a path stays behind: caches, environments, sockets, our home; with --data, whatever `data/` was there."""
    if path.name in _NEVER_COPIED or (path / "pyvenv.cfg").exists():
        return True
    if path.resolve() in apart or path.parent.resolve() / path.name in apart:
        return True
    return not (path.is_dir() or path.is_file() or path.is_symlink())


def _refuse_too_large(top: Path, apart: Collection[Path]) -> None:
    total = 0
    for folder, folders, files in os.walk(top):
        folders[:] = [name for name in folders if not _left_out(Path(folder) / name, apart)]
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_size
        if total > _MOST_BYTES:
            raise UsageError(
                f"the script's folder {top} holds more than 1 GiB, and all of it would be copied",
                hint="put the script in a folder of its own, and give its data with --data DIR",
            )


def _record(bay: Bay, instance: Instance, spec: RunSpec, script: Path) -> dict[str, Any]:
    return {
        "version": 1,
        "instance": instance.name,
        "instance_id": instance.id,
        "fleet": instance.fleet,
        "image": instance.image,
        "digest": instance.digest,
        "script": str(script),
        "args": list(spec.args),
        "data": str(spec.data.expanduser().resolve()) if spec.data else None,
        "data_files": _describe_data(spec.data) if spec.data else {},
        "created_at": bay.clock.now(),
        "client": identify(os.getpid()),
    }


def _describe_data(folder: Path) -> dict[str, dict[str, Any]]:
    """Return size and sha256 of each data file; beyond 256 MiB only sizes, because hashing would hold the start up."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())[:1000]
    sizes = {path: path.stat().st_size for path in paths}
    hashed = sum(sizes.values()) <= _HASHED_BYTES
    return {
        str(path.relative_to(folder)): {"bytes": size, "sha256": sha256_file(path) if hashed else None}
        for path, size in sizes.items()
    }


def _request(folder: Path, python: str, spec: RunSpec, script: Path) -> dict[str, Any]:
    return {
        "v": 1,
        "folder": str(folder),
        "work": str(folder / "work"),
        "argv": [python, script.name, *spec.args],
        "env": {"PYTHONUNBUFFERED": "1", "LAUNCHBAY_RUN": folder.name},
        "timeout_s": spec.timeout_s,
    }


def follow_run(bay: Bay, run: Run, write: Callable[[bytes], None], *, on_interrupt: Callable[[], str]) -> Run:
    """Pass on what the script prints until it is over; return the run as it ended.

    `on_interrupt` is asked at Ctrl-C: "stop" ends the script, "detach" leaves it running, anything else goes on.
    """
    result = str(run.folder / "result.json")
    with contextlib.ExitStack() as stack:
        log = None
        for poll in itertools.count(1):
            try:
                if log is None and run.log.exists():
                    log = stack.enter_context(run.log.open("rb"))
                over = os.path.exists(result) or (poll % _LIVENESS_POLLS == 0 and not process_alive(run.supervisor))
                while log is not None and (chunk := log.read(1 << 16)):
                    write(chunk)
                if over:
                    run = read_run(run.folder)
                    if run.is_over:
                        return run
                bay.clock.sleep(_POLL_S)
            except KeyboardInterrupt:
                answer = on_interrupt()
                if answer == "stop":
                    run = stop_run(bay, run)
                elif answer == "detach":
                    break
    return read_run(run.folder)


def stop_run(bay: Bay, run: Run) -> Run:
    """Ask a run to stop (SIGTERM, SIGKILL ten seconds later) and wait until it has."""
    if not process_alive(run.supervisor):
        return read_run(run.folder)
    assert run.supervisor is not None
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(run.supervisor["pid"]), signal.SIGTERM)
    supervisor = run.supervisor
    for _ in range(_STOP_POLLS):
        # the result is written a moment before the supervisor itself is gone; a run that was stopped has no processes
        if (run := read_run(run.folder)).is_over and not process_alive(supervisor):
            return run
        bay.clock.sleep(_POLL_S)
    raise LaunchbayError(f"{run.id} did not stop within 30 s", hint=f"bay logs {run.id}")
