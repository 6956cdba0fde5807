"""A clock that stands still until told."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["VirtualClock"]


@dataclass(slots=True)
class VirtualClock:
    """Time that passes only by `sleep`."""

    at: float = 1_800_000_000.0

    def now(self) -> float:
        """Return the time it stands at."""
        return self.at

    def sleep(self, seconds: float) -> None:
        """Let time pass at once."""
        self.at += seconds
