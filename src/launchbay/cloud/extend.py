"""Move the end of a lease: on each instance, where it is held, and in what is kept here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from launchbay.cloud.fleet import find_fleet, keep_fleet
from launchbay.cloud.lease import write_lease
from launchbay.cloud.power import usd_per_day
from launchbay.cloud.standing import FarInstance, each_transport
from launchbay.errors import Conflict, UsageError
from launchbay.files import locked
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.cloud import open_cloud
from launchbay.planning.cloudwish import LEAST_TTL_S, MOST_TTL_S
from launchbay.providers.ec2.instances import list_ours
from launchbay.transport.ssh import SshTransport
from launchbay.units import format_duration

__all__ = ["Extended", "extend_lease"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extended:
    """Until when instances may live now, in seconds since 1970, and what another day of them costs; None is unknown."""

    names: Sequence[str]
    ends_at: float
    usd_per_day: str | None


def extend_lease(bay: Bay, fars: Sequence[FarInstance], seconds: float) -> Extended:
    """Let instances live for so many seconds from now on, on each of them, and write it down. Idempotent.

    Raises UsageError for less than a minute or more than a year, NotFound and Conflict for one that cannot be reached.
    """
    if not LEAST_TTL_S <= seconds <= MOST_TTL_S:
        what = f"a lease must be 60 seconds to 365 days, got {format_duration(seconds)}"
        raise UsageError(what, hint=f"bay extend {fars[0].fleet.name} 2h")
    fleet = fars[0].fleet
    with locked(bay.home.lock(f"fleet-{fleet.name}"), wait=False) as free:
        if not free:
            raise Conflict(f"another command is launching or changing {fleet.name!r} right now", hint="wait for it")
        # another command may have changed it before this one had the lock
        fleet = find_fleet(bay.home, fleet.name) or fleet
        client = open_cloud(bay, fleet.provider, fleet.region)
        list_ours(client, fleet=fleet.name)  # what time it is there
        ends_at = client.now.timestamp() + seconds

        def one(transport: SshTransport) -> None:
            write_lease(transport, ends_at)

        each_transport(bay, fars, one)
        if len(fars) == fleet.count:
            moved = replace(fleet, ends_at=ends_at, ends={})
        else:
            moved = replace(fleet, ends={**fleet.ends, **{far.name: ends_at for far in fars}})
        keep_fleet(bay.home, moved)
    return Extended(
        names=[far.name for far in fars], ends_at=ends_at, usd_per_day=usd_per_day(fleet, len(fars), "running")
    )
