"""Filters as EC2 reads them: ``*`` and ``?`` in values, any of a filter's values, all of the filters."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from launchbay.twin.call import Refused

__all__ = ["Values", "is_like", "keep"]

_Item = TypeVar("_Item")
Values: TypeAlias = "Callable[[_Item, str], Iterable[str] | None]"
"""Gives what a filter of some name compares in an item; None where there is no such filter."""


@functools.cache
def _pattern(text: str) -> re.Pattern[str]:
    """Return a value of a filter as a pattern; a backslash takes the meaning from what follows it."""
    parts = re.findall(r"\\.|[*?]|[^*?\\]+|\\\Z", text, re.DOTALL)
    meanings = {"*": ".*", "?": "."}
    return re.compile(
        "".join(
            meanings.get(part) or re.escape(part[1:] if part[0] == "\\" and len(part) > 1 else part) for part in parts
        ),
        re.DOTALL,
    )


def is_like(text: str, wanted: str) -> bool:
    """Say whether a text is what a filter's value wants, case and all."""
    return _pattern(wanted).fullmatch(text) is not None


def keep(items: Iterable[_Item], filters: Sequence[Mapping[str, Any]], values: Values[_Item]) -> list[_Item]:
    """Return the items that pass all filters (boto3's: a name, and values). Raises Refused for a filter that is none."""
    kept = list(items)
    for item in filters:
        name, wanted = str(item.get("Name", "")), [str(value) for value in item.get("Values", ())]
        passed = []
        for candidate in kept:
            found = values(candidate, name)
            if found is None:
                raise Refused("InvalidParameterValue", f"The filter '{name}' is invalid")
            if any(is_like(text, value) for text in found for value in wanted):
                passed.append(candidate)
        kept = passed
    return kept
