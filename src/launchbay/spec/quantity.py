"""Fields that hold an amount: sizes, traffic, counts, money. Each error names file, line and field. Pure."""

from __future__ import annotations

import math
import re
from decimal import Decimal

from launchbay.errors import UsageError
from launchbay.spec.document import Document
from launchbay.units import parse_bytes, parse_seconds

__all__ = [
    "read_amount",
    "read_count",
    "read_percentage",
    "read_seconds",
    "read_size",
    "read_traffic",
]

_AMOUNT = re.compile(r"\d{1,9}(?:\.\d{1,12})?\Z", re.ASCII)
_TRAFFIC = re.compile(r"(?P<number>\d{1,9}(?:\.\d{1,12})?) ?(?P<unit>[GT])i?B\Z", re.ASCII)
_GIB = 1 << 30


def read_amount(document: Document, field: str) -> Decimal | None:
    """Read a number of 0 or more exactly as it was typed; None where it is not there."""
    text = document.typed(field)
    if not text:
        return None
    if not _AMOUNT.match(text):
        raise UsageError(f"{field} must be a number of 0 or more, got {text[:40]!r}", where=document.where(field))
    return Decimal(text)


def read_count(document: Document, field: str, default: int, *, least: int = 1, most: int = 1000) -> int:
    """Read a whole number within bounds."""
    value = document.integer(field, default)
    if not least <= value <= most:
        raise UsageError(f"{field} must be {least} to {most}, got {value}", where=document.where(field))
    return value


def read_percentage(document: Document, field: str) -> Decimal | None:
    """Read ``60%`` as 0.6; None where it is not there. Raises UsageError unless it is above 0 and below 100."""
    text = document.typed(field)
    if not text:
        return None
    number = text.removesuffix("%").strip()
    if number == text or not _AMOUNT.match(number) or not 0 < Decimal(number) < 100:
        what = f"{field} must be above 0% and below 100%, got {text!r}"
        raise UsageError(what, where=document.where(field), hint=f"{field}: 60%")
    return Decimal(number) / 100


def read_seconds(document: Document, field: str, *, plain_unit: str = "") -> Decimal | None:
    """Read a duration as seconds; None where it is not there. `plain_unit` is that of a number without one, if it may be."""
    text = document.typed(field)
    if not text:
        return None
    try:
        return parse_seconds(f"{text}{plain_unit}" if plain_unit and _AMOUNT.match(text) else text)
    except UsageError as error:
        hint = f"{field}: 12" if plain_unit else f"{field}: 30m"
        raise UsageError(f"{field}: {error.what}", where=document.where(field), hint=hint) from None


def read_size(document: Document, field: str, *, unit: int = _GIB) -> int | None:
    """Read a size, rounded up to whole units (GiB): ``35GB`` are 33 of them. None where it is not there."""
    text = document.typed(field)
    if not text:
        return None
    try:
        return math.ceil(parse_bytes(text) / unit)
    except UsageError as error:
        raise UsageError(f"{field}: {error.what}", where=document.where(field), hint=f"{field}: 100GiB") from None


def read_traffic(document: Document, field: str) -> Decimal | None:
    """Read an amount of data a month in what AWS bills as GB; 1 TB is 1024 of them. None where it is not there.

    AWS's bills say GB and mean 2^30 bytes: so do traffic and buckets here, however it is spelled.
    """
    text = document.typed(field)
    if not text:
        return None
    match = _TRAFFIC.match(text)
    if match is None:
        what = f"{field} must be an amount of data a month such as 500GB or 2TB, got {text!r}"
        raise UsageError(what, where=document.where(field))
    return Decimal(match["number"]) * (1024 if match["unit"] == "T" else 1)
