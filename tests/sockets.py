"""Which sockets the processes of a tree have open, read from the system's own tables and not by our code."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator

__all__ = ["LOOPBACK", "descendants", "listening"]

LOOPBACK = {"127.0.0.1", "::1"}
_LISTENS, _UNCONNECTED = "0A", "07"


def descendants(pid: int) -> list[int]:
    """Return a process and all that it started, however deep."""
    found = [pid]
    for item in found:
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{item}/task"):
                with open(f"/proc/{item}/task/{task}/children", encoding="ascii") as file:
                    found.extend(map(int, file.read().split()))
    return found


def listening(pid: int) -> set[tuple[str, int]]:
    """Return (address, port) of all that a process and its descendants can be reached at over TCP and UDP."""
    own = {inode for item in descendants(pid) for inode in _inodes(item)}
    found = set()
    for table, state in (("tcp", _LISTENS), ("tcp6", _LISTENS), ("udp", _UNCONNECTED), ("udp6", _UNCONNECTED)):
        with open(f"/proc/net/{table}", encoding="ascii") as file:
            for line in list(file)[1:]:
                fields = line.split()
                if fields[3] == state and fields[9] in own:
                    address, _, port = fields[1].partition(":")
                    found.add((_readable(address), int(port, 16)))
    return found


def _inodes(pid: int) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                target = os.readlink(f"/proc/{pid}/fd/{name}")
                if target.startswith("socket:"):
                    yield target[len("socket:[") : -1]


def _readable(text: str) -> str:
    """Read an address as the tables have it: words of 32 bits, each in the machine's own order."""
    words = [int(text[index : index + 8], 16) for index in range(0, len(text), 8)]
    packed = b"".join(struct.pack("=I", word) for word in words)
    return socket.inet_ntop(socket.AF_INET if len(words) == 1 else socket.AF_INET6, packed)
