"""Which files are TensorBoard event files. One rule: for what stays behind, what a run made, and what curves are read."""

from __future__ import annotations

import functools
import os
import stat
import struct

__all__ = ["is_event_file", "masked_crc"]

_WRITERS_NAME = "events.out.tfevents."
_HEADER = struct.Struct("<QI")


def is_event_file(path: str) -> bool:
    """Say whether a path is an event file: its name contains ``tfevents``, as TensorBoard asks, and nothing speaks against it.

    A script may be called plot_tfevents.py, so what lies in the file has to agree: nothing yet, or a TFRecord. One with
    the name that every writer gives is taken at its word, so that a damaged one is said to be damaged, not ignored.
    Raises nothing: what cannot be read is none.
    """
    name = os.path.basename(path)
    if "tfevents" not in name:
        return False
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe would wait for ever
            return False
        if name.startswith(_WRITERS_NAME):
            return True
        with open(path, "rb") as file:
            head = file.read(_HEADER.size)
    except OSError:
        return False
    return not head or _begins_a_record(head)


def _begins_a_record(head: bytes) -> bool:
    return len(head) == _HEADER.size and _HEADER.unpack(head)[1] == masked_crc(head[:8])


def masked_crc(data: bytes) -> int:
    """Compute CRC-32C, rotated and offset as TFRecord wants (tensorflow/core/lib/hash/crc32c.h)."""
    table, crc = _crc_table(), 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@functools.lru_cache(maxsize=None)
def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)  # Castagnoli's polynomial, reflected
        table.append(crc)
    return tuple(table)
