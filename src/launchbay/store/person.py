"""Whom an instance belongs to: a record in the instance's own folder, which goes with it; and whom a fleet is closed to.

Revocations of a fleet are kept apart, because they outlive the instance and have to be remembered when the same list of
people is shared again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from launchbay.errors import StateError
from launchbay.fields import INTEGER, NUMBER, TEXT, check_fields, fields, list_of
from launchbay.files import read_json, write_json
from launchbay.home import Home
from launchbay.jsonable import fields_of

__all__ = [
    "PERSON_MARK",
    "Owner",
    "Revocation",
    "find_owner",
    "forget_owner",
    "forgive",
    "owner_mark",
    "read_owner",
    "revocations",
    "revoke_key",
    "write_owner",
]

PERSON_MARK = "LAUNCHBAY_PERSON"
"""The variable that all of a person's sessions carry, and what they start: the person, and the instance's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The person an instance belongs to: their key, the ports that they may reach, and the file that lets them in."""

    name: str
    key: str
    authorized_keys: Path
    notebook: int
    board: int
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """A key that opens nothing of a fleet any more."""

    name: str
    key: str
    at: float


_OWNER = {**dict.fromkeys(("name", "key", "authorized_keys"), TEXT), "notebook": INTEGER, "board": INTEGER}
_OWNER |= {"since": NUMBER}
_REVOCATION = {"name": TEXT, "key": TEXT, "at": NUMBER}


def owner_mark(name: str, identity: str) -> str:
    """Return the mark of a person's processes, ``NAME=VALUE``."""
    return f"{PERSON_MARK}={name}@{identity}"


def read_owner(root: Path) -> Owner | None:
    """Return whom the instance in `root` belongs to, or None. Raises StateError when that cannot be read."""
    path = root / "person.json"
    try:
        record = read_json(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(f"record cannot be read: {error.strerror}", where=str(path), hint="bay doctor") from error
    check_fields(record, _OWNER, where=path)
    known: dict[str, Any] = {name: record[name] for name in _OWNER}
    return replace(Owner(**known), authorized_keys=Path(record["authorized_keys"]))


def find_owner(root: Path) -> Owner | None:
    """Return whom the instance in `root` belongs to; None also where that cannot be read."""
    with contextlib.suppress(StateError):
        return read_owner(root)
    return None


def write_owner(root: Path, owner: Owner) -> None:
    """Write down whom an instance belongs to."""
    record = fields_of(owner) | {"authorized_keys": str(owner.authorized_keys)}
    write_json(root / "person.json", record, durable=True)


def forget_owner(root: Path) -> None:
    """Let an instance belong to nobody. Idempotent."""
    (root / "person.json").unlink(missing_ok=True)


def revocations(home: Home, fleet: str) -> Mapping[str, Revocation]:
    """Return what was revoked in a fleet, by key; a damaged list lets nobody in. Raises StateError for it."""
    path = home.shares / f"{fleet}.json"
    try:
        record = read_json(path)
    except FileNotFoundError:
        return {}
    check_fields(record, {"revoked": list_of(fields(_REVOCATION))}, where=path)
    found = [Revocation(**{name: item[name] for name in _REVOCATION}) for item in record["revoked"]]
    return {item.key: item for item in found}


def revoke_key(home: Home, fleet: str, revocation: Revocation) -> None:
    """Remember that a key opens nothing of a fleet any more."""
    known = dict(revocations(home, fleet))
    known.setdefault(revocation.key, revocation)
    _write(home, fleet, known)


def forgive(home: Home, fleet: str, name: str) -> bool:
    """Forget the revocations of a person; say whether there were any."""
    known = revocations(home, fleet)
    left = {key: item for key, item in known.items() if item.name != name}
    if len(left) != len(known):
        _write(home, fleet, left)
    return len(left) != len(known)


def _write(home: Home, fleet: str, known: Mapping[str, Revocation]) -> None:
    path = home.shares / f"{fleet}.json"
    write_json(path, {"revoked": [fields_of(item) for item in known.values()]}, durable=True)
