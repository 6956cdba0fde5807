"""How one gets into an instance by SSH, as a value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launchbay.errors import UsageError

__all__ = ["Door", "describe_door", "read_door"]

_WORDS = {
    "address": re.compile(r"[0-9A-Za-z][0-9A-Za-z.:_-]*(%[0-9A-Za-z]+)?|::[0-9A-Fa-f:.]*"),
    "user": re.compile(r"[0-9A-Za-z_][0-9A-Za-z_.-]*"),
    "alias": re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]*"),
}
"""What may stand in a command line and in a configuration file without being taken for something else there."""

_UNWRITABLE = re.compile(r"[\x00-\x1f\"\x7f]|\$\{")
"""What OpenSSH's configuration cannot hold inside a quoted path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where an instance is reached, as whom, with which private keys, and what proves that it is the right one.

    `alias` is what the host key is known by in the file `known_hosts`: the instance's id, because addresses are handed on to
    others. `proxy` are the words of a program whose stdin and stdout are the connection, in place of TCP to the address; the
    last line on its stderr says why there is none, and its exit code 2 that waiting brings none.
    Raises UsageError for what could be taken for an option or for another line of a configuration file.
    """

    address: str
    user: str
    keys: tuple[Path, ...]
    known_hosts: Path
    alias: str
    port: int = 22
    proxy: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field, pattern in _WORDS.items():
            value = getattr(self, field)
            if not pattern.fullmatch(value):
                raise UsageError(f"{value!r} is no {field} for SSH", where=field)
        if not 1 <= self.port <= 65535:
            raise UsageError(f"port must be 1 to 65535, got {self.port}", where=self.alias)
        if not self.keys:
            raise UsageError("at least one private key is needed", where=self.alias)
        for path in (*self.keys, self.known_hosts):
            if not path.is_absolute() or _UNWRITABLE.search(str(path)):
                hint = "an absolute path without quotes, control characters and ${"
                raise UsageError(f"{str(path)!r} cannot stand in an SSH configuration", where=self.alias, hint=hint)
        if any(_UNWRITABLE.search(word.replace('"', "").replace("${", "")) for word in self.proxy):
            raise UsageError("a proxy's words hold no control characters", where=self.alias)

    @property
    def place(self) -> str:
        """Return where it is, for people: ``ubuntu@192.0.2.7 port 22``."""
        return f"{self.user}@{self.address} port {self.port}"


def describe_door(door: Door) -> dict[str, Any]:
    """Return a door as JSON; it holds paths of keys, and no key."""
    return {
        "address": door.address,
        "user": door.user,
        "keys": [str(path) for path in door.keys],
        "known_hosts": str(door.known_hosts),
        "alias": door.alias,
        "port": door.port,
        "proxy": list(door.proxy),
    }


def read_door(value: Mapping[str, Any]) -> Door:
    """Read what `describe_door` wrote. Raises UsageError for what is no door."""
    try:
        return Door(
            address=str(value["address"]),
            user=str(value["user"]),
            keys=tuple(Path(path) for path in value["keys"]),
            known_hosts=Path(value["known_hosts"]),
            alias=str(value["alias"]),
            port=int(value["port"]),
            proxy=tuple(str(word) for word in value.get("proxy", ())),
        )
    except (KeyError, TypeError) as error:
        raise UsageError(f"no door: {error!r} is missing or of another kind") from error
