"""Walk the fields of a protobuf message without the library and without a schema; nothing is copied or believed."""

from __future__ import annotations

import mmap
from typing import Iterator, NamedTuple, Union

__all__ = [
    "BYTES",
    "FIXED32",
    "FIXED64",
    "VARINT",
    "Data",
    "Field",
    "Malformed",
    "fields",
    "signed",
    "text",
    "varint",
    "varints",
]

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

Data = Union[bytes, mmap.mmap]


class Field(NamedTuple):
    """A field's number and wire type. `start` is a number's value; of all else, where its bytes start."""

    number: int
    wire: int
    start: int
    end: int


class Malformed(ValueError):
    """The bytes are not the protobuf message that they should be."""


def fields(data: Data, position: int, end: int) -> Iterator[Field]:
    """Walk the fields of a message without looking into them."""
    while position < end:
        key, position = varint(data, position, end)
        wire = key & 7
        if wire == VARINT:
            value, position = varint(data, position, end)
            yield Field(key >> 3, wire, value, position)
            continue
        if wire == BYTES:
            size, position = varint(data, position, end)
        elif wire in (FIXED64, FIXED32):
            size = 8 if wire == FIXED64 else 4
        else:
            raise Malformed("not a protobuf message: wire type {}".format(wire))
        if position + size > end:
            raise Malformed("a field of {:,} bytes reaches beyond its end".format(size))
        yield Field(key >> 3, wire, position, position + size)
        position += size


def varint(data: Data, position: int, end: int) -> tuple[int, int]:
    """Return a number and where it ends."""
    value = shift = 0
    while position < end and shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, position
        shift += 7
    raise Malformed("a number that does not end")


def varints(data: Data, field: Field) -> list[int]:
    """Return the numbers of a repeated field: one, or a row of them packed."""
    if field.wire == VARINT:
        return [signed(field.start)]
    found, position = [], field.start
    while position < field.end:
        value, position = varint(data, position, field.end)
        found.append(signed(value))
    return found


def signed(value: int) -> int:
    """Read a number as an int64."""
    return value - (1 << 64) if value >> 63 else value


def text(data: Data, field: Field) -> str:
    """Return a field as text, whatever bytes it holds; empty for a number."""
    return data[field.start : field.end].decode(errors="replace") if field.wire == BYTES else ""
