"""A process and all that it started: how much memory they hold, and which ports they listen on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Mapping, Sequence

__all__ = ["connected_processes", "listening_ports", "process_memory", "process_tree"]

_LISTENS, _STANDS = "0A", "01"  # a socket's state, as in /proc/net/tcp


def process_tree(pid: int) -> Sequence[int]:
    """Return a process and its descendants, as they are now; nothing where there is no /proc."""
    return _descend(pid, _children())


def process_memory(pids: Collection[int]) -> Mapping[int, int]:
    """Return for each process the bytes of memory that it and its descendants hold (resident), where it can be known.

    What several of them share is counted for each.
    """
    children = _children()
    held = {pid: sum(map(_pages, _descend(pid, children))) for pid in pids}
    return {pid: pages * os.sysconf("SC_PAGE_SIZE") for pid, pages in held.items() if pages}


def _children() -> Mapping[int, Sequence[int]]:
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else []:
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                parent = int(file.read().rpartition(b")")[2].split()[1])
                children.setdefault(parent, []).append(int(name))
    return children


def _descend(pid: int, children: Mapping[int, Sequence[int]]) -> Sequence[int]:
    found = [pid] if os.path.isdir(f"/proc/{pid}") else []
    for item in found:
        found.extend(children.get(item, ()))  # a list that grows while it is walked
    return found


def _pages(pid: int) -> int:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/statm", "rb") as file:
        return int(file.read().split()[1])
    return 0


def listening_ports(pids: Collection[int]) -> Mapping[int, Sequence[str]]:
    """Return the TCP ports that processes listen on, each with the addresses in the system's own notation (hex)."""
    own = {inode for pid in pids for inode in _sockets(pid)}
    found: dict[int, list[str]] = {}
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError), open(f"/proc/net/{table}", encoding="ascii") as file:
            for line in list(file)[1:]:
                fields = line.split()
                address, _, port = fields[1].partition(":")
                if fields[3] == _LISTENS and fields[9] in own:
                    found.setdefault(int(port, 16), []).append(address)
    return found


def connected_processes(ports: Collection[int]) -> set[int]:
    """Return the processes that are connected to TCP ports of this machine, of those that we may look into."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError), open(f"/proc/net/{table}", encoding="ascii") as file:
            for line in list(file)[1:]:
                fields = line.split()
                if fields[3] == _STANDS and int(fields[2].partition(":")[2], 16) in ports:
                    inodes.add(fields[9])
    if not inodes:
        return set()
    return {pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _sockets(pid) & inodes}


def _sockets(pid: int) -> set[str]:
    found = set()
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                target = os.readlink(f"/proc/{pid}/fd/{name}")
                if target.startswith("socket:["):
                    found.add(target[8:-1])
    return found
