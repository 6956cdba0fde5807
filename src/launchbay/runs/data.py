"""The data that a run is given, as its record describes it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from launchbay.files import sha256_file

__all__ = ["as_text", "changed_data", "describe_data"]

_HASHED_BYTES = 256 << 20


def as_text(value: str | Path) -> str:
    """Return a name as a record can hold it: a name on disk may be any bytes, JSON is UTF-8."""
    return os.fsencode(value).decode(errors="replace")


def describe_data(folder: Path) -> dict[str, dict[str, Any]]:
    """Return size and sha256 of each data file; beyond 256 MiB only sizes, because hashing would hold the start up."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())[:1000]
    sizes = {path: path.stat().st_size for path in paths}
    hashed = sum(sizes.values()) <= _HASHED_BYTES
    return {
        as_text(path.relative_to(folder)): {"bytes": size, "sha256": sha256_file(path) if hashed else None}
        for path, size in sizes.items()
    }


def changed_data(before: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]) -> Sequence[str]:
    """Name the files that are gone or other than before, as far as is known; new ones do not count."""
    return [name for name, file in before.items() if not _is_same(file, now.get(name))]


def _is_same(before: Mapping[str, Any], now: Mapping[str, Any] | None) -> bool:
    if now is None or now["bytes"] != before["bytes"]:
        return False
    return None in (before["sha256"], now["sha256"]) or now["sha256"] == before["sha256"]
