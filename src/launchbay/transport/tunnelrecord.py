"""Which tunnels a process holds, in a file that only its owner can read or change."""

from __future__ import annotations

import json
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from launchbay.errors import UsageError, UserError
from launchbay.files import read_json, write_atomic
from launchbay.transport.door import Door, describe_door, read_door

__all__ = ["Wanted", "read_tunnels", "write_tunnels"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A tunnel that is to be: a port of ours, and the port of an instance's loopback that it leads to."""

    door: Door
    local_port: int
    remote_port: int

    def __post_init__(self) -> None:
        for port in (self.local_port, self.remote_port):
            if not 1 <= port <= 65535:
                raise UsageError(f"port must be 1 to 65535, got {port}", where=self.door.alias)


def write_tunnels(path: Path, tunnels: Sequence[Wanted]) -> None:
    """Write the record for ``python -m launchbay.transport.tunnel``; a process that holds it already follows it."""
    ports = [item.local_port for item in tunnels]
    if len(set(ports)) < len(ports):
        raise UsageError("two tunnels cannot have the same port", where=str(path))
    value = {
        "v": 1,
        "tunnels": [
            {"door": describe_door(item.door), "local_port": item.local_port, "remote_port": item.remote_port}
            for item in tunnels
        ],
    }
    write_atomic(path, json.dumps(value, indent=1).encode(), private=True)


def read_tunnels(path: Path) -> list[Wanted]:
    """Read a record. Raises FileNotFoundError where there is none, UserError for one that others could have written."""
    if path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UserError(
            "others can write to this record, and it names programs to run", where=str(path), hint="chmod 600"
        )
    value = read_json(path)
    try:
        return [
            Wanted(
                door=read_door(item["door"]), local_port=int(item["local_port"]), remote_port=int(item["remote_port"])
            )
            for item in value["tunnels"]
        ]
    except (KeyError, TypeError) as error:
        raise UsageError(f"no record of tunnels: {error!r} is missing or of another kind", where=str(path)) from error
