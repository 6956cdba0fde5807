"""The header of a table: whether the first row holds names. One rule, for fetching as for evaluating."""

from __future__ import annotations

from typing import Sequence

__all__ = ["MISSING", "has_header", "is_name"]

MISSING = frozenset(("nan", "na", "n/a", "#n/a", "null", "none", "?"))
"""How pandas, R and the UCI files write a number that is not there, in small letters; the empty cell is apart."""


def has_header(first: Sequence[str], second: Sequence[str]) -> bool:
    """Say whether the first row holds the columns' names; `second` is the row below it, empty where there is none.

    It does when all of it is names. When some of its cells are none (years, say), it does only where a name stands
    above something else: a row such as ``setosa,5.1`` above ``virginica,6.3`` is data.
    """
    names = [is_name(cell) for cell in first]
    if not any(names):
        return False
    if all(found or not cell.strip() for found, cell in zip(names, first)):
        return True
    return any(found and _is_value(below) for found, below in zip(names, second))


def is_name(cell: str) -> bool:
    """Say whether a cell could be a column's name: no number, no gap, and nothing that begins like a number."""
    bare = cell.strip()
    if not bare or bare[0] in "0123456789+-." or bare.lower() in MISSING:
        return False
    try:
        float(bare)
    except ValueError:
        return True
    return False


def _is_value(cell: str) -> bool:
    bare = cell.strip()
    return bool(bare) and bare.lower() not in MISSING and not is_name(bare)
