"""This process's stdin and stdout, put on a stream of bytes to somewhere: what OpenSSH wants of a ProxyCommand."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import CancelledError

from launchbay.errors import UserError

__all__ = ["CHUNK", "CLOSING_S", "CONNECT_S", "Stream", "close_stream", "open_plain"]

CHUNK = 1 << 15
CONNECT_S, CLOSING_S = 30.0, 5.0
"""So long a stream may take to open, and to end once it was told to."""


class Stream(abc.ABC):
    """A stream of bytes to somewhere, open already; whoever opened it closes it."""

    @abc.abstractmethod
    async def send(self, data: bytes) -> None:
        """Pass bytes on; b"" says that no more come. Raises OSError where the stream broke."""

    @abc.abstractmethod
    def receive(self) -> AsyncGenerator[bytes, None]:
        """Yield what comes, until the far side ends it. Raises UserError where it ends with a reason, or breaks."""

    async def carry(self, source: int = 0) -> None:
        """Pass on what comes both ways until one side ends. Raises UserError where the far side ends it with a reason.

        `source` is the descriptor that is read: another one where stdin was set aside.
        """
        sender = asyncio.create_task(self._pass_on(_read_source(asyncio.get_running_loop(), source)))
        receiver = asyncio.create_task(self._take())
        try:
            await asyncio.wait([sender, receiver], return_when=asyncio.FIRST_COMPLETED)
            with contextlib.suppress(TimeoutError):  # who is told of the end and does not answer is left alone
                await asyncio.wait_for(receiver, CLOSING_S)
        finally:
            sender.cancel()
            receiver.cancel()
            await asyncio.gather(sender, receiver, return_exceptions=True)

    async def _pass_on(self, source: asyncio.Queue[bytes]) -> None:
        with contextlib.suppress(OSError):  # whoever reads finds the end, and why
            data = b" "
            while data:
                data = await source.get()
                await self.send(data)

    async def _take(self) -> None:
        loop = asyncio.get_running_loop()
        async with contextlib.aclosing(self.receive()) as parts:
            async for part in parts:
                try:
                    await loop.run_in_executor(None, _write_all, part)
                except OSError:  # nobody reads it any more, and that is an end as any other
                    return


class _Plain(Stream):
    """A connection as TCP has it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, data: bytes) -> None:
        if data:
            self._writer.write(data)
        else:
            self._writer.write_eof()
        await self._writer.drain()

    async def receive(self) -> AsyncGenerator[bytes, None]:
        try:
            while data := await self._reader.read(CHUNK):
                yield data
        except OSError as error:
            raise UserError(f"the connection broke: {error.strerror or error}") from error


@contextlib.asynccontextmanager
async def open_plain(address: str, port: int) -> AsyncIterator[Stream]:
    """Be connected with a port by TCP. Raises UserError where nothing answers there."""
    where = f"{address} port {port}"
    try:
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(address, port)
    except TimeoutError as error:
        raise UserError(f"{where} does not answer") from error
    except OSError as error:
        raise UserError(f"{where} cannot be reached: {error.strerror or error}") from error
    try:
        yield _Plain(reader, writer)
    finally:
        await close_stream(writer)


async def close_stream(writer: asyncio.StreamWriter) -> None:
    """Close a connection; one that does not end soon is left alone."""
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(CLOSING_S):
            await writer.wait_closed()


def _write_all(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def _read_source(loop: asyncio.AbstractEventLoop, source: int) -> asyncio.Queue[bytes]:
    """Return a queue of what comes there, at last b"". A thread of its own reads: stdin may be anything, and never end."""
    queue: asyncio.Queue[bytes] = asyncio.Queue(2)

    def read() -> None:
        data = b" "
        while data:
            try:
                data = os.read(source, CHUNK)
            except OSError:
                data = b""
            put = queue.put(data)
            try:
                asyncio.run_coroutine_threadsafe(put, loop).result()
            except (CancelledError, RuntimeError):  # the loop is over, and so is this
                put.close()
                return

    threading.Thread(target=read, name="stdin", daemon=True).start()
    return queue
