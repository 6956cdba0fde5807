"""What the twin knows beside moto: the state of its rules. Plain values, written to disk and read back as they are."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from typing import Any

from launchbay.twin.clock import TwinClock
from launchbay.twin.ledger import Ledger

__all__ = ["Armed", "Fault", "Settings", "SpotRequest", "Token", "Truth", "new_truth"]


_KINDS: Mapping[str, type | tuple[type, ...]] = {"str": str, "bool": bool, "int": int, "float": (int, float)}


def _check(value: Settings | Fault) -> None:
    """Raise ValueError where a field is of another kind than it says, or a number below nothing."""
    for item in fields(value):
        kind, given = _KINDS.get(str(item.type), Mapping), getattr(value, item.name)
        if not isinstance(given, kind) or (isinstance(given, bool) and kind is not bool):
            raise ValueError(f"{item.name} must be a {item.type}, got {given!r}")
        if isinstance(given, (int, float)) and not given >= 0:
            raise ValueError(f"{item.name} must not be below 0, got {given}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a twin was started; frozen for its life.

    Delays are in seconds of its clock. `poll_s` is what passes on a virtual clock when something in transition is polled.
    `visible_after_s` is for how long at most a new id may be unknown to reads (EC2 is eventually consistent); 0 for never.
    `capacity` is how many instances a type has in a zone and market unless somebody says otherwise.
    """

    account: str = "123456789012"
    region: str = "us-east-1"
    is_virtual: bool = False
    seed: int = 0
    pending_s: float = 4.0
    stopping_s: float = 4.0
    terminating_s: float = 4.0
    poll_s: float = 5.0
    visible_after_s: float = 0.0
    capacity: int = 100_000

    def __post_init__(self) -> None:
        """Raise ValueError for what cannot be."""
        _check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What a client token stands for: the parameters it came with, as a digest, and the answer it got."""

    parameters: str
    status: int
    body: bytes
    request_id: str
    instances: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that shall go wrong.

    `name` is one of the faults there are, `action` the call that it hits (``ec2:RunInstances``, ``*`` for any), `after` how many
    such calls pass first, `count` how many are then hit, and `chance` how likely each is; `data` is what the fault needs besides.
    """

    name: str
    action: str = "*"
    after: int = 0
    count: int = 1
    chance: float = 1.0
    data: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ValueError for what cannot be."""
        _check(self)
        if self.count < 1 or self.chance > 1:
            raise ValueError(
                f"a fault hits once at least, with a chance of 1 at most, got {self.count} and {self.chance}"
            )


@dataclass(slots=True)
class Armed:
    """A fault that waits, how many of its calls it has seen, and how many of them it hit."""

    fault: Fault
    seen: int = 0
    hits: int = 0


@dataclass(slots=True, kw_only=True)
class SpotRequest:
    """A spot instance request, with what it stands for now. `kind` is ``one-time`` or ``persistent``."""

    id: str
    region: str
    instance: str
    type: str
    zone: str
    kind: str
    image: str
    made: datetime
    state: str = "active"
    status: str = "fulfilled"
    message: str = "Your spot request is fulfilled."
    interruption: str = "terminate"
    max_price: str = ""
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Truth:
    """Everything that the rules remember.

    `capacity` is by (type, zone, market), `quotas` vCPUs by (region, quota code), `tokens` by what they are scoped to and the
    token; `seen_at` is from when an id can be read; `calls` counts what was asked, by name, and `addresses` the public addresses
    that were given out, in `network`; `notices` are spot notices by instance; `notes` is for what a rule keeps about a resource:
    `notes[rule][resource]`.
    """

    settings: Settings
    clock: TwinClock
    ledger: Ledger = field(default_factory=Ledger)
    tokens: dict[tuple[str, ...], Token] = field(default_factory=dict)
    capacity: dict[tuple[str, str, str], int] = field(default_factory=dict)
    quotas: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    spot_usd: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    faults: list[Armed] = field(default_factory=list)
    seen_at: dict[str, datetime] = field(default_factory=dict)
    spot: dict[str, SpotRequest] = field(default_factory=dict)
    notices: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    addresses: int = 0
    network: str = "127.77"

    def next_address(self) -> str:
        """Return a public address that was not given out before; after 64,516 they begin anew."""
        place = self.addresses % (254 * 254)
        self.addresses += 1
        return f"{self.network}.{place // 254 + 1}.{place % 254 + 1}"

    chance: random.Random = field(default_factory=random.Random)

    def noted(self, rule: str) -> dict[str, Any]:
        """Return what a rule keeps, by resource."""
        return self.notes.setdefault(rule, {})


def new_truth(settings: Settings) -> Truth:
    """Return what a twin knows that was just made."""
    clock = TwinClock(is_virtual=settings.is_virtual)
    return Truth(settings=settings, clock=clock, chance=random.Random(settings.seed))  # noqa: S311 - no secret
