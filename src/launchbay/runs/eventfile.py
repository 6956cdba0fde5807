"""Scalars out of a TensorBoard event file, read without TensorFlow, protobuf or numpy.

An event file is a row of records, each ``uint64 length, uint32 crc of it, data, uint32 crc of the data``
(little endian, masked CRC-32C), the data being a protobuf ``Event`` (event.proto, summary.proto and
tensor.proto in https://github.com/tensorflow/tensorboard/tree/master/tensorboard/compat/proto). Keras
writes a scalar as a tensor; that its tag belongs to the plugin "scalars" is said in the tag's first event,
and perhaps only there. PyTorch writes ``simple_value``.

Histograms, images and graphs are stepped over in a memory map, their bytes neither copied nor checked. The
crc of every length is checked; that of the data where the record is small or holds a scalar: some 5 µs each,
but seconds for the megabytes of histograms. A file that ends within a record is still being written, which
is normal.
"""

from __future__ import annotations

import functools
import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from launchbay.onboard.eventfiles import masked_crc
from launchbay.onboard.protobuf import BYTES, FIXED32, FIXED64, VARINT, Malformed, fields, varint

__all__ = ["Point", "read_event_file"]


class Point(NamedTuple):
    """One value of a scalar; `wall_time` in seconds since 1970."""

    tag: str
    step: int
    value: float
    wall_time: float


def read_event_file(path: Path, plugins: dict[str, str], warnings: list[str]) -> Iterator[Point]:
    """Read the scalars of one file, in its order; add a line to `warnings` for each damaged place.

    `plugins` remembers, from file to file of one folder, to which plugin a tag was declared to belong.
    """
    try:
        with path.open("rb") as file:
            if not os.fstat(file.fileno()).st_size:  # an empty file cannot be mapped
                return
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                yield from _read_records(data, path, plugins, warnings)
    except OSError as error:
        warnings.append(f"{path}: cannot be read: {error.strerror}")


# --- records --------------------------------------------------------------------------------------

_HEADER = struct.Struct("<QI")
_CRC = struct.Struct("<I")
_SMALL = 256
"""Bytes of a record that may have been a scalar before it was damaged."""


def _read_records(data: mmap.mmap, path: Path, plugins: dict[str, str], warnings: list[str]) -> Iterator[Point]:
    position = 0
    while position + _HEADER.size <= len(data):
        length, crc = _HEADER.unpack_from(data, position)
        if crc != _crc_of_length(length):
            # Where the next record starts is unknown from here on.
            warnings.append(f"{path}: damaged at byte {position}; what follows is not read")
            return
        start = position + _HEADER.size
        end = start + length
        if end + _CRC.size > len(data):
            return  # still being written
        try:
            points = _read_event(data, start, end, plugins)
        except Malformed:
            warnings.append(f"{path}: the record at byte {position} is not a TensorBoard event; left out")
            points = []
        if (points or length <= _SMALL) and _CRC.unpack_from(data, end)[0] != masked_crc(data[start:end]):
            warnings.append(f"{path}: the record at byte {position} is damaged (wrong checksum); left out")
            points = []
        yield from points
        position = end + _CRC.size


@functools.lru_cache(maxsize=4096)
def _crc_of_length(length: int) -> int:
    return masked_crc(length.to_bytes(8, "little"))


# --- protobuf -------------------------------------------------------------------------------------

_DOUBLE, _FLOAT = struct.Struct("<d"), struct.Struct("<f")


def _read_event(data: mmap.mmap, start: int, end: int, plugins: dict[str, str]) -> list[Point]:
    """Read the scalars of one Event: wall_time = 1, step = 2, summary = 5 (a Summary: repeated value = 1)."""
    wall_time, step = 0.0, 0
    values: list[tuple[str, float]] = []
    for number, wire, first, last in fields(data, start, end):
        if number == 1 and wire == FIXED64:
            wall_time = _DOUBLE.unpack_from(data, first)[0]
        elif number == 2 and wire == VARINT:
            step = first - (1 << 64) if first >> 63 else first
        elif number == 5 and wire == BYTES:
            for field in fields(data, first, last):
                if field.number == 1 and field.wire == BYTES:
                    value = _read_value(data, field.start, field.end, plugins)
                    values += [] if value is None else [value]
    return [Point(tag, step, value, wall_time) for tag, value in values]


def _read_value(data: mmap.mmap, start: int, end: int, plugins: dict[str, str]) -> tuple[str, float] | None:
    """Read a Summary.Value if it is a scalar: tag = 1, simple_value = 2, tensor = 8, metadata = 9."""
    tag = ""
    value: float | None = None
    tensor = metadata = (0, 0)
    for number, wire, first, last in fields(data, start, end):
        if number == 1 and wire == BYTES:
            tag = data[first:last].decode(errors="replace")
        elif number == 2 and wire == FIXED32:
            value = _FLOAT.unpack_from(data, first)[0]
        elif number == 8 and wire == BYTES:
            tensor = first, last
        elif number == 9 and wire == BYTES:
            metadata = first, last
    if metadata[1] and tag not in plugins:
        plugins[tag] = _read_plugin(data, *metadata)
    if tensor[1] and plugins.get(tag) == "scalars":
        value = _read_tensor(data, *tensor)
    return None if value is None else (tag, value)


def _read_plugin(data: mmap.mmap, start: int, end: int) -> str:
    """Read a SummaryMetadata's plugin_data = 1 / plugin_name = 1."""
    for field in fields(data, start, end):
        if field.number == 1 and field.wire == BYTES:
            for inner in fields(data, field.start, field.end):
                if inner.number == 1 and inner.wire == BYTES:
                    return data[inner.start : inner.end].decode(errors="replace")
    return ""


# DataType -> how one element lies in tensor_content (types.proto); bfloat16 is the upper half of a float.
_CONTENT = {1: "<f", 2: "<d", 3: "<i", 9: "<q", 14: "<H", 19: "<e"}
_HALF, _BFLOAT16 = 19, 14


def _read_tensor(data: mmap.mmap, start: int, end: int) -> float | None:
    """Read a TensorProto of one element; None where it is of another size or kind.

    dtype = 1, tensor_content = 4, float_val = 5, double_val = 6, int_val = 7, int64_val = 10, half_val = 13.
    A scalar without any value field is 0, as protobuf leaves zeros out.
    """
    kind = 0
    value: float | None = 0.0
    for number, wire, first, last in fields(data, start, end):
        if number == 1 and wire == VARINT:
            kind = first
        elif number == 4 and wire == BYTES:
            value = _read_content(kind, data[first:last])
        elif number == 5 and wire != VARINT and last - first == _FLOAT.size:
            value = _FLOAT.unpack_from(data, first)[0]
        elif number == 6 and wire != VARINT and last - first == _DOUBLE.size:
            value = _DOUBLE.unpack_from(data, first)[0]
        elif number in (7, 10, 13) and wire in (VARINT, BYTES):
            bits = first if wire == VARINT else varint(data, first, last)[0]
            value = _read_integer(kind, bits)
    return value if kind in _CONTENT else None


def _read_content(kind: int, content: bytes) -> float | None:
    if kind not in _CONTENT or len(content) != struct.calcsize(_CONTENT[kind]):
        return None
    (value,) = struct.unpack(_CONTENT[kind], content)
    return _read_integer(kind, value) if kind == _BFLOAT16 else float(value)


def _read_integer(kind: int, bits: int) -> float:
    if kind == _HALF:
        return float(struct.unpack("<e", (bits & 0xFFFF).to_bytes(2, "little"))[0])
    if kind == _BFLOAT16:
        return float(_FLOAT.unpack(((bits & 0xFFFF) << 16).to_bytes(4, "little"))[0])
    return float(bits - (1 << 64) if bits >> 63 else bits)
