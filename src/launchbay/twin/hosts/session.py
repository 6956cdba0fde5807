"""One SSH session: what the client types goes into a process in the box, what that writes comes back, then its exit code."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import struct
import termios
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import asyncssh

from launchbay.twin.hosts.running import Box, BoxFailed, Started

__all__ = ["Session", "Sessions"]

_AFTER_EXIT = 0.2  # seconds that a terminal is still read after its process has ended
_WAITING = 1 << 21  # bytes of input held while the box starts
_FROM_CLIENT = ("LANG", "LC_", "GIT_PROTOCOL", "NO_COLOR")
_ANY_PORT = 1024
"""The port of a client that came through the twin itself, and so has none."""


class Sessions(Protocol):
    """**Protocol:** the host that sessions are of. Its methods are called on the event loop."""

    def used(self) -> None:
        """Count a session, which keeps the box alive."""

    def unused(self) -> None:
        """Count one less."""

    async def box(self) -> Box:
        """Return the running box, starting it where there is none. Raises BoxFailed."""

    def login(self, command: str | None, subsystem: str | None) -> tuple[str, list[str]] | None:
        """Return the program and arguments of a session, None for a subsystem that there is not."""

    def environment(self) -> dict[str, str]:
        """Return the environment of a login."""

    @property
    def home(self) -> str:
        """Where a login starts."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something on the loop until the host stops."""


class _Reader(asyncio.Protocol):
    def __init__(self, received: Callable[[bytes], None], ended: Callable[[], None]) -> None:
        self._received = received
        self._ended = ended

    def data_received(self, data: bytes) -> None:
        self._received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._ended()


class _Writer(asyncio.BaseProtocol):
    def __init__(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self._pause = pause
        self._resume = resume

    def pause_writing(self) -> None:
        self._pause()

    def resume_writing(self) -> None:
        # Not at once: the transport that calls this would be written to and ended within its own writing, and it then
        # takes what was just written for written out.
        asyncio.get_running_loop().call_soon(self._resume)


class Session(asyncssh.SSHServerSession[bytes]):
    """A shell, a command or a subsystem; made by the SSH server for each channel of a client."""

    def __init__(self, host: Sessions, peer: str) -> None:
        self._host = host
        self._peer = peer
        self._channel: asyncssh.SSHServerChannel[bytes]
        self._login: tuple[str, list[str]] | None = None
        self._terminal: tuple[int, int] | None = None
        self._term = ""
        self._box: Box | None = None
        self._started: Started | None = None
        self._outputs: list[asyncio.ReadTransport] = []
        self._input: asyncio.WriteTransport | None = None
        self._early: list[bytes] = []
        self._early_end = False
        self._is_over = False
        self._read = asyncio.Event()
        self._open = 0

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """Remember the channel."""
        self._channel = chan
        self._host.used()

    def pty_requested(self, term_type: str, term_size: tuple[int, int, int, int], term_modes: Any) -> bool:
        """Accept a terminal; its modes are not taken over."""
        del term_modes
        self._term = term_type
        columns, rows = term_size[:2]
        self._terminal = (min(rows, 9999) or 24, min(columns, 9999) or 80)
        return True

    def shell_requested(self) -> bool:
        """Accept a login shell."""
        self._login = self._host.login(None, None)
        return self._login is not None

    def exec_requested(self, command: str) -> bool:
        """Accept a command."""
        self._login = self._host.login(command, None)
        return self._login is not None

    def subsystem_requested(self, subsystem: str) -> bool:
        """Accept SFTP, which is served inside the box: out here it would follow the host's links into the laptop."""
        self._login = self._host.login(None, subsystem)
        return self._login is not None

    def session_started(self) -> None:
        """Start the process."""
        self._host.spawn(self._serve())

    async def _serve(self) -> None:
        code = 255
        try:
            self._box = await self._host.box()
            if self._is_over:
                return
            self._started = await self._start(self._box)
            await self._connect(self._started)
            code = await self._started.ended
            await self._drained()
        except (BoxFailed, OSError, ValueError) as error:
            if not self._is_over:
                self._channel.write_stderr(f"twin: {error}\n".encode())
        finally:
            if not self._is_over:
                if code >= 0:
                    self._channel.exit(code)
                else:
                    self._channel.exit_with_signal(_signal_name(-code))
            self._close()

    async def _start(self, box: Box) -> Started:
        environment = self._host.environment()
        for name, value in self._channel.get_environment().items():
            if name.startswith(_FROM_CLIENT):
                environment[name] = value
        peer = self._channel.get_extra_info("peername")
        port = peer[1] if peer else _ANY_PORT
        environment["SSH_CONNECTION"] = f"{self._peer} {port} {environment.pop('PRIVATE_IP')} 22"
        if self._terminal:
            environment["TERM"] = self._term or "dumb"
            environment["SSH_TTY"] = "/dev/tty"
        assert self._login is not None
        program, argv = self._login
        return await box.run(program, argv, environment, cwd=self._host.home, terminal=self._terminal)

    async def _connect(self, started: Started) -> None:
        """Tie the process's ends to the channel. They are closed by what reads and writes them from here on."""
        loop = asyncio.get_running_loop()
        outputs: list[tuple[int, int | None]]
        if self._terminal:
            ends, outputs = os.dup(started.ends[0]), [(started.ends[0], None)]
        else:
            ends, outputs = started.ends[0], [(started.ends[1], None), (started.ends[2], asyncssh.EXTENDED_DATA_STDERR)]
        for end, kind in outputs:
            self._open += 1
            output, _ = await loop.connect_read_pipe(
                lambda kind=kind: _Reader(lambda data: self._out(data, kind), self._ended),  # type: ignore[misc]
                os.fdopen(end, "rb", buffering=0),
            )
            self._outputs.append(output)
        self._input, _ = await loop.connect_write_pipe(
            lambda: _Writer(self._channel.pause_reading, self._channel.resume_reading),
            os.fdopen(ends, "wb", buffering=0),
        )
        if self._is_over:
            self._close()
            return
        for data in self._early:
            self._input.write(data)
        self._early.clear()
        self._channel.resume_reading()
        if self._early_end:
            self._end_input()

    def _out(self, data: bytes, kind: int | None) -> None:
        if not self._is_over and not self._channel.is_closing():
            self._channel.write(data, kind)

    def _ended(self) -> None:
        self._open -= 1
        if self._open <= 0:
            self._read.set()

    async def _drained(self) -> None:
        """Wait for all output: to its end, as sshd does; from a terminal, which others may hold open, a moment longer."""
        if not self._terminal:
            await self._read.wait()
            return
        try:
            await asyncio.wait_for(self._read.wait(), _AFTER_EXIT)
        except TimeoutError:
            return

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Pass input on."""
        del datatype
        if self._input is not None:
            if not self._input.is_closing():
                self._input.write(data)
            return
        self._early.append(data)
        if sum(map(len, self._early)) > _WAITING:
            self._channel.pause_reading()

    def eof_received(self) -> bool:
        """End the input; the output goes on."""
        if self._input is None:
            self._early_end = True
        else:
            self._end_input()
        return True

    def _end_input(self) -> None:
        assert self._input is not None
        if self._input.is_closing():
            return
        if self._terminal:
            self._input.write(b"\x04")
        else:
            self._input.write_eof()

    def pause_writing(self) -> None:
        """Let the process wait: the client does not keep up."""
        for output in self._outputs:
            output.pause_reading()

    def resume_writing(self) -> None:
        """Let the process go on."""
        for output in self._outputs:
            output.resume_reading()

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        """Pass a new size on."""
        del pixwidth, pixheight
        if self._input is not None and self._terminal:
            size = struct.pack("HHHH", min(height, 9999), min(width, 9999), 0, 0)
            with contextlib.suppress(OSError):  # it has just been closed
                fcntl.ioctl(self._input.get_extra_info("pipe").fileno(), termios.TIOCSWINSZ, size)

    def signal_received(self, signal: str) -> None:
        """Pass a signal on; `signal` is its name without SIG."""
        number = _SIGNALS.get(signal)
        if self._box and self._started and number:
            self._box.send_signal(self._started, number)

    def break_received(self, msec: int) -> bool:
        """Pass a break on as an interrupt."""
        del msec
        self.signal_received("INT")
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of the process: one in a terminal gets a hang-up, one without goes on, as under sshd."""
        del exc
        self._is_over = True
        self._close()
        self._read.set()
        self._host.unused()

    def _close(self) -> None:
        for output in self._outputs:
            output.close()
        if self._input is not None and not self._input.is_closing():
            self._input.abort()


_SIGNALS = {item.name.removeprefix("SIG"): int(item) for item in signal.Signals}


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return "KILL"
