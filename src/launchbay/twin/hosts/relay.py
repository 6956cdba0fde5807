"""The one way out of a box: to the store, at the address that it has outside. Connections are passed on, and nothing is read."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass

__all__ = ["Store", "relay"]

_BLOCK = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Where the store is: `port` is that of loopback by which everybody knows it, `door` the one that is open to hosts.

    They differ because hosts may ask less than the person who started the twin: only what was signed for them.
    """

    port: int
    door: int


async def relay(listener: socket.socket, store: Store) -> asyncio.Server:
    """Start to pass on what comes in at a listening socket, which the server returned closes."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            there, back = await asyncio.open_connection("127.0.0.1", store.door)
            await asyncio.gather(_pump(reader, back), _pump(there, writer))
        writer.close()

    return await asyncio.start_server(pass_on, sock=listener)


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Pass on what comes until it ends, no faster than it is taken."""
    with contextlib.suppress(OSError):
        while data := await source.read(_BLOCK):
            target.write(data)
            await target.drain()
    with contextlib.suppress(OSError, RuntimeError):
        if target.can_write_eof():
            target.write_eof()
