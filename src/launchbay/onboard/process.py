"""Tell a process from a later one with the same number."""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` would cost a tenth of what a supervisor does
if TYPE_CHECKING:
    from typing import Any

__all__ = ["identify"]


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
