"""Answers in pages: what fits into one, and an opaque token for where the next begins."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import TypeVar

from launchbay.twin.call import Refused

__all__ = ["cut_page"]

_Item = TypeVar("_Item")
_MARK = "twin:"


def cut_page(
    items: Sequence[_Item], token: str | None, size: int | None, *, refusal: str = "InvalidParameterValue"
) -> tuple[Sequence[_Item], str | None]:
    """Return the items of a page and the token of the next one, None after the last.

    All items are one page where no size is asked for. A token is base64, which every service's model of one allows. Raises
    Refused, with a code of the service's, for a token that was never given.
    """
    start = _read_token(token, refusal) if token else 0
    end = start + (size or len(items))
    following = base64.b64encode(f"{_MARK}{end}".encode()).decode() if end < len(items) else None
    return items[start:end], following


def _read_token(token: str, refusal: str) -> int:
    try:
        text = base64.b64decode(token, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        text = ""
    place = text.removeprefix(_MARK)
    if place == text or not place.isdigit():
        raise Refused(refusal, "The specified pagination token is not valid or is expired.")
    return int(place)
