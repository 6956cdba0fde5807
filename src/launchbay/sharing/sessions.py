"""The SSH connections of a person: found by what runs at their end, and ended with it.

A connection in which a command runs is found by the person's mark. One that only forwards ports runs nothing of ours;
it is found by its connections to those ports, where we may look into the server's process (root may, others may not).
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable

from launchbay.lifecycle.bay import Bay
from launchbay.providers.processes import end_marked, end_processes, marked_processes
from launchbay.providers.tree import connected_processes
from launchbay.store.person import owner_mark

__all__ = ["end_sessions"]

_DEEPEST = 100


def end_sessions(bay: Bay, name: str, identity: str, ports: Collection[int]) -> int:
    """End all that a person has open in an instance, and what they started from there; return how many processes.

    Raises LaunchbayError when something would not end.
    """
    mark = owner_mark(name, identity)
    servers = _servers(marked_processes([mark])) | {pid for pid in connected_processes(ports) if _is_server(pid)}
    end_processes(servers)
    return len(servers) + end_marked([mark], tell=bay.reporter.event)


def _servers(pids: Iterable[int]) -> set[int]:
    """Return the SSH servers' processes, one a connection, below which processes run."""
    found = set()
    for pid in pids:
        above = _parent(pid)
        for _ in range(_DEEPEST):
            if above <= 1 or _is_server(above):
                break
            above = _parent(above)
        if above > 1:
            found.add(above)
    return found


def _is_server(pid: int) -> bool:
    """Say whether it serves an SSH connection."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
        return file.read().strip() in ("sshd", "sshd-session")
    return False


def _parent(pid: int) -> int:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[1])
    return 0
