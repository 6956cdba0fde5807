"""What a run made: models found by their content, with sha256; and the folders that hold event files.

A script leaves whatever it likes behind, so looking at it may raise anything; how the run ended must not depend on it.
"""

from __future__ import annotations

import contextlib
import os
import stat

from .eventfiles import is_event_file
from .refused import Refused

TYPE_CHECKING = False  # `typing` would cost a tenth of what a supervisor does
if TYPE_CHECKING:
    from typing import Any

    _Kinds = list[tuple[str, str]]

__all__ = ["hash_files", "model_format", "snapshot", "take_stock"]

_MAGIC = ((b"\x89HDF\r\n\x1a\n", "hdf5"), (b"\x93NUMPY", "numpy"))
_MOST_FILES = 500  # files that are no models; a script that writes more is not helped by a longer list
_HASHED_MODELS = 4 << 30  # bytes: a few seconds, for which the end of the run is held up
_HASHED_FILES = 256 << 20


def snapshot(folder: str) -> dict[str, tuple[int, int]]:
    """Return size and change time of every file, so that what the script makes can be told from what it brought."""
    found = {}
    for path in _walk(folder):
        with contextlib.suppress(OSError):  # gone meanwhile
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):  # opening a pipe would wait for ever
                found[path] = (status.st_size, status.st_mtime_ns)
    return found


def take_stock(folder: str, before: dict[str, tuple[int, int]]) -> dict[str, Any]:
    """Return what belongs into a result, whatever there is to be found: ``artifacts``, ``logdirs`` and ``notes``.

    Artifacts are what is new or changed, the best model first, other files after the models; paths are relative. A
    sha256 is None where hashing would have taken too long, and a note says so.
    """
    try:
        return _find_or_refuse(folder, before)
    except Refused as refusal:
        return {"artifacts": [], "logdirs": [], "notes": [refusal.what]}


def _find_or_refuse(folder: str, before: dict[str, tuple[int, int]]) -> dict[str, Any]:
    try:
        return _find(folder, before)
    except Exception as error:  # the files are a stranger's: there is no list of what reading them may raise
        raise Refused("what the script made could not be looked at: {}".format(_reason(error))) from error


def _find(folder: str, before: dict[str, tuple[int, int]]) -> dict[str, Any]:
    changed = [path for path, state in snapshot(folder).items() if before.get(path) != state]
    fresh = [path for path in changed if _is_text(path)]
    events = {path for path in fresh if is_event_file(path)}
    logdirs = sorted({os.path.dirname(path) for path in events})
    saved = sorted({os.path.dirname(path) for path in fresh if os.path.basename(path) == "saved_model.pb"})
    inside = tuple(item + os.sep for item in saved if item != folder)
    models: _Kinds = [(path, "savedmodel") for path in saved]
    others: _Kinds = []
    notes = []
    if len(fresh) < len(changed):
        notes.append("files whose names are no UTF-8 text are not listed: {}".format(len(changed) - len(fresh)))
    for path in fresh:
        if path.startswith(inside) or path in events or os.path.islink(path):
            continue
        with contextlib.suppress(OSError):
            try:
                kind = model_format(path)
            except Refused as refusal:
                notes.append("{}: {}".format(_plain(os.path.relpath(path, folder)), refusal.what))
                kind = "file"
            (others if kind == "file" else models).append((path, kind))
    models.sort(key=_model_order)
    entries = _entries(folder, models, _HASHED_MODELS) + _entries(folder, sorted(others)[:_MOST_FILES], _HASHED_FILES)
    unhashed = [_plain(item["path"]) for item in entries if item["sha256"] is None]
    if unhashed:
        notes.append("too large to be hashed: {}{}".format(", ".join(unhashed[:3]), ", ..." if unhashed[3:] else ""))
    folders = [os.path.relpath(path, folder) for path in logdirs]
    return {"artifacts": entries, "logdirs": folders, "notes": notes}


def model_format(path: str) -> str:
    """Say what a file is by its content: keras, torch, hdf5, safetensors, pickle, zip, ... or "file"."""
    with open(path, "rb") as file:
        head = file.read(16)
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind if kind != "numpy" else "file"
    if head.startswith(b"PK\x03\x04"):
        return _zip_format(path)
    if (
        head[8:9] == b"{"
        and int.from_bytes(head[:8], "little") < os.path.getsize(path)
        and path.endswith(".safetensors")
    ):
        return "safetensors"
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "pickle"
    if path.endswith(".onnx"):
        return "onnx"
    return "file"


def _zip_format(path: str) -> str:
    import zipfile  # it takes as long to import as all the rest of a supervisor

    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return "file"
    except Exception as error:  # zipfile has no one error for a zip that it does not understand
        raise Refused("looks like a zip, and cannot be read: {}".format(_reason(error))) from error
    if "config.json" in names and "metadata.json" in names:
        return "keras"
    if any(name.endswith("/data.pkl") for name in names):
        return "torch"
    return "file"


def _model_order(item: tuple[str, str]) -> tuple[bool, bool, bool, float, str]:
    """Best first: one that can be loaded, then named best, then not a checkpoint among others, then the newest."""
    path, kind = item
    lowered = path.lower()
    is_named_best = "best" in os.path.basename(lowered)
    return (kind != "keras", not is_named_best, "checkpoint" in lowered, -os.path.getmtime(path), path)


def _entries(folder: str, found: _Kinds, budget: int) -> list[dict[str, Any]]:
    """Describe files and folders; hash them in this order, as long as the budget of bytes lasts."""
    entries = []
    for path, kind in found:
        with contextlib.suppress(OSError):  # what the script itself made unreadable is not worth the whole result
            files = sorted(snapshot(path)) if os.path.isdir(path) else [path]
            size = sum(os.path.getsize(item) for item in files)
            digest = hash_files(path, files) if size <= budget else None
            budget -= size if digest else 0
            entries.append({"path": os.path.relpath(path, folder), "format": kind, "sha256": digest, "bytes": size})
    return entries


def hash_files(path: str, files: list[str]) -> str:
    """Hash a file, or a folder: its files, each with its name in it."""
    import hashlib  # a run that made nothing needs none

    digest = hashlib.sha256()
    for item in files:
        if item != path:
            digest.update(os.fsencode(os.path.relpath(item, path)) + b"\0")
        with open(item, "rb") as file:
            for chunk in iter(lambda: file.read(1 << 20), b""):
                digest.update(chunk)
    return digest.hexdigest()


def _is_text(path: str) -> bool:
    """Say whether a name can stand in a record; one of arbitrary bytes cannot."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _reason(error: Exception) -> str:
    return _plain("{}: {}".format(type(error).__name__, error))[:200]


def _plain(text: str) -> str:
    """Leave out what would reach a terminal as a command."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _walk(folder: str) -> list[str]:
    found: list[str] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        found.extend(os.path.join(parent, name) for name in files)
    return sorted(found)
