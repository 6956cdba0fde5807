"""What lies in a Keras 3 file: its configuration and the shapes of its variables, read without Keras.

A `.keras` file is a zip of metadata.json, config.json and model.weights.h5 (keras.src.saving.saving_lib). Nothing is
extracted, no variable's values are read, and every size is checked before it is believed: the file may be hostile.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import json
import math
import os
import struct
import tempfile
import zipfile
import zlib
from typing import Any, BinaryIO, Dict, Iterator, List, NamedTuple

from .confine import confined
from .refused import Refused

__all__ = ["Archive", "Weights", "read_archive", "read_weights", "walk_hdf5"]

_MOST_MEMBERS = 10_000
_MOST_JSON = 64 << 20  # bytes; the configuration of a network with a thousand layers takes about one megabyte
_MOST_INFLATED = 256 << 20  # bytes; Keras stores its weights as they are, so a deflated file is a rare one
_MOST_OBJECTS = 200_000
_DEEPEST = 40
_BOMB_FLOOR = 1 << 20  # bytes; the rule of Keras' own loader, with a lower floor because nothing is allocated here
_BOMB_RATIO = 1000
_HINT = "save the model again with model.save('model.keras')"

_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OSError,
    struct.error,
)
_HDF5_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, OverflowError, MemoryError)


Weights = Dict[str, List[List[int]]]
"""Shapes of variables by the object that owns them: a path such as ``layers/dense``, empty for the model itself."""


class Archive(NamedTuple):
    """The three parts of a Keras file; `weights` is None where they are in a form we cannot read."""

    config: dict[str, Any]
    metadata: dict[str, Any]
    weights: Weights | None
    notes: list[str]


def read_archive(file: BinaryIO, name: str) -> Archive:
    """Read an open Keras file; `name` stands in errors. Raises Refused when it is not one, is damaged or hostile."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = {info.filename: info for info in archive.infolist()}
            if len(members) > _MOST_MEMBERS:
                raise Refused("a Keras file holds a few members, got {:,}".format(len(members)), name, _HINT)
            config = _read_json(archive, members, "config.json", name)
            metadata = _read_json(archive, members, "metadata.json", name)
            if "model.weights.h5" not in members:
                found = ", ".join(sorted(members)[:5])
                raise Refused("model.weights.h5 is missing; the file holds {}".format(found), name, _HINT)
            weights, notes = _open_weights(archive, members["model.weights.h5"], file, name)
    except _ZIP_ERRORS as error:
        raise Refused("not a readable Keras file: {}".format(error), name, _HINT) from error
    return Archive(config, metadata, weights, notes)


def read_weights(stream: BinaryIO, name: str) -> Weights:
    """Read the shapes of all variables in an open HDF5 file. Raises Refused when it is damaged or hostile."""
    h5py = importlib.import_module("h5py")
    try:
        with h5py.File(stream, "r") as file:
            return _walk(h5py, file, name)
    except _HDF5_ERRORS as error:
        raise Refused("the weights are damaged: {}".format(_first_line(error)), name, _HINT) from error


def _read_json(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], member: str, name: str) -> dict[str, Any]:
    where = "{}/{}".format(name, member)
    if member not in members:
        found = ", ".join(sorted(members)[:5]) or "nothing"
        raise Refused("{} is missing; the file holds {}".format(member, found), name, _HINT)
    info = members[member]
    _check_member(info, where)
    if info.file_size > _MOST_JSON:
        raise Refused("{:,} bytes of configuration are more than any model needs".format(info.file_size), where, _HINT)
    try:
        value = json.loads(archive.read(info))
    except (ValueError, RecursionError) as error:
        raise Refused("not JSON: {}".format(_first_line(error)), where, _HINT) from error
    if not isinstance(value, dict):
        raise Refused("expected a JSON object, got {}".format(type(value).__name__), where, _HINT)
    return value


def _check_member(info: zipfile.ZipInfo, where: str) -> None:
    if info.flag_bits & 1:
        raise Refused("encrypted; Keras files are not", where, _HINT)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Refused("compressed in a way that Keras never uses", where, _HINT)


def _open_weights(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, file: BinaryIO, name: str
) -> tuple[Weights | None, list[str]]:
    where = "{}/{}".format(name, info.filename)
    _check_member(info, where)
    if importlib.util.find_spec("h5py") is None:
        return None, ["h5py is not in the image: parameters are unknown"]
    if info.compress_type == zipfile.ZIP_STORED:
        with io.BufferedReader(_Window(file, *_place(file, info, where))) as window:
            return _read_confined(window, where), []
    with tempfile.TemporaryFile() as copy, archive.open(info) as packed:
        for chunk in iter(lambda: packed.read(1 << 20), b""):
            copy.write(chunk)
            if copy.tell() > _MOST_INFLATED:
                raise Refused("compressed weights of more than {:,} bytes".format(_MOST_INFLATED), where, _HINT)
        copy.seek(0)
        return _read_confined(copy, where), []


def _read_confined(stream: BinaryIO, where: str) -> Weights:
    weights: Weights = confined(lambda: read_weights(stream, where), name=where)
    return weights


def _place(file: BinaryIO, info: zipfile.ZipInfo, where: str) -> tuple[int, int]:
    """Return offset and size of a stored member, from its local header (APPNOTE.TXT 4.3.7)."""
    file.seek(info.header_offset)
    header = file.read(30)
    if len(header) < 30 or header[:4] != b"PK\x03\x04":
        raise Refused("the zip directory points to the wrong place", where, _HINT)
    name_length, extra_length = struct.unpack("<HH", header[26:30])
    start = info.header_offset + 30 + name_length + extra_length
    if info.compress_size != info.file_size or start + info.file_size > os.fstat(file.fileno()).st_size:
        raise Refused("the zip directory promises more than the file holds", where, _HINT)
    return start, info.file_size


class _Window(io.RawIOBase):
    """A part of an open file as a file of its own, so that weights of gigabytes need neither memory nor a copy."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._descriptor = file.fileno()
        self._start = start
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), max(0, self._size - self._at))
        data = os.pread(self._descriptor, wanted, self._start + self._at)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def walk_hdf5(h5py: Any, file: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Visit every group and dataset with its path; only plain hard links are followed. Raises Refused otherwise."""
    waiting: list[tuple[str, Any, int]] = [("", file, 0)]
    seen = 0
    while waiting:
        path, group, depth = waiting.pop()
        yield path, group
        seen += len(group)
        if seen > _MOST_OBJECTS or depth > _DEEPEST:
            raise Refused("the weights hold more or deeper groups than any model needs", name, _HINT)
        for key in group:
            where = "{}:{}/{}".format(name, path, key)
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise Refused("a link that leads elsewhere; Keras writes none", where, "do not load this file")
            item = group[key]
            inner = "{}/{}".format(path, key) if path else key
            if isinstance(item, h5py.Group):
                waiting.append((inner, item, depth + 1))
            elif isinstance(item, h5py.Dataset):
                _check_dataset(item, where)
                yield inner, item


def _walk(h5py: Any, file: Any, name: str) -> Weights:
    """Return the shapes of variables by their owners; only shapes are read."""
    weights: Weights = {}
    for path, item in walk_hdf5(h5py, file, name):
        if path.rpartition("/")[2] == "vars" and isinstance(item, h5py.Group):
            weights[path.rpartition("/")[0]] = _shapes(h5py, item)
    return weights


def _check_dataset(dataset: Any, where: str) -> None:
    if dataset.external or dataset.is_virtual:
        raise Refused("values that lie in another file; Keras writes none", where, "do not load this file")
    declared = math.prod(dataset.shape) * dataset.dtype.itemsize
    stored = dataset.id.get_storage_size()
    if declared > _BOMB_FLOOR and declared > _BOMB_RATIO * stored:
        what = "declares {:,} bytes but stores {:,}".format(declared, stored)
        raise Refused(what, where, "do not load this file")


def _shapes(h5py: Any, group: Any) -> list[list[int]]:
    """Return the shapes of an owner's variables in the order in which Keras numbered them."""
    datasets = [(key, item) for key, item in group.items() if isinstance(item, h5py.Dataset)]
    datasets.sort(key=lambda pair: (int(pair[0]) if pair[0].isdecimal() else _MOST_OBJECTS, pair[0]))
    return [[int(size) for size in item.shape] for _, item in datasets]


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
