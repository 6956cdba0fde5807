"""The store on EC2 as values: what its bucket is called, how it is closed, what expires in it, and what it costs. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any

from launchbay.catalog.items import S3_STANDARD
from launchbay.catalog.price import SidePrice
from launchbay.cost.line import Line
from launchbay.errors import UsageError
from launchbay.planning.worstcase import SHORTEST_MONTH_HOURS
from launchbay.units import count_of, format_amount

__all__ = [
    "CLOSED",
    "DATA",
    "LONGEST_PASS_S",
    "PUT_REQUESTS",
    "RUNS",
    "Pile",
    "Stay",
    "Upkeep",
    "bucket_names",
    "bucket_tags",
    "lifecycle_of",
    "policy_of",
    "run_prefix",
    "settings_mark",
    "stay_of",
    "store_costs",
    "store_note",
    "upkeep_usd",
]

DATA, RUNS = "data/", "runs/"
"""What is in the bucket: trees of data, by their hash, and what runs have sent, by fleet and run."""

PUT_REQUESTS = "s3-put-requests"
"""The side price, in US dollars a thousand, of asking S3 to store something. The catalogue has none so far: unknown."""

LONGEST_PASS_S = 7 * 86_400
"""For how long at most AWS lets a signed address or form be good. One that temporary credentials signed ends with them."""

CLOSED: Mapping[str, bool] = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}
"""The four doors to the public, all shut."""

_OURS = ("managed-by", "launchbay")
_SETTINGS = "launchbay:store"
_SPARE_NAMES = 4
_GIB = Decimal(1 << 30)


def bucket_names(account: str, region: str) -> tuple[str, ...]:
    """Return what the bucket of an account and region may be called, best first: names are the whole world's.

    A name is found again from any machine, and does not tell the account's number.
    """
    name = "launchbay-" + hashlib.sha256(f"{account}{region}".encode()).hexdigest()[:12]
    return (name, *(f"{name}-{number}" for number in range(2, 2 + _SPARE_NAMES)))


def lifecycle_of() -> Mapping[str, Any]:
    """Return what S3 removes by itself: uploads that were never finished. Data and runs stay until a person says otherwise."""
    return {
        "Rules": [
            {
                "ID": "launchbay-unfinished",
                "Status": "Enabled",
                "Filter": {"Prefix": ""},
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
            },
            {
                "ID": "launchbay-tmp",
                "Status": "Enabled",
                "Filter": {"Prefix": "tmp/"},
                "Expiration": {"Days": 1},
            },
        ]
    }


def policy_of(bucket: str, partition: str = "aws") -> str:
    """Return the bucket's policy: nothing is asked or sent in the clear. Whoever may ask is IAM's to say."""
    arn = f"arn:{partition}:s3:::{bucket}"
    statement = {
        "Sid": "EncryptedOnTheWay",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, sort_keys=True)


def settings_mark() -> str:
    """Return what stands for all settings of a bucket; it is its last tag, so one that carries it has them all."""
    text = json.dumps([dict(CLOSED), lifecycle_of(), policy_of("")], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def bucket_tags() -> Mapping[str, str]:
    """Return the tags by which a bucket is known as ours and as finished."""
    return {_OURS[0]: _OURS[1], _SETTINGS: settings_mark()}


def run_prefix(fleet: str, run: str = "") -> str:
    """Return where a fleet's runs lie in the bucket, or one of them. Raises UsageError for what is no name."""
    for name in (fleet, run):
        if not all(letter.isascii() and (letter.isalnum() or letter in "-_.") for letter in name):
            raise UsageError(f"a name in the store has letters, digits, '-', '_' and '.', got {name!r}")
    if not fleet:
        raise UsageError("a prefix in the store needs a fleet")
    return f"{RUNS}{fleet}/{run}/" if run else f"{RUNS}{fleet}/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pile:
    """Objects below a prefix: how many, and their bytes."""

    prefix: str
    objects: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    """What keeping bytes in S3 costs a month in US dollars, by which price; None where that is not known."""

    usd_per_month: Decimal | None
    price: SidePrice | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """What stays in the store: what a fleet's runs sent, and the data, which other fleets use too. Money is a month's."""

    bucket: str
    runs: Pile
    data: Pile
    usd_per_month: Decimal | None

    @property
    def objects(self) -> int:
        """How many objects that is."""
        return self.runs.objects + self.data.objects

    @property
    def bytes(self) -> int:
        """How many bytes that is."""
        return self.runs.bytes + self.data.bytes


def upkeep_usd(size: int, region: str, side: Mapping[str, SidePrice]) -> Upkeep:
    """Return what so many bytes cost a month in S3's standard class; nothing is kept for nothing."""
    price = side.get(S3_STANDARD)
    if price is not None and price.region != region:
        raise UsageError(f"the store is in {region}, and the price is of {price.region}")
    if not size:
        return Upkeep(usd_per_month=Decimal(0), price=price)
    return Upkeep(usd_per_month=None if price is None else price.usd * size / _GIB, price=price)


def stay_of(bucket: str, runs: Pile, data: Pile, region: str, side: Mapping[str, SidePrice]) -> Stay:
    """Return what stays, with what that costs a month."""
    upkeep = upkeep_usd(runs.bytes + data.bytes, region, side)
    return Stay(bucket=bucket, runs=runs, data=data, usd_per_month=upkeep.usd_per_month)


def store_costs(
    *, region: str, data_bytes: int, ttl_s: int, count: int, side: Mapping[str, SidePrice], every_s: int = 15
) -> Sequence[Line]:
    """Return what the store adds to the worst case of a launch: data kept as long as the lease, and the asking.

    What runs will send nobody knows before; what goes between the bucket and instances of its region is free. `count`
    instances ask once every `every_s` seconds at most for each of a few files that grow.
    """
    hours = Decimal(ttl_s) / 3600
    size = Decimal(data_bytes) / _GIB
    price = side.get(S3_STANDARD)
    kept = Line(
        name="store",
        category="bucket",
        item=S3_STANDARD,
        region=region,
        what=f"data in the store, {format_amount(size, most=3)} GiB until the lease ends; it stays, and costs on after it",
        quantity=size * hours / SHORTEST_MONTH_HOURS,
        unit="GiB-month",
    )
    if price is not None:
        kept = _at(kept, price)
    asked = Line(
        name="store",
        category="bucket",
        item=PUT_REQUESTS,
        region=region,
        what=f"{count_of(count, 'instance')} that send what is new of their runs every {every_s} s",
        quantity=Decimal(count * _FILES_A_SWEEP) * ttl_s / every_s / 1000,
        unit="1000 requests",
    )
    put = side.get(PUT_REQUESTS)
    lines = [kept] if data_bytes else []
    return (*lines, asked if put is None else _at(asked, put))


def store_note(*, region: str, ttl_s: int, count: int, side: Mapping[str, SidePrice]) -> str:
    """Say what the store may add to a launch. It is in no worst case: what runs send nobody knows, and asking has no price."""
    (asked,) = store_costs(region=region, data_bytes=0, ttl_s=ttl_s, count=count, side=side)
    price = side.get(S3_STANDARD)
    kept = "a price that is not known" if price is None else f"{format_amount(price.usd, most=4)} USD a GiB and month"
    many = int(((asked.quantity or Decimal(0)) * 1000).to_integral_value(ROUND_CEILING))
    put = "a price that is not known"
    if asked.unit_usd is not None:
        put = f"{format_amount(asked.unit_usd, most=4)} USD a thousand"
    return (
        f"runs send what they make to a bucket of yours in {region}, the store: {kept} until `bay store remove`, and up to "
        f"{many:,} requests in this lease at {put}; that is not in the worst case"
    )


_FILES_A_SWEEP = 4
"""The log, the event files of training and validation, and the list of what there is."""


def _at(line: Line, price: SidePrice) -> Line:
    return Line(
        **{name: getattr(line, name) for name in ("name", "category", "item", "region", "what", "quantity", "unit")},
        unit_usd=price.usd,
        source=price.source,
        as_of=price.as_of,
        method=price.method,
    )
