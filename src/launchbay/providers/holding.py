"""Start holders of mounts: a program of its own, because it forks, and must be quick.

Reads a list of {"environment", "mounts": [[target, options]]} on stdin. For each it forks a process into a mount
namespace of its own, mounts, and lets it become a `sleep` that carries the environment. Answers {"pids": [...]} once all
of them stand, or {"error": why}; then none does.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys

TYPE_CHECKING = False  # `typing` would cost more than all the rest
if TYPE_CHECKING:
    from typing import Any

__all__ = ["main"]

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
_MS_REC_SLAVE = 0x4000 | 0x80000
_SLEEP = ("/bin/sleep", "/usr/bin/sleep")


def main() -> None:
    """Start the holders that stdin asks for."""
    wanted = json.load(sys.stdin)
    needs_user = os.geteuid() != 0
    pids: list[int] = []
    error = ""
    for item in wanted:
        pid, error = _fork(item, needs_user=needs_user)
        pids.append(pid)
        if error:
            break
    if error:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
    answer = {"error": error} if error else {"pids": pids, "has_user_namespace": needs_user}
    sys.stdout.write(json.dumps(answer))


def _fork(item: dict[str, Any], *, needs_user: bool) -> tuple[int, str]:
    """Return the pid of a holder and "", or why it could not be; the pipe closes when it has become the `sleep`."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            _hold(item, needs_user=needs_user)
        except BaseException as error:
            os.write(writer, (str(error) or repr(error)).encode())  # whatever it is, the parent tells it
            raise
        finally:
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        return pid, pipe.read().decode(errors="replace")


def _hold(item: dict[str, Any], *, needs_user: bool) -> None:
    os.setsid()
    user, group = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS | (_CLONE_NEWUSER if needs_user else 0)) != 0:
        _fail("this kernel gives no namespace" + (" to ordinary users" if needs_user else ""))
    if needs_user:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    if libc.mount(b"none", b"/", None, _MS_REC_SLAVE, None) != 0:
        _fail("its mounts cannot be kept apart")
    for target, options in item["mounts"]:
        known = options + (",userxattr" if needs_user else "")
        if libc.mount(b"overlay", os.fsencode(target), b"overlay", 0, os.fsencode(known)) != 0:
            _fail("the kernel mounts no overlay here")
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.chdir("/")
    program = next(path for path in _SLEEP if os.path.exists(path))
    os.execve(program, ["sleep", "infinity"], item["environment"])  # all other descriptors close by themselves


def _fail(what: str) -> None:
    raise OSError(f"{what} ({os.strerror(ctypes.get_errno())})")


if __name__ == "__main__":
    main()
