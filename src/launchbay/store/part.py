"""A file that is not there yet: it grows beside its target, locked, with a record of what it is a part of.

``.NAME.part`` is its own lock, so no lock file is left behind; ``.NAME.part.json`` is written before the
first byte. Killed at any instant, what lies there is a true beginning of the file that the record names.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from launchbay.errors import StateError
from launchbay.files import read_json, write_json

__all__ = ["Origin", "Part", "find_started", "hold_part"]

_PREFIX, _SUFFIX = ".", ".part"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Which version of which URL a part is of. `key` is the URL's hash: a signed link stays off the disk."""

    key: str
    etag: str | None = None
    last_modified: str | None = None
    total: int | None = None

    @property
    def validator(self) -> str | None:
        """Return what `If-Range` may hold (RFC 9110, 13.1.5): a strong ETag, else the date."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.last_modified

    def differs(self, other: Origin) -> bool:
        """Say whether anything that both know is not the same."""
        pairs = zip(asdict(self).values(), asdict(other).values(), strict=True)
        return any(None not in pair and pair[0] != pair[1] for pair in pairs)


class Part:
    """The growing file and its record.

    `kept` counts the bytes that were there before this fetch; `is_joined` says that several answers made it.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.record = path.with_name(f"{path.name}.json")
        self.descriptor = descriptor
        self.size = os.lseek(descriptor, 0, os.SEEK_END)
        self.kept = self.size
        self.origin = _read_origin(self.record)
        self.is_joined = False
        self.notes: list[str] = []

    def clear(self, why: str = "") -> None:
        """Empty it, and note why if that lost anything."""
        if self.size and why:
            self.notes.append(f"{why}: started over")
        os.ftruncate(self.descriptor, 0)
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        self.size = self.kept = 0
        self.is_joined = False

    def begin(self, origin: Origin) -> None:
        """Empty it and write down what the bytes to come are part of."""
        self.clear()
        write_json(self.record, asdict(origin))
        self.origin = origin

    def append(self, data: bytes) -> None:
        """Write bytes through to the system, where they outlive this process."""
        view = memoryview(data)
        while view:
            written = os.write(self.descriptor, view)
            self.size += written
            view = view[written:]

    def remove(self) -> None:
        """Leave nothing of it."""
        self.path.unlink(missing_ok=True)
        self.record.unlink(missing_ok=True)

    def become(self, target: Path) -> None:
        """Get its name, in one step."""
        os.fsync(self.descriptor)
        self.path.rename(target)
        self.record.unlink(missing_ok=True)


@contextlib.contextmanager
def hold_part(target: Path, waiting: Callable[[], None]) -> Iterator[Part]:
    """Open the part of `target` and lock it; if somebody has it, call `waiting` and wait.

    The kernel drops the lock when its holder dies. An empty part is removed at the end.
    """
    path = target.with_name(f"{_PREFIX}{target.name}{_SUFFIX}")
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        descriptor = os.open(path, flags, 0o666)
        try:
            _lock(descriptor, waiting)
            if not _is_still(path, descriptor):
                continue  # whoever had it gave it its name, or removed it
            part = Part(path, descriptor)
            try:
                yield part
            finally:
                if not part.size:
                    part.remove()
            return
        finally:
            os.close(descriptor)


def find_started(folder: Path, key: str) -> str | None:
    """Return the name of the file that an earlier fetch of the same URL began, if there is one."""
    for record in sorted(folder.glob(f"{_PREFIX}*{_SUFFIX}.json")):
        origin = _read_origin(record)
        if origin and origin.key == key:
            return record.stem.removeprefix(_PREFIX).removesuffix(_SUFFIX)
    return None


def _lock(descriptor: int, waiting: Callable[[], None]) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        waiting()
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _read_origin(record: Path) -> Origin | None:
    try:
        value = read_json(record)
        texts = [value["key"], value["etag"], value["last_modified"]]
        total = value["total"]
    except (OSError, StateError, KeyError):
        return None
    is_good = isinstance(texts[0], str) and all(text is None or isinstance(text, str) for text in texts)
    if not is_good or not (total is None or isinstance(total, int)):
        return None
    return Origin(key=texts[0], etag=texts[1], last_modified=texts[2], total=total)
