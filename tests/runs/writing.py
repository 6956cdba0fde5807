"""Event files for tests, written byte by byte as the formats say, independently of the code that reads them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from launchbay.runs.curves import Curves, load_curves

__all__ = [
    "FIRST",
    "curves_of",
    "delimited",
    "event",
    "fixed32",
    "fixed64",
    "record",
    "simple",
    "tensor",
    "varint",
    "write",
]


def crc32c(data: bytes) -> int:
    """Divide by the polynomial bit by bit, as RFC 3720 appendix B.4 checks it."""
    crc = 0xFFFFFFFF
    for byte in data:
        for bit in range(8):
            out = (crc ^ (byte >> bit)) & 1
            crc = (crc >> 1) ^ (0x82F63B78 if out else 0)
    return crc ^ 0xFFFFFFFF


def mask(crc: int) -> bytes:
    rotated = (crc >> 15) | ((crc << 17) & 0xFFFFFFFF)
    return struct.pack("<I", (rotated + 0xA282EAD8) & 0xFFFFFFFF)


def record(data: bytes, *, check: bool = True) -> bytes:
    """Frame one record; without `check`, the crc of the data is left wrong (and quick to write)."""
    length = struct.pack("<Q", len(data))
    return length + mask(crc32c(length)) + data + (mask(crc32c(data)) if check else b"\0\0\0\0")


def number(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def varint(field: int, value: int) -> bytes:
    return number(field << 3) + number(value)


def fixed64(field: int, value: float) -> bytes:
    return number(field << 3 | 1) + struct.pack("<d", value)


def delimited(field: int, data: bytes) -> bytes:
    return number(field << 3 | 2) + number(len(data)) + data


def fixed32(field: int, value: float) -> bytes:
    return number(field << 3 | 5) + struct.pack("<f", value)


def event(step: int, *values: bytes, wall_time: float = 1.0) -> bytes:
    """Make an Event of Summary.Values; a step of 0 is left out, as protobuf does."""
    head = fixed64(1, wall_time) + (varint(2, step) if step else b"")
    return head + delimited(5, b"".join(delimited(1, value) for value in values))


def simple(tag: str, value: float) -> bytes:
    """Make a Summary.Value as PyTorch writes it."""
    return delimited(1, tag.encode()) + fixed32(2, value)


def tensor(tag: str, kind: int, *fields: bytes, plugin: str | None = "scalars") -> bytes:
    """Make a Summary.Value as Keras writes it: a TensorProto, and (not with None) the plugin it belongs to."""
    meta = b"" if plugin is None else delimited(9, delimited(1, delimited(1, plugin.encode())))
    shape = delimited(2, b"")
    return delimited(1, tag.encode()) + delimited(8, varint(1, kind) + shape + b"".join(fields)) + meta


FIRST = record(fixed64(1, 1.0) + delimited(3, b"brain.Event:2"))
"""The record that every event file starts with."""


def write(path: Path, records: Iterable[bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(FIRST + b"".join(records))
    return path


def curves_of(folder: Path, **runs: Mapping[str, Sequence[float]]) -> Curves:
    """Write the scalars of runs, one value a step, as tensors of doubles, and load them."""
    for run, scalars in runs.items():
        events = [
            record(event(step, tensor(tag, 2, fixed64(6, value))))
            for tag, values in scalars.items()
            for step, value in enumerate(values)
        ]
        write(folder / run / "events.out.tfevents.1.host.1.0", events)
    return load_curves({run: [folder / run] for run in runs})
