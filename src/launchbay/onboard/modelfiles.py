"""The files that a model consists of, and the one hash of all of them.

A `.keras` or TorchScript file is one file, and its hash is the file's. A SavedModel is a folder, MXNet writes a pair,
ONNX may put its weights beside the graph: their hash is the sha256 of a list, one line for each file in the order of
their names, ``NAME NUL SHA256 NEWLINE`` with names relative to the folder.
"""

from __future__ import annotations

import os

from .formats import find_pair
from .refused import Refused

TYPE_CHECKING = False  # `typing` would cost a tenth of what a supervisor does
if TYPE_CHECKING:
    from typing import BinaryIO

__all__ = ["ModelFiles", "find_files", "hash_file", "hash_model", "join_hashes", "size_of"]

_MOST_FILES = 10_000
_CHUNK = 1 << 20


class ModelFiles:
    """Where a model lies: a folder, names in it, and the one that stands for the model (empty for the whole folder)."""

    def __init__(self, folder: str, names: list[str], main: str) -> None:
        self.folder = folder
        self.names = names
        self.main = main


def find_files(path: str, kind: str | None) -> ModelFiles:
    """Return the files of a model of that format. Raises OSError, or Refused for what no model is made of.

    Whichever file of a pair of MXNet is named, its parameters stand for the model.
    """
    if os.path.isdir(path):
        return ModelFiles(path, _list_folder(path), "")
    folder, name = os.path.split(path)
    pair = find_pair(path) if kind == "mxnet" else None
    if pair is not None:
        return ModelFiles(folder, sorted(pair), pair[0])
    if kind == "onnx":
        from .onnx_file import external_files  # few runs make such files

        return ModelFiles(folder, sorted([name, *external_files(path)]), name)
    return ModelFiles(folder, [name], name)


def hash_model(files: ModelFiles) -> str:
    """Return the sha256 that a model is known by."""
    hashes = {}
    for name in files.names:
        with open(os.path.join(files.folder, name), "rb") as file:
            hashes[name] = hash_file(file)
    return join_hashes(files, hashes)


def join_hashes(files: ModelFiles, hashes: dict[str, str]) -> str:
    """Return the one hash of a model from those of its files."""
    if files.names == [files.main]:
        return hashes[files.main]
    import hashlib

    lines = [os.fsencode(name) + b"\0" + hashes[name].encode() + b"\n" for name in sorted(files.names)]
    return hashlib.sha256(b"".join(lines)).hexdigest()


def hash_file(file: BinaryIO, copy: BinaryIO | None = None) -> str:
    """Return the sha256 of an open file from here to its end, copying it on the way."""
    import hashlib  # a run that made nothing needs none

    digest = hashlib.sha256()
    for chunk in iter(lambda: file.read(_CHUNK), b""):
        digest.update(chunk)
        if copy is not None:
            copy.write(chunk)
    return digest.hexdigest()


def size_of(files: ModelFiles) -> int:
    """Return the bytes of all files of a model."""
    return sum(os.path.getsize(os.path.join(files.folder, name)) for name in files.names)


def _list_folder(folder: str) -> list[str]:
    """Return the regular files below a folder, all of them: also hidden ones and those that a link leads to."""
    found = []
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            if os.path.isfile(path):  # a pipe or a broken link is nothing that could be loaded
                found.append(os.path.relpath(path, folder))
        if len(found) > _MOST_FILES:
            raise Refused("a model of more than {:,} files".format(_MOST_FILES), folder, "the folder of one model")
    return sorted(found)
