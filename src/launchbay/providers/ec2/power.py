"""Stop, start and reboot instances on EC2: all of a call or none, and the same however often it is asked."""

from __future__ import annotations

from collections.abc import Sequence

from launchbay.errors import Conflict, UsageError, UserError
from launchbay.ports import Clock
from launchbay.providers.ec2.client import Client, CloudRefusal

__all__ = ["reboot", "start", "stop"]

_IDS = 200
"""Ids in one call."""
_NO_ROOM = ("InsufficientInstanceCapacity", "InsufficientHostCapacity", "InsufficientReservedInstanceCapacity")


def stop(client: Client, identities: Sequence[str], *, clock: Clock) -> None:
    """Stop instances; their disks stay, and cost. Raises UsageError for those of the spot market that cannot be stopped."""
    _each("stop_instances", client, identities, clock)


def start(client: Client, identities: Sequence[str], *, clock: Clock) -> None:
    """Start stopped instances. Raises UserError where their zone has no room for them now: their disks are in it."""
    _each("start_instances", client, identities, clock)


def reboot(client: Client, identities: Sequence[str], *, clock: Clock) -> None:
    """Reboot running instances; address and disks stay."""
    _each("reboot_instances", client, identities, clock)


def _each(operation: str, client: Client, identities: Sequence[str], clock: Clock) -> None:
    for start_at in range(0, len(identities), _IDS):
        try:
            client.insist(operation, clock=clock, InstanceIds=list(identities[start_at : start_at + _IDS]))
        except CloudRefusal as refusal:
            raise _explained(refusal) from refusal


def _explained(refusal: CloudRefusal) -> Exception:
    if refusal.code in ("UnsupportedOperation", "UnsupportedHibernationConfiguration"):
        what = f"EC2 cannot stop and start these: {refusal.message}"
        return UsageError(what, hint="instances of the spot market are one-time: terminate them, launch them again")
    if refusal.code in ("IncorrectInstanceState", "IncorrectState"):
        return Conflict(f"EC2: {refusal.message}", hint="bay ps, then the same command again")
    if refusal.code in _NO_ROOM:
        hint = "the same again later; or bake it, and launch it in another zone: `bay image bake INSTANCE`"
        return UserError(f"the zone has no room for them now: {refusal.message}", hint=hint)
    return refusal
