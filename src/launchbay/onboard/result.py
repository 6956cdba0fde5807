"""How a run ended, on disk: written in one step, and also when the script has filled the disk to its end."""

from __future__ import annotations

import contextlib
import errno
import json
import os

TYPE_CHECKING = False  # `typing` would cost a tenth of what a supervisor does
if TYPE_CHECKING:
    from typing import Any

__all__ = ["free_room", "is_full", "keep_room", "sync_folder", "write_json", "write_result"]

_ROOM_BYTES = 1 << 16
_FULL = (errno.ENOSPC, errno.EDQUOT)


def keep_room(folder: str) -> None:
    """Take up the space that the result will need, while there is some."""
    with open(_reserve(folder), "wb") as file:
        file.write(os.urandom(_ROOM_BYTES))  # of zeros, some file systems keep nothing but their number
        file.flush()
        os.fsync(file.fileno())


def free_room(folder: str) -> None:
    """Give up the space that was kept, if it still is."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_reserve(folder))


def write_result(folder: str, result: dict[str, Any]) -> None:
    """Write a run's result; on a full disk, into the space that was kept for it. Raises OSError when even that is gone."""
    path = os.path.join(folder, "result.json")
    try:
        write_json(path, result)
    except OSError as error:
        if not is_full(error):
            raise
        free_room(folder)
        write_json(path, result)


def write_json(path: str, value: dict[str, Any]) -> None:
    """Write a record in one step and to the disk; one that cannot be written leaves nothing behind."""
    temporary = "{}.{}.tmp".format(path, os.getpid())
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(value, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(os.path.dirname(path) or ".")  # else the record is on the disk, and its new name is not
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def sync_folder(folder: str) -> None:
    """Put on the disk what a folder's files are called."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # some file systems cannot, and need not
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_full(error: OSError) -> bool:
    """Say whether the system had no space left, on the disk or for this person."""
    return error.errno in _FULL


def _reserve(folder: str) -> str:
    return os.path.join(folder, "result.reserve")
