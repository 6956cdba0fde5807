"""One host as it runs: its listener, its box while somebody uses it, its boot script. Lives on the twin's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import socket
import uuid
from collections.abc import Collection, Coroutine
from typing import Any

import asyncssh

from launchbay.errors import Conflict
from launchbay.twin.hosts import ssh
from launchbay.twin.hosts.boot import read_user_data
from launchbay.twin.hosts.files import Files
from launchbay.twin.hosts.filter import drop_from
from launchbay.twin.hosts.host import Host, Knock, Listening
from launchbay.twin.hosts.keeper import SHELL, Keeper, Surroundings, environment
from launchbay.twin.hosts.metadata import Answer, Metadata
from launchbay.twin.hosts.running import Box, BoxFailed

__all__ = ["Machine"]

_SFTP = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server")


class Machine:
    """One host. What its SSH sessions need of it is the protocol `session.Sessions`."""

    def __init__(self, host: Host, files: Files, around: Surroundings) -> None:
        self.host = host
        self._files = files
        self._around = around
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._visits: set[asyncio.Task[None]] = set()
        self._connections: set[asyncssh.SSHServerConnection] = set()
        self._refused: set[str] = set()
        self._once: dict[tuple[str, str], float] = {}  # (user, key) -> until when
        self._host_key: asyncssh.SSHKey
        self._boot_asked = read_user_data(host.user_data)
        self.up = asyncio.Event()
        """Set when the host has come up as far as to its SSH server: nobody is let in before."""
        self._is_up = False
        metadata = Metadata(host.user_data, self._look_up, self._asked, around.now)
        self._keeper = Keeper(host, files, around, metadata)

    # --- as the twin calls it -------------------------------------------------------------------------------------

    def listen(self, refused: Collection[str]) -> Listening:
        """Listen, and start what is to start with the host. Raises Conflict for a port that is taken, OSError.

        A host key that is missing or damaged is replaced; an instance of EC2 could not be reached any more.
        """
        self._files.prepare(self.host)
        state = self._files.state()
        is_first = not state.get("is_booted")
        if not state.get("is_up"):
            self._files.forget_run()
        if is_first and self._boot_asked.host_key:
            with contextlib.suppress(OSError):
                self._files.put_host_key(*self._boot_asked.host_key)
        self._host_key = ssh.read_host_key(self._files.host_key() or b"") or self._new_host_key()
        self._listen_at(self._bound(self.host), refused)
        is_work = not state.get("is_up") and self._boot_asked.has_work(is_first=is_first)
        if not is_work or not self._boot_asked.comes_before_ssh(is_first=is_first):
            self.up.set()
        self.spawn(self._boot(is_first=is_first, is_work=is_work))
        return self.listening()

    def went_down(self) -> None:
        """Note that the host was stopped: at its next start it boots."""
        self._files.note(is_up=False)

    def start_unit(self, unit: str) -> None:
        """Start a unit of systemd's in the box, in the background."""
        self.spawn(self._run_as_root(["/usr/bin/systemctl", "start", unit], b""))

    def is_same_but_for_its_place(self, host: Host) -> bool:
        """Return whether a host differs from this one in address and port only, if at all."""
        return dataclasses.replace(host, address=self.host.address, port=self.host.port) == self.host

    def move(self, host: Host, refused: Collection[str]) -> Listening:
        """Listen at another place, while what runs goes on. Raises Conflict, and listens where it did."""
        listener = self._bound(host)
        self._stop_listening()
        self.host = host
        self._listen_at(listener, refused)
        return self.listening()

    def _listen_at(self, listener: socket.socket, refused: Collection[str]) -> None:
        self._listener = listener
        self.filter(refused)
        self._files.note(port=listener.getsockname()[1])
        self._accepting = asyncio.get_running_loop().create_task(ssh.accept_all(listener, self._admit))

    def _stop_listening(self) -> None:
        if self._accepting is not None:
            self._accepting.cancel()
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def listening(self) -> Listening:
        """Return where this host listens."""
        assert self._listener is not None
        address, port = self._listener.getsockname()[:2]
        return Listening(address=address, port=port, host_key=ssh.public_line(self._host_key))

    def filter(self, refused: Collection[str]) -> None:
        """Drop what comes from these addresses, where the kernel permits it."""
        self._refused = set(refused)
        if self._listener is not None:
            drop_from(self._listener, self._refused)

    def authorize(self, user: str, key: str, until: float) -> None:
        """Accept a key of a user until then."""
        self._once[user, key] = until

    async def shut(self, *, grace: float) -> None:
        """Stop listening, end all connections and processes; those in the box are asked first and have `grace` seconds."""
        self._stop_listening()
        for task in self._visits:
            task.cancel()
        connections = list(self._connections)
        for connection in connections:
            connection.abort()
        for connection in connections:
            await connection.wait_closed()
        await self._keeper.shut(grace=grace)
        left = [*self._tasks, *self._visits]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)

    # --- as its sessions use it -----------------------------------------------------------------------------------

    @property
    def home(self) -> str:
        """Return where a login starts."""
        return f"/home/{self.host.user}"

    def used(self) -> None:
        """Count a session, which keeps the box."""
        self._keeper.used()

    def unused(self) -> None:
        """Count one less."""
        self._keeper.unused()

    async def box(self) -> Box:
        """Return the running box. Raises BoxFailed."""
        return await self._keeper.box()

    def login(self, command: str | None, subsystem: str | None) -> tuple[str, list[str]] | None:
        """Return program and arguments for a command, a subsystem, or a login shell."""
        if subsystem is not None:
            servers = [path for path in _SFTP if os.path.exists(path)]
            return (servers[0], [servers[0]]) if subsystem == "sftp" and servers else None
        name = os.path.basename(SHELL)
        return (SHELL, [f"-{name}"]) if command is None else (SHELL, [name, "-c", command])

    def environment(self) -> dict[str, str]:
        """Return the environment of a login; PRIVATE_IP is for the session to use up."""
        return {**environment(self.host.user, self.home), "PRIVATE_IP": self.host.private_ip}

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something until the host stops."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- its door -------------------------------------------------------------------------------------------------

    def _admit(self, connection: socket.socket, peer: str) -> None:
        self._receive(self._visit(connection, peer))

    def reach(self, peer: str) -> socket.socket:
        """Return a connection to the SSH server, as if from an address that may come in: nobody is asked about it."""
        near, far = socket.socketpair()
        far.setblocking(False)  # noqa: FBT003
        around = self._around
        around.knocked(Knock(instance=self.host.instance, peer=peer, at=around.now(), is_allowed=True, banner=True))
        self._receive(self._let_in(far, peer))
        return near

    def _receive(self, visit: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(visit)
        self._visits.add(task)
        task.add_done_callback(self._visits.discard)

    async def _visit(self, connection: socket.socket, peer: str) -> None:
        loop = asyncio.get_running_loop()
        around, instance = self._around, self.host.instance
        try:
            is_allowed = await loop.run_in_executor(around.threads, around.allows, instance, peer, 22)
        except BaseException:
            ssh.refuse(connection)
            raise
        around.knocked(Knock(instance=instance, peer=peer, at=around.now(), is_allowed=is_allowed, banner=is_allowed))
        if not is_allowed:
            ssh.refuse(connection)
            self.filter({*self._refused, peer})
            return
        await self._let_in(connection, peer)

    async def _let_in(self, connection: socket.socket, peer: str) -> None:
        try:
            await self.up.wait()
        except BaseException:
            ssh.refuse(connection)
            raise
        door = ssh.Door(host=self, user=self.host.user, accepts=self._accepts, peer=peer)
        with contextlib.suppress(OSError, asyncssh.Error, TimeoutError):  # it went away, or may not come in
            client = await ssh.serve(connection, door, self._host_key)
            self._connections.add(client)
            try:
                await client.wait_closed()
            finally:
                self._connections.discard(client)
                client.abort()

    def _accepts(self, key: str) -> bool:
        if self._once.get((self.host.user, key), float("-inf")) > self._around.now():
            return True
        return key in ssh.read_keys(self._files.authorized_keys(self.host.user))

    def _new_host_key(self) -> asyncssh.SSHKey:
        """Return a new host key, put into the host where that can be done."""
        private, public = ssh.new_host_key()
        with contextlib.suppress(OSError):  # the person has made something else of /etc/ssh
            self._files.put_host_key(private, public)
        return asyncssh.import_private_key(private)

    def _bound(self, host: Host) -> socket.socket:
        wanted = host.port or int(self._files.state().get("port", 0))
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setblocking(False)  # noqa: FBT003
        try:
            try:
                listener.bind((host.address, wanted))
            except OSError:
                if host.port:
                    raise
                listener.bind((host.address, 0))  # somebody has it meanwhile
            listener.listen(128)
        except OSError as error:
            listener.close()
            where = f"{host.address}:{wanted}"
            raise Conflict(f"cannot listen: {error.strerror}", where=where, hint="another address or port") from None
        return listener

    # --- what runs by itself --------------------------------------------------------------------------------------

    async def _boot(self, *, is_first: bool, is_work: bool) -> None:
        if is_first:
            self._files.note(is_booted=True)  # before it runs: a script that was cut off does not run again, as on EC2
        if is_work:
            told = self._boot_asked.told(instance=self.host.instance, user=self.host.user, is_first=is_first)
            await self._come_up(["/usr/bin/cloud-init", "twin-boot"], told)
        elif self._files.has_services():
            await self._run_as_root(["/usr/bin/systemctl", "start-enabled"], b"")
        self._has_come_up()

    async def _come_up(self, argv: list[str], told: bytes) -> None:
        """Run the boot. Until it lets the SSH server go, it is one of the few that run at a time."""
        if self.up.is_set():
            await self._run_as_root(argv, told)
            return
        async with self._around.booting:
            running = asyncio.create_task(self._run_as_root(argv, told))
            is_up = asyncio.create_task(self.up.wait())
            try:
                await asyncio.wait([running, is_up], return_when=asyncio.FIRST_COMPLETED)
            except BaseException:
                running.cancel()
                raise
            finally:
                is_up.cancel()
        try:
            await running
        finally:
            running.cancel()

    def _has_come_up(self) -> None:
        """Note it once. Not where the twin ends meanwhile: the next one boots the host then."""
        if not self._is_up:
            self._is_up = True
            self._files.note(is_up=True)
        self.up.set()

    async def _run_as_root(self, argv: list[str], data: bytes) -> None:
        """Run something as the boot does, its output thrown away. A host that cannot start does not, as on EC2."""
        with contextlib.suppress(BoxFailed):
            async with self._keeper.using() as box:
                started = await box.run(argv[0], argv, environment("root", "/root"))
                for end in started.ends[1:]:
                    os.close(end)
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._around.threads, _write_all, started.ends[0], data)
                await started.ended

    async def _look_up(self, path: str) -> bytes | None:
        around = self._around
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(around.threads, around.metadata, self.host.instance, path)

    async def _asked(self, method: str, path: str) -> Answer:
        if (method, path) in (("PUT", "power/stop"), ("PUT", "power/reboot")):
            self.spawn(self._press(path.removeprefix("power/")))
            return Answer(status=200)
        if (method, path) == ("PUT", "ssh/restart"):
            key = ssh.read_host_key(self._files.host_key() or b"")
            if key is None:
                return Answer(status=400, body=b"no host key in /etc/ssh that can be read; the old one stays")
            self._host_key = key
            return Answer(status=200)
        if (method, path) == ("GET", "gpus"):
            return Answer(status=200, body=json.dumps(self._gpus()).encode())
        if (method, path) == ("PUT", "booted"):
            self._has_come_up()
            return Answer(status=200)
        around = self._around
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(around.threads, around.answer, self.host.instance, method, path)
        return Answer(status=404) if found is None else Answer(status=200, body=found)

    async def _press(self, what: str) -> None:
        """Tell the twin; it may shut this host meanwhile, which ends the waiting but not the telling."""
        around = self._around
        await asyncio.get_running_loop().run_in_executor(around.threads, around.power, self.host.instance, what)

    def _gpus(self) -> list[dict[str, str]]:
        return [
            {
                "count": str(len(self.host.gpus)),
                "index": str(index),
                "memory": str(gpu.memory_mib),
                "name": gpu.name,
                "uuid": f"GPU-{uuid.uuid5(uuid.NAMESPACE_OID, f'{self.host.instance} {index}')}",
            }
            for index, gpu in enumerate(self.host.gpus)
        ]


def _write_all(end: int, data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), os.fdopen(end, "wb") as file:
        file.write(data)
