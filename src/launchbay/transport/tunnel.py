"""Bring a port of an instance's own loopback to ours, for as long as it is wanted, whatever happens to the connection.

``python -m launchbay.transport.tunnel RECORD`` holds the tunnels of a record in a process of its own, until it is removed.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from launchbay.errors import Conflict, LaunchbayError, UserError
from launchbay.transport.connection import connect
from launchbay.transport.door import Door
from launchbay.transport.loop import shared_loop
from launchbay.transport.tunnelrecord import Wanted, read_tunnels

if TYPE_CHECKING:
    import asyncssh

__all__ = ["Tunnel", "main"]

_LOOPBACK = "127.0.0.1"
_CHUNK = 1 << 16
_CONNECT_S = 15.0
_FIRST_S, _LAST_S = 0.25, 15.0
"""Between two attempts to connect: doubled from the first up to the last."""
_PATIENCE_S = 60.0
"""So long a client of ours waits for the instance to come back."""
_ALIVE_S, _ALIVE_COUNT = 5.0, 3
_LOOK_S = 0.2
_SETTLE_S = 0.05


class Tunnel:
    """A listener on our loopback whose clients speak with a port of the instance's.

    It connects again by itself, however often and however long it takes, until it is closed. Assigning another `door` makes
    it use that one, as after a stop and a start, when the address is another.
    """

    def __init__(self, door: Door, local_port: int, remote_port: int) -> None:
        """Listen at once, on `local_port` (0: any that is free). Raises Conflict for a port that is taken."""
        self._loop = shared_loop()
        self._forward = _Forward(door, remote_port)
        self.port = self._loop.call(self._forward.listen(local_port))

    @property
    def problem(self) -> str:
        """Return why it is not connected now; empty if it is, or is about to be for the first time."""
        return self._forward.problem

    @property
    def door(self) -> Door:
        """Return how the instance is reached."""
        return self._forward.door

    @door.setter
    def door(self, door: Door) -> None:
        self._loop.call(self._forward.turn_to(door))

    def check(self) -> None:
        """Raise what broke it, if that was no trouble with the connection, but a bug."""
        self._forward.check()

    def close(self) -> None:
        """Stop listening, and end the connection with all that goes through it."""
        self._loop.call(self._forward.close())

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


class _Forward:
    """The tunnel's part on the event loop."""

    def __init__(self, door: Door, remote_port: int) -> None:
        self.door = door
        self.problem = ""
        self._remote_port = remote_port
        self._wanted = asyncio.Event()
        self._open: asyncio.Future[asyncssh.SSHClientConnection]
        self._clients: set[asyncio.Task[None]] = set()
        self._keeper: asyncio.Task[None]
        self._server: asyncio.Server

    async def listen(self, port: int) -> int:
        self._open = asyncio.get_running_loop().create_future()
        try:
            self._server = await asyncio.start_server(self._serve, _LOOPBACK, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise Conflict(
                f"port {port} of this machine is taken", hint="another one, or end what listens there"
            ) from error
        self._keeper = asyncio.create_task(self._keep())
        return int(self._server.sockets[0].getsockname()[1])

    def check(self) -> None:
        if self._keeper.done() and not self._keeper.cancelled():
            self._keeper.result()

    async def turn_to(self, door: Door) -> None:
        self.door = door
        self._wanted.set()
        if self._open.done():
            self._open.result().abort()

    async def close(self) -> None:
        self._server.close()
        self._keeper.cancel()
        for task in self._clients:
            task.cancel()
        await asyncio.gather(self._keeper, *self._clients, return_exceptions=True)

    async def _keep(self) -> None:
        """Be connected. What a person can put right is no reason to give up: they may be about to."""
        pause = _FIRST_S
        while True:
            self._wanted.clear()
            try:
                connection = await connect(self.door, within=_CONNECT_S, alive_s=_ALIVE_S, alive_count=_ALIVE_COUNT)
            except UserError as error:
                self.problem = error.what
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await asyncio.sleep(_FIRST_S)
                        await self._wanted.wait()  # somebody waits for it: not at leisure, then
                pause = min(2 * pause, _LAST_S)
                continue
            pause = _FIRST_S
            self.problem = ""
            self._open.set_result(connection)
            try:
                await connection.wait_closed()
            finally:
                connection.abort()
                self._open = asyncio.get_running_loop().create_future()
            self.problem = f"the connection to {self.door.alias} was lost"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            async with asyncio.timeout(_PATIENCE_S) as patience:
                there = await self._dial()
                patience.reschedule(None)
                await _relay((reader, writer), there)
        except (OSError, asyncio.CancelledError):
            pass  # the client sees that its connection ends, and that is all there is to say to it
        finally:
            self._clients.discard(task)
            writer.close()

    async def _dial(self) -> tuple[asyncssh.SSHReader[bytes], asyncssh.SSHWriter[bytes]]:
        """Open a connection to the port. Nothing was said over it yet, so it is tried on another connection too."""
        import asyncssh

        while True:
            self._wanted.set()
            opened = self._open
            connection = await asyncio.shield(opened)
            try:
                return await connection.open_connection(_LOOPBACK, self._remote_port, encoding=None)
            except asyncssh.ChannelOpenError as error:
                await asyncio.sleep(_SETTLE_S)  # it says the same of a port where nothing listens, and of its own end
                if opened is self._open:
                    raise ConnectionRefusedError from error
            except (asyncssh.ConnectionLost, OSError):
                await asyncio.sleep(_SETTLE_S)


async def _relay(
    here: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    there: tuple[asyncssh.SSHReader[bytes], asyncssh.SSHWriter[bytes]],
) -> None:
    import asyncssh

    ways = [asyncio.create_task(_copy(here[0], there[1])), asyncio.create_task(_copy(there[0], here[1]))]
    try:
        await asyncio.gather(*ways)
    except asyncssh.Error as error:
        raise ConnectionResetError from error
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        there[1].close()


async def _copy(
    reader: asyncio.StreamReader | asyncssh.SSHReader[bytes], writer: asyncio.StreamWriter | asyncssh.SSHWriter[bytes]
) -> None:
    while part := await reader.read(_CHUNK):
        writer.write(part)
        await writer.drain()
    writer.write_eof()


def main(argv: Sequence[str] | None = None) -> int:
    """Hold the tunnels of a record: ``python -m launchbay.transport.tunnel RECORD``. A changed record is read again.

    One line on stdout, ``{"v": 1, "ok": true, ...}``, says that all of them listen. Ends when the record is removed.
    """
    path = Path((sys.argv[1:] if argv is None else argv)[0])
    ended = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: ended.set())
    held: dict[Wanted, Tunnel] = {}
    try:
        seen = _hold(path, held)
        sys.stdout.write(json.dumps({"v": 1, "ok": True, "result": {"pid": os.getpid()}}) + "\n")
        sys.stdout.flush()
        while not ended.wait(_LOOK_S):
            if _mark(path) != seen:
                seen = _hold(path, held)
            for tunnel in held.values():
                tunnel.check()
    except FileNotFoundError:  # nobody wants them any more
        pass
    except LaunchbayError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    finally:
        for tunnel in held.values():
            tunnel.close()
    return 0


def _mark(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


def _hold(path: Path, held: dict[Wanted, Tunnel]) -> tuple[int, int]:
    """Open and close tunnels so that there are those of the record; return a mark of what was read."""
    mark = _mark(path)
    wanted = read_tunnels(path)
    ports = {(item.local_port, item.remote_port): item for item in wanted}
    for item, tunnel in list(held.items()):
        new = ports.pop((item.local_port, item.remote_port), None)
        del held[item]
        if new is None:
            tunnel.close()
            continue
        held[new] = tunnel
        if new.door != item.door:
            tunnel.door = new.door
    for item in ports.values():
        held[item] = Tunnel(item.door, item.local_port, item.remote_port)
    return mark


if __name__ == "__main__":
    sys.exit(main())
