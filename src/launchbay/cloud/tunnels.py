"""What this machine keeps of notebooks and boards on EC2: the port of ours that a tunnel leads from, and who holds it.

A folder each, inside what is kept of the fleet, so it goes with the fleet. Light: a list of instances reads it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from launchbay.errors import StateError
from launchbay.home import Home
from launchbay.store.service import Service, read_service

__all__ = ["find_far_service", "list_far_services", "service_place", "services_of"]


def service_place(home: Home, fleet: str, kind: str, instance: str) -> Path:
    """Return where a notebook or a board of an instance on EC2 is kept here."""
    return home.cloud / fleet / "services" / f"{kind}-{instance}"


def find_far_service(home: Home, fleet: str, kind: str, instance: str) -> Service | None:
    """Return a service of an instance on EC2 as its tunnel stands now; None where there never was one."""
    try:
        return replace(read_service(service_place(home, fleet, kind, instance)), through="tunnel")
    except FileNotFoundError:
        return None


def list_far_services(home: Home) -> Iterator[Service]:
    """Yield all of them, in order of their fleets and names; a folder without a readable record is none."""
    for folder in sorted(home.cloud.glob("*/services/*")):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, StateError):
            yield replace(read_service(folder), through="tunnel")


def services_of(home: Home) -> Mapping[str, Sequence[Service]]:
    """Return those whose tunnels stand, by the name of their instance. Asks nobody."""
    found: dict[str, list[Service]] = {}
    for service in list_far_services(home):
        if service.is_running:
            found.setdefault(service.name, []).append(service)
    return found
