"""One forwarded connection (ssh -L): dialled inside the box, so that nothing of the laptop's own loopback is reached."""

from __future__ import annotations

import asyncio

import asyncssh

from launchbay.twin.hosts.running import BoxFailed
from launchbay.twin.hosts.session import Sessions

__all__ = ["Forward"]


class Forward(asyncssh.SSHTCPSession[bytes]):
    """One forwarded connection between a client and a server in the box."""

    def __init__(self, host: Sessions) -> None:
        self._host = host
        self._channel: asyncssh.SSHTCPChannel[bytes] | None = None
        self._transport: asyncio.Transport | None = None
        self._is_over = False

    async def connect(self, name: str, port: int) -> Forward:
        """Connect to the server. Raises asyncssh.ChannelOpenError where nobody answers."""
        self._host.used()
        try:
            box = await self._host.box()
            connection = await box.dial(name, port)
            loop = asyncio.get_running_loop()
            self._transport, _ = await loop.create_connection(lambda: _Far(self), sock=connection)
            self._transport.pause_reading()
        except (BoxFailed, OSError) as error:
            self._host.unused()
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, str(error)) from None
        return self

    def connection_made(self, chan: asyncssh.SSHTCPChannel[bytes]) -> None:
        """Start to read."""
        self._channel = chan
        assert self._transport is not None
        self._transport.resume_reading()

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Pass on what the client sent."""
        del datatype
        if self._transport and not self._transport.is_closing():
            self._transport.write(data)

    def eof_received(self) -> bool:
        """Pass the client's end on."""
        if self._transport and not self._transport.is_closing():
            self._transport.write_eof()
        return True

    def pause_writing(self) -> None:
        """Let the server wait."""
        if self._transport and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Let the server go on."""
        if self._transport and not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the far side."""
        del exc
        self._is_over = True
        self._channel = None
        if self._transport:
            self._transport.close()
        self._host.unused()

    def received(self, data: bytes) -> None:
        """Pass on what the server sent."""
        if self._channel and not self._channel.is_closing():
            self._channel.write(data)

    def ended(self) -> None:
        """Pass the server's end on."""
        if self._channel and not self._channel.is_closing():
            self._channel.write_eof()

    def held(self, *, is_held: bool) -> None:
        """Let the client wait, or go on: the server does not keep up, or does again."""
        if self._channel and is_held:
            self._channel.pause_reading()
        elif self._channel:
            # Not at once: the transport that calls this is in the middle of writing.
            asyncio.get_running_loop().call_soon(self._channel.resume_reading)

    def lost(self) -> None:
        """Close the channel: the server is gone."""
        if self._channel:
            self._channel.close()


class _Far(asyncio.Protocol):
    """The server's side of a forwarded connection."""

    def __init__(self, forward: Forward) -> None:
        self._forward = forward

    def data_received(self, data: bytes) -> None:
        self._forward.received(data)

    def eof_received(self) -> bool:
        self._forward.ended()
        return True

    def pause_writing(self) -> None:
        self._forward.held(is_held=True)

    def resume_writing(self) -> None:
        self._forward.held(is_held=False)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._forward.lost()
