"""A filter on a listening socket that drops what a security group refuses, so that a caller sees silence as on EC2.

Where the kernel does not permit it (it did not for an ordinary user's TCP sockets on 6.18), the caller is refused after
it has connected and before the SSH server's first line: a port scan sees an open port there.
"""

from __future__ import annotations

import ctypes
import ipaddress
import socket
import struct
from collections.abc import Collection

__all__ = ["MOST", "drop_from", "program"]

MOST = 2000
"""So many addresses fit into a filter; later ones are refused without one."""

_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27
_LOAD_WORD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JEQ|BPF_K, BPF_RET|BPF_K
_SOURCE_ADDRESS = 0x100000000 - 0x100000 + 12  # SKF_NET_OFF, as unsigned, and where IPv4 has it
_ALL = 0xFFFFFFFF


def program(addresses: Collection[str]) -> bytes:
    """Return the classic BPF program that drops packets from IPv4 addresses and lets all others pass."""
    steps = [struct.pack("HBBI", _LOAD_WORD, 0, 0, _SOURCE_ADDRESS)]
    for address in sorted(addresses)[:MOST]:
        steps.append(struct.pack("HBBI", _JUMP_EQUAL, 0, 1, int(ipaddress.IPv4Address(address))))
        steps.append(struct.pack("HBBI", _RETURN, 0, 0, 0))
    steps.append(struct.pack("HBBI", _RETURN, 0, 0, _ALL))
    return b"".join(steps)


def drop_from(listener: socket.socket, addresses: Collection[str]) -> bool:
    """Drop what comes to a socket from these addresses from now on, and return whether the kernel permits that.

    Connections that stand already go on, as they do when a group's rules change on EC2.
    """
    try:
        if not addresses:
            try:
                listener.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
            except FileNotFoundError:
                return True  # there was none
            return True
        code = program(addresses)
        held = ctypes.create_string_buffer(code)
        described = struct.pack("HP", len(code) // 8, ctypes.addressof(held))
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, described)
    except PermissionError:
        return False
    return True
