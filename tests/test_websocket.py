"""Frames of WebSockets, however they are cut, and what is none. The twin's tests ask another implementation too."""

from __future__ import annotations

import pytest

from launchbay.websocket import (
    BINARY,
    CLOSE,
    MOST,
    PING,
    PROTOCOL_ERROR,
    TOO_BIG,
    UNSUPPORTED,
    Broken,
    Frame,
    Frames,
    accept_of,
    close_frame,
    frame,
    is_upgrade,
    new_key,
    read_close,
)


def test_the_handshake_is_that_of_the_rfc() -> None:
    assert accept_of("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # section 1.3
    assert new_key() != new_key()
    assert is_upgrade({"connection": "keep-alive, Upgrade", "upgrade": "WebSocket"})
    assert not is_upgrade({"connection": "keep-alive", "upgrade": "websocket"})
    assert not is_upgrade({})


def test_frames_are_those_of_the_rfc() -> None:
    masked = bytes.fromhex("82 85 37 fa 21 3d 7f 9f 4d 51 58".replace(" ", ""))  # "Hello" of section 5.7, as bytes
    assert list(Frames(from_client=True).feed(masked)) == [Frame(BINARY, b"Hello")]
    assert frame(BINARY, b"Hello", is_client=False) == b"\x82\x05Hello"
    assert frame(BINARY, b"x" * 256, is_client=False)[:4] == b"\x82\x7e\x01\x00"
    assert frame(BINARY, b"x" * 65536, is_client=False)[:10] == b"\x82\x7f" + (65536).to_bytes(8, "big")


@pytest.mark.parametrize("is_client", [True, False])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 100_003])
def test_what_is_framed_is_read(size: int, *, is_client: bool) -> None:
    data = bytes(number * 7 % 256 for number in range(size))
    frames = Frames(from_client=is_client)
    sent = frame(BINARY, data, is_client=is_client) + frame(PING, b"p", is_client=is_client)
    cut = max(1, len(sent) // 7)
    found = [item for at in range(0, len(sent), cut) for item in frames.feed(sent[at : at + cut])]
    assert found == [Frame(BINARY, data), Frame(PING, b"p")]


def test_pieces_of_a_message_are_bytes_of_the_stream_and_others_may_come_between() -> None:
    sent = b"\x02\x01a" + b"\x89\x00" + b"\x00\x01b" + b"\x80\x01c" + b"\x82\x01d"
    found = list(Frames(from_client=False).feed(sent))
    assert [item.data for item in found if item.opcode == BINARY] == [b"a", b"b", b"c", b"d"]
    assert found[1] == Frame(PING, b"")


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"\xc2\x01a", PROTOCOL_ERROR),  # an extension
        (b"\x82\x81mask", PROTOCOL_ERROR),  # a server that masks
        (b"\x80\x01a", PROTOCOL_ERROR),  # a piece of nothing
        (b"\x02\x01a\x82\x01b", PROTOCOL_ERROR),  # a new message within one
        (b"\x09\x00", PROTOCOL_ERROR),  # a ping in pieces
        (b"\x89\x7e\x00\x7e", PROTOCOL_ERROR),  # a long ping
        (b"\x83\x00", PROTOCOL_ERROR),  # a kind that is not there
        (b"\x81\x01a", UNSUPPORTED),  # text
        (b"\x82\x7f" + (MOST + 1).to_bytes(8, "big"), TOO_BIG),
    ],
)
def test_what_is_no_frame_is_refused_with_its_number(sent: bytes, code: int) -> None:
    with pytest.raises(Broken) as caught:
        list(Frames(from_client=False).feed(sent))
    assert caught.value.code == code


def test_a_client_has_to_mask() -> None:
    with pytest.raises(Broken, match="masks"):
        list(Frames(from_client=True).feed(b"\x82\x01a"))


def test_an_end_has_a_number_and_a_reason() -> None:
    (found,) = Frames(from_client=False).feed(close_frame(1001, "ä" * 100, is_client=False))
    assert found.opcode == CLOSE
    assert read_close(found.data) == (1001, "ä" * 61)
    assert read_close(b"") == (1000, "")
