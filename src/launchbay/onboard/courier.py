"""Send what is new of a run to the store while the run goes on: so nothing of it is lost with the instance.

One process beside each run, in a session of its own: the run neither waits for it nor notices it. It holds no credentials
but a form with which objects below the run's own prefix can be stored, and nothing else. Every so often it sends what a log
or an event file has grown by, checkpoints as they were at one moment, and other files of the run once they have come to
rest; last of each round a list of what there is. What is in a list has been stored before, so the last list is always a
run as it was at some moment. Once the run is over, all that is left of it is sent, and the courier ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import time

from .parcel import Parcels, PostFailed, PostOver
from .process import identify, process_alive
from .result import write_json
from .rundir import find_files, is_of_set, is_result, look_at
from .supervise import answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .rundir import Found

__all__ = ["run"]

_LONGEST_WAIT_S = 300.0
_LAST_TRIES = 12
"""How often what is left of a run that is over is tried: about half an hour where nobody answers."""
_UNBORN_S = 60.0
_TAKE_OVER_S = 20.0


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Be the courier of a ``run`` (its folder); answer on the channel when at work. Returns how the last round went."""
    folder = os.path.join(request["run"], "courier")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    with contextlib.suppress(OSError):
        os.nice(10)
    lock = _take_over(folder)
    write_json(os.path.join(folder, "process.json"), identify(os.getpid()))
    courier = _Courier(request, folder, _on_term())
    answer(request["channel"], {"v": 1, "ok": True, "result": {"pid": os.getpid()}})
    try:
        return courier.serve()
    finally:
        os.close(lock)


def _take_over(folder: str) -> int:
    """Return the lock of a run's courier, once the one that held it has ended: it was told to, and is between two files."""
    lock = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    until = time.monotonic() + _TAKE_OVER_S
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        with contextlib.suppress(OSError, ValueError, KeyError):
            with open(os.path.join(folder, "process.json"), encoding="utf-8") as file:
                before = json.load(file)
            if process_alive(before):
                os.kill(before["pid"], signal.SIGTERM if time.monotonic() < until else signal.SIGKILL)
        time.sleep(0.1)


class _Courier:
    """The rounds of one run."""

    def __init__(self, request: dict[str, Any], folder: str, woken: int) -> None:
        self.run: str = request["run"]
        self.home = request["home"]
        self.folder = folder
        self.every_s = float(request["every_s"])
        self.parcels = Parcels(request["post"], folder, request.get("stored") or {})
        self.began = time.monotonic()
        self.failures = 0
        self.woken = woken

    def serve(self) -> dict[str, Any]:
        """Go round until the run is over and all of it is sent, or we are told to end: with one more round then."""
        is_told = False
        while True:
            over = self._state() not in ("starting", "running")
            status = self._round(over=over)
            is_done = over and (status["error"] is None or status["is_shut"] or self.failures >= _LAST_TRIES)
            if is_told or is_done:
                return status
            is_told = self._sleep(min(self.every_s * 2 ** min(self.failures, 8), _LONGEST_WAIT_S), over=over)

    def _sleep(self, seconds: float, *, over: bool) -> bool:
        """Wait, less where the run ends meanwhile; say whether we were told to end."""
        watched = [self.woken]
        with contextlib.ExitStack() as stack:
            process = None if over else _read(os.path.join(self._attempt(), "process.json"))
            if process is not None and hasattr(os, "pidfd_open"):
                with contextlib.suppress(OSError):
                    watched.append(os.pidfd_open(int(process["pid"])))
                    stack.callback(os.close, watched[-1])
            return self.woken in select.select(watched, [], [], seconds)[0]

    def _round(self, *, over: bool) -> dict[str, Any]:
        error, is_shut = None, False
        try:
            self._send(over=over)
            self.failures = 0
        except PostOver as refused:
            self.failures, error, is_shut = self.failures + 1, str(refused), True
        except (PostFailed, OSError) as failed:
            self.failures, error = self.failures + 1, str(failed)
        status = {
            "v": 1,
            "at": time.time(),
            "over": over,
            "error": error,
            "is_shut": is_shut,
            "failures": self.failures,
            "bytes": self.parcels.bytes,
            "objects": self.parcels.objects,
            "listed_at": self.parcels.listed_at,
        }
        with contextlib.suppress(OSError):  # a full disk is the run's trouble already
            write_json(os.path.join(self.folder, "status.json"), status)
        return status

    def _send(self, *, over: bool) -> None:
        """Send what grows and belongs together, and list it; then the rest, as much as there is time for, the result last."""
        state, found = self._state(), find_files(self.run)
        entries: dict[str, Any] = {}
        with look_at(self.run, self.folder, found) as looks:
            rest = [look for look in looks if not (look.is_set or look.is_growing) or is_result(look.name)]
            for look in looks:
                entry = self.parcels.known(look.name) if look in rest else self.parcels.send(look)
                if entry is not None:
                    entries[look.name] = entry
            self._keep_set(found, entries)
            self._list(found, entries, state, over=False)
            until = time.monotonic() + 2 * self.every_s
            for look in sorted(rest, key=lambda look: is_result(look.name)):
                if self.parcels.is_sent(look):
                    continue
                if over or (self.parcels.is_at_rest(look) and time.monotonic() < until):
                    entry = self.parcels.send(look)
                    if entry is not None:
                        entries[look.name] = entry
        self._list(found, entries, state, over=over)

    def _list(self, found: Found, entries: dict[str, Any], state: str, *, over: bool) -> None:
        listed = {"v": 1, "run": os.path.basename(self.run), "home": self.home, "state": state, "over": over}
        self.parcels.send_list({**listed, "files": entries, "links": found.links})

    def _keep_set(self, found: Found, entries: dict[str, Any]) -> None:
        """Name checkpoints as the last list did, unless each was sent as it was found: half of two is no checkpoint."""
        wanted = found.of_set()
        if not all(name in entries and entries[name]["mark"] == list(mark) for name, mark in wanted.items()):
            for name in [name for name in entries if is_of_set(name)]:
                del entries[name]
            entries.update(self.parcels.known_set())

    def _attempt(self) -> str:
        """Return the folder of the run's last attempt."""
        with contextlib.suppress(OSError):
            numbers = [int(name) for name in os.listdir(os.path.join(self.run, "attempts")) if name.isdigit()]
            if numbers:
                return os.path.join(self.run, "attempts", str(max(numbers)))
        return self.run

    def _state(self) -> str:
        """Return how the run stands, by what its last attempt has left: as whoever reads its folder sees it."""
        place = self._attempt()
        process = _read(os.path.join(place, "process.json"))
        is_alive = process_alive(process)
        result = _read(os.path.join(place, "result.json"))
        if result is not None and not (is_alive and result.get("taking_stock")):
            return str(result.get("state", "lost"))
        if is_alive:
            return "running"
        if process is None and time.monotonic() - self.began < _UNBORN_S:
            return "starting"
        return "lost"


def _read(path: str) -> dict[str, Any] | None:
    try:
        with open(path, encoding="utf-8") as file:
            value = json.load(file)
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _on_term() -> int:
    """Return a descriptor that can be read once we are told to end: a round that is under way is ended first."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return reader
