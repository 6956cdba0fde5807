"""The box of a host while somebody needs it: started for the first, ended a moment after the last, if nothing runs in it."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from launchbay.twin.hosts.box import AGENT, arguments, binds_of
from launchbay.twin.hosts.files import Files
from launchbay.twin.hosts.host import Host, Knock, Limits
from launchbay.twin.hosts.launch import METADATA_ADDRESS, STAGE
from launchbay.twin.hosts.metadata import Metadata
from launchbay.twin.hosts.relay import Store, relay
from launchbay.twin.hosts.running import Box, BoxFailed, Plan
from launchbay.twin.hosts.tree import Owner

__all__ = ["SHELL", "Keeper", "Surroundings", "environment"]

SHELL = "/bin/bash" if os.path.exists("/bin/bash") else "/bin/sh"
_LINGER = 1.0  # seconds that an idle box is kept for the next command
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all hosts of a twin have in common.

    `allows`, `metadata`, `power` and `answer` are called by `threads`, never by the loop: they may have to wait for a lock
    that is held by whoever waits for the loop.
    """

    shared: Path
    bwrap: str
    owner: Owner
    limits: Limits
    threads: Executor
    allows: Callable[[str, str, int], bool]
    metadata: Callable[[str, str], bytes | None]
    power: Callable[[str, str], None]
    answer: Callable[[str, str, str], bytes | None]
    now: Callable[[], float]
    knocked: Callable[[Knock], None]
    store: Store | None = None
    booting: asyncio.Semaphore


class Keeper:
    """Keeps the box of one host. Lives on the twin's event loop."""

    def __init__(self, host: Host, files: Files, around: Surroundings, metadata: Metadata) -> None:
        self._host = host
        self._files = files
        self._around = around
        self._metadata = metadata
        self._box: Box | None = None
        self._starting = asyncio.Lock()
        self._uses = 0
        self._is_shut = False
        self._ending: set[asyncio.Task[None]] = set()

    def used(self) -> None:
        """Count one more who needs the box."""
        self._uses += 1

    def unused(self) -> None:
        """Count one less; the box ends a moment after the last."""
        self._uses -= 1
        self._end_soon()

    async def box(self) -> Box:
        """Return the running box, started now where there is none. Only between `used` and `unused`. Raises BoxFailed."""
        async with self._starting:
            if self._is_shut:
                raise BoxFailed("the host is stopping")
            if self._box is None or self._box.gone.done():
                self._box = await self._start()
            return self._box

    @contextlib.asynccontextmanager
    async def using(self) -> AsyncIterator[Box]:
        """Give the box for as long as the context lasts. Raises BoxFailed."""
        self.used()
        try:
            yield await self.box()
        finally:
            self.unused()

    async def shut(self, *, grace: float) -> None:
        """End the box and start none again. Its processes are asked to end first, and have `grace` seconds."""
        self._is_shut = True
        async with self._starting:
            if self._box is not None:
                await self._box.end(grace=grace)

    async def _start(self) -> Box:
        host, around = self._host, self._around
        binds = binds_of(host, self._files.root, around.shared)
        try:
            self._files.make_ready(binds)
        except OSError as error:
            raise BoxFailed(f"the host's root is damaged, it cannot start: {error}") from None
        staged = [str(bind.source) for bind in binds if bind.is_own] if around.owner else []
        places = {path: f"{STAGE}/{number}" for number, path in enumerate(staged)}
        sources = [
            places.get(str(bind.source), str(bind.source)) if bind.is_own else str(bind.source) for bind in binds
        ]
        most = around.limits
        plan = Plan(
            bwrap=around.bwrap,
            arguments=tuple(arguments(host, binds, sources, environment("root", "/root"))),
            command=AGENT,
            staged=tuple(staged),
            addresses=(METADATA_ADDRESS, host.private_ip),
            owner=around.owner,
            limits={"RLIMIT_CORE": 0, "RLIMIT_FSIZE": most.file_bytes, "RLIMIT_NPROC": most.processes},
            store=around.store.port if around.store else 0,
        )
        box = await Box.start(plan)
        servers = [await self._metadata.serve(await box.metadata())]
        if around.store:
            servers.append(await relay(await box.store(), around.store))
        for server in servers:
            box.gone.add_done_callback(lambda _, server=server: server.close())  # type: ignore[misc]
        box.on_idle = self._end_soon
        return box

    def _end_soon(self) -> None:
        if self._uses == 0 and not self._is_shut:
            asyncio.get_running_loop().call_later(_LINGER, self._end_if_idle)

    def _end_if_idle(self) -> None:
        if self._is_unneeded():
            task = asyncio.get_running_loop().create_task(self._end_idle())
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def _end_idle(self) -> None:
        async with self._starting:  # nobody can get this box meanwhile
            if self._box is not None and self._is_unneeded():
                await self._box.end(grace=0)

    def _is_unneeded(self) -> bool:
        return self._uses == 0 and self._box is not None and self._box.is_idle and not self._box.gone.done()


def environment(user: str, home: str) -> dict[str, str]:
    """Return the environment of a process of a user in a box."""
    return {
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{METADATA_ADDRESS}",
        "HOME": home,
        "LANG": "C.UTF-8",
        "LOGNAME": user,
        "PATH": _PATH,
        "SHELL": SHELL,
        "USER": user,
    }
