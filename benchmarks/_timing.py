"""Time whole processes, wall and CPU as the kernel counts them, and let contenders take turns: A B A B.

A shared machine gets faster and slower by the minute; contenders that take turns meet the same minutes.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CommandFailed", "Sample", "Unavailable", "adopt_orphans", "clean_environ", "measure", "take_turns"]

_DROPPED = ("PYTHON", "LAUNCHBAY_", "KERAS_", "JAX_", "XLA_", "TF_", "VIRTUAL_ENV", "UV_LINK_MODE", "UV_COMPILE")
"""What would change a contender: PYTHONDONTWRITEBYTECODE alone makes every start of a framework seconds slower."""

_PR_SET_CHILD_SUBREAPER = 36


class Unavailable(Exception):
    """A contender cannot run on this machine; the message says why."""


class CommandFailed(Exception):
    """A command that was being timed failed; the message holds its last words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one or several processes took, in seconds; CPU is user + system, with all children that were waited for."""

    wall_s: float
    cpu_s: float

    def __add__(self, other: Sample) -> Sample:
        return Sample(wall_s=self.wall_s + other.wall_s, cpu_s=self.cpu_s + other.cpu_s)

    def scaled(self, factor: float) -> Sample:
        """Return what `factor` times as many would take; whoever shows it must call it extrapolated."""
        return Sample(wall_s=self.wall_s * factor, cpu_s=self.cpu_s * factor)


def clean_environ(**more: str) -> dict[str, str]:
    """Return this process's variables without those that would change a contender, and with `more`."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(_DROPPED)}
    return {**kept, "NO_COLOR": "1", **more}


def measure(argv: Sequence[str | Path], *, environ: Mapping[str, str], folder: Path | None = None) -> Sample:
    """Run a command to its end and return what it took. Raises CommandFailed, with its last words.

    What it prints goes into a file that is not kept; it never has a terminal.
    """
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(tempfile.TemporaryFile())
        began = time.perf_counter()
        process = subprocess.Popen(
            [str(word) for word in argv],
            env=dict(environ),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        wall_s = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            words = log.read().decode(errors="replace").strip().splitlines()[-5:]
            command = " ".join(str(word) for word in argv[:6])
            raise CommandFailed(f"{command} ended with code {process.returncode}: {' / '.join(words)}")
    return Sample(wall_s=wall_s, cpu_s=usage.ru_utime + usage.ru_stime)


def take_turns(
    contenders: Mapping[str, Callable[[int], Sample]], rounds: int, *, tell: Callable[[str], None] = print
) -> dict[str, list[Sample]]:
    """Let every contender run once in each round, in the same order; round 0 warms up and does not count.

    A contender is given the number of the round, so that it can use fresh names. One that raises Unavailable is left
    out from then on, and has no entry in what is returned.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        took = []
        for name in list(samples):
            try:
                sample = contenders[name](number)
            except Unavailable as reason:
                tell(f"  {name}: not measured: {reason}")
                del samples[name]
                continue
            if number:
                samples[name].append(sample)
            took.append(f"{name} {sample.wall_s:.3f} s")
        tell(f"  {f'round {number}/{rounds}' if number else 'warm-up'}: {'; '.join(took)}")
    return samples


@contextlib.contextmanager
def adopt_orphans() -> Iterator[Callable[[], Sample]]:
    """Become the parent of whatever outlives its own parent; yield a function that waits for all of it and says what it took.

    Raises Unavailable where the system has no such thing (other than Linux).
    """
    if sys.platform != "linux":
        raise Unavailable(f"{sys.platform} hands orphans to its first process alone")
    library = ctypes.CDLL(None, use_errno=True)
    library.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def wait() -> Sample:
        cpu_s, began = 0.0, time.perf_counter()
        while True:
            try:
                _, _, usage = os.wait4(-1, 0)
            except ChildProcessError:
                return Sample(wall_s=time.perf_counter() - began, cpu_s=cpu_s)
            cpu_s += usage.ru_utime + usage.ru_stime

    try:
        yield wait
    finally:
        library.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
