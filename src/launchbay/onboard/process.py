"""Tell a process from a later one with the same number."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # `typing` would cost a tenth of what a supervisor does
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["identify", "is_taken", "process_alive"]


def identify(pid: int) -> dict[str, Any]:
    """Return (pid, start time, boot id): what tells a process from a later one with the same number."""
    start, boot = None, None
    try:
        with open("/proc/{}/stat".format(pid), encoding="utf-8", errors="replace") as file:
            start = int(file.read().rpartition(")")[2].split()[19])
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
    except OSError:
        pass  # no /proc on this system; the pid alone has to do
    return {"pid": pid, "start": start, "boot": boot}


def process_alive(process: Mapping[str, Any] | None) -> bool:
    """Say whether the recorded process (pid, start time, boot id) still runs; a reused pid is not taken for it."""
    if process is None:
        return False
    try:
        with open("/proc/{}/stat".format(process["pid"]), encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
    except (FileNotFoundError, ProcessLookupError):  # the latter when it ends between opening and reading
        return False if os.path.isdir("/proc/self") else is_taken(int(process["pid"]))
    return fields[0] not in "ZX" and fields[19] == str(process["start"]) and boot == process["boot"]


def is_taken(pid: int) -> bool:
    """Say whether some process has that number; which one, only its start time tells."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
