"""How long a search may take, told by a clock that the caller brings. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Budget"]


@dataclass(frozen=True, slots=True)
class Budget:
    """A span of seconds on a clock, from the moment that `start` made it."""

    clock: Callable[[], float]
    end: float

    @classmethod
    def start(cls, seconds: float, clock: Callable[[], float]) -> Budget:
        """Begin a span of so many seconds."""
        return cls(clock, clock() + seconds)

    def left(self) -> float:
        """Return how many seconds are left, 0 when it is over."""
        return max(self.end - self.clock(), 0.0)

    def is_over(self) -> bool:
        """Tell whether nothing is left."""
        return not self.left()

    def part(self, share: float) -> Budget:
        """Return a span that ends when this share of what is left is used up."""
        return Budget(self.clock, self.clock() + share * self.left())
