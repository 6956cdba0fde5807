"""Names and counts: what is allowed, and who is meant."""

from __future__ import annotations

import re
from collections.abc import Iterable

from launchbay.errors import NotFound, UsageError
from launchbay.spec.document import Document

__all__ = [
    "LATEST",
    "MAX_COUNT",
    "check_count",
    "check_fleet_name",
    "closest",
    "instance_names",
    "is_run_id",
    "nearest",
    "read_name",
    "suggest_name",
]

MAX_COUNT = 1000
"""Most instances in one fleet: what EC2 allows in one call, and more than a laptop should be asked for."""

LATEST = "latest"
"""What stands for the newest run."""

_RUN_ID = re.compile(r"run-\d{8}-\d{6}-[0-9a-z]+\Z")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}\Z")
_ENTRY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")


def is_run_id(name: str) -> bool:
    """Say whether a name is the whole id of a run, as ours are made."""
    return _RUN_ID.match(name) is not None


def check_count(count: int, *, where: str = "") -> int:
    """Return `count`, or raise UsageError unless it is 1 to 1000."""
    if not 1 <= count <= MAX_COUNT:
        raise UsageError(f"count must be 1 to {MAX_COUNT}, got {count}", where=where, hint="-n 3")
    return count


def check_fleet_name(name: str, *, count: int | None = None, where: str = "") -> str:
    """Return `name`, or raise UsageError unless it can name a fleet and its instances `NAME-1` to `NAME-N`."""
    if count is not None and _NAME.match(name) and not _NAME.match(f"{name}-{count}"):
        raise UsageError(
            f"an instance name must have at most 63 letters, and {name}-{count} has {len(name) + 1 + len(str(count))}",
            where=where,
            hint=f"--name {name[:40].rstrip('-')}",
        )
    if not _NAME.match(name):
        raise UsageError(
            f"a fleet name must be 1 to 63 letters, digits or '-', starting with a letter or digit, got {name!r}",
            where=where,
            hint=f"--name {suggest_name(name)}",
        )
    if name == LATEST or is_run_id(name):
        hint = f"--name {suggest_name(name)}"
        raise UsageError(f"{name!r} means a run, so no fleet can have that name", where=where, hint=hint)
    return name


def suggest_name(name: str) -> str:
    """Return the nearest name that is allowed."""
    suggested = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:63] or "exp"
    return f"my-{suggested}" if suggested == LATEST or is_run_id(suggested) else suggested


def instance_names(fleet: str, count: int) -> tuple[str, ...]:
    """Return the names of a fleet's instances: ``exp-1`` to ``exp-N``."""
    return tuple(f"{fleet}-{index}" for index in range(1, count + 1))


def read_name(entry: Document, noun: str) -> str:
    """Read the name that an entry of a list must have. Raises UsageError where it lacks one, or one that is none."""
    name = entry.text("name")
    if not name:
        raise UsageError(f"an entry of {noun}s must have a name", where=entry.where("name"), hint="name: training")
    if not _ENTRY.match(name):
        what = f"a name must be 1 to 63 letters, digits, '.', '_' or '-', starting with a letter or digit, got {name[:70]!r}"
        raise UsageError(what, where=entry.where("name"), hint=f"name: {suggest_name(name)}")
    return name


def closest(name: str, known: Iterable[str]) -> str:
    """Return what was probably meant, as the end of a sentence; nothing where no name is near."""
    import difflib  # only who mistyped needs it

    names = sorted(known)
    within = [item for item in names if len(name) > 2 and name.casefold() in item.casefold()]
    close = within[:3] or sorted(difflib.get_close_matches(name, names, n=3, cutoff=0.5))
    if not close:
        return ""
    return f"; did you mean {' or '.join([', '.join(close[:-1]), close[-1]] if close[1:] else close)}?"


def nearest(name: str, known: Iterable[str], *, kind: str, hint: str) -> NotFound:
    """Return a NotFound that offers what was probably meant."""
    return NotFound(f"there is no {kind} named {name!r}{closest(name, known)}", hint=hint)
