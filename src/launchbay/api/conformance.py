"""Whether the twin does what EC2 does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from launchbay.errors import UsageError
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.conformance import PLACES, try_conformance

__all__ = ["conformance", "read_sum"]

_MOST_USD = 100


def conformance(
    bay: Bay,
    place: str = "twin",
    *,
    names: Sequence[str] = (),
    region: str = "us-east-1",
    max_usd: str | Decimal | None = None,
) -> Mapping[str, Any]:
    """Try what EC2 does, behaviour by behaviour, in a new ``twin``, against ``moto`` alone, or against AWS (``real``).

    Against AWS small instances are launched and removed again, for at most `max_usd`, which has to be said there. Raises
    UsageError for another place, or where the sum is missing.
    """
    if place not in PLACES:
        raise UsageError(f"the place must be {', '.join(PLACES)}, got {place!r}")
    if place == "real" and max_usd is None:
        raise UsageError("on AWS it costs money: say how much it may be", hint="bay conformance --real --max-usd 1")
    if place != "real" and max_usd is not None:
        raise UsageError("trying it here costs nothing, so there is no sum to say", hint="without --max-usd")
    most = read_sum(max_usd) if max_usd is not None else Decimal(0)
    return try_conformance(bay, place, names=names, region=region, max_usd=most)


def read_sum(said: str | Decimal) -> Decimal:
    """Read what a trial on AWS may cost, in US dollars. Raises UsageError for what is no such sum."""
    try:
        most = Decimal(said)
    except InvalidOperation:
        most = Decimal(-1)
    if not most.is_finite() or not 0 < most <= _MOST_USD:
        raise UsageError(f"a sum must be above 0 and at most {_MOST_USD} US dollars, got {said}", hint="--max-usd 1")
    return most
