"""The seam between us and an instance: run a command there, put a file there, get one back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["OF_STARTER", "Completed", "Transport"]

OF_STARTER = frozenset({"LAUNCHBAY_CHECKPOINT_DIR", "LAUNCHBAY_RUN", "LAUNCHBAY_SERVICE"})
"""By these a run or a service and all that belongs to it is found and ended. What is started from within one, to go on
by itself, does not belong to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """What a command said and how it ended; a command ended by signal N has code -N."""

    code: int
    stdout: bytes
    stderr: bytes


class Transport(Protocol):
    """**Protocol:** a way to one instance. Used by `lifecycle`, `runs` and `models`; every method may block.

    Paths are the instance's own. A command runs in the instance's environment: its PATH, its home, its variables.
    """

    def run(self, argv: Sequence[str], *, data: bytes = b"", timeout: float | None = None) -> Completed:
        """Run a command to its end, feeding it `data`. A command that fails is no error here; one that is missing is."""

    def stream(
        self,
        argv: Sequence[str],
        *,
        data: bytes = b"",
        out: Callable[[bytes], None],
        err: Callable[[bytes], None],
    ) -> int:
        """Run a command to its end, passing on what it prints as it comes; return its code, -N for signal N.

        `out` and `err` are called in the caller's own thread, each with what came last, in any pieces. When one of them
        raises, or the caller is interrupted, the command is ended before that goes on.
        """

    def attach(self, argv: Sequence[str]) -> int:
        """Run a command on the caller's own terminal; return its code."""

    def start(self, argv: Sequence[str], *, data: bytes, errors: str, variables: Mapping[str, str]) -> Completed:
        """Start a program that outlives us, with variables besides the instance's, and feed it `data`.

        Its stderr goes to the file `errors`. Returns once it has answered a line, which is `stdout`, with code 0; or
        has ended without one: `stdout` is empty and the code its own.
        """

    def put(self, source: str, target: str) -> None:
        """Copy a file or folder of ours to the instance."""

    def get(self, source: str, target: str) -> None:
        """Copy a file or folder of the instance to us."""

    def close(self) -> None:
        """End the connection; the instance stays."""
