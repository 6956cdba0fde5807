"""The agent of a box: starts what is asked for, hands the ends of pipes and terminals out, and says when nothing runs.

The first process of a box after bubblewrap's own. Standard input is one end of a SEQPACKET socket pair; its other end
is with the twin, and its end is the box's end. A message is one JSON object. Asked are ``run`` (``id``, ``program``,
``argv``, ``env``, ``cwd`` and perhaps ``terminal``: rows and columns), ``signal``, ``dial`` (``id``, ``host``,
``port``) and ``end``. Answers carry the ``id`` asked with and: ``pid``, and as descriptors the outer ends of standard
input, output and error, or of a terminal; ``connected`` and a socket; ``exit`` or ``signal`` when a process has ended;
``error``. ``{"ready": true}`` comes first, and ``{"idle": true}`` whenever no process is left but this one.

Pipes and terminals are opened here, not by the twin: a terminal opened outside is not one in here, and a script may
open ``/dev/stderr`` anew, which only works for the owner of the pipe.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import select
import signal
import socket
import struct
import termios
from collections.abc import Sequence
from typing import Any

__all__ = ["Agent", "main"]

_PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 4, 36
_IN_A_BOX = 2
"""The process id that the agent has in a box. Outside of one, asking everything to end would end the laptop."""

_LARGEST = 1 << 18
_PIPE_BYTES = 1 << 18
_DIAL_SECONDS = 10.0


class Agent:
    """Serve one twin over its control socket until the other end is closed."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._asked: dict[int, int] = {}  # process id -> the id it was asked for with
        self._said_idle = True

    def serve(self) -> None:
        """Answer until the twin is gone. Blocks."""
        ended, tell = os.pipe()
        for end in (ended, tell):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._say({"ready": True})
        while True:
            ready, _, _ = select.select([self._control.fileno(), ended], [], [])
            if ended in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(ended, 4096)
                self._reap()
            if self._control.fileno() in ready:
                message = self._control.recv(_LARGEST)
                if not message:
                    return
                self._do(json.loads(message))

    def _do(self, asked: dict[str, Any]) -> None:
        what = asked["do"]
        if what == "run":
            self._said_idle = False
            self._run(asked)
        elif what == "dial":
            self._said_idle = False
            self._dial(asked)
        elif what == "signal":
            for pid, number in self._asked.items():
                if number == asked["id"]:
                    with contextlib.suppress(OSError):
                        os.killpg(pid, asked["signal"])
        elif what == "end" and os.getpid() == _IN_A_BOX:
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGTERM)  # everything but this process and the box's first
            self._reap(again=True)

    def _run(self, asked: dict[str, Any]) -> None:
        size = asked.get("terminal")
        try:
            inner, outer = _terminal(*size) if size else _pipes()
        except OSError as error:
            self._say({"id": asked["id"], "error": f"cannot open pipes: {error.strerror}"})
            return
        try:
            pid = os.fork()
        except OSError as error:  # as many processes as the box may have
            for end in {*inner, *outer}:
                os.close(end)
            self._say({"id": asked["id"], "error": f"cannot start a process: {error.strerror}"})
            return
        if pid == 0:
            _become(asked, inner, is_terminal=bool(size))
        self._asked[pid] = asked["id"]
        for end in set(inner):
            os.close(end)
        self._say({"id": asked["id"], "pid": pid}, outer)
        for end in outer:
            os.close(end)

    def _dial(self, asked: dict[str, Any]) -> None:
        """Connect in a child of its own: a server that does not accept must not hold up everybody."""
        try:
            pid = os.fork()
        except OSError as error:
            self._say({"id": asked["id"], "error": f"cannot start a process: {error.strerror}"})
            return
        if pid:
            return
        try:
            connection = socket.create_connection((asked["host"], asked["port"]), timeout=_DIAL_SECONDS)
            connection.setblocking(True)  # noqa: FBT003
            self._say({"id": asked["id"], "connected": True}, [connection.fileno()])
        except (OSError, OverflowError, ValueError) as error:  # no such port, no such name
            self._say({"id": asked["id"], "error": str(error)})
        finally:
            os._exit(0)

    def _reap(self, *, again: bool = False) -> None:
        if again:
            self._said_idle = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                if not self._said_idle:
                    self._said_idle = True
                    self._say({"idle": True})
                return
            if not pid:
                return
            asked = self._asked.pop(pid, None)
            if asked is not None:
                how = "signal" if os.WIFSIGNALED(status) else "exit"
                code = os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
                self._say({"id": asked, how: code})

    def _say(self, answer: dict[str, Any], ends: Sequence[int] = ()) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(f"{len(ends)}i", *ends))] if ends else []
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the twin is gone, and so is the box at once
            self._control.sendmsg([json.dumps(answer).encode()], rights)


def _pipes() -> tuple[list[int], list[int]]:
    """Return (the ends for a process, the ends for the twin)."""
    opened: list[int] = []
    try:
        for _ in range(3):
            opened.extend(os.pipe())
    except OSError:
        for end in opened:
            os.close(end)
        raise
    set_size = getattr(fcntl, "F_SETPIPE_SZ", 1031)
    for end in opened[::2]:
        with contextlib.suppress(OSError):  # a person may have only so much in pipes
            fcntl.fcntl(end, set_size, _PIPE_BYTES)
    return [opened[0], opened[3], opened[5]], [opened[1], opened[2], opened[4]]


def _terminal(rows: int, columns: int) -> tuple[list[int], list[int]]:
    outer, inner = os.openpty()
    fcntl.ioctl(outer, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    return [inner, inner, inner], [outer]


def _become(asked: dict[str, Any], inner: Sequence[int], *, is_terminal: bool) -> None:
    """Turn this child into the program asked for; never returns."""
    code = 126
    try:
        os.setsid()
        if is_terminal:
            fcntl.ioctl(inner[0], termios.TIOCSCTTY, 0)
        # Out of the way first: one of them may have the number another is to get.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 3) for end in inner]
        for number, end in enumerate(ends):
            os.dup2(end, number)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.closerange(3, 1024)
        try:
            os.chdir(asked.get("cwd", "/"))
        except OSError:
            os.chdir("/")
        os.execve(asked["program"], asked["argv"], asked["env"])
    except OSError as error:
        code = 127 if error.errno == errno.ENOENT else 126
        with contextlib.suppress(OSError):
            os.write(2, "{}: {}\n".format(asked["program"], error.strerror).encode())
    finally:
        os._exit(code)


def main() -> None:
    """Be the agent of this box; standard input is its control socket."""
    os.umask(0o022)
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # what is left behind becomes a child of this process
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # no other process in the box may look into this one
    control = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    keep = control.fileno()  # whatever else was left open may lead out of the box
    os.closerange(3, keep)
    os.closerange(keep + 1, 4096)
    Agent(control).serve()


if __name__ == "__main__":
    main()
