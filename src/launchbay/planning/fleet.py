"""The values that a fleet's life is planned in."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from launchbay.jsonable import fields_of

__all__ = ["LEAST_UP_S", "Action", "FleetWish", "Instance", "InstanceSpec", "Plan", "look", "made_from"]

LEAST_UP_S = 60.0
"""Seconds that every start is billed for at least, as EC2 does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetWish:
    """What somebody wants to stand: `count` instances of one image under one name, on one kind of layer."""

    fleet: str
    count: int
    image: str
    digest: str
    layer: str = "layer"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceSpec:
    """An instance that shall be: everything the provider writes down with it, decided before the first step."""

    id: str
    name: str
    fleet: str
    count: int
    image: str
    digest: str
    token: str
    layer: str = "layer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """An instance as observed. `count` is how many its fleet was meant to have; `token` says which launch made it.

    `previous` is the digest of the image that it stood on before an update which is not settled yet. `ran_s` is how long it
    was up before it was started last, a minute a start at least, `up_since` when that was; None is not known, of an instance
    of before that was counted.
    """

    id: str
    name: str
    fleet: str
    count: int
    image: str
    digest: str
    token: str
    provider: str
    layer: str
    state: str
    created_at: float
    root: Path
    cloud_id: str | None = None
    usd_per_hour: str | None = None
    previous: str | None = None
    ran_s: float | None = None
    up_since: float | None = None

    def up_s(self, now: float) -> float | None:
        """Return the seconds that are billed until now, stops left out; None where that is not known."""
        if self.ran_s is None:
            return None
        return self.ran_s + (max(now - self.up_since, LEAST_UP_S) if self.up_since is not None else 0.0)

    def in_state(self, state: str, now: float) -> Instance:
        """Return it in a state, with the seconds that are billed until now; unchanged where it is in that state already."""
        if self.state == state:
            return self
        return replace(self, state=state, ran_s=self.up_s(now), up_since=now if state == "running" else None)


def made_from(
    spec: InstanceSpec, *, provider: str, created_at: float, root: Path, usd_per_hour: str | None = None
) -> Instance:
    """Return the running instance that a spec has become."""
    return Instance(
        **fields_of(spec),
        provider=provider,
        state="running",
        created_at=created_at,
        ran_s=0.0,
        up_since=created_at,
        root=root,
        usd_per_hour=usd_per_hour,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One step of a plan. `verb` is create, verify, stop, start or delete; `deletes` says whether files are lost."""

    verb: str
    names: Sequence[str]
    specs: Sequence[InstanceSpec] = ()

    @property
    def deletes(self) -> bool:
        """Say whether somebody's files go with it."""
        return self.verb == "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would be done, and what was seen when that was decided; applying looks again and refuses if it moved."""

    subject: str
    actions: Sequence[Action]
    saw: str

    @property
    def names(self) -> Sequence[str]:
        """The instances that its actions are about."""
        return [name for action in self.actions for name in action.names]

    @property
    def needs_consent(self) -> bool:
        """Say whether a person has to agree first: something costs money or loses files."""
        return any(action.deletes for action in self.actions)


def look(instances: Sequence[Instance]) -> str:
    """Return a mark that changes whenever the observed instances do."""
    lines = sorted(
        f"{instance.id} {instance.name} {instance.state} {instance.token} {instance.digest}" for instance in instances
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
