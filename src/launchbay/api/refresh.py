"""Ask AWS for today's types and prices, and keep the answer. The only way in which the catalogue asks anybody anything."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launchbay.api.place import regions_of
from launchbay.catalog.cache import read_cache, write_cache
from launchbay.catalog.live import LeftOut, Live
from launchbay.catalog.refresh import ask_region
from launchbay.catalog.spothistory import MOST_DAYS
from launchbay.catalog.stored import kinds_of
from launchbay.errors import UsageError, UserError
from launchbay.files import make_folder
from launchbay.lifecycle.bay import Bay

__all__ = ["RefreshedKind", "RefreshedRegion", "refresh_types"]

_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+){1,3}-\d{1,2}\Z")
_ELSEWHERE = ("cn-", "us-gov-", "us-iso", "eu-iso", "eusc-")
"""China, GovCloud and those that are closed off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshedKind:
    """One kind of fact about a region: how many rows are known now, and of which day (ISO).

    Where AWS would not say them, `unknown` says why, and the rows are those of an earlier day, or there are none: then
    `rows` is 0 and `as_of` None.
    """

    kind: str
    rows: int
    as_of: str | None
    source: str | None
    unknown: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshedRegion:
    """What a refresh of one region brought; `left_out` is what AWS answered and nobody can use.

    Where it failed, `failed` says why and what to do, and the region is as it was before.
    """

    region: str
    kinds: Sequence[RefreshedKind]
    left_out: Sequence[LeftOut]
    cache: Path
    failed: str = ""


def refresh_types(bay: Bay, regions: Sequence[str] = (), *, days: int = 7) -> Sequence[RefreshedRegion]:
    """Ask AWS what each region has and what it costs today, and keep it; spot prices of the last `days`.

    Without a region it is that of ``AWS_REGION`` or ``AWS_DEFAULT_REGION``, else us-east-1; ``all`` is all of them. Blocks a
    minute or more for each region, may be killed at any time: a region is stored whole or not at all. When AWS cannot be
    asked or does not answer in full, that is a UserError for one region; of several (an account has not enabled all that
    there are) the others are asked all the same, and `failed` says it. Raises UsageError for what is no region, StateError
    when nothing can be stored.
    """
    asked = regions_of(bay, regions)
    for region in asked:
        if not _REGION.match(region):
            raise UsageError(f"a region must be such as us-west-2 (a zone has a letter more), got {region!r}")
        if region.startswith(_ELSEWHERE):
            raise UsageError(
                f"{region} is of another AWS, with accounts and a price list of its own, which is not asked"
            )
    if not 1 <= days <= MOST_DAYS:
        raise UsageError(f"days must be 1 to {MOST_DAYS}, which is how far AWS remembers, got {days}")
    make_folder(bay.home.root)  # a home that cannot be, and a cache that we may not touch, are said before the asking
    read_cache(bay.home.catalog, bay.reporter.note, regions=(), kinds=())
    if any(name.startswith("AWS_ENDPOINT_URL") for name in bay.environ):
        bay.reporter.note(
            "AWS_ENDPOINT_URL is set: what answers there is asked in the place of AWS, and kept as its prices."
        )
    done: list[RefreshedRegion] = []
    for region in asked:
        try:
            done.append(_refresh(bay, region, days))
        except UserError as error:
            if len(asked) == 1:
                raise
            failed = f"{error.what}; {error.hint}" if error.hint else error.what
            done.append(RefreshedRegion(region=region, kinds=(), left_out=(), cache=bay.home.catalog, failed=failed))
    return done


def _refresh(bay: Bay, region: str, days: int) -> RefreshedRegion:
    live = ask_region(region, days=days, now=bay.clock.now(), reporter=bay.reporter)
    write_cache(bay.home.catalog, live, bay.reporter.note)
    (kept,) = read_cache(bay.home.catalog, bay.reporter.note, regions=[region])
    return RefreshedRegion(
        region=region, kinds=_kinds(kept, live.unknown), left_out=live.left_out, cache=bay.home.catalog
    )


def _kinds(kept: Live, unknown: Mapping[str, str]) -> list[RefreshedKind]:
    known = kinds_of(kept)
    found = []
    for kind in ("types", "prices", "side", "spot", "savings"):
        facts = known.get(kind, ())
        first = facts[0] if facts else None
        found.append(
            RefreshedKind(
                kind=kind,
                rows=len(facts),
                as_of=str(getattr(first, "as_of", kept.as_of)) if facts else None,
                source=first.source if first else None,
                unknown=unknown.get(kind, ""),
            )
        )
    return found
