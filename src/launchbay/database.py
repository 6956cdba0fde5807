"""What our sqlite files have in common: telling a damaged file from a machine in trouble, and keeping what was damaged."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

__all__ = ["PATIENCE_S", "is_damage", "is_full", "primary_code", "set_aside"]

PATIENCE_S = 30.0
"""How long another process may hold a database before we give up."""

_NOT_ITS_FAULT = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}
"""What sqlite answers when the file may be fine and the machine is not; everything else means that it is damaged."""


def primary_code(error: Exception) -> int:
    """Return sqlite's primary code of an error; one that has none was raised for something that cannot be read."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF


def is_damage(error: Exception) -> bool:
    """Say whether an error means that the file is damaged, and not that the machine is in trouble."""
    return primary_code(error) not in _NOT_ITS_FAULT


def is_full(error: Exception) -> bool:
    """Say whether the disk gave no room; where sqlite maps a file into memory, that comes as an I/O error."""
    return primary_code(error) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


def set_aside(path: Path) -> Path:
    """Rename a damaged database, with what sqlite keeps beside it, to a name that is free; return that name."""
    number = 1
    while (kept := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.rename(kept)
    for suffix in ("-wal", "-shm", "-journal"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(kept.with_name(kept.name + suffix))
    return kept
