"""The store of a region: its bucket, what of a fleet stays in it, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from launchbay.catalog.known import load_catalogue
from launchbay.catalog.price import SidePrice
from launchbay.errors import NotFound, UsageError
from launchbay.lifecycle.bay import Bay
from launchbay.planning.store import DATA, RUNS, Pile, Stay, run_prefix, stay_of, upkeep_usd
from launchbay.providers.ec2.bucket import (
    Bucket,
    ensure_bucket,
    find_bucket,
    list_kept,
    pile_of,
    remove_bucket,
    remove_kept,
    show_command,
)
from launchbay.providers.ec2.client import Client

__all__ = [
    "Removed",
    "Shelf",
    "Store",
    "StoreView",
    "check_prefix",
    "chosen_bucket",
    "empty_store",
    "find_store",
    "fleet_stay",
    "open_store",
    "side_prices",
    "view_store",
    "what_stays",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Where data, logs and checkpoints outlive instances on EC2: a bucket, and the way to it."""

    client: Client
    bucket: Bucket

    @property
    def name(self) -> str:
        """What the bucket is called."""
        return self.bucket.name


def chosen_bucket(bay: Bay) -> str:
    """Return the bucket of their own that a person has chosen for the store by LAUNCHBAY_BUCKET; empty: ours."""
    return bay.environ.get("LAUNCHBAY_BUCKET", "")


def open_store(client: Client, *, named: str = "") -> Store:
    """Return the store of the client's account and region, made where there is none. Idempotent. Raises as `ensure_bucket`."""
    return Store(client=client, bucket=ensure_bucket(client, named=named))


def find_store(client: Client, *, named: str = "") -> Store | None:
    """Return the store if there is one; nothing is made."""
    bucket = find_bucket(client, named=named)
    return None if bucket is None else Store(client=client, bucket=bucket)


def what_stays(client: Client, bucket: str, fleet: str, *, side: Mapping[str, SidePrice]) -> Stay:
    """Return what stays in the store when a fleet ends: what its runs sent, and the data of all fleets.

    `side` are the region's side prices by item; without the one of S3 the cost is None. Raises NotFound without the bucket.
    """
    runs, data = pile_of(client, bucket, run_prefix(fleet)), pile_of(client, bucket, DATA)
    return stay_of(bucket, runs, data, client.region, side)


def fleet_stay(bay: Bay, client: Client, fleet: str, *, named: str = "") -> Stay | None:
    """Return what `terminate` says of the store: what stays when a fleet ends, at the catalogue's price; None without a store."""
    bucket = find_bucket(client, named=named or chosen_bucket(bay))
    return None if bucket is None else what_stays(client, bucket.name, fleet, side=side_prices(bay, client.region))


def side_prices(bay: Bay, region: str) -> Mapping[str, SidePrice]:
    """Return what the catalogue says of a region's prices beside instances, by item."""
    catalogue = load_catalogue(bay.home.catalog, bay.reporter.note, regions=[region])
    return {item: price for (item, where), price in catalogue.side.items() if where == region}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """What belongs together in the store, a tree of data or a run: where, how many objects and bytes, since and until when."""

    prefix: str
    objects: int
    bytes: int
    first_at: float
    last_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreView:
    """The store as it is: `bucket` is None where there is none. `usd_per_month` is None where the price is not known."""

    bucket: str | None
    region: str
    is_theirs: bool
    shelves: Sequence[Shelf]
    usd_per_month: Decimal | None
    price: SidePrice | None = None

    @property
    def objects(self) -> int:
        """How many objects there are."""
        return sum(shelf.objects for shelf in self.shelves)

    @property
    def bytes(self) -> int:
        """How many bytes there are."""
        return sum(shelf.bytes for shelf in self.shelves)

    def as_json(self) -> Mapping[str, Any]:
        """Return the fields that `--json` shows: the cost with six decimals, for it may be far below a cent."""
        usd = None if self.usd_per_month is None else f"{self.usd_per_month:.6f}"
        return {
            "bucket": self.bucket,
            "region": self.region,
            "is_theirs": self.is_theirs,
            "objects": self.objects,
            "bytes": self.bytes,
            "usd_per_month": usd,
            "priced_on": self.price.as_of if self.price else None,
            "shelves": self.shelves,
        }


def view_store(client: Client, *, side: Mapping[str, SidePrice], named: str = "") -> StoreView:
    """Return what is in the store of a region, by tree and by run. Of a bucket of the person's own, only what is ours.

    Raises NotFound for a `named` one that is not there, else as `find_bucket`.
    """
    bucket = find_bucket(client, named=named)
    if bucket is None and named:
        raise NotFound(f"there is no bucket {named!r}", where=client.region, hint="aws s3 ls shows yours")
    if bucket is None:
        nothing = upkeep_usd(0, client.region, side)
        return StoreView(
            bucket=None, region=client.region, is_theirs=False, shelves=(), usd_per_month=nothing.usd_per_month
        )
    shelves: dict[str, Shelf] = {}
    for part in (DATA, RUNS) if bucket.is_theirs else ("",):
        for kept in list_kept(client, bucket.name, part):
            name = _shelf_of(kept.key)
            one = Shelf(prefix=name, objects=1, bytes=kept.bytes, first_at=kept.at, last_at=kept.at)
            before = shelves.get(name)
            shelves[name] = one if before is None else _joined(before, one)
    upkeep = upkeep_usd(sum(shelf.bytes for shelf in shelves.values()), client.region, side)
    return StoreView(
        bucket=bucket.name,
        region=client.region,
        is_theirs=bucket.is_theirs,
        shelves=tuple(sorted(shelves.values(), key=lambda shelf: shelf.prefix)),
        usd_per_month=upkeep.usd_per_month,
        price=upkeep.price,
    )


def _shelf_of(key: str) -> str:
    """Return what an object belongs to: a tree (data/HASH/), a run (runs/FLEET/RUN/), else the first part of its key."""
    parts = key.split("/")[:-1]
    most = 3 if key.startswith(RUNS) else 2 if key.startswith(DATA) else 1
    return "".join(f"{part}/" for part in parts[:most])


def _joined(one: Shelf, other: Shelf) -> Shelf:
    return Shelf(
        prefix=one.prefix,
        objects=one.objects + other.objects,
        bytes=one.bytes + other.bytes,
        first_at=min(one.first_at, other.first_at),
        last_at=max(one.last_at, other.last_at),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What was removed from a store, and whether its bucket is gone too."""

    bucket: str
    prefix: str
    objects: int
    bytes: int
    is_bucket_gone: bool


def check_prefix(prefix: str) -> None:
    """Raise UsageError for a prefix that nothing of ours in the store has."""
    if not prefix.startswith((DATA, RUNS)):
        hint = f"{DATA} for all data, {RUNS}FLEET/ for all runs of a fleet"
        raise UsageError(f"what is in the store begins with {DATA} or {RUNS}, got {prefix!r}", hint=hint)


def empty_store(client: Client, prefix: str = "", *, named: str = "") -> Removed:
    """Remove what is below a prefix, for good; without one everything of ours, and the bucket unless it is the person's own.

    Raises NotFound where there is no store, UsageError for a prefix that is not of ours.
    """
    if prefix:
        check_prefix(prefix)
    bucket = find_bucket(client, named=named)
    if bucket is None:
        hint = f"another region: {show_command(client, region='REGION', bucket=named)}"
        raise NotFound("there is no store", where=client.region, hint=hint)
    if not prefix and not bucket.is_theirs:
        gone = remove_bucket(client, bucket)
        return _removed(bucket, gone, is_bucket_gone=True)
    parts = [remove_kept(client, bucket.name, part) for part in ((prefix,) if prefix else (DATA, RUNS))]
    sums = Pile(prefix=prefix, objects=sum(part.objects for part in parts), bytes=sum(part.bytes for part in parts))
    if prefix and not sums.objects:
        shown = show_command(client, bucket=bucket.name if bucket.is_theirs else "")
        raise NotFound(
            f"nothing in the store begins with {prefix!r}", where=bucket.name, hint=f"`{shown}` lists what is"
        )
    return _removed(bucket, sums, is_bucket_gone=False)


def _removed(bucket: Bucket, pile: Pile, *, is_bucket_gone: bool) -> Removed:
    return Removed(
        bucket=bucket.name, prefix=pile.prefix, objects=pile.objects, bytes=pile.bytes, is_bucket_gone=is_bucket_gone
    )
