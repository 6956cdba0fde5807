"""The way to an instance that is somewhere else: SSH."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import posixpath
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from launchbay.errors import LaunchbayError, UserError
from launchbay.transport.base import OF_STARTER, Completed
from launchbay.transport.channel import Order, run_order, start_order, stream_order
from launchbay.transport.connection import Connection
from launchbay.transport.door import Door
from launchbay.transport.interrupts import without_interrupts
from launchbay.transport.loop import LoopThread, shared_loop
from launchbay.transport.script import terminal_command, write_script, write_terminal_script
from launchbay.transport.sftp import Progress, get_path, put_path
from launchbay.transport.sshconfig import write_ssh_config

if TYPE_CHECKING:
    import asyncssh

__all__ = ["SshTransport"]

_T = TypeVar("_T")
_CONNECT_S = 20.0
_NAME = "instance"


class SshTransport:
    """Runs commands with the instance's variables, in its working folder, over one connection that is kept.

    `folder` is absolute, or empty for the login's home. Besides `variables`, a command has HOME, USER, LOGNAME, SHELL and a
    plain PATH from its login, and nothing of ours. Safe to call from several threads; eight calls go over the connection at a
    time, and more wait. A connection that was lost between two
    calls is opened again, one that is lost within a call is an error, for nobody knows then what became of the command.
    """

    def __init__(
        self, *, door: Door, variables: Mapping[str, str], folder: str = "", connect_timeout: float = _CONNECT_S
    ) -> None:
        self.door = door
        self.variables = dict(variables)
        self.folder = folder
        self._timeout = connect_timeout
        self._lock = threading.Lock()
        self._is_closed = False
        self._made: tuple[LoopThread, Connection] | None = None

    def run(self, argv: Sequence[str], *, data: bytes = b"", timeout: float | None = None) -> Completed:
        """Run a command to its end; in time or not, none is left running. See `Transport`.

        Raises NotFound for a command or folder that is missing, Unreachable, HostKeyRefused, KeyRefused, ConnectionBroken.
        """
        script = write_script(argv, folder=self.folder, variables=self.variables)
        order = self._order(argv, script)
        return self._use(lambda connection: run_order(connection, order, data, within=timeout))

    def stream(
        self,
        argv: Sequence[str],
        *,
        data: bytes = b"",
        out: Callable[[bytes], None],
        err: Callable[[bytes], None],
    ) -> int:
        """Run a command to its end, passing on what it prints as it comes, in this thread. See `Transport`.

        What is not taken as fast as it comes waits on the instance, and not in our memory.
        """
        script = write_script(argv, folder=self.folder, variables=self.variables)
        order = dataclasses.replace(self._order(argv, script), is_asked_first=True)
        said: queue.SimpleQueue[tuple[Callable[[bytes], None], bytes, asyncio.Event] | None] = queue.SimpleQueue()

        async def sink(stream: int, part: bytes) -> None:
            taken = asyncio.Event()
            said.put((err if stream else out, part, taken))
            await taken.wait()

        loop, connection = self._connection()
        running = loop.begin(connection.use(lambda opened: stream_order(opened, order, data, sink)))
        running.done.add_done_callback(lambda _: said.put(None))
        try:
            while item := said.get():
                item[0](item[1])
                loop.soon(item[2].set)
            return running.done.result()
        except concurrent.futures.CancelledError as error:
            raise UserError(f"the connection to {self.door.alias} was closed") from error
        except BaseException:
            running.end()
            raise

    def start(self, argv: Sequence[str], *, data: bytes, errors: str, variables: Mapping[str, str]) -> Completed:
        """Start a program in a session of its own; return the first line it answers, or how it ended without one."""
        own = {name: value for name, value in self.variables.items() if name not in OF_STARTER}
        script = write_script(
            argv, folder=self.folder, variables={**own, **variables}, errors=errors, is_own_session=True
        )
        order = self._order(argv, script)
        return self._use(lambda connection: start_order(connection, order, data))

    def attach(self, argv: Sequence[str]) -> int:
        """Run a command on the caller's terminal, through the system's own `ssh`; return its code.

        255 may also mean that the connection was lost: SSH's client says so on the terminal. Where stdin or stdout is no
        terminal, none is opened there either: what goes through a pipe comes out as it went in. Ctrl-C then ends the
        client alone, and the code is 130.
        """
        path = self._leave_script(argv)
        if self.door.proxy:  # who leads there has few connections, and the client's is one more
            loop, connection = self._connection()
            loop.call(connection.rest())
        wish = "-tt" if sys.stdin.isatty() and sys.stdout.isatty() else "-T"
        code = 255
        try:
            with tempfile.TemporaryDirectory(prefix="launchbay-") as folder:
                config = Path(folder, "config")
                write_ssh_config(config, {_NAME: self.door})
                command = ["ssh", "-F", str(config), wish, _NAME, terminal_command(path)]
                with without_interrupts() as heard, subprocess.Popen(command) as process:
                    code = process.wait()
                    code = 130 if code == 255 and heard else code
        except FileNotFoundError as error:
            raise UserError("there is no `ssh` on this machine", hint="apt install openssh-client") from error
        finally:
            if code in (130, 255):
                with contextlib.suppress(LaunchbayError):  # the script removes itself, if it was ever reached
                    self.run(["rm", "-f", path])
        return 128 - code if code < 0 else code

    def put(self, source: str, target: str, *, progress: Progress | None = None) -> None:
        """Copy a file or folder of ours to the instance; a relative target lies in its working folder.

        Modes and times are kept, links stay links, and a file has its name only once it is whole. `progress` is told how
        many bytes of how many are there, on another thread.
        """
        place = self._place(target)
        self._use(lambda connection: put_path(connection, source, place, progress))

    def get(self, source: str, target: str, *, progress: Progress | None = None) -> None:
        """Copy a file or folder of the instance to us; as `put`. What it names can lie nowhere but below `target`."""
        place = self._place(source)
        self._use(lambda connection: get_path(connection, place, target, progress))

    def close(self) -> None:
        """End the connection, and what is under way over it in other threads; the instance stays."""
        with self._lock:
            self._is_closed = True
            made, self._made = self._made, None
        if made is not None and made[0] is shared_loop():
            made[0].call(made[1].close())

    def _order(self, argv: Sequence[str], script: bytes) -> Order:
        return Order(argv=argv, folder=self.folder, variables=self.variables, script=script, alias=self.door.alias)

    def _leave_script(self, argv: Sequence[str]) -> str:
        """Put the script for a terminal into a file that only its user can read, if the command can be started at all."""
        keep = 'umask 077; f=$(mktemp) && cat >"$f" && printf %s "$f"'
        script = write_script(argv, folder=self.folder, variables=self.variables, instead=["/bin/sh", "-c", keep])
        order = self._order(argv, script)
        data = write_terminal_script(argv, folder=self.folder, variables=self.variables)
        done = self._use(lambda connection: run_order(connection, order, data, within=None))
        if done.code:
            raise UserError(f"no file can be written on {self.door.alias}: {done.stderr.decode(errors='replace')}")
        return done.stdout.decode()

    def _place(self, path: str) -> str:
        """Return where a path of the instance lies; relative, for SFTP, is relative to the login's home."""
        if path == "~" or path.startswith("~/"):
            return posixpath.join(self.variables.get("HOME", ""), path[2:]) or "."
        return posixpath.join(self.folder, path) or "."

    def _connection(self) -> tuple[LoopThread, Connection]:
        loop = shared_loop()
        with self._lock:
            if self._is_closed:
                raise UserError(f"the connection to {self.door.alias} was closed")
            if self._made is None or self._made[0] is not loop:  # a connection does not survive a fork
                self._made = loop, Connection(self.door, timeout=self._timeout)
            return self._made

    def _use(self, work: Callable[[asyncssh.SSHClientConnection], Awaitable[_T]]) -> _T:
        loop, connection = self._connection()
        try:
            return loop.call(connection.use(work))
        except concurrent.futures.CancelledError as error:
            raise UserError(f"the connection to {self.door.alias} was closed") from error
