"""Run one program over a connection: its input, its output, its end, and its being ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launchbay.errors import UserError
from launchbay.transport.base import Completed
from launchbay.transport.connection import NotBegun
from launchbay.transport.script import Mark, boot_command, check_mark, find_mark
from launchbay.transport.trouble import ConnectionBroken

if TYPE_CHECKING:
    import asyncssh

__all__ = ["Order", "Sink", "run_order", "start_order", "stream_order"]

Sink = Callable[[int, bytes], Awaitable[None]]
"""Takes what a program says: 0 is its output, 1 its errors."""

_CHUNK = 1 << 16
_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A program to run: its words, where, with what, and the script that makes the instance's shell become it."""

    argv: Sequence[str]
    folder: str
    variables: Mapping[str, str]
    script: bytes
    alias: str
    is_asked_first: bool = False
    """Whether it may end by itself before it is killed."""


@dataclass(slots=True, kw_only=True)
class _Begun:
    process: asyncssh.SSHClientProcess[bytes]
    mark: Mark
    rest: bytes
    """What was read of its output behind the mark."""


async def run_order(
    connection: asyncssh.SSHClientConnection, order: Order, data: bytes, *, within: float | None
) -> Completed:
    """Run a program to its end. One that does not end in time, or whose caller is interrupted, is ended.

    Raises NotFound, UserError, ConnectionBroken, NotBegun.
    """
    parts: tuple[list[bytes], list[bytes]] = ([], [])

    async def keep(stream: int, part: bytes) -> None:
        parts[stream].append(part)

    try:
        async with asyncio.timeout(within):
            code = await stream_order(connection, order, data, keep)
    except TimeoutError as error:
        raise UserError(f"{order.argv[0]} gave no answer within {within:.0f} s", where=order.alias) from error
    return Completed(code=code, stdout=b"".join(parts[0]), stderr=b"".join(parts[1]))


async def stream_order(connection: asyncssh.SSHClientConnection, order: Order, data: bytes, sink: Sink) -> int:
    """Run a program to its end, passing on its output (0) and errors (1) as they come; return its code.

    Raises as `run_order` does.
    """
    async with _begun(connection, order) as begun:
        process = begun.process
        feed = asyncio.create_task(_feed(process, data))
        words = asyncio.create_task(_pass_on(process.stderr, 1, sink))
        try:
            first = begun.rest or await process.stdout.read(_CHUNK)
            _check_failed(first, begun.mark, order)
            if first:
                await sink(0, first)
                await _pass_on(process.stdout, 0, sink)
            await words
            await process.wait_closed()
        finally:
            for task in (feed, words):
                task.cancel()
            await asyncio.gather(feed, words, return_exceptions=True)
        return _code(process, order)


async def start_order(connection: asyncssh.SSHClientConnection, order: Order, data: bytes) -> Completed:
    """Start a program, feed it and return its first line; it goes on then. Without a line, return how it ended.

    Raises as `run_order` does.
    """
    async with _begun(connection, order) as begun:
        process = begun.process
        feed = asyncio.create_task(_feed(process, data))
        try:
            line = await _first_line(connection, begun)
            _check_failed(line, begun.mark, order)
            if line:
                await feed
                return Completed(code=0, stdout=line.partition(b"\n")[0] + b"\n" * (b"\n" in line), stderr=b"")
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    await process.wait_closed()
            except TimeoutError:
                await _kill(connection, begun.mark.pid)  # without an answer, one that lives on is of no use
                await process.wait_closed()
            return Completed(code=_code(process, order), stdout=b"", stderr=b"")
        finally:
            feed.cancel()
            await asyncio.gather(feed, return_exceptions=True)


async def _first_line(connection: asyncssh.SSHClientConnection, begun: _Begun) -> bytes:
    """Return what a program says up to the end of a line, or of its output.

    Not every server tells that a program has closed its output as long as it lives: now and then we look ourselves.
    """
    line = begun.rest
    while b"\n" not in line:
        reading = asyncio.create_task(begun.process.stdout.read(_CHUNK))
        try:
            while not (await asyncio.wait([reading], timeout=_PATIENCE_S))[0]:
                if await _is_mute(connection, begun.mark.pid):
                    return line
            more = await reading
        finally:
            reading.cancel()
        if not more:
            break
        line += more
    return line


async def _is_mute(connection: asyncssh.SSHClientConnection, pid: int) -> bool:
    """Return whether a program lives and has closed its output."""
    import asyncssh

    with contextlib.suppress(asyncssh.ChannelOpenError):  # too many sessions now: it is asked again
        done = await connection.run(f"/bin/sh -c '[ -d /proc/{pid}/fd ] && [ ! -L /proc/{pid}/fd/1 ]'", encoding=None)
        return done.returncode == 0
    return False


@contextlib.asynccontextmanager
async def _begun(connection: asyncssh.SSHClientConnection, order: Order) -> AsyncIterator[_Begun]:
    """Begin a program; end it if what is done with it meanwhile does not come to its end."""
    import asyncssh

    try:
        process = await connection.create_process(boot_command(len(order.script)), encoding=None)
    except (asyncssh.ConnectionLost, asyncssh.ChannelOpenError, OSError) as error:
        raise NotBegun from error
    reading = asyncio.create_task(_read_mark(process, order))
    try:
        begun = await asyncio.shield(reading)
        check_mark(begun.mark, order.argv, order.folder, order.variables)
        yield begun
    except (asyncssh.ConnectionLost, OSError) as error:
        raise _broken(order) from error
    except asyncio.CancelledError:
        await asyncio.shield(_end(connection, process, reading, order))
        raise
    finally:
        process.close()


async def _read_mark(process: asyncssh.SSHClientProcess[bytes], order: Order) -> _Begun:
    with contextlib.suppress(BrokenPipeError):  # it ended at once; why is in its output
        process.stdin.write(order.script)
    said = b""
    while True:
        found = find_mark(said)
        if found:
            return _Begun(process=process, mark=found[0], rest=found[1])
        more = await process.stdout.read(_CHUNK)
        if not more:
            break
        said += more
    words = (said + await process.stderr.read(_CHUNK)).decode(errors="replace").strip()
    await process.wait_closed()
    code = _code(process, order)
    raise UserError(
        f"{order.alias} starts no shell for us (code {code}): {words[-300:]}",
        hint="does its user have a login shell, and no forced command?",
    )


def _check_failed(output: bytes, mark: Mark, order: Order) -> None:
    """Raise if the shell is still there, because it could not become the program."""
    second = find_mark(output)
    if second and second[0].word == "failed" and second[0].pid == mark.pid:
        check_mark(second[0], order.argv, order.folder, order.variables)


async def _feed(process: asyncssh.SSHClientProcess[bytes], data: bytes) -> None:
    """Hand over its input no faster than it reads. One that ends without reading all of it is none of our business."""
    view = memoryview(data)
    with contextlib.suppress(BrokenPipeError, ConnectionError):
        for begin in range(0, len(data), _CHUNK):
            process.stdin.write(bytes(view[begin : begin + _CHUNK]))
            await process.stdin.drain()
        process.stdin.write_eof()


async def _pass_on(reader: asyncssh.SSHReader[bytes], stream: int, sink: Sink) -> None:
    while part := await reader.read(_CHUNK):
        await sink(stream, part)


def _code(process: asyncssh.SSHClientProcess[bytes], order: Order) -> int:
    code = process.returncode
    if code is None:
        raise _broken(order)
    return code


def _broken(order: Order) -> ConnectionBroken:
    what = f"the connection to {order.alias} was lost while {order.argv[0]} ran; it may be running still"
    return ConnectionBroken(what, hint="bay ps shows whether the instance runs; look before you run it again")


async def _end(
    connection: asyncssh.SSHClientConnection,
    process: asyncssh.SSHClientProcess[bytes],
    reading: asyncio.Task[_Begun],
    order: Order,
) -> None:
    await asyncio.wait([reading], timeout=_PATIENCE_S)  # it may be about to begin, and is not known yet
    if not reading.done() or reading.cancelled() or reading.exception():
        reading.cancel()
        return
    pid = reading.result().mark.pid
    if order.is_asked_first:
        await _kill(connection, pid, "TERM")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                await process.wait_closed()
                return
    await _kill(connection, pid)


async def _kill(connection: asyncssh.SSHClientConnection, pid: int, how: str = "KILL") -> None:
    """End a program and what belongs to its group. If the connection is gone, that cannot be done, and is not."""
    import asyncssh

    words = f"/bin/sh -c 'kill -{how} -{pid} 2>/dev/null || kill -{how} {pid} 2>/dev/null'"
    with contextlib.suppress(TimeoutError, asyncssh.Error, OSError):
        async with asyncio.timeout(_PATIENCE_S):
            await connection.run(words, encoding=None)
