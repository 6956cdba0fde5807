"""The seams that every layer may use: who is told, and what time it is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Clock", "Event", "Reporter", "SilentReporter", "SystemClock"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something worth showing while work goes on.

    `task` names the work ("build tensorflow"); events of one task replace each other on a terminal.
    `done` and `total` count in `unit` ("bytes", "packages", "files", ...); an unknown total is None.
    A task ends with an event whose `finished` is true.
    """

    task: str
    message: str = ""
    done: int = 0
    total: int | None = None
    unit: str = ""
    finished: bool = False


class Reporter(Protocol):
    """**Protocol:** told what happens. Called from any thread; must not raise and should not block."""

    def event(self, event: Event) -> None:
        """Show progress of one task."""

    def note(self, text: str) -> None:
        """Show a line that stays."""


class SilentReporter:
    """Tell nobody."""

    def event(self, event: Event) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Do nothing."""


class Clock(Protocol):
    """**Protocol:** the time. Virtual in tests and in the twin."""

    def now(self) -> float:
        """Return seconds since 1970, UTC."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        """Return the wall clock."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Block this thread."""
        time.sleep(seconds)
