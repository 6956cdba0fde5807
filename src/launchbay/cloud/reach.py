"""Get into an instance that has just come up: by the host key that it was given, then by one of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from launchbay.cloud.boot import make_host_key, take_host_key
from launchbay.cloud.fleet import CloudFleet, door_of, expect, expected, know, known_by
from launchbay.home import Home
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.twin import ask_twin
from launchbay.ports import Clock
from launchbay.providers.ec2.instances import Row
from launchbay.transport.door import Door
from launchbay.transport.ssh import SshTransport
from launchbay.transport.trouble import HostKeyRefused
from launchbay.transport.waiting import wait_for_ssh

__all__ = ["Reached", "enter", "ports_of"]

_SSH_PORT = 22
_PATIENCE_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """A way into an instance that is known by a host key of its own. `waited_s` is how long it took to answer."""

    transport: SshTransport
    waited_s: float


def ports_of(bay: Bay, fleet: CloudFleet) -> Callable[[Row], int]:
    """Return where SSH listens on each instance: 22 on EC2 and behind an endpoint, and where the twin could have it."""
    if fleet.provider != "twin" or fleet.endpoint:
        return lambda _: _SSH_PORT
    hosts = ask_twin(bay.home, "hosts")["hosts"]
    return lambda row: int(hosts.get(row.id, {}).get("port", _SSH_PORT))


def enter(home: Home, fleet: CloudFleet, row: Row, port: int, *, given_key: str, clock: Clock) -> Reached:
    """Get into an instance, and let it make a host key of its own if it has the given one. Idempotent, also when it is killed.

    `given_key` is the public host key from its boot script. Raises Unreachable, KeyRefused, HostKeyRefused.
    """
    given_key = " ".join(given_key.split()[:2])  # without its comment, as keys are known
    if not known_by(home, fleet.name, row.id):
        know(home, fleet.name, row.id, given_key)
    door = door_of(home, fleet, row, port)
    waited = _wait(home, fleet, row, door, clock=clock)
    transport = SshTransport(door=door, variables={}, folder=f"/home/{fleet.login}")
    if given_key in known_by(home, fleet.name, row.id):
        own = make_host_key(transport)
        expect(home, fleet.name, row.id, own)
        take_host_key(transport)
        know(home, fleet.name, row.id, own)
        transport.close()
        waited += _wait(home, fleet, row, door, clock=clock)
        transport = SshTransport(door=door, variables={}, folder=f"/home/{fleet.login}")
    return Reached(transport=transport, waited_s=waited)


def _wait(home: Home, fleet: CloudFleet, row: Row, door: Door, *, clock: Clock) -> float:
    """Wait for an instance with the right host key; another one is never talked to."""
    began = clock.now()
    try:
        wait_for_ssh(door, timeout_s=_PATIENCE_S)
    except HostKeyRefused:
        # killed after it took its own key and before that was written down: what it was about to take was
        following = expected(home, fleet.name, row.id)
        if not following or following in known_by(home, fleet.name, row.id):
            raise
        know(home, fleet.name, row.id, following)
        wait_for_ssh(door, timeout_s=_PATIENCE_S)
    return clock.now() - began
