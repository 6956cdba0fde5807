"""The hosts of a twin, as the twin uses them: opened and shut from any thread, while they live on a loop of their own."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import fcntl
import ipaddress
import os
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Callable, Collection, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import asyncssh

from launchbay.errors import Conflict, NotFound, UsageError
from launchbay.twin.hosts import ssh, tree
from launchbay.twin.hosts.farm import build_shared
from launchbay.twin.hosts.files import Files
from launchbay.twin.hosts.host import BAKED, Host, Knock, Limits, Listening
from launchbay.twin.hosts.keeper import Surroundings
from launchbay.twin.hosts.machine import Machine
from launchbay.twin.hosts.relay import Store
from launchbay.twin.hosts.tree import Owner

__all__ = ["Hosts"]

NOBODY = 65534
_SHARED = ".shared-"
_KNOCKS = 10_000
_THREADS = 16
_BOOTING = 8
"""How many hosts come up at a time, as far as to their SSH server: more would only wait for a processor."""

T = TypeVar("T")


class Hosts:
    """Hosts in a folder, one folder each below it. All methods may be called from any thread and wait until it is done.

    `allows(instance, peer, port)` is what the security groups say; it is also called from within `open` and
    `rules_changed`, by their caller's thread. `metadata(instance, path)` is the value of a path after ``/latest/``,
    such as ``meta-data/instance-id``, None where there is none. `power(instance, "stop" or "reboot")` is called when a
    host asks for it. `answer(instance, method, path)` is asked by the stand-ins in a host, None where there is nothing: GET
    ``now`` (seconds since 1970), ``disks`` and ``timers``, PUT ``timers/NAME/AT/WHAT``, DELETE ``timers/NAME``. All are
    otherwise called by threads of this object, so they may call it, and take locks that callers hold.

    `run_as` is the user and group that boxes run as when this process is root, never root: by default the folder's
    owner, or nobody where that is root. `now` is the clock of one-time keys and metadata tokens. `peers` are addresses
    of loopback from which somebody may come; refusals of these are dropped in silence from the start, where the kernel
    permits that, and of others from the second attempt. `store` is what hosts reach of the world beside: nothing, or S3.

    A folder serves one process at a time. When the process dies, all boxes die with it; a new one opens the same hosts.
    Raises NotFound without bubblewrap, Conflict for a folder in use.
    """

    def __init__(
        self,
        folder: Path,
        *,
        allows: Callable[[str, str, int], bool],
        metadata: Callable[[str, str], bytes | None],
        power: Callable[[str, str], None],
        answer: Callable[[str, str, str], bytes | None] = lambda *_: None,
        run_as: tuple[int, int] | None = None,
        now: Callable[[], float] = time.monotonic,
        peers: Collection[str] = ("127.0.0.1",),
        limits: Limits | None = None,
        store: Store | None = None,
    ) -> None:
        bwrap = shutil.which("bwrap")
        if bwrap is None:
            raise NotFound("hosts need bubblewrap, and there is no bwrap on the PATH", hint="install bubblewrap")
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder.resolve()
        self._owner = _owner(self._folder, run_as)
        self._allows = allows
        self._now = now
        self._peers = {str(ipaddress.IPv4Address(peer)) for peer in peers}
        self._knocks: collections.deque[Knock] = collections.deque(maxlen=_KNOCKS)
        self._lock = _locked(self._folder)
        self._machines: dict[str, Machine] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._is_closed = False
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="twin-host")
        self._around = Surroundings(
            shared=_shared(self._folder),
            bwrap=bwrap,
            owner=self._owner,
            limits=limits or Limits(),
            threads=self._threads,
            allows=allows,
            metadata=metadata,
            power=power,
            answer=answer,
            now=now,
            knocked=self._knocks.append,
            store=store,
            booting=asyncio.Semaphore(_BOOTING),
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="twin-hosts", daemon=True)
        self._thread.start()

    def open(self, host: Host) -> Listening:
        """Let a host listen, and run its boot script in the background if it never did. Idempotent.

        Called when an instance becomes running, and when its address changes: what runs goes on then. A host that is
        open and differs in anything else is shut before. Raises Conflict for an address and port that are taken.
        """
        return self._call(self._open(host, self._refused(host.instance)))

    def shut(self, instance: str, *, grace: float = 0.25) -> None:
        """End a host's processes and stop listening; its files stay. Idempotent.

        Called when an instance is stopping. Processes are sent SIGTERM, and SIGKILL after `grace` seconds.
        """
        self._call(self._shut(instance, grace))

    def forget(self, instance: str) -> None:
        """Shut a host and remove its files. Idempotent. Called when an instance is terminated."""
        self._call(self._forget(instance))

    def bake(self, instance: str, name: str) -> None:
        """Keep the files of a host under a name, ``snap-...``, for hosts that begin with them (`Host.baked`). Idempotent.

        What is half there of an earlier try is replaced. Raises OSError; UsageError for another name.
        """
        if not BAKED.fullmatch(name):
            raise UsageError(f"what is kept of a host is called as its snapshot, got {name!r}", where=instance)
        self._call(self._bake(instance, name))

    def keep_baked(self, names: Collection[str]) -> None:
        """Remove all files that were kept under other names than these. Hosts that began with them have their own."""
        self._call(self._keep_baked(frozenset(names)))

    def authorize(self, instance: str, user: str, public_key: str, *, seconds: float = 60) -> None:
        """Accept a key of a user for so long, as EC2 Instance Connect does.

        Raises NotFound for a host that is not open, UsageError for what is no public key.
        """
        try:
            key = ssh.public_line(asyncssh.import_public_key(public_key))
        except asyncssh.KeyImportError as error:
            raise UsageError(f"not a public key: {error}", where=instance) from None
        self._call(self._authorize(instance, user, key, self._now() + seconds))

    def reach(self, instance: str, peer: str) -> socket.socket | None:
        """Return a connection to a host's SSH server, as if from `peer`; None for a host that is not open.

        Whether somebody may come in this way was judged by the caller: `allows` is not asked.
        """
        return self._call(self._reach(instance, peer))

    def start_unit(self, instance: str, unit: str) -> None:
        """Start a unit of systemd's in a host, and do not wait for it. Does nothing for a host that is not open."""
        self._call(self._start_unit(instance, unit))

    def wait_for_boots(self, *, seconds: float) -> None:
        """Wait until all hosts that are open have come up, as far as to their SSH server, or so many seconds have passed."""
        self._call(self._wait_for_boots(seconds))

    def rules_changed(self) -> None:
        """Ask the security groups anew about every address that is known. Connections that stand go on."""
        for instance in list(self._machines):
            self._call(self._filter(instance, self._refused(instance)))

    def close(self) -> None:
        """End everything that runs; all files stay. Idempotent."""
        if self._is_closed:
            return
        self._call(self._close())
        self._is_closed = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        tree_fd = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            tree.remove(tree_fd, self._around.shared.name)
        finally:
            os.close(tree_fd)
        os.close(self._lock)

    def knocks(self) -> tuple[Knock, ...]:
        """Return the attempts to connect, oldest first, the last 10,000. Those that the kernel dropped are not among them."""
        return tuple(self._knocks.copy())

    # --- on the loop ----------------------------------------------------------------------------------------------

    async def _open(self, host: Host, refused: Collection[str]) -> Listening:
        async with self._turn(host.instance):
            machine = self._machines.get(host.instance)
            if machine is not None and machine.host == host:
                machine.filter(refused)
                return machine.listening()
            if machine is not None and machine.is_same_but_for_its_place(host):
                return machine.move(host, refused)
            if machine is not None:
                await self._end(machine, 0.0)
                machine.went_down()
            baked = self._folder / host.baked if host.baked and (self._folder / host.baked).is_dir() else None
            files = Files(self._folder / host.instance, self._owner, baked=baked)
            machine = Machine(host, files, self._around)
            listening = machine.listen(refused)
            self._machines[host.instance] = machine
            return listening

    async def _shut(self, instance: str, grace: float) -> None:
        async with self._turn(instance):
            machine = self._machines.get(instance)
            if machine is not None:
                await self._end(machine, grace)
                machine.went_down()

    async def _end(self, machine: Machine, grace: float) -> None:
        await machine.shut(grace=grace)
        self._machines.pop(machine.host.instance, None)

    async def _forget(self, instance: str) -> None:
        await self._shut(instance, 0.0)
        async with self._turn(instance):
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, self._remove, instance)
        self._turns.pop(instance, None)

    def _remove(self, instance: str) -> None:
        if not instance.startswith("i-") or "/" in instance:
            raise UsageError(f"not an instance: {instance!r}")
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            tree.remove(descriptor, instance)
        finally:
            os.close(descriptor)

    async def _bake(self, instance: str, name: str) -> None:
        async with self._turn(instance):
            await asyncio.get_running_loop().run_in_executor(None, self._copy_files, instance, name)

    def _copy_files(self, instance: str, name: str) -> None:
        self._remove_baked(name)
        Files(self._folder / instance, self._owner).bake(self._folder / name)

    async def _keep_baked(self, names: frozenset[str]) -> None:
        for name in os.listdir(self._folder):
            if BAKED.fullmatch(name) and name not in names:
                await asyncio.get_running_loop().run_in_executor(None, self._remove_baked, name)

    def _remove_baked(self, name: str) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            tree.remove(descriptor, name)
        finally:
            os.close(descriptor)

    async def _authorize(self, instance: str, user: str, key: str, until: float) -> None:
        machine = self._machines.get(instance)
        if machine is None:
            raise NotFound("this host does not run", where=instance)
        machine.authorize(user, key, until)

    async def _reach(self, instance: str, peer: str) -> socket.socket | None:
        machine = self._machines.get(instance)
        return None if machine is None else machine.reach(peer)

    async def _start_unit(self, instance: str, unit: str) -> None:
        machine = self._machines.get(instance)
        if machine is not None:
            machine.start_unit(unit)

    async def _wait_for_boots(self, seconds: float) -> None:
        up = [asyncio.ensure_future(machine.up.wait()) for machine in self._machines.values()]
        if up:
            _, left = await asyncio.wait(up, timeout=seconds)
            for item in left:
                item.cancel()

    async def _filter(self, instance: str, refused: Collection[str]) -> None:
        machine = self._machines.get(instance)
        if machine is not None:
            machine.filter(refused)

    async def _close(self) -> None:
        # none goes down by that: in the twin no time passes until it runs again
        await asyncio.gather(*(self._end(machine, 0.0) for machine in list(self._machines.values())))
        for _ in range(5):  # what was closed just now lets go of its descriptors in the loop's next rounds
            await asyncio.sleep(0)

    @contextlib.asynccontextmanager
    async def _turn(self, instance: str) -> Any:
        async with self._turns.setdefault(instance, asyncio.Lock()):
            yield

    def _refused(self, instance: str) -> set[str]:
        known = self._peers | {knock.peer for knock in self.knocks()}
        return {peer for peer in known if not self._allows(instance, peer, 22)}

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        if self._is_closed:
            work.close()
            raise Conflict("the hosts are closed")
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("called from the hosts' own loop, which would wait for itself")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _owner(folder: Path, run_as: tuple[int, int] | None) -> Owner:
    """Return whom a host's files belong to and its box runs as, None for this process's own user."""
    if os.geteuid() != 0:
        if run_as not in (None, (os.geteuid(), os.getegid())):
            raise UsageError("only root can run hosts as somebody else", where="run_as")
        return None
    if run_as is None:
        about = folder.stat()
        run_as = (about.st_uid, about.st_gid) if about.st_uid else (NOBODY, NOBODY)
    if 0 in run_as:
        # The kernel compares the real user with its root in places that no namespace covers.
        raise UsageError("hosts never run as root", where="run_as", hint="an ordinary user's uid and gid")
    return run_as


def _locked(folder: Path) -> int:
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise Conflict("another twin uses this folder", where=str(folder), hint="another folder") from None
    return descriptor


def _shared(folder: Path) -> Path:
    """Return a fresh folder of what all boxes have, those of dead processes removed."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in os.listdir(descriptor):
            if name.startswith(_SHARED):
                tree.remove(descriptor, name)
    finally:
        os.close(descriptor)
    made = folder / f"{_SHARED}{secrets.token_hex(4)}"
    made.mkdir()
    build_shared(made)
    return made
