"""A box that runs: started by the launcher, asked through its agent, and gone without a rest when it is ended.

Lives on the twin's event loop. What comes from the box is not believed: its agent is a process that others in the box
may take over. The worst that it can do is to answer nonsense, which ends the box.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launchbay.errors import LaunchbayError

__all__ = ["Box", "BoxFailed", "Plan", "Started"]

_LAUNCHER = Path(__file__).with_name("launch.py")
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
"""All that the launcher gets: the environment of a box's first process can be read in the box."""

_LARGEST = 1 << 18
_START_SECONDS = 30.0


class BoxFailed(LaunchbayError):
    """The box could not be started, or is gone, or refused what it was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a box is started: `staged` paths are bound where bubblewrap's `arguments` look for them; see `launch`.

    `store` is the port of the box's loopback at which it finds the store, 0 for none.
    """

    bwrap: str
    arguments: tuple[str, ...]
    command: tuple[str, ...]
    staged: tuple[str, ...]
    addresses: tuple[str, ...]
    owner: tuple[int, int] | None
    limits: Mapping[str, int]
    store: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A process in the box: descriptors of its standard input, output and error, or of its terminal, ours to close.

    `ended` becomes its exit code, or minus the number of the signal that ended it.
    """

    number: int
    ends: tuple[int, ...]
    ended: asyncio.Future[int]


class Box:
    """One running box. Made by `start`."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket, first: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._process = process
        self._control = control
        self._first = first  # a descriptor of the first process in the box: all others end before it does
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[tuple[dict[str, Any], list[int]]]] = {}
        self._running: dict[int, asyncio.Future[int]] = {}
        self._services: dict[str, asyncio.Future[socket.socket]] = {
            name: self._loop.create_future() for name in ("metadata", "store")
        }
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self.gone: asyncio.Future[None] = self._loop.create_future()
        self.is_idle = False
        self.on_idle: Callable[[], None] = lambda: None
        self._loop.add_reader(control.fileno(), self._readable)
        self._loop.add_reader(first, self._has_gone)

    @classmethod
    async def start(cls, plan: Plan) -> Box:
        """Start a box and return it when its first process runs. Raises BoxFailed."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)  # noqa: FBT003
        informed, inform = os.pipe()
        complained, complain = os.pipe()
        arguments = _in_memory("\0".join(plan.arguments).encode() + b"\0")
        wish = {
            "uid": plan.owner and plan.owner[0],
            "gid": plan.owner and plan.owner[1],
            "staged": plan.staged,
            "addresses": plan.addresses,
            "limits": plan.limits,
            "store": plan.store,
            "command": [plan.bwrap, "--info-fd", str(inform), "--args", str(arguments), "--", *plan.command],
        }
        described = _in_memory(json.dumps(wish).encode())
        try:
            # Started by this thread, the loop's, which lives as long as the twin does: bubblewrap ends the box when the
            # thread that started it ends.
            process = subprocess.Popen(  # noqa: ASYNC220 - see above; it returns in a millisecond
                [sys.executable, "-I", "-S", str(_LAUNCHER), str(described)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=complain,
                env=_ENVIRONMENT,
                cwd="/",
                pass_fds=(inform, arguments, described),
                start_new_session=True,
            )
        finally:
            theirs.close()
            for end in (inform, complain, arguments, described):
                os.close(end)
        with os.fdopen(informed, "rb") as told, os.fdopen(complained, "rb") as complaint:
            os.set_blocking(complaint.fileno(), False)
            try:
                try:
                    first = await _first_process(told)
                except BaseException:
                    process.kill()
                    process.wait()
                    ours.close()
                    raise
                box = cls(process, ours, first)
                await box._is_ready()
            except BoxFailed as error:
                said = (complaint.read(_LARGEST) or b"").decode("utf-8", "replace").strip()
                raise BoxFailed(f"the host's box did not start: {said or error}", hint="bay doctor") from None
        return box

    async def _is_ready(self) -> None:
        try:
            await asyncio.wait([self._ready, self.gone], timeout=_START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not self._ready.done():
                await self.end(grace=0)
        if not self._ready.done():
            raise BoxFailed("its agent did not start")

    async def metadata(self) -> socket.socket:
        """Return the listening socket of the metadata service, in the box's network; the caller closes it."""
        return await asyncio.shield(self._services["metadata"])

    async def store(self) -> socket.socket:
        """Return the listening socket of the way to the store, where the plan had one; the caller closes it."""
        return await asyncio.shield(self._services["store"])

    async def run(
        self,
        program: str,
        argv: Sequence[str],
        environment: Mapping[str, str],
        *,
        cwd: str = "/",
        terminal: tuple[int, int] | None = None,
    ) -> Started:
        """Start a process, in a terminal of (rows, columns) or with pipes. Raises BoxFailed."""
        ended: asyncio.Future[int] = self._loop.create_future()
        number = next(self._numbers)
        self._running[number] = ended
        asked = {"program": program, "argv": list(argv), "env": dict(environment), "cwd": cwd, "terminal": terminal}
        try:
            _, ends = await self._ask(number, {"do": "run", **asked}, 1 if terminal else 3)
        except BaseException:
            self._running.pop(number, None)
            raise
        return Started(number=number, ends=tuple(ends), ended=ended)

    async def dial(self, host: str, port: int) -> socket.socket:
        """Connect to a server in the box. Raises BoxFailed where nobody answers."""
        _, ends = await self._ask(next(self._numbers), {"do": "dial", "host": host, "port": port}, 1)
        connection = socket.socket(fileno=ends[0])
        connection.setblocking(False)  # noqa: FBT003
        return connection

    def send_signal(self, started: Started, number: int) -> None:
        """Send a signal to a process and its group, if it still runs."""
        self._send({"do": "signal", "id": started.number, "signal": number})

    async def end(self, *, grace: float) -> None:
        """End all processes: asked to at first, after `grace` seconds without. Returns when all are gone. Idempotent."""
        if grace > 0 and not self.gone.done():
            self.is_idle = False
            self.on_idle = self._kill
            self._send({"do": "end"})
            await asyncio.wait([self.gone], timeout=grace)
        if not self.gone.done():
            self._kill()
        await asyncio.shield(self.gone)

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._first, signal.SIGKILL)

    def _send(self, message: dict[str, Any]) -> bool:
        try:
            self._control.send(json.dumps(message).encode())
        except OSError:  # gone, or so far behind that it will not do this either
            return False
        return True

    async def _ask(self, number: int, message: dict[str, Any], ends: int) -> tuple[dict[str, Any], list[int]]:
        if self.gone.done():
            raise BoxFailed("the host has just stopped")
        self.is_idle = False
        answered: asyncio.Future[tuple[dict[str, Any], list[int]]] = self._loop.create_future()
        self._asked[number] = answered
        try:
            if not self._send({"id": number, **message}):
                raise BoxFailed("the host did not take the request: it is too long, or the host is overloaded")
            answer, given = await answered
        finally:
            self._asked.pop(number, None)
        if "error" in answer or len(given) != ends:
            _close(given)
            raise BoxFailed(str(answer.get("error", "the host gave an answer that makes no sense")))
        return answer, given

    def _readable(self) -> None:
        try:
            data, ends, _, _ = socket.recv_fds(self._control, _LARGEST, 8, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError:
            data, ends = b"", []
        if not data:
            _close(ends)
            self._loop.remove_reader(self._control.fileno())
            self._kill()
            return
        try:
            message = json.loads(data)
            self._told(message, ends)
        except (ValueError, TypeError, KeyError, AttributeError):
            _close(ends)
            self._kill()  # the agent speaks no nonsense by itself

    def _told(self, message: dict[str, Any], ends: list[int]) -> None:
        if message.get("idle"):
            _close(ends)
            self.is_idle = not self._asked
            if self.is_idle:
                self.on_idle()
            return
        if message.get("ready"):
            _close(ends)
            if not self._ready.done():
                self._ready.set_result(None)
            return
        for name, told in self._services.items():
            if message.get(name):
                service, *others = ends
                _close(others)
                if told.done():
                    _close([service])
                else:
                    told.set_result(socket.socket(fileno=service))
                return
        number = message["id"]
        if "exit" in message or "signal" in message:
            _close(ends)
            code = int(message["exit"]) if "exit" in message else -int(message["signal"])
            ended = self._running.pop(number, None)  # not before the code is known to be one
            if ended is not None and not ended.done():
                ended.set_result(code)
            return
        answered = self._asked.get(number)
        if answered is None or answered.done():
            _close(ends)
        else:
            answered.set_result((message, ends))

    def _has_gone(self) -> None:
        """Tidy up when the first process has ended, and with it all others."""
        self._loop.remove_reader(self._first)
        self._loop.remove_reader(self._control.fileno())
        os.close(self._first)
        self._control.close()
        self._process.wait()  # bubblewrap's outer half, which ends with the inner one
        for told in self._services.values():
            if not told.done():
                told.cancel()
        for ended in self._running.values():
            if not ended.done():
                ended.set_result(-signal.SIGKILL)
        self._running.clear()
        for answered in self._asked.values():
            if not answered.done():
                answered.set_exception(BoxFailed("the host has just stopped"))
        self.gone.set_result(None)


async def _first_process(told: Any) -> int:
    """Return a descriptor of the box's first process, once bubblewrap has said which it is."""
    loop = asyncio.get_running_loop()
    os.set_blocking(told.fileno(), False)
    data = b""
    deadline = loop.time() + _START_SECONDS
    while True:
        readable = asyncio.Event()
        loop.add_reader(told.fileno(), readable.set)
        try:
            await asyncio.wait_for(readable.wait(), max(0.0, deadline - loop.time()))
        except TimeoutError:
            raise BoxFailed(f"nothing was heard for {_START_SECONDS:.0f} s") from None
        finally:
            loop.remove_reader(told.fileno())
        piece = os.read(told.fileno(), 4096)
        data += piece
        with contextlib.suppress(ValueError):
            pid = int(json.loads(data)["child-pid"])
            try:
                return os.pidfd_open(pid)
            except ProcessLookupError:
                raise BoxFailed("its first process ended at once") from None
        if not piece:
            raise BoxFailed("bubblewrap ended")


def _in_memory(data: bytes) -> int:
    """Return a descriptor that holds data, to be read from its start."""
    descriptor = os.memfd_create("launchbay")
    os.write(descriptor, data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _close(ends: Sequence[int]) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            os.close(end)
