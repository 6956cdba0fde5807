"""The processes of an instance: found by a mark in their environment, asked to end, and ended if they do not."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Collection, Iterable

from launchbay.errors import LaunchbayError
from launchbay.ports import Event
from launchbay.units import count_of, format_duration

__all__ = [
    "INSTANCE_MARK",
    "RUN_MARK",
    "end_marked",
    "end_processes",
    "instance_processes",
    "marked_processes",
    "run_processes",
]

INSTANCE_MARK = "LAUNCHBAY_INSTANCE"
"""The variable that everything in an instance carries: the instance's id."""

RUN_MARK = "LAUNCHBAY_RUN"
"""The variable that everything of a run carries, its supervisor too: the run's id."""

_PATIENCE_S = 10.0
_SUPERVISOR_PATIENCE_S = 30.0  # it gives its script those ten seconds, and then has its artefacts to hash
_ROUNDS = 10  # for processes that start others on their way out
_TELL_EVERY_S = 0.5
_HANG_UP_EVERY_S = 2.0


def marked_processes(marks: Iterable[str]) -> list[int]:
    """Return the processes of ours that carry one of these ``NAME=VALUE`` marks, found in the system's own table."""
    sought = [f"\0{mark}\0".encode() for mark in marks]
    found = []
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else []:
        if name.isdigit() and int(name) != os.getpid():
            with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:
                environment = b"\0" + file.read() + b"\0"
                if any(mark in environment for mark in sought) and _fields(int(name)):
                    found.append(int(name))
    return found


def instance_processes(identities: Iterable[str]) -> list[int]:
    """Return the processes that run in these instances."""
    return marked_processes(f"{INSTANCE_MARK}={identity}" for identity in identities)


def run_processes(identity: str) -> list[int]:
    """Return the processes of a run: they may have outlived their supervisor."""
    return marked_processes([f"{RUN_MARK}={identity}"])


def end_marked(marks: Collection[str], *, tell: Callable[[Event], None] = lambda _: None) -> int:
    """End all that carries a mark, also what a process starts while it is being ended.

    Return how many they were, our own supervisors not counted. Blocks, for a minute at worst. Raises LaunchbayError
    when something goes on all the same.
    """
    ended: set[int] = set()
    for number in range(_ROUNDS):
        pids = marked_processes(marks)
        if not pids:
            return len(ended)
        ended.update(pid for pid in pids if not _is_supervisor(pid))
        # what was started after everybody had been asked to end is not asked any more
        end_processes(pids, is_asked=number == 0, tell=tell)
    left = marked_processes(marks)
    if left:
        named = " ".join(map(str, left[:10]))
        raise LaunchbayError(f"{count_of(len(left), 'process')} would not end: {named}", hint="the same command again")
    return len(ended)


def end_processes(
    pids: Collection[int], *, is_asked: bool = True, tell: Callable[[Event], None] = lambda _: None
) -> None:
    """Ask processes to end, and end those that have not within ten seconds (supervisors: thirty)."""
    began = time.monotonic()
    patience = {pid: (_patience(pid) if is_asked else 0.0) for pid in pids}
    born = {pid: _born(pid) for pid in pids}  # a number may be another process's by the time that patience is over
    for pid in pids if is_asked else ():
        _ask(pid)
    left, killed, told_at, asked_at = set(pids), set[int](), began, began
    while left := {pid for pid in left if born[pid] and _born(pid) == born[pid]}:
        waited = time.monotonic() - began
        for pid in left - killed:
            if waited >= patience[pid]:
                _signal(pid, signal.SIGKILL)
                killed.add(pid)
        if waited > max(patience.values()) + 2:
            break
        if is_asked and time.monotonic() - asked_at > _HANG_UP_EVERY_S:
            asked_at = time.monotonic()
            for pid in left - killed:
                _hang_up_shell(pid)
        if time.monotonic() - told_at > _TELL_EVERY_S:
            told_at = time.monotonic()
            tell(_event(len(pids) - len(left), len(pids), max(patience[pid] for pid in left) - waited))
        time.sleep(0.02)
    if told_at > began:
        tell(_event(len(pids) - len(left), len(pids), 0.0, finished=True))


def _event(done: int, total: int, left_s: float, *, finished: bool = False) -> Event:
    words = f"the rest is killed in {format_duration(left_s)}" if left_s > 0 else ""
    return Event(task="end processes", done=done, total=total, unit="processes", message=words, finished=finished)


def _ask(pid: int) -> None:
    """Ask a process to end; one on a terminal is hung up on too, because an interactive shell ignores SIGTERM."""
    fields = _fields(pid)
    _signal(pid, signal.SIGTERM)
    if fields and fields[4] != "0":
        _signal(pid, signal.SIGHUP)


def _hang_up_shell(pid: int) -> None:
    """Hang up once more on who leads a terminal: a shell that is about to read a line can miss it the first time."""
    fields = _fields(pid)
    if fields and fields[4] != "0" and fields[3] == str(pid):
        _signal(pid, signal.SIGHUP)


def _patience(pid: int) -> float:
    return _SUPERVISOR_PATIENCE_S if _is_supervisor(pid) else _PATIENCE_S


def _is_supervisor(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return b"supervise" in file.read().split(b"\0")
    except OSError:
        return False


def _born(pid: int) -> str:
    """Return when a living process was started, in the system's own count; nothing for a dead one."""
    fields = _fields(pid)
    return fields[19] if fields else ""


def _signal(pid: int, sign: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, sign)


def _fields(pid: int) -> list[str]:
    """Return state, parent, group, session, terminal, ... of a living process, as in proc(5); nothing for a dead one."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return []
    return fields if fields[0] not in "ZX" else []
