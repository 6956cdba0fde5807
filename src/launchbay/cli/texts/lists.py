"""Long lists, shortened. Pure."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["few", "span"]


def span(names: Sequence[str]) -> str:
    """Name a few, or the first and the last of many."""
    return ", ".join(names) if len(names) < 3 else f"{names[0]} to {names[-1]}"


def few(items: Sequence[str], most: int = 20) -> list[str]:
    """Return the first of many items, a line each, and how many more there are."""
    shown = [f"  {item}" for item in items[:most]]
    return [*shown, f"  ... and {len(items) - most} more"] if len(items) > most else shown
