"""One thing that EC2 does: a sentence, where that is known from, and a check that fails where it is not so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from launchbay.twin.conformance.account import Account

__all__ = ["REMEMBERED", "SEEN", "VERIFIED", "Behaviour", "Check", "listed"]

SEEN, VERIFIED, REMEMBERED = "seen", "verified", "remembered"
"""How well something is known: read in AWS's documentation or a public issue; read in botocore's service models; from memory."""

Check = Callable[[Account], None]
"""Tries a behaviour. Raises AssertionError, in a sentence, where it is not so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """One thing that EC2 does.

    `known` says how well that is known and `source` where from. `usd` is what trying it on AWS costs at most. `is_for_all` is
    false for what cannot be provoked there: it is tried where an account can be told what shall happen.
    """

    name: str
    says: str
    known: str
    source: str
    check: Check
    usd: Decimal = Decimal(0)
    is_for_all: bool = True


_ALL: list[Behaviour] = []


def listed(says: str, *, known: str, source: str, usd: str = "0", is_for_all: bool = True) -> Callable[[Check], Check]:
    """Put the check below into the list, under its own name."""

    def put(check: Check) -> Check:
        name = check.__name__.strip("_").replace("_", "-")
        _ALL.append(
            Behaviour(
                name=name, says=says, known=known, source=source, check=check, usd=Decimal(usd), is_for_all=is_for_all
            )
        )
        return check

    return put


def all_listed() -> tuple[Behaviour, ...]:
    """Return every behaviour of the modules that were imported, in the order of the files."""
    return tuple(_ALL)
