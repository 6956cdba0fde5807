"""The way to an instance without a public address: through an EC2 Instance Connect Endpoint, as OpenSSH's ProxyCommand.

``python -m launchbay.providers.ec2.opentunnel --region R --endpoint eice-... --name DNSNAME ADDRESS PORT`` connects its stdin and
stdout with a port of the instance that has this private address. Credentials are what boto3 finds: they are never on the command
line. Exit code 1 and one line on stderr say why it failed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import ssl
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from launchbay.errors import LaunchbayError, UsageError, UserError
from launchbay.providers.ec2.client import is_loopback
from launchbay.websocket import (
    BINARY,
    CLOSE,
    NORMAL,
    PING,
    PONG,
    Broken,
    Frames,
    accept_of,
    close_frame,
    frame,
    is_upgrade,
    new_key,
    read_close,
)

__all__ = ["Target", "main", "proxy_words", "sign_address"]

_SERVICE = "ec2-instance-connect"
_EXPIRES_S = 60
_CONNECT_S, _CLOSING_S = 30.0, 5.0
_CHUNK = 1 << 15
_MOST_HEAD, _MOST_BODY = 1 << 16, 1 << 14
_MOST_SAID = 300
_SWITCHING = 101
_HOST = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]*")
_HTTPS = 443


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a tunnel leads.

    `endpoint` and `name` are the endpoint's id and DNS name, `address` and `port` the instance's private address and port,
    `seconds` how long it may last (0: as long as AWS lets it), `url` where the endpoint is asked instead of at its name: a twin
    on this machine. Raises UsageError for what is none of that.
    """

    region: str
    endpoint: str
    name: str
    address: str
    port: int = 22
    seconds: int = 0
    url: str = ""
    profile: str = ""

    def __post_init__(self) -> None:
        if not _HOST.fullmatch(self.name):
            raise UsageError(f"{self.name!r} is no DNS name of an endpoint", where="--name")
        if self.url and not (self.url.startswith("http://") and is_loopback(self.url)):
            hint = "http://127.0.0.1:PORT, as `bay twin start` shows it; AWS needs no --url"
            raise UsageError(
                f"a tunnel is asked for at AWS or at a twin here, not at {self.url!r}", where="--url", hint=hint
            )


def proxy_words(target: Target) -> tuple[str, ...]:
    """Return the words of a program that leads to a target, as a ProxyCommand needs them. No secret is among them."""
    words = [sys.executable, "-m", "launchbay.providers.ec2.opentunnel", "--region", target.region]
    words += ["--endpoint", target.endpoint, "--name", target.name]
    words += ["--seconds", str(target.seconds)] if target.seconds else []
    words += ["--url", target.url] if target.url else []
    words += ["--profile", target.profile] if target.profile else []
    return (*words, target.address, str(target.port))


def sign_address(target: Target) -> str:
    """Return the path that opens the tunnel, signed for a minute. Raises UserError without credentials, or without botocore."""
    try:
        from botocore.auth import SigV4QueryAuth
        from botocore.awsrequest import AWSRequest
        from botocore.exceptions import BotoCoreError
        from botocore.session import Session
    except ImportError as error:
        raise UserError("EC2 needs boto3", hint="pip install 'launchbay[aws]'") from error
    asked = {
        "instanceConnectEndpointId": target.endpoint,
        "remotePort": str(target.port),
        "privateIpAddress": target.address,
    }
    asked |= {"maxTunnelDuration": str(target.seconds)} if target.seconds else {}
    # signed for its name, also where a twin is asked: the name is what says which endpoint is meant
    request = AWSRequest("GET", f"https://{target.name}/openTunnel?{urlencode(asked)}")
    try:
        credentials = Session(profile=target.profile or None).get_credentials()
        if credentials is None:
            raise UserError("no credentials for AWS", hint="aws configure, or AWS_PROFILE")
        frozen = credentials.get_frozen_credentials()
    except BotoCoreError as error:
        raise UserError(f"no credentials for AWS: {error}") from error
    SigV4QueryAuth(frozen, _SERVICE, target.region, expires=_EXPIRES_S).add_auth(request)
    parts = urlsplit(str(request.url))
    return f"{parts.path}?{parts.query}"


async def _connect(target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    where = urlsplit(target.url)
    host, port = (where.hostname or "", where.port or 80) if target.url else (target.name, _HTTPS)
    secure = None if target.url else ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE") or None)
    return await asyncio.open_connection(host, port, ssl=secure, limit=_MOST_HEAD)


async def _shake_hands(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str, path: str) -> None:
    """Open the WebSocket of a connection, at a signed path. Raises UserError with what the other side says of it."""
    key = new_key()
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: {name}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nUser-Agent: launchbay\r\n\r\n".encode("ascii")
    )
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except asyncio.IncompleteReadError as error:
        raise UserError("the endpoint closed the connection before it answered") from error
    except asyncio.LimitOverrunError as error:
        raise UserError("what answers is no endpoint") from error
    status = head[0].split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    if len(status) < 2 or status[1] != str(_SWITCHING):
        raise UserError(_said(" ".join(status[1:]), await _body(reader, headers)))
    if not is_upgrade(headers) or headers.get("sec-websocket-accept") != accept_of(key):
        raise UserError("what answers is no WebSocket")


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    """Return the beginning of what an answer says, as far as it comes soon."""
    length, found = headers.get("content-length", ""), b""
    wanted = min(int(length), _MOST_BODY) if length.isdecimal() else _MOST_BODY
    with contextlib.suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(_CLOSING_S):
            while len(found) < wanted and (part := await reader.read(wanted - len(found))):
                found += part
    return found


def _said(status: str, body: bytes) -> str:
    """Return why a tunnel was refused, in the endpoint's own words."""
    try:
        found = json.loads(body)
        words = f"{found['ErrorCode']}: {found['Message']}"
    except (ValueError, KeyError, TypeError):
        words = " ".join(body.decode("utf-8", "replace").split())
    return f"the endpoint refuses the tunnel ({status}): {words[:_MOST_SAID]}"


class _Bridge:
    """A tunnel between stdin, stdout and an open WebSocket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._is_closed = False

    async def carry(self) -> None:
        """Pass on what comes both ways until one side ends. Raises UserError where the far side ends it with a reason."""
        source = _read_stdin(asyncio.get_running_loop())
        sender = asyncio.create_task(self._send(source))
        receiver = asyncio.create_task(self._receive())
        try:
            await asyncio.wait([sender, receiver], return_when=asyncio.FIRST_COMPLETED)
            with contextlib.suppress(TimeoutError):  # who is told of the end and does not answer is left alone
                await asyncio.wait_for(receiver, _CLOSING_S)
        finally:
            sender.cancel()
            receiver.cancel()
            await asyncio.gather(sender, receiver, return_exceptions=True)

    async def _send(self, source: asyncio.Queue[bytes]) -> None:
        with contextlib.suppress(ConnectionError):  # whoever reads finds the end, and why
            while data := await source.get():
                self._writer.write(frame(BINARY, data, is_client=True))
                await self._writer.drain()
            self._close(NORMAL)
            await self._writer.drain()

    async def _receive(self) -> None:
        frames, loop = Frames(from_client=False), asyncio.get_running_loop()
        while True:
            try:
                data = await self._reader.read(_CHUNK)
            except ConnectionError:
                data = b""
            if not data:
                if self._is_closed:
                    return
                raise UserError("the connection to the endpoint broke")
            try:
                for found in frames.feed(data):
                    if found.opcode == BINARY:
                        await loop.run_in_executor(None, _write_all, found.data)
                    elif found.opcode == PING:
                        self._writer.write(frame(PONG, found.data, is_client=True))
                    elif found.opcode == CLOSE:
                        code, why = read_close(found.data)
                        self._close(NORMAL)
                        if code != NORMAL:
                            raise UserError(f"the endpoint ended the tunnel ({code}): {why[:_MOST_SAID]}")
                        return
            except Broken as error:
                self._close(error.code)
                raise UserError(f"what the endpoint sends cannot be read: {error}") from error

    def _close(self, code: int) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._writer.write(close_frame(code, is_client=True))


def _write_all(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def _read_stdin(loop: asyncio.AbstractEventLoop) -> asyncio.Queue[bytes]:
    """Return a queue of what comes on stdin, at last b"". A thread of its own reads: stdin may be anything, and never end."""
    queue: asyncio.Queue[bytes] = asyncio.Queue(2)

    def read() -> None:
        data = b" "
        while data:
            try:
                data = os.read(0, _CHUNK)
            except OSError:
                data = b""
            put = queue.put(data)
            try:
                asyncio.run_coroutine_threadsafe(put, loop).result()
            except (CancelledError, RuntimeError):  # the loop is over, and so is this
                put.close()
                return

    threading.Thread(target=read, name="stdin", daemon=True).start()
    return queue


async def _run(target: Target) -> None:
    where, path = target.url or target.name, sign_address(target)
    try:
        async with asyncio.timeout(_CONNECT_S):
            reader, writer = await _connect(target)
    except TimeoutError as error:
        raise UserError(f"the endpoint does not answer within {_CONNECT_S:.0f} s", where=where) from error
    except OSError as error:
        raise UserError(f"the endpoint cannot be reached: {error}", where=where) from error
    try:
        try:
            async with asyncio.timeout(_CONNECT_S):
                await _shake_hands(reader, writer, target.name, path)
        except TimeoutError as error:
            raise UserError(f"the endpoint does not answer within {_CONNECT_S:.0f} s", where=where) from error
        await _Bridge(reader, writer).carry()
    finally:
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_CLOSING_S):
                await writer.wait_closed()


def main(argv: Sequence[str] | None = None) -> int:
    """Be a tunnel until either side ends it; return the exit code."""
    parser = argparse.ArgumentParser(prog="launchbay.providers.ec2.opentunnel")
    for name, what in (
        ("region", "the endpoint's region"),
        ("endpoint", "its id, eice-..."),
        ("name", "its DNS name, as EC2 describes it"),
    ):
        parser.add_argument(f"--{name}", required=True, help=what)
    parser.add_argument("--seconds", type=int, default=0, help="how long the tunnel may last")
    parser.add_argument("--url", default="", help="a twin on this machine, in place of AWS")
    parser.add_argument("--profile", default="", help="a profile of ~/.aws/config")
    parser.add_argument("address", help="the instance's private address")
    parser.add_argument("port", type=int, nargs="?", default=22)
    asked = parser.parse_args(argv)
    try:
        asyncio.run(_run(Target(**vars(asked))))
    except (LaunchbayError, OSError) as error:
        sys.stderr.write(f"{' '.join(str(error).split())}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
