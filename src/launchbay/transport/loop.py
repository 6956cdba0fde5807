"""The one thread on which everything that waits for the network runs; above it, methods block as all others do."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

__all__ = ["LoopThread", "Running", "shared_loop"]

_T = TypeVar("_T")
_PATIENCE_S = 15.0
"""So long an interrupted call may clean up behind itself; then the interrupt goes on without it."""

_lock = threading.Lock()
_shared: LoopThread | None = None


class Running(Generic[_T]):
    """A coroutine under way on the loop, seen from another thread. `done` is its result."""

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, _T]) -> None:
        self.done: concurrent.futures.Future[_T] = concurrent.futures.Future()
        self._loop = loop
        self._task: asyncio.Task[_T]
        loop.call_soon_threadsafe(self._begin, work)

    def _begin(self, work: Coroutine[Any, Any, _T]) -> None:
        self._task = self._loop.create_task(work)
        self._task.add_done_callback(self._pass_on)

    def _pass_on(self, task: asyncio.Task[_T]) -> None:
        if task.cancelled():
            self.done.cancel()
            self.done.set_running_or_notify_cancel()
            return
        error = task.exception()
        if error is not None:
            self.done.set_exception(error)
        else:
            self.done.set_result(task.result())

    def end(self) -> None:
        """Cancel it, and let it clean up behind itself for a while."""
        self._loop.call_soon_threadsafe(lambda: self._task.cancel())  # noqa: PLW0108 - it is made on the loop, and is there by then
        concurrent.futures.wait([self.done], _PATIENCE_S)


class LoopThread:
    """An event loop on a daemon thread. Every method may be called from any other thread."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()), name="launchbay-ssh", daemon=True)
        self._thread.start()
        self._ready.wait()

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._ready.set()
        await self._stop.wait()

    def begin(self, work: Coroutine[Any, Any, _T]) -> Running[_T]:
        """Begin a coroutine, and return what it can be waited for and ended by."""
        return Running(self._loop, work)

    def call(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine to its end and return its result. An interrupt of the caller ends it, and is raised then.

        What was cancelled by another thread raises concurrent.futures.CancelledError.
        """
        running = self.begin(work)
        try:
            return running.done.result()
        except KeyboardInterrupt:
            running.end()
            raise

    def soon(self, what: Callable[[], object]) -> None:
        """Let the loop do something small."""
        self._loop.call_soon_threadsafe(what)

    def close(self) -> None:
        """Cancel all that runs, and end the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(_PATIENCE_S)


def shared_loop() -> LoopThread:
    """Return the loop of this process, begun at the first call. A forked child has one of its own."""
    global _shared  # noqa: PLW0603 - there is one for the whole process, that is what it is for
    with _lock:
        if _shared is None:
            _shared = LoopThread()
            atexit.register(_shared.close)
        return _shared


def _forget() -> None:
    global _shared, _lock  # threads do not survive a fork, and locks stay as they were
    _shared, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)
