"""What a run made: models found by their content, with sha256; and the folders that hold event files."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import zipfile
from typing import Any, Dict, List, Tuple

__all__ = ["find_artifacts", "model_format", "snapshot"]

_MAGIC = ((b"\x89HDF\r\n\x1a\n", "hdf5"), (b"\x93NUMPY", "numpy"))
_MOST_FILES = 500  # files that are no models; a script that writes more is not helped by a longer list


def snapshot(folder: str) -> Dict[str, Tuple[int, int]]:
    """Return size and change time of every file, so that what the script makes can be told from what it brought."""
    found = {}
    for path in _walk(folder):
        with contextlib.suppress(OSError):  # gone meanwhile
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):  # opening a pipe would wait for ever
                found[path] = (status.st_size, status.st_mtime_ns)
    return found


def find_artifacts(folder: str, before: Dict[str, Tuple[int, int]]) -> Tuple[List[Dict[str, Any]], List[str]]:
    """Return (artifacts, log folders), paths relative to `folder`; the best model first, other files after the models."""
    fresh = [path for path, state in snapshot(folder).items() if before.get(path) != state]
    logdirs = sorted({os.path.dirname(path) for path in fresh if ".tfevents." in os.path.basename(path)})
    saved = sorted({os.path.dirname(path) for path in fresh if os.path.basename(path) == "saved_model.pb"})
    inside = tuple(item + os.sep for item in logdirs + saved if item != folder)
    models = [(path, "savedmodel") for path in saved]
    others: List[Tuple[str, str]] = []
    for path in fresh:
        if path.startswith(inside) or ".tfevents." in path or os.path.islink(path):
            continue
        with contextlib.suppress(OSError):
            kind = model_format(path)
            (others if kind == "file" else models).append((path, kind))
    models.sort(key=_model_order)
    entries = []
    for path, kind in models + sorted(others)[:_MOST_FILES]:
        with contextlib.suppress(OSError):  # what the script itself made unreadable is not worth the whole result
            entries.append(_entry(folder, path, kind))
    return entries, [os.path.relpath(path, folder) for path in logdirs]


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
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return "file"
    if "config.json" in names and "metadata.json" in names:
        return "keras"
    if any(name.endswith("/data.pkl") for name in names):
        return "torch"
    return "file"


def _model_order(item: Tuple[str, str]) -> Tuple[bool, bool, float, str]:
    """Best first: named best, then not a checkpoint among others, then the newest."""
    path = item[0]
    lowered = path.lower()
    return ("best" not in os.path.basename(lowered), "checkpoint" in lowered, -os.path.getmtime(path), path)


def _entry(folder: str, path: str, kind: str) -> Dict[str, Any]:
    digest = hashlib.sha256()
    size = 0
    for item in sorted(snapshot(path)) if os.path.isdir(path) else [path]:
        if os.path.isdir(path):
            digest.update(os.path.relpath(item, path).encode() + b"\0")
        with open(item, "rb") as file:
            for chunk in iter(lambda: file.read(1 << 20), b""):
                digest.update(chunk)
                size += len(chunk)
    return {"path": os.path.relpath(path, folder), "format": kind, "sha256": digest.hexdigest(), "bytes": size}


def _walk(folder: str) -> List[str]:
    found: List[str] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        found.extend(os.path.join(parent, name) for name in files)
    return sorted(found)
