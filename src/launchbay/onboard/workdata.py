"""The data in an instance's working folder, by hash, in bounded time.

What is small is read whole. Of a large file blocks are read, spread over all of it; of very many files the size alone.
"""

from __future__ import annotations

import hashlib
import os

from .prints import fingerprint_path

__all__ = ["BLOCK", "MOST_NAMED", "MOST_READ", "WHOLE", "print_data"]

WHOLE = 8 << 20
"""Up to so many bytes a file is read whole."""
BLOCK = 64 << 10
BLOCKS = 32
"""How many blocks of a larger file are read."""
MOST_READ = 10_000
"""Of so many files, in the order of their names, the content is looked at."""
MOST_NAMED = 1000
"""More files than these are told by the folder, or file, of the data that they lie in."""


def print_data(folder: str, root: str) -> dict[str, str]:
    """Return the files by path, ``data/...`` -> what they hold; hidden ones left out. Nothing where there is no data.

    A link is what it points to; within the instance's `root`, from there.
    """
    if os.path.islink(folder):
        return {"data": _link(folder, root)}
    entries: dict[str, str] = {}
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__pycache__")
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        for name in sorted(files + links):
            path = os.path.join(parent, name)
            if not name.startswith("."):
                try:
                    value = _print(path, root, is_read=len(entries) < MOST_READ)
                except FileNotFoundError:  # it is being written just now
                    continue
                except PermissionError:
                    value = "unreadable"
                entries[os.path.join("data", os.path.relpath(path, folder))] = value
    return entries if len(entries) <= MOST_NAMED else _roll_up(entries)


def _print(path: str, root: str, *, is_read: bool) -> str:
    if os.path.islink(path):
        return _link(path, root)
    size = os.lstat(path).st_size
    if is_read and size <= WHOLE:
        return fingerprint_path(path)
    return "{} bytes{}".format(size, " " + _blocks(path, size) if is_read else "")


def _blocks(path: str, size: int) -> str:
    """Hash blocks from the beginning to the end of a large file, at equal distances."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        for number in range(BLOCKS):
            file.seek((size - BLOCK) * number // (BLOCKS - 1))
            digest.update(file.read(BLOCK))
    return "blocks:" + digest.hexdigest()


def _link(path: str, root: str) -> str:
    target = os.path.realpath(path)
    real = os.path.realpath(root)
    return "link:" + ("<instance>" + target[len(real) :] if target.startswith(real + os.sep) else target)


def _roll_up(entries: dict[str, str]) -> dict[str, str]:
    """One entry for each that lies in ``data`` itself, with how many files it holds."""
    inside: dict[str, list[str]] = {}
    for path, value in entries.items():
        inside.setdefault(os.sep.join(path.split(os.sep)[:2]), []).append("{} {}\n".format(path, value))
    return {
        top: "{} files sha256:{}".format(len(lines), hashlib.sha256("".join(sorted(lines)).encode()).hexdigest())
        for top, lines in inside.items()
    }
