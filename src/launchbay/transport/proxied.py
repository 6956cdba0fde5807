"""The program that a door's proxy is: begun for one connection, heard where it says why there is none, ended with it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    import asyncssh

__all__ = ["Proxy", "start_proxy", "wait_for_end"]

_GRACE_S = 3.0
"""So long a proxy may take to end by itself once its connection has."""
_MOST_HEARD, _MOST_SAID = 1 << 13, 400
_INFO = "launchbay_proxy_end"


class _Heard(asyncio.Protocol):
    """What a program says on stderr, of which the end is kept."""

    def __init__(self) -> None:
        self.is_over = asyncio.Event()
        self.tail = b""

    def data_received(self, data: bytes) -> None:
        self.tail = (self.tail + data)[-_MOST_HEARD:]

    def connection_lost(self, _: Exception | None) -> None:
        self.is_over.set()


class Proxy:
    """A program whose stdin and stdout are the other end of `sock`. Lives on one event loop."""

    def __init__(
        self, sock: socket.socket, process: subprocess.Popen[bytes], heard: _Heard, pipe: asyncio.BaseTransport
    ) -> None:
        self.sock = sock
        self.code: int | None = None
        self._process, self._heard, self._pipe = process, heard, pipe
        self._is_over, self._has_ended = False, asyncio.Event()
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._wait, args=(loop,), name="launchbay-proxy", daemon=True).start()

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        self._process.wait()
        with contextlib.suppress(RuntimeError):  # the loop is over, and nobody asks any more
            loop.call_soon_threadsafe(self._has_ended.set)

    @property
    def last_line(self) -> str:
        """Return the last line that it said, as a terminal may show it; "" if it said nothing."""
        for line in reversed(self._heard.tail.decode("utf-8", "replace").splitlines()):
            if words := "".join(letter for letter in " ".join(line.split()) if letter.isprintable()):
                return words[:_MOST_SAID]
        return ""

    async def end(self, *, within: float = 0.0) -> None:
        """Close its stdin, let it end by itself for so long, then kill it and what it began.

        `code` is then the exit code with which it ended by itself, or None.
        """
        self.sock.close()
        if self._is_over:
            return
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within):
                    await self._has_ended.wait()
                    self.code = self._process.returncode
                    await self._heard.is_over.wait()
        finally:
            # what holds its stderr still is of its group: the number cannot be another's yet
            if not self._has_ended.is_set() or not self._heard.is_over.is_set():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)
            self._is_over = True
            self._pipe.close()
            await self._has_ended.wait()

    def end_with(self, connection: asyncssh.SSHClientConnection) -> None:
        """End it once a connection has; `wait_for_end` waits for that."""
        connection.set_extra_info(**{_INFO: asyncio.create_task(self._follow(connection))})

    async def _follow(self, connection: asyncssh.SSHClientConnection) -> None:
        try:
            await connection.wait_closed()
        except asyncio.CancelledError:  # the loop ends, and nobody is there to wait
            connection.abort()
            await self.end()
            raise
        await self.end(within=_GRACE_S)


async def start_proxy(words: Sequence[str]) -> Proxy:
    """Start a program, in a session of its own: an interrupt of ours is not for it. Raises OSError where it cannot be started."""
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as kept:
        ours, theirs = socket.socketpair()
        kept.callback(ours.close)
        near, far = _make_pipe()
        kept.callback(near.close)
        with theirs, far:
            pipe, heard = await loop.connect_read_pipe(_Heard, near)
            kept.callback(pipe.close)
            proxy = Proxy(ours, _start(words, theirs, far), heard, pipe)
        kept.pop_all()
    return proxy


def _start(words: Sequence[str], ends: socket.socket, stderr: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start it at one go: asyncio's own way can be given up halfway, and then kills the program without what it began."""
    return subprocess.Popen(words, stdin=ends.fileno(), stdout=ends.fileno(), stderr=stderr, start_new_session=True)


def _make_pipe() -> tuple[IO[bytes], IO[bytes]]:
    near, far = os.pipe()
    return open(near, "rb", buffering=0), open(far, "wb", buffering=0)


async def wait_for_end(connection: asyncssh.SSHClientConnection) -> None:
    """Wait until a closed connection's proxy has ended, if it has one: it is killed where it takes its time."""
    ending = connection.get_extra_info(_INFO)
    if ending is not None:
        await asyncio.wait([ending])
