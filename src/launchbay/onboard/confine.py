"""Run something that a hostile file could hang, crash or swell, in a child process with limits."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import time
from typing import Any, Callable

from .refused import Refused

__all__ = ["confined"]

_SECONDS = 30
_MEMORY = 4 << 30  # bytes of address space


def confined(work: Callable[[], Any], *, name: str, seconds: int = _SECONDS, memory: int = _MEMORY) -> Any:
    """Call `work` in a forked child and return its result, which must be JSON. Blocks for at most `seconds`.

    Native libraries that read file formats are not proof against every file: HDF5 loops for ever on some damaged
    ones. Raises the Refused that `work` raised, or one that says how the child ended; `name` is the file.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _answer(work, writer, seconds, memory)
    os.close(writer)
    try:
        data = _read_all(reader, time.monotonic() + seconds)
    finally:
        os.close(reader)
        os.kill(child, signal.SIGKILL)  # not reaped yet, so the number is still its own
        _, status = os.waitpid(child, 0)
    if not data:
        how = "took more than {} s or {} GiB".format(seconds, memory >> 30)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) not in (signal.SIGKILL, signal.SIGXCPU):
            how = "ended with signal {}".format(os.WTERMSIG(status))
        raise Refused("reading it {}: the file is damaged or hostile".format(how), name, "do not load this file")
    answer = json.loads(data)
    if "refused" in answer:
        raise Refused(*answer["refused"])
    return answer["result"]


def _answer(work: Callable[[], Any], writer: int, seconds: int, memory: int) -> None:
    """Do the work and end the process; nothing of the parent's (buffers, exit handlers) may run here."""
    code = 1
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.environ["OPENBLAS_NUM_THREADS"] = "1"  # each of its threads would take some of the memory allowed
        try:
            answer = {"result": work()}
        except Refused as refusal:
            answer = {"refused": [refusal.what, refusal.where, refusal.hint]}
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(json.dumps(answer).encode())
        code = 0
    finally:
        os._exit(code)


def _read_all(reader: int, deadline: float) -> bytes:
    chunks: list[bytes] = []
    while True:
        ready, _, _ = select.select([reader], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return b""
        chunk = os.read(reader, 1 << 16)
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)
