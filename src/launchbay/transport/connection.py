"""A connection to an instance's SSH server: opened with care, kept, and opened again once it is lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from launchbay.errors import NotFound, UserError
from launchbay.transport.door import Door
from launchbay.transport.hostkeys import read_host_keys
from launchbay.transport.proxied import Proxy, start_proxy, wait_for_end
from launchbay.transport.trouble import check_library, explain_failure

if TYPE_CHECKING:
    import asyncssh

__all__ = ["Connection", "NotBegun", "connect"]

_T = TypeVar("_T")
_ALIVE_S = 10.0
"""After so many seconds of silence, and as many again twice, a connection is given up."""
_LAST_WORDS_S = 1.0
"""So long a proxy may take to end, and to say why, once a login through it failed."""
_REST_S = 0.5
"""After so long without use a connection through a proxy is let go: who leads there has few at a time, and others want one."""
_SETTLE_S = 0.5
"""So long after a failure its connection may still be found to have ended."""
_SESSIONS = 8
"""Of one connection at a time: OpenSSH's server allows ten, and ending a command takes one more."""


class NotBegun(Exception):
    """The connection was lost before anything was begun on the instance: it may be tried again."""


async def connect(door: Door, *, within: float, alive_s: float, alive_count: int = 3) -> asyncssh.SSHClientConnection:
    """Log in, within so many seconds; a connection on which nothing is heard for alive_s * alive_count is given up.

    Nothing of the person's is used: no configuration, no agent, no keys, no known hosts but the door's. A proxy ends with the
    connection. Raises Unreachable, WayRefused, HostKeyRefused, KeyRefused, or NotFound for an instance without a pinned key.
    """
    check_library()
    import asyncssh

    pinned = read_host_keys(door.known_hosts, door.alias)
    if not pinned:
        hint = "nothing is sent to a machine that has not proven who it is"
        raise NotFound(f"no host key of {door.alias} is known", where=str(door.known_hosts), hint=hint)
    proxy: Proxy | None = None
    async with contextlib.AsyncExitStack() as stack:
        try:
            if door.proxy:
                proxy = await start_proxy(door.proxy)
                stack.push_async_callback(proxy.end)
            async with asyncio.timeout(within):
                connection = await asyncssh.connect(
                    door.address,
                    door.port,
                    sock=proxy and proxy.sock,
                    username=door.user,
                    client_keys=[str(path) for path in door.keys],
                    known_hosts=([asyncssh.import_public_key(key) for key in pinned], [], []),
                    host_key_alias=door.alias,
                    config=None,
                    agent_path=None,
                    agent_forwarding=False,
                    preferred_auth="publickey",
                    x509_trusted_certs=None,
                    x509_trusted_cert_paths=[],
                    gss_host=None,
                    connect_timeout=None,
                    login_timeout=within,
                    keepalive_interval=alive_s,
                    keepalive_count_max=alive_count,
                )
        except (asyncssh.Error, OSError, ValueError) as error:
            if proxy is not None:
                await proxy.end(within=_LAST_WORDS_S)
            explained = explain_failure(
                error, door, said=proxy.last_line if proxy else "", code=proxy.code if proxy else None
            )
            if explained is None:
                raise
            raise explained from error
        stack.pop_all()
    if proxy is not None:
        proxy.end_with(connection)
    return connection


class Connection:
    """One connection that is opened when it is needed; through a proxy it is let go when it is not. Lives on one event loop."""

    def __init__(self, door: Door, *, timeout: float) -> None:
        self._door = door
        self._timeout = timeout
        self._opening = asyncio.Lock()
        self._slots = asyncio.Semaphore(_SESSIONS)
        self._open: asyncssh.SSHClientConnection | None = None
        self._ended: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[object]] = set()
        self._resting: asyncio.TimerHandle | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def use(self, work: Callable[[asyncssh.SSHClientConnection], Awaitable[_T]]) -> _T:
        """Do something over the connection; it is opened, and once more if it was found to be lost before work began."""
        async with self._counted(), self._slots:
            try:
                return await work(await self._opened())
            except NotBegun as error:
                if not await self._is_lost():  # others may be using it
                    raise self._explain(error) from error
            try:
                return await work(await self._opened())
            except NotBegun as error:
                raise self._explain(error) from error

    def _explain(self, error: NotBegun) -> UserError:
        hint = "too many sessions at a time, or it is shutting down: the same command again"
        return UserError(f"{self._door.alias} opens no session: {error.__cause__}", where=self._door.place, hint=hint)

    @contextlib.asynccontextmanager
    async def _counted(self) -> AsyncIterator[None]:
        if self._is_closed:
            raise UserError(f"the connection to {self._door.alias} was closed")
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._stay()
        try:
            yield
        finally:
            self._tasks.discard(task)
            if self._door.proxy and not self._tasks and not self._is_closed:
                self._resting = asyncio.get_running_loop().call_later(_REST_S, self._let_go)

    def _stay(self) -> None:
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None

    def _let_go(self) -> None:
        """End the connection, to be opened again when it is needed."""
        opened, self._open, self._ended = self._open, None, None
        if opened is not None:
            leaving = asyncio.create_task(_end(opened))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    async def _opened(self) -> asyncssh.SSHClientConnection:
        async with self._opening:
            if self._open is None or self._ended is None or self._ended.done():
                self._open = await connect(self._door, within=self._timeout, alive_s=_ALIVE_S)
                self._ended = asyncio.create_task(self._open.wait_closed())
            return self._open

    async def _is_lost(self) -> bool:
        ended = self._ended
        return ended is None or bool((await asyncio.wait([ended], timeout=_SETTLE_S))[0])

    async def rest(self) -> None:
        """Let go of the connection at once, if nothing uses it; it is opened again when it is needed."""
        self._stay()
        if not self._tasks:
            self._let_go()
        if self._leaving:
            await asyncio.wait(self._leaving)

    async def close(self) -> None:
        """End what is under way, and the connection. It is not opened again."""
        self._is_closed = True
        self._stay()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)
        if self._leaving:
            await asyncio.wait(self._leaving)
        if self._open is not None:
            await _end(self._open)


async def _end(connection: asyncssh.SSHClientConnection) -> None:
    connection.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2):
            await connection.wait_closed()
    connection.abort()
    await wait_for_end(connection)
