"""Run a person's script as it is: copy its folder, give it its data, start it under the supervisor, follow it."""

from __future__ import annotations

import contextlib
import itertools
import os
import select
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launchbay.errors import NotFound, UsageError
from launchbay.home import new_id
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay, image_of
from launchbay.onboard.process import identify, process_alive
from launchbay.planning.fleet import Instance
from launchbay.providers.environment import find_environment
from launchbay.runs.data import as_text, describe_data
from launchbay.runs.end import stop_run
from launchbay.runs.preview import preview, refuse_in
from launchbay.runs.start import Start, check_time_limit, held, read_again, start_attempt
from launchbay.runs.work import copy_work
from launchbay.store.records import Run, write_run

__all__ = ["RunSpec", "find_script", "follow_run", "submit_run"]

_POLL_S = 0.2
_LATER_POLL_S = 1.0  # as `tail -f` does: each look costs what waking up costs, and hours have many
_EARLY_LOOKS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """What to run: a script, the folder it finds as ``data/``, its arguments, and seconds after which it is stopped.

    `env` names the environment, where an instance has several. `source` is where its data lies on S3, in the place of `data`.
    """

    script: Path
    data: Path | None = None
    args: Sequence[str] = ()
    timeout_s: float | None = None
    env: str | None = None
    force: bool = False
    """Run it also where it is certain to fail."""
    source: str = ""


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
    with held(bay, instance) as now:
        return _submit(bay, now, spec, script, [str(problem) for problem in foreseen])


def _submit(bay: Bay, instance: Instance, spec: RunSpec, script: Path, foreseen: Sequence[str]) -> Run:
    folder = bay.home.runs / new_id("run", bay.clock.now())
    image = find_environment(instance.root, image_of(bay, instance), spec.env).image

    def prepare(draft: Path) -> None:
        copy_work(script, draft / "work", data=spec.data, home=bay.home.root)
        (draft / "checkpoints").mkdir()
        write_run(draft, _record(bay, instance, image, spec, script) | {"foreseen": foreseen})

    start = Start(
        run=folder, attempt=folder, script=script.name, args=spec.args, timeout_s=spec.timeout_s, env=spec.env
    )
    return start_attempt(bay, instance, start, prepare, {"script": str(script)})


def find_script(path: Path) -> Path:
    """Return the absolute path of a script. Raises NotFound or UsageError when it is none that could be run."""
    script = path.expanduser().absolute()
    if script.is_dir():
        raise UsageError(f"a script must be a file, got the folder {path}", hint=f"{path}/train.py")
    if not script.exists():
        near = sorted(path.name for path in script.parent.glob("*.py"))[:5] if script.parent.is_dir() else []
        hint = f"beside it lies {', '.join(near)}" if near else "a path from the current folder"
        raise NotFound(f"there is no script {path}", hint=hint)
    if not script.is_file() or _is_stream(script):
        raise UsageError(f"a script must be a regular file, got {path}", hint="write it to a file: train.py")
    return script


def _check(spec: RunSpec) -> Path:
    script = find_script(spec.script)
    check_time_limit(spec.timeout_s)
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
        "script": as_text(script),
        "args": [as_text(item) for item in spec.args],
        "data": as_text(spec.data.expanduser().resolve()) if spec.data else None,
        "data_files": describe_data(spec.data) if spec.data else {},
        "created_at": bay.clock.now(),
        "client": identify(os.getpid()),
    }


def follow_run(
    bay: Bay, run: Run, write: Callable[[bytes], None], *, on_interrupt: Callable[[], str], skip: int = 0
) -> Run:
    """Pass on what the script prints until it is over; return the run as it ended.

    `skip` leaves out as many bytes of the log, those of earlier attempts.
    `on_interrupt` is asked at Ctrl-C: "stop" ends the script, "detach" leaves it running, anything else goes on.
    """
    with contextlib.ExitStack() as stack:
        log, wait, is_news = None, _watch(bay, run, stack), False
        for look in itertools.count():
            try:
                if log is None and run.log.exists():
                    log = stack.enter_context(run.log.open("rb", buffering=0))
                    log.seek(skip)
                while log is not None and (chunk := log.read(1 << 16)):
                    write(chunk)
                if is_news:
                    run = read_again(run.folder)
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
    return read_again(run.folder)


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
