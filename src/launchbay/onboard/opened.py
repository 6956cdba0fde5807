"""Open a model's files, hash them, and copy them on the way, so that nobody can exchange them in between."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from typing import BinaryIO, Iterator

from .formats import FORMATS, find_format
from .modelfiles import ModelFiles, find_files, hash_file, join_hashes
from .refused import Refused

__all__ = ["format_of", "hash_files", "opened", "states", "verified"]

_ENDINGS = {"keras": "model.keras", "keras-h5": "model.h5"}
"""What the copy must be called, where the framework goes by the name."""


@contextlib.contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """Open a regular file for reading; a pipe holds nobody up. Raises Refused."""
    try:
        # An error while it is used is none of opening it.
        file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))  # noqa: SIM115
    except OSError as error:
        raise Refused("cannot be read: {}".format(error.strerror), path, "check the path") from error
    with file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise Refused("not a regular file", path, "the path of a model file")
        yield file


def format_of(path: str) -> str:
    """Return a model's format. Raises Refused for what cannot be read or is no model."""
    if not os.path.isdir(path):
        with opened(path):
            pass
    try:
        kind = find_format(path)
    except OSError as error:
        raise Refused("cannot be read: {}".format(error.strerror), path, "check the path") from error
    if kind is None:
        known = "; ".join(sorted(FORMATS))
        raise Refused("a file of no model format we know", path, "one of " + known)
    return kind


def hash_files(files: ModelFiles) -> tuple[str, int]:
    """Return the sha256 that a model is known by, and the bytes of its files."""
    hashes, size = {}, 0
    for name in files.names:
        with opened(os.path.join(files.folder, name)) as file:
            hashes[name] = hash_file(file)
            size += file.tell()
    return join_hashes(files, hashes), size


def states(files: ModelFiles) -> list[tuple[int, int, int]]:
    """Return what changes when somebody writes into a file or puts another in its place: nobody can set it back."""
    found = [os.stat(os.path.join(files.folder, name)) for name in files.names]
    return [(item.st_ino, item.st_size, item.st_ctime_ns) for item in found]


@contextlib.contextmanager
def verified(path: str, expected: str) -> Iterator[tuple[str, str]]:
    """Copy a model into a private folder; yield the copy's path and its format if its sha256 is the expected one."""
    with tempfile.TemporaryDirectory(prefix="bay-model-") as private:
        try:
            kind = format_of(path)
            files = find_files(path, kind)
            copy = os.path.join(private, "model")
            found = _copy(files, kind, copy)
        except OSError as error:
            what = "cannot be copied for loading: {}".format(error.strerror)
            raise Refused(what, path, "free some space in " + tempfile.gettempdir()) from error
        if found != expected:
            what = "the file has changed: expected sha256 {}, got {}".format(expected[:16], found[:16])
            raise Refused(what, path, "`bay model show` says what it is now; or run the training again")
        main = os.path.join(copy, _ENDINGS.get(kind, files.main)) if files.main else copy
        yield main, format_of(main)


def _copy(files: ModelFiles, kind: str, target: str) -> str:
    """Copy a model's files, hashing what is copied; return the hash of all."""
    hashes = {}
    for name in files.names:
        place = os.path.join(target, _ENDINGS.get(kind, name) if files.main else name)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with opened(os.path.join(files.folder, name)) as file, open(place, "xb") as copy:
            hashes[name] = hash_file(file, copy)
    return join_hashes(files, hashes)
