"""What a record of ours must hold, field by field: one that was edited or cut is named, and not stumbled over later."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from launchbay.errors import StateError

__all__ = [
    "AMOUNT",
    "DATE",
    "FLAG",
    "INTEGER",
    "MAPPING",
    "NUMBER",
    "TEXT",
    "Kind",
    "check_fields",
    "faults",
    "fields",
    "list_of",
    "mapping_of",
    "nullable",
    "optional",
]

_AMOUNT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,20})?\Z")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of JSON value, in words and as a test. One that `may_lack` may also be null, or not there at all."""

    words: str
    holds: Callable[[Any], bool]
    may_lack: bool = False


AMOUNT = Kind("an amount of 0 or more, as a text", lambda value: isinstance(value, str) and bool(_AMOUNT.match(value)))
DATE = Kind("a date", lambda value: isinstance(value, str) and _is_date(value))
TEXT = Kind("a text", lambda value: isinstance(value, str))
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
INTEGER = Kind("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool))
NUMBER = Kind(
    "a number", lambda value: isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
)
MAPPING = Kind("an object", lambda value: isinstance(value, dict))


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def nullable(kind: Kind) -> Kind:
    """Return the kind that may also be null, and has to be there."""
    return Kind(kind.words, lambda value: value is None or kind.holds(value))


def mapping_of(kind: Kind) -> Kind:
    """Return the kind of objects whose every value is of that kind."""
    return Kind(
        f"an object, each value {kind.words}",
        lambda value: isinstance(value, dict) and all(map(kind.holds, value.values())),
    )


def optional(kind: Kind) -> Kind:
    """Return the kind that may also be null or missing."""
    return Kind(kind.words, lambda value: value is None or kind.holds(value), may_lack=True)


def list_of(kind: Kind) -> Kind:
    """Return the kind of lists whose every item is of that kind."""
    return Kind(f"a list, each {kind.words}", lambda value: isinstance(value, list) and all(map(kind.holds, value)))


def fields(wanted: Mapping[str, Kind]) -> Kind:
    """Return the kind of objects that hold these fields, and maybe others."""
    words = f"an object with {', '.join(wanted)}"
    return Kind(words, lambda value: isinstance(value, dict) and not faults(value, wanted))


def check_fields(record: Mapping[str, Any], wanted: Mapping[str, Kind], *, where: Path) -> None:
    """Raise StateError, naming the fields, where a record lacks one or holds another kind of value."""
    if found := faults(record, wanted):
        raise StateError(f"record is damaged: {'; '.join(found)}", where=str(where), hint="bay doctor")


def faults(record: Mapping[str, Any], wanted: Mapping[str, Kind]) -> list[str]:
    """Return what is wrong with a record, a sentence each, nothing where it holds these fields."""
    lacking = [name for name, kind in wanted.items() if name not in record and not kind.may_lack]
    wrong = [
        f"{name} must be {kind.words}, got {str(record[name])[:40]!r}"
        for name, kind in wanted.items()
        if name in record and not kind.holds(record[name])
    ]
    return ([f"it lacks {', '.join(lacking)}"] if lacking else []) + wrong
