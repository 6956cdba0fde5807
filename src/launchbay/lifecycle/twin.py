"""The offline EC2 of a home: start its process, find it, ask it things, end it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from launchbay.errors import Conflict, LaunchbayError, NotFound, UsageError, UserError
from launchbay.files import explain_os_error, locked, remove_tree
from launchbay.home import Home
from launchbay.images.uv import find_uv
from launchbay.jsonable import fields_of
from launchbay.lifecycle.bay import Bay

__all__ = ["Twin", "ask_twin", "find_twin", "start_twin", "stop_twin", "twin_environment"]

_PATIENCE_S = 60.0
_MOST_PORT = 65535
_ASK_S = 60.0
_END_S = 10.0
_POLL_S = 0.02
_STARTED: dict[Path, subprocess.Popen[bytes]] = {}
"""Processes that this one started, by folder, which outlive it: Python complains of one that is forgotten while it runs."""
_NEEDS = ("moto", "asyncssh", "flask", "flask_cors", "boto3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """A twin that runs.

    `now` is its own time, `pending_s` how long an instance takes to run there, `left` counts all that stands in it (None: nobody
    asked), `instances` counts them by state, `calls` what it was asked since it was made; `problems` is what it
    could not do itself, in words: its buckets could not be written, something that was due did not happen.
    """

    url: str
    region: str
    clock: str
    now: str
    seed: int
    running: int
    instances: Mapping[str, int]
    calls: int
    faults: int
    problems: Sequence[str] = ()
    was_started: bool = False
    pending_s: float = 0.0
    left: int | None = None

    def as_json(self) -> Mapping[str, Any]:
        """Return its fields, with the variables that let other programs talk to it."""
        return {**fields_of(self), "environment": twin_environment(self)}


def twin_environment(twin: Twin) -> Mapping[str, str]:
    """Return the variables that point the AWS CLI, boto3 and other programs at it; its keys open nothing else."""
    return {
        "AWS_ENDPOINT_URL": twin.url,
        "AWS_ACCESS_KEY_ID": "twin",
        "AWS_SECRET_ACCESS_KEY": "twin",
        "AWS_REGION": twin.region,
        "AWS_DEFAULT_REGION": twin.region,
    }


def start_twin(
    bay: Bay,
    *,
    clock: str = "",
    seed: int | None = None,
    port: int = 0,
    has_hosts: bool = True,
    is_instant: bool = False,
) -> Twin:
    """Start the twin where it was left, or a new one; one that runs comes back.

    `clock` is ``real`` or ``virtual``, and like `seed` chosen when a twin is made; `is_instant` lets instances change their state
    at once. Without hosts, instances are answers only.
    Raises UserError without the packages it needs, Conflict for a clock or seed that is not that of the one there,
    LaunchbayError when it does not come up, or there is one that does not answer.
    """
    if not 0 <= port <= _MOST_PORT:
        raise UsageError(f"a port must be 0 to {_MOST_PORT}, got {port}", hint="without --port a free one is chosen")
    missing = [name for name in _NEEDS if find_spec(name) is None]
    if missing:
        raise UserError(f"the twin needs {', '.join(missing)}", hint="pip install 'launchbay[twin]'")
    folder = bay.home.twin
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise explain_os_error(error, "making the twin's folder") from error
    with locked(bay.home.lock("twin")):
        found = find_twin(bay.home)
        if found is None:
            settings: dict[str, Any] = {"is_virtual": clock == "virtual"}
            if seed is not None:
                settings["seed"] = seed
            if is_instant:
                settings |= dict.fromkeys(("pending_s", "stopping_s", "terminating_s"), 0.0)
            binds = [(str(place), str(place)) for place in _shown_to_hosts(bay.home)] if has_hosts else None
            _spawn(folder, settings, port, binds)
            found = find_twin(bay.home)
            if found is None:
                raise LaunchbayError("the twin was started and does not answer", where=str(folder / "log"))
            found = Twin(**{**fields_of(found), "was_started": True})
    wrong = next(_what_differs(found, clock, seed, port, is_instant=is_instant), "")
    if wrong:
        if found.was_started:
            stop_twin(bay)  # it was not asked for like this
        raise Conflict(
            f"there is a twin already, and {wrong}",
            hint="without that option, or `bay twin stop --forget` first: all in it is then gone",
        )
    return found


def _what_differs(found: Twin, clock: str, seed: int | None, port: int, *, is_instant: bool) -> Iterator[str]:
    """Say what of a twin is otherwise than somebody asked for."""
    if clock and found.clock != clock:
        yield f"its clock is {found.clock}"
    if seed is not None and found.seed != seed:
        yield f"its seed is {found.seed}"
    if port and not found.url.endswith(f":{port}"):
        yield f"it listens at {found.url}"
    if is_instant and found.pending_s:
        yield f"its instances take {found.pending_s:g} seconds to run"


def _spawn(folder: Path, settings: Mapping[str, Any], port: int, binds: Sequence[tuple[str, str]] | None) -> None:
    """Start the process, which outlives us, and wait until it listens."""
    left = _record(folder)  # by one that was killed
    words = [sys.executable, "-m", "launchbay.twin.server", str(folder), "--port", str(port)]
    words += ["--settings", json.dumps(settings)]
    words += ["--no-hosts"] if binds is None else ["--binds", json.dumps(binds)]
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MOTO_"))}
    variables["MOTO_DISABLE_GLOBAL_CORS"] = "true"  # a page in the person's browser has no business there
    before = (folder / "log").stat().st_size if (folder / "log").exists() else 0
    with open(folder / "log", "ab") as log:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=variables
        )
    _let_go(folder)
    _STARTED[folder] = process
    end = time.monotonic() + _PATIENCE_S
    while _record(folder) in (b"", left):
        if process.poll() is not None:
            said, _, hint = (
                (folder / "log").read_bytes()[before:].decode(errors="replace").strip().partition("\n  Try: ")
            )
            what = said.splitlines()[-1] if said else "it said nothing"
            raise LaunchbayError(
                f"the twin did not come up: {what}",
                where=str(folder / "log"),
                hint=hint or "`bay twin start` once more",
            )
        if time.monotonic() > end:
            process.kill()  # else it would come up later, and nobody would know of it
            _let_go(folder)
            raise LaunchbayError(
                f"the twin did not come up within {_PATIENCE_S:g} seconds, and was ended",
                where=str(folder / "log"),
                hint="`bay twin start` once more, when this machine has less to do",
            )
        time.sleep(_POLL_S)


def _record(folder: Path) -> bytes:
    """Return what a twin wrote down of where it listens; nothing where none did."""
    try:
        return (folder / "twin.json").read_bytes()
    except FileNotFoundError:
        return b""


def _shown_to_hosts(home: Home) -> Sequence[Path]:
    """Return what each host sees of this machine, read-only and where it lies: images, the Python they stand on, and uv."""
    home.images.mkdir(parents=True, exist_ok=True)
    pythons = [Path(sys.base_prefix)] if not Path(sys.base_prefix).is_relative_to("/usr") else []
    # an image may be a link to where it really lies
    elsewhere = {path.resolve().parent for path in home.images.iterdir() if path.is_symlink()}
    return [home.images, *sorted(elsewhere), *pythons, Path(find_uv()).resolve()]


_TOLD = ("clock", "now", "seed", "running", "instances", "calls", "faults", "problems", "pending_s")
"""What a twin says of itself when it is asked how it is."""


def find_twin(home: Home) -> Twin | None:
    """Return the twin that runs; None where none does, or what was there was killed.

    Raises LaunchbayError for one that runs and does not answer: it is there all the same; UserError for one of older code.
    """
    try:
        record = json.loads((home.twin / "twin.json").read_text())
        status = _ask(home, record["url"], "status", {})
    except (OSError, ValueError, KeyError) as error:
        if _is_late(error) and _is_held(home.twin):
            what = f"a twin runs, and gave no answer within {_ASK_S:g} seconds"
            hint = "wait for what it is doing, or `bay twin stop`, which ends it in any case"
            raise LaunchbayError(what, where=str(home.twin / "log"), hint=hint) from error
        return None
    if missing := [name for name in _TOLD if name not in status]:
        what = f"the twin that runs is of another Launchbay: it does not say {', '.join(missing)}"
        raise UserError(what, where=record["url"], hint="bay twin stop, then bay twin start: what is in it stays")
    return Twin(url=record["url"], region=record["region"], **{name: status[name] for name in _TOLD})


def _is_late(error: Exception) -> bool:
    return isinstance(error, TimeoutError) or isinstance(getattr(error, "reason", None), TimeoutError)


def _is_held(folder: Path) -> bool:
    """Say whether a twin's process has a folder: it may still be coming up, or be ending."""
    lock = folder / "lock"
    if not lock.exists():
        return False
    with locked(lock, wait=False, shared=True) as is_free:
        return not is_free


def ask_twin(home: Home, door: str, **asked: Any) -> dict[str, Any]:
    """Ask one of the twin's own addresses. Raises NotFound when it does not run, UserError for what it refuses.

    Raises LaunchbayError for one that runs and does not answer.
    """
    try:
        url = json.loads((home.twin / "twin.json").read_text())["url"]
        return _ask(home, url, door, asked)
    except urllib.error.HTTPError as error:
        raise UserError(json.load(error).get("error", str(error)), where="twin") from error
    except (OSError, ValueError, KeyError) as error:
        if _is_late(error) and _is_held(home.twin):
            raise LaunchbayError(f"the twin gave no answer within {_ASK_S:g} seconds", where="twin") from error
        raise NotFound("no twin runs", hint="bay twin start") from error


def _ask(home: Home, url: str, door: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    token = (home.twin / "token").read_text()
    headers = {"X-Twin-Token": token, "Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/twin/{door}", json.dumps(asked).encode(), headers)  # noqa: S310 - loopback, http
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy would not find it
    with opener.open(request, timeout=_ASK_S) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def stop_twin(bay: Bay, *, forget: bool = False) -> bool:
    """End the twin's process; say whether one ran. What is in it stays, and stands still, unless it shall be forgotten.

    One that does not answer is killed: it has written down what it told anybody. Raises LaunchbayError for one that lives on.
    """
    folder = bay.home.twin
    with locked(bay.home.lock("twin")):
        ran = _is_held(folder)
        if ran and not _end(bay.home):
            raise LaunchbayError("the twin does not end", where=str(folder / "log"), hint="the same again")
        _let_go(folder)
        if forget:
            remove_tree(folder)
    return ran


def _end(home: Home) -> bool:
    """Ask a twin to end, kill one that does not, and say whether its process is gone."""
    record, end = home.twin / "twin.json", time.monotonic() + _PATIENCE_S
    while not record.exists() and _is_held(home.twin) and time.monotonic() < end:  # it is just coming up, or ending
        time.sleep(_POLL_S)
    with contextlib.suppress(OSError, ValueError):
        pid = int(json.loads(record.read_text())["pid"])
        with contextlib.suppress(LaunchbayError):
            ask_twin(home, "stop")
            if _is_gone(home.twin, _PATIENCE_S):
                return True
        if _is_held(home.twin):
            os.kill(pid, signal.SIGKILL)
    return _is_gone(home.twin, _END_S)


def _is_gone(folder: Path, seconds: float) -> bool:
    """Say whether nothing has a folder any more, after so many seconds at the latest."""
    end = time.monotonic() + seconds
    while _is_held(folder):
        if time.monotonic() > end:
            return False
        time.sleep(_POLL_S)
    return True


def _let_go(folder: Path) -> None:
    """Wait for the end of a process that this one started for a folder and that answers no more: else it stays a zombie."""
    process = _STARTED.pop(folder, None)
    if process is not None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_END_S)
