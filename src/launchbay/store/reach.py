"""How a fleet that is shared is reached: what was said the last time holds until something else is said."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from launchbay.fields import INTEGER, TEXT, check_fields, optional
from launchbay.files import read_json, write_json
from launchbay.home import Home
from launchbay.jsonable import fields_of

__all__ = ["Reach", "read_reach", "write_reach"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What people are told of the machine and who lets them in; None for what nobody has said."""

    host: str | None = None
    ssh_port: int | None = None
    host_key: str | None = None
    authorized_keys: str | None = None

    def over(self, before: Reach) -> Reach:
        """Return this, with what it leaves out from before."""
        said = {name: value for name, value in fields_of(self).items() if value is not None}
        return replace(before, **said)


_RECORD = {
    **{name: optional(TEXT) for name in ("host", "host_key", "authorized_keys")},
    "ssh_port": optional(INTEGER),
}


def read_reach(home: Home, fleet: str) -> Reach:
    """Return what was said the last time a fleet was shared. Raises StateError when that cannot be read."""
    path = _path(home, fleet)
    try:
        record = read_json(path)
    except FileNotFoundError:
        return Reach()
    check_fields(record, _RECORD, where=path)
    return Reach(**{name: record.get(name) for name in _RECORD})


def write_reach(home: Home, fleet: str, reach: Reach) -> None:
    """Remember it for the next time."""
    write_json(_path(home, fleet), fields_of(reach), durable=True)


def _path(home: Home, fleet: str) -> Path:
    return home.shares / f"{fleet}.reach.json"
