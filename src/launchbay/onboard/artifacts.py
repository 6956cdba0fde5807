"""What a run made: models found by their content, with sha256; and the folders that hold event files.

A script leaves whatever it likes behind, so looking at it may raise anything; how the run ended must not depend on it.
"""

from __future__ import annotations

import contextlib
import os
import stat

from .eventfiles import is_event_file
from .formats import LOADABLE, find_format
from .modelfiles import find_files, hash_model, size_of
from .refused import Refused

TYPE_CHECKING = False  # `typing` would cost a tenth of what a supervisor does
if TYPE_CHECKING:
    from typing import Any

    _Kinds = list[tuple[str, str]]

__all__ = ["model_format", "snapshot", "take_stock"]

_MOST_FILES = 500  # files that are no models; a script that writes more is not helped by a longer list
_HASHED_MODELS = 4 << 30  # bytes: a few seconds, for which the end of the run is held up
_HASHED_FILES = 256 << 20


def snapshot(folder: str, *, until: float | None = None) -> dict[str, tuple[int, int]]:
    """Return size and change time of every file, so that what the script makes can be told from what it brought.

    With `until` (seconds since 1970), only of those that have not changed since: what an earlier attempt made is not
    brought.
    """
    found = {}
    for path in _walk(folder):
        with contextlib.suppress(OSError):  # gone meanwhile
            status = os.lstat(path)
            is_meant = until is None or status.st_mtime_ns < until * 1e9
            # opening a pipe would wait for ever
            if is_meant and (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
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
    parts: set[str] = set()
    notes = []
    if len(fresh) < len(changed):
        notes.append("files whose names are no UTF-8 text are not listed: {}".format(len(changed) - len(fresh)))
    for path in fresh:
        if path.startswith(inside) or path in events or os.path.islink(path):
            continue
        with contextlib.suppress(OSError):
            try:
                kind = model_format(path)
                if kind != "file":
                    parts.update(_parts(path, kind))
            except Refused as refusal:
                notes.append("{}: {}".format(_plain(os.path.relpath(path, folder)), refusal.what))
                kind = "file"
            (others if kind == "file" else models).append((path, kind))
    models, others = ([item for item in items if item[0] not in parts] for items in (models, others))
    models.sort(key=_model_order)
    entries = _entries(folder, models, _HASHED_MODELS) + _entries(folder, sorted(others)[:_MOST_FILES], _HASHED_FILES)
    unhashed = [_plain(item["path"]) for item in entries if item["sha256"] is None]
    if unhashed:
        notes.append("too large to be hashed: {}{}".format(", ".join(unhashed[:3]), ", ..." if unhashed[3:] else ""))
    folders = [os.path.relpath(path, folder) for path in logdirs]
    return {"artifacts": entries, "logdirs": folders, "notes": notes}


def model_format(path: str) -> str:
    """Say what a file or folder is by its content: keras, onnx, torch, ... or "file". Raises OSError or Refused."""
    found = find_format(path)
    return found if found not in (None, "numpy", "mxnet-symbol", "keras-folder") else "file"


def _parts(path: str, kind: str) -> list[str]:
    """Return the files beside a model that belong to it, and are nothing of their own: a symbol, weights apart."""
    files = find_files(path, kind)
    return [os.path.join(files.folder, name) for name in files.names if name != files.main]


def _model_order(item: tuple[str, str]) -> tuple[bool, bool, bool, float, str]:
    """Best first: one that can be loaded, then named best, then not a checkpoint among others, then the newest."""
    path, kind = item
    lowered = path.lower()
    is_named_best = "best" in os.path.basename(lowered)
    return (kind not in LOADABLE, not is_named_best, "checkpoint" in lowered, -os.path.getmtime(path), path)


def _entries(folder: str, found: _Kinds, budget: int) -> list[dict[str, Any]]:
    """Describe files and folders; hash them in this order, as long as the budget of bytes lasts."""
    entries = []
    for path, kind in found:
        with contextlib.suppress(OSError):  # what the script itself made unreadable is not worth the whole result
            files = find_files(path, kind)
            size = size_of(files)
            digest = hash_model(files) if size <= budget else None
            budget -= size if digest else 0
            entries.append({"path": os.path.relpath(path, folder), "format": kind, "sha256": digest, "bytes": size})
    return entries


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
