"""The twin's time, and what is due in it.

A real clock goes by itself. A virtual one stands still until somebody lets time pass, or until a client polls something in
transition: then as much passes as the client would have slept. Both can be set forward, never back.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

__all__ = ["Due", "TwinClock"]

_MOST_STEPS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Due:
    """Something that will happen to a resource, as data, so that it survives a restart.

    `number` keeps the order of what is due at the same moment, and names it. `data` is what the rule wrote down for itself.
    """

    at: datetime
    number: int
    kind: str = field(compare=False)
    resource: str = field(compare=False)
    data: Mapping[str, Any] = field(compare=False, default_factory=dict)


class TwinClock:
    """Tells the twin's time in UTC and holds what is due. Not thread-safe: the twin asks under its lock."""

    def __init__(self, *, is_virtual: bool, begin: datetime | None = None) -> None:
        self.is_virtual = is_virtual
        self._begin = begin or datetime.now(UTC)
        self._started = time.monotonic()
        self._offset = timedelta()
        self._steps: list[tuple[datetime, timedelta]] = []
        self._held: datetime | None = None
        self._due: list[Due] = []
        self._aside: list[Due] = []
        self._count = 0

    def now(self) -> datetime:
        """Return the time. While something due happens it is the moment for which that was due."""
        return self._held or self._reading()

    def _reading(self) -> datetime:
        passed = timedelta() if self.is_virtual else timedelta(seconds=time.monotonic() - self._started)
        return self._begin + self._offset + passed

    def advance(self, seconds: float) -> None:
        """Let time pass. Raises ValueError for a negative time."""
        if seconds < 0:
            raise ValueError(f"time goes forward only, got {seconds} seconds")
        self._offset += timedelta(seconds=seconds)
        self._steps = [*self._steps[-_MOST_STEPS:], (datetime.now(UTC), self._offset)]

    def set_forward_since(self, moment: datetime) -> timedelta:
        """Return by how much it was set forward since a moment of the real time, as far as this process knows."""
        steps = self._steps  # from any thread: the list is never changed, only exchanged
        before = next((offset for at, offset in reversed(steps) if at <= moment), timedelta())
        return (steps[-1][1] if steps else timedelta()) - before

    def plan(self, kind: str, resource: str, *, seconds: float, data: Mapping[str, Any] | None = None) -> Due:
        """Write down something that happens in so many seconds from now."""
        self._count += 1
        at = self.now() + timedelta(seconds=seconds)
        due = Due(at=at, number=self._count, kind=kind, resource=resource, data=data or {})
        heapq.heappush(self._due, due)
        return due

    def cancel(self, resource: str, kind: str | None = None) -> None:
        """Strike out what is due for a resource, all of it or of one kind."""
        self._due = [due for due in self._due if due.resource != resource or kind not in (None, due.kind)]
        self._aside = [due for due in self._aside if due.resource != resource or kind not in (None, due.kind)]
        heapq.heapify(self._due)

    def set_aside(self, due: Due) -> None:
        """Keep what was taken out and could not happen, until `try_again`."""
        self._aside.append(due)

    def try_again(self) -> None:
        """Let all that was set aside be due again, each at the moment for which it was."""
        while self._aside:
            heapq.heappush(self._due, self._aside.pop())

    def until_next(self) -> float | None:
        """Return in how many seconds the next thing comes due by itself; None where none does."""
        if self.is_virtual or not self._due:
            return None
        return max((self._due[0].at - self._reading()).total_seconds(), 0.0)

    def pop(self, *, at: datetime | None = None) -> Due | None:
        """Take out the next thing whose time has come, or that is due at just that time, and hold the clock there.

        The clock is held until `release`.
        """
        if not self._due or self._due[0].at > self._reading() or (at is not None and self._due[0].at != at):
            return None
        due = heapq.heappop(self._due)
        self._held = due.at
        return due

    def release(self) -> None:
        """Let the clock show its own time again."""
        self._held = None

    @property
    def waiting(self) -> tuple[Due, ...]:
        """What is still to come, soonest first."""
        return tuple(sorted(self._due + self._aside))

    @property
    def aside(self) -> tuple[Due, ...]:
        """What of that could not happen when it was due, soonest first."""
        return tuple(sorted(self._aside))

    def __getstate__(self) -> dict[str, Any]:
        return {
            "virtual": self.is_virtual,
            "now": self._reading(),
            "due": sorted(self._due + self._aside),
            "count": self._count,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Go on where it stood: while the twin does not run, no time passes in it, and nothing costs."""
        TwinClock.__init__(self, is_virtual=state["virtual"], begin=state["now"])
        self._due, self._count = state["due"], state["count"]
