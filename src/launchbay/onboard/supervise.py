"""Watch over one script: start it, let it run however long its starter lives, record how it ended and what it made.

The supervisor is a session leader and child subreaper: nothing the script starts can escape it, and neither a closed
terminal nor a dead client touches the script. It is recorded (pid, start time, boot id) before the script starts. It
waits in the kernel and costs nothing while the script runs. SIGTERM to it means: stop the script (SIGTERM, then
SIGKILL).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time

from . import artifacts
from .gpu import GpuWatch
from .machine import describe_machine
from .process import identify
from .refused import Refused
from .result import free_room, is_full, keep_room, write_json, write_result

TYPE_CHECKING = False  # `typing` would cost a tenth of what a supervisor does
if TYPE_CHECKING:
    from typing import Any

__all__ = ["run"]

GRACE_S = 10.0
"""Seconds between SIGTERM and SIGKILL."""

_LONGEST_WAIT_S = 3600.0
_PR_SET_CHILD_SUBREAPER = 36


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Run ``argv`` in ``work`` to its end. Answers on the channel once the script has started; returns the result."""
    folder = request["folder"]
    _become_subreaper()
    watch = _Watch(request)
    before = _begin(watch, folder)
    answer(request["channel"], {"v": 1, "ok": True, "result": {"pid": os.getpid()}})
    result = {**watch.wait(), "supervisor_cpu_seconds": _own_cpu_s()}
    try:
        # before what the script left behind is looked at: whatever comes of that, how it ended is known
        write_result(folder, {**result, "taking_stock": True})
        result.update(artifacts.take_stock(request["work"], before))
        result["supervisor_cpu_seconds"] = _own_cpu_s()
        _write_last(folder, result)
    finally:
        free_room(folder)
    return result


def _begin(watch: _Watch, folder: str) -> dict[str, tuple[int, int]]:
    """Start the script; return what lay in its folder before. Raises Refused, with the result written, if it cannot be."""
    try:
        keep_room(folder)
        write_json(os.path.join(folder, "process.json"), identify(os.getpid()))
        before = artifacts.snapshot(watch.request["work"], until=watch.request.get("since"))
        watch.start()
    except OSError as error:
        why = "the script could not be started: {}".format(error)
        free_room(folder)
        with contextlib.suppress(OSError):  # on a full disk: our starter says why, and tries once more
            write_json(
                os.path.join(folder, "result.json"),
                {"state": "failed", "exit_code": 127, "signal": None, "notes": [why]},
            )
        raise Refused(why) from error
    return before


def _write_last(folder: str, result: dict[str, Any]) -> None:
    """Write the whole result; where the disk is too full for the list of what was made, at least that it is."""
    try:
        write_result(folder, result)
    except OSError as error:
        if not is_full(error):
            raise
        note = "the disk was full: what the script made is not listed"
        write_result(folder, {**result, "artifacts": [], "logdirs": [], "notes": [note]})


def _own_cpu_s() -> float:
    own = os.times()
    return round(own.user + own.system, 3)


def answer(channel: Any, value: dict[str, Any]) -> None:
    """Tell our starter, unless it is dead by now: the script goes on either way."""
    with contextlib.suppress(BrokenPipeError):
        channel.write(json.dumps(value) + "\n")
        channel.flush()
    with contextlib.suppress(BrokenPipeError):
        channel.close()


class _Watch:
    """The script while it runs."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.cpu_s = 0.0
        self.peak_bytes = 0
        self.status: int | None = None
        self.asked_to_stop = False
        self.timed_out = False
        self.kill_at: float | None = None
        self.gpu = GpuWatch()
        self.signals = _signal_pipe()  # from here on, being asked to stop is not missed

    def start(self) -> None:
        path = self.request.get("log") or os.path.join(self.request["folder"], "output.log")
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.began = time.monotonic()
        self.child = subprocess.Popen(
            self.request["argv"],
            cwd=self.request["work"],
            env={**os.environ, **self.request["env"]},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        os.close(log)
        limit = self.request.get("timeout_s")
        self.stop_at = self.began + limit if limit else None

    def wait(self) -> dict[str, Any]:
        while self.status is None:
            self._sleep()
            self._reap()
            now = time.monotonic()
            if self.stop_at is not None and now >= self.stop_at and not self.timed_out:
                self.timed_out = True
                self._stop(now)
            if self.kill_at is not None and now >= self.kill_at:
                _signal_group(self.child.pid, signal.SIGKILL)
        seconds = time.monotonic() - self.began
        self._end_descendants()
        return self._result(seconds)

    def _sleep(self) -> None:
        times = [self.gpu.next_at, self.stop_at if not self.timed_out else None, self.kill_at]
        left = [max(0.0, at - time.monotonic()) for at in times if at is not None]
        # the system takes no wait of months, and a person may set a limit of some
        woken = select.select([self.signals], [], [], min([*left, _LONGEST_WAIT_S]) if left else None)[0]
        came = set(os.read(self.signals, 4096)) if woken else set()
        if came & {signal.SIGTERM, signal.SIGINT} and not self.asked_to_stop:
            self.asked_to_stop = True
            self._stop(time.monotonic())
        self.gpu.sample()

    def _stop(self, now: float) -> None:
        _signal_group(self.child.pid, signal.SIGTERM)
        self.kill_at = now + GRACE_S

    def _reap(self) -> None:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.cpu_s += usage.ru_utime + usage.ru_stime
            unit = 1 if sys.platform == "darwin" else 1024
            self.peak_bytes = max(self.peak_bytes, usage.ru_maxrss * unit)
            if pid == self.child.pid:
                self.status = status

    def _end_descendants(self) -> None:
        """End what the script left running: a run that is over has no processes.

        Each gets a signal once: what it does about it may be to save its work, and a second one would end that.
        """
        is_told = self.kill_at is not None  # the script was stopped, and its group with it
        for sign, patience in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 2.0)):
            until = time.monotonic() + patience
            if sign == signal.SIGKILL or not is_told:
                _signal_group(self.child.pid, sign)
            told: set[int] = set()
            while time.monotonic() < until:
                pids = children()
                if not pids:
                    return
                for pid in pids:
                    if pid not in told and not _is_in_group(pid, self.child.pid):
                        _signal(pid, sign)
                told.update(pids)
                time.sleep(0.02)
                self._reap()

    def _result(self, seconds: float) -> dict[str, Any]:
        assert self.status is not None
        signaled = os.WIFSIGNALED(self.status)
        number = os.WTERMSIG(self.status) if signaled else 0
        code = 128 + number if signaled else os.WEXITSTATUS(self.status)
        state = "stopped" if self.asked_to_stop else "done" if code == 0 and not self.timed_out else "failed"
        return {
            "state": state,
            "exit_code": code,
            "signal": _signal_name(number) if signaled else None,
            "timed_out": self.timed_out,
            "seconds": round(seconds, 3),
            "cpu_seconds": round(self.cpu_s, 3),
            "peak_memory_bytes": self.peak_bytes,
            "gpu": self.gpu.result(),
            "machine": describe_machine(),
            "ended_at": time.time(),
        }


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most real-time signals have a number only
        return "SIG{}".format(number)


def children() -> list[int]:
    """Return the processes that have us as their parent, orphans of the script included."""
    try:
        with open("/proc/self/task/{}/children".format(os.getpid()), encoding="ascii") as file:
            return [int(item) for item in file.read().split()]
    except OSError:
        return []


def _signal_pipe() -> int:
    """Turn signals into bytes in a pipe, so that waiting for them and for a deadline is one call."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for sign in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, _note)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return reader


def _note(number: int, frame: object) -> None:
    """Do nothing: that the signal came stands in the pipe."""


def _become_subreaper() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _signal_group(group: int, sign: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, sign)


def _is_in_group(pid: int, group: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        return os.getpgid(pid) == group
    return False


def _signal(pid: int, sign: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, sign)
