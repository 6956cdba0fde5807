"""Values as JSON, the same for `--json`, the web and a program: paths, decimals and days as text, unknown as null."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from launchbay import errors
from launchbay.errors import LaunchbayError, WillFail

__all__ = ["HasJson", "error_line", "fields_of", "to_json"]


@runtime_checkable
class HasJson(Protocol):
    """**Protocol:** a value whose JSON is not simply its fields."""

    def as_json(self) -> Mapping[str, Any]:
        """Return what `--json` shows of it."""


def to_json(value: object) -> Any:
    """Turn an API value into plain JSON values."""
    if value is None or isinstance(value, (str, int, float)):
        return value  # first, because most values are, and the question below is a slow one
    if isinstance(value, HasJson):
        return to_json(value.as_json())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_json(fields_of(value))
    if isinstance(value, (Path, Decimal)):
        return str(value)
    if isinstance(value, date):  # a time is one too
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [to_json(item) for item in value]
    return value


def fields_of(value: Any) -> dict[str, Any]:
    """Return a dataclass's fields by name, values untouched."""
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def error_line(error: LaunchbayError) -> str:
    """Return an error as one line of JSON, for a Launchbay elsewhere that raises it again as the same class."""
    kind = next(base.__name__ for base in type(error).__mro__ if base.__name__ in errors.__all__)
    fields = {"class": kind, "what": error.what, "where": error.where, "hint": error.hint}
    if isinstance(error, WillFail):
        fields["problems"] = to_json(error.problems)
    return json.dumps({"error": fields})
