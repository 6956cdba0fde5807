"""What becomes bubblewrap: gives up rights, takes a network of its own, and only then starts the box.

Run as a program of its own (``python -I -S launch.py FD``), because a process with several threads cannot do it; FD holds
a JSON object: ``uid`` and ``gid`` to become or null, ``staged`` (paths), ``addresses``, ``limits``, ``command`` and perhaps
``store`` (a port). Standard input is the control socket, over which the listening sockets of the metadata service and of
the way to the store are sent.

The order matters. As root: folders are bound below ``/sys`` of a mount namespace of our own first, because the ordinary
user we become could not go through a parent that only root may enter. Then root is given up. Then a user and a network
namespace are taken, in which this process may give the loopback device its addresses; the box's own user namespace is
made inside of that by bubblewrap, so that no process in the box ever holds a right over its network.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import platform
import resource
import socket
import struct
import sys
from collections.abc import Sequence

__all__ = ["STAGE", "main"]

STAGE = "/sys"
"""Covered by an empty file system in a namespace of our own: it is there on every Linux, and no box shows it."""

METADATA_ADDRESS = "169.254.169.254"
_CLONE_NEWNS, _CLONE_NEWUSER, _CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 1 << 18
_PR_SET_DUMPABLE = 4
_SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFNETMASK = 0x8914, 0x8916, 0x891C
_IFF_UP, _IFF_LOOPBACK, _IFF_RUNNING = 0x1, 0x8, 0x40
_OOM_SCORE = 500  # where memory runs out, a box goes before the twin and what else the laptop runs
_KEYCTL = {"x86_64": 250, "aarch64": 219}
_KEYCTL_JOIN_SESSION_KEYRING = 1

_libc = ctypes.CDLL(None, use_errno=True)


def main(descriptor: int) -> None:
    """Do as the description on a descriptor says, and become the command in it. Raises OSError where a right is missing."""
    with os.fdopen(descriptor, encoding="utf-8") as file:
        wish = json.load(file)
    stage(wish["staged"])
    _new_session_keyring()
    _write("/proc/self/oom_score_adj", str(_OOM_SCORE))
    for name, value in wish["limits"].items():
        limit(getattr(resource, name), value)
    if wish["uid"] is not None:
        os.setgroups([])
        os.setresgid(wish["gid"], wish["gid"], wish["gid"])
        os.setresuid(wish["uid"], wish["uid"], wish["uid"])
        _check(_libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0), "prctl")  # else /proc/self stays root's
    own_network(wish["addresses"])
    services = {"metadata": (METADATA_ADDRESS, 80)}
    if wish.get("store"):
        services["store"] = (
            "127.0.0.1",
            wish["store"],
        )  # where it is outside as well: an address that is signed holds here
    with socket.socket(fileno=os.dup(0)) as control:
        for name, place in services.items():
            service = socket.create_server(place, backlog=64)
            socket.send_fds(control, [json.dumps({name: True}).encode()], [service.fileno()])
            service.close()
    os.execv(wish["command"][0], wish["command"])


def stage(paths: Sequence[str]) -> None:
    """Bind files and folders as ``/sys/0``, ``/sys/1``, ... of a mount namespace of our own. Needs root."""
    if not paths:
        return
    _check(_libc.unshare(_CLONE_NEWNS), "unshare")
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    _mount("none", STAGE, "tmpfs", 0)
    os.chmod(STAGE, 0o755)  # noqa: S103 - names of our own only
    for number, path in enumerate(paths):
        place = f"{STAGE}/{number}"
        if os.path.isdir(path):
            os.mkdir(place)
        else:
            os.close(os.open(place, os.O_CREAT | os.O_EXCL, 0o644))
        _mount(path, place, None, _MS_BIND | _MS_REC)


def limit(kind: int, value: int) -> None:
    """Lower a limit to a value; one that is lower already stays."""
    _, most = resource.getrlimit(kind)
    value = value if most == resource.RLIM_INFINITY else min(value, most)
    resource.setrlimit(kind, (value, value))


def own_network(addresses: Sequence[str]) -> None:
    """Take a user and a network namespace in which loopback has these addresses besides its own."""
    uid, gid = os.getuid(), os.getgid()
    _check(_libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET), "make namespaces as an ordinary user")
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{uid} {uid} 1")
    _write("/proc/self/gid_map", f"{gid} {gid} 1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        flags = _IFF_UP | _IFF_LOOPBACK | _IFF_RUNNING
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags))
        for number, address in enumerate(addresses):
            name = f"lo:{number}".encode()
            for request, value in ((_SIOCSIFADDR, address), (_SIOCSIFNETMASK, "255.255.255.255")):
                packed = struct.pack("16sH2x4s16x", name, socket.AF_INET, socket.inet_aton(value))
                fcntl.ioctl(any_socket, request, packed)
    # A person is root on an instance of EC2 and may serve on port 80.
    _write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0")


def _new_session_keyring() -> None:
    """Leave the keyring of the person's session behind, which every child would have."""
    number = _KEYCTL.get(platform.machine())
    if number is not None:
        _libc.syscall(number, _KEYCTL_JOIN_SESSION_KEYRING, None)  # a kernel without keyrings has none to leave


def _mount(source: str, target: str, kind: str | None, flags: int) -> None:
    code = _libc.mount(os.fsencode(source), os.fsencode(target), kind and kind.encode(), flags, None)
    _check(code, f"mount {target}")


def _check(code: int, what: str) -> None:
    if code != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def _write(path: str, text: str) -> None:
    # Not by open(): it may look for an encoding in a library that the user we have become cannot read.
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    os.write(descriptor, text.encode())
    os.close(descriptor)


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]))
    except OSError as error:
        with contextlib.suppress(OSError):
            sys.stderr.write(f"{error}\n")
        sys.exit(1)
