"""WebSocket (RFC 6455) as far as bytes go through it both ways: the handshake and the frames, without a connection of its own.

What is sent in pieces is one stream of bytes, so messages are not put together: a piece counts as soon as its frame is there.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

__all__ = [
    "BINARY",
    "CLOSE",
    "GOING_AWAY",
    "MOST",
    "NORMAL",
    "PING",
    "PONG",
    "PROTOCOL_ERROR",
    "TOO_BIG",
    "UNSUPPORTED",
    "Broken",
    "Frame",
    "Frames",
    "accept_of",
    "close_frame",
    "frame",
    "is_upgrade",
    "new_key",
    "read_close",
]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
NORMAL, GOING_AWAY, PROTOCOL_ERROR, UNSUPPORTED, TOO_BIG = 1000, 1001, 1002, 1003, 1009
"""Why a connection is closed, in the numbers that the RFC gives."""

MOST = 1 << 24
"""How many bytes one frame may have: whoever sends more would have us hold them all."""

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_FINAL, _RESERVED, _OPCODE, _MASKED, _LENGTH = 0x80, 0x70, 0x0F, 0x80, 0x7F
_SHORT, _TWO, _EIGHT = 125, 126, 127
_CONTROL = 0x8
_KEY_BYTES, _MASK_BYTES = 16, 4


class Broken(ValueError):
    """The other side does not keep to the protocol; `code` is what it is told."""

    def __init__(self, what: str, code: int = PROTOCOL_ERROR) -> None:
        super().__init__(what)
        self.code = code


@dataclass(frozen=True, slots=True)
class Frame:
    """What came: BINARY with bytes of the stream, or CLOSE, PING, PONG with their own."""

    opcode: int
    data: bytes


def new_key() -> str:
    """Return a client's key for one handshake."""
    return base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode("ascii")


def accept_of(key: str) -> str:
    """Return what a server answers to a client's key."""
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID.encode(), usedforsecurity=False).digest()).decode("ascii")


def is_upgrade(headers: Mapping[str, str]) -> bool:
    """Say whether headers, by their names in lower case, ask for or grant a WebSocket."""
    words = {word.strip().lower() for word in headers.get("connection", "").split(",")}
    return "upgrade" in words and headers.get("upgrade", "").strip().lower() == "websocket"


def frame(opcode: int, data: bytes = b"", *, is_client: bool) -> bytes:
    """Return one whole frame; a client's is masked, as the RFC wants it."""
    bit = _MASKED if is_client else 0
    head = bytes([_FINAL | opcode])
    if len(data) <= _SHORT:
        head += bytes([bit | len(data)])
    elif len(data) < 1 << 16:
        head += bytes([bit | _TWO]) + len(data).to_bytes(2, "big")
    else:
        head += bytes([bit | _EIGHT]) + len(data).to_bytes(8, "big")
    if not is_client:
        return head + data
    mask = secrets.token_bytes(_MASK_BYTES)
    return head + mask + _masked(data, mask)


def close_frame(code: int, why: str = "", *, is_client: bool) -> bytes:
    """Return the frame that ends a connection, with a reason that a control frame has room for."""
    said = why.encode()[: _SHORT - 2].decode("utf-8", "ignore").encode()
    return frame(CLOSE, code.to_bytes(2, "big") + said, is_client=is_client)


def read_close(data: bytes) -> tuple[int, str]:
    """Return code and reason of a close frame; one that says nothing is a normal end."""
    return (int.from_bytes(data[:2], "big"), data[2:].decode("utf-8", "replace")) if len(data) > 1 else (NORMAL, "")


def _masked(data: bytes, mask: bytes) -> bytes:
    """Put a mask on, or take it off; as one large number, which is a hundred times faster than byte by byte."""
    count = len(data)
    full = (mask * (count // _MASK_BYTES + 1))[:count]
    return (int.from_bytes(data, "big") ^ int.from_bytes(full, "big")).to_bytes(count, "big")


class Frames:
    """Reads what comes over a connection, however it was cut. `from_client` says which side sends it, and so has to mask it."""

    def __init__(self, *, from_client: bool) -> None:
        self._from_client = from_client
        self._buffer = bytearray()
        self._is_within = False

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that are whole now. Raises Broken for what is no frame, or none that belongs here."""
        self._buffer += data
        while (found := self._next()) is not None:
            yield found

    def _next(self) -> Frame | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        opcode, is_final = buffer[0] & _OPCODE, bool(buffer[0] & _FINAL)
        if buffer[0] & _RESERVED:
            raise Broken("a frame uses an extension that was not agreed on")
        if bool(buffer[1] & _MASKED) != self._from_client:
            raise Broken("a client masks its frames, and a server does not")
        length, at = buffer[1] & _LENGTH, 2
        self._check(opcode, length, is_final=is_final)
        if length > _SHORT:
            wide = 2 if length == _TWO else 8
            if len(buffer) < at + wide:
                return None
            length, at = int.from_bytes(buffer[at : at + wide], "big"), at + wide
        if length > MOST:
            raise Broken(f"a frame of {length} bytes is too large", TOO_BIG)
        begin = at + (_MASK_BYTES if self._from_client else 0)
        if len(buffer) < begin + length:
            return None
        mask, body = bytes(buffer[at:begin]), bytes(buffer[begin : begin + length])
        del buffer[: begin + length]
        if opcode < _CONTROL:
            self._is_within = not is_final
        return Frame(opcode if opcode >= _CONTROL else BINARY, _masked(body, mask) if mask else body)

    def _check(self, opcode: int, length: int, *, is_final: bool) -> None:
        if opcode in (CLOSE, PING, PONG):
            if length > _SHORT or not is_final:
                raise Broken("a control frame is short, and in one piece")
        elif opcode == TEXT:
            raise Broken("only bytes go through here, no text", UNSUPPORTED)
        elif opcode not in (CONTINUATION, BINARY):
            raise Broken(f"there is no frame of kind {opcode}")
        elif (opcode == CONTINUATION) != self._is_within:
            raise Broken("a message is over when its last piece has come, and not before")
