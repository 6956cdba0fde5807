"""The way to an instance without a public address: through an EC2 Instance Connect Endpoint."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
import ssl
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from getpass import GetPassWarning
from typing import Any
from urllib.parse import SplitResult, unquote, urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

from launchbay.errors import UsageError, UserError
from launchbay.providers.ec2.client import is_loopback
from launchbay.relay import CHUNK, CLOSING_S, CONNECT_S, Stream, close_stream
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

__all__ = ["Target", "TunnelRefused", "asking_nobody", "open_tunnel", "sign_address"]

_SERVICE = "ec2-instance-connect"
_EXPIRES_S = 60
_MOST_HEAD, _MOST_BODY = 1 << 16, 1 << 14
_MOST_SAID = 300
_SWITCHING = 101
_HOST = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]*")
_HTTPS = 443

_NOT_PERMITTED = ("401", "403")
_DENIED = "403"
_OF_KEYS = re.compile("Token|Signature|Expired|ClientTokenId|AccessKey")
"""How the code of an answer shows that the keys are at fault, and no right is missing."""
_FOR_GOOD = ("InvalidInstanceConnectEndpointId.NotFound", "InvalidParameter")
"""Answers that stay the same however often one asks."""


class TunnelRefused(UserError):
    """There is no tunnel, and waiting brings none: nobody is logged in at AWS, or may not, or what is asked for is not there.

    `is_denied` says that the credentials lack the right.
    """

    is_denied = False


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

    def __post_init__(self) -> None:
        if not _HOST.fullmatch(self.name):
            raise UsageError(f"{self.name!r} is no DNS name of an endpoint", where=self.endpoint)
        if self.url and not (self.url.startswith("http://") and is_loopback(self.url)):
            hint = "http://127.0.0.1:PORT, as `bay twin start` shows it"
            raise UsageError(
                f"a tunnel is asked for at AWS or at a twin here, not at {self.url!r}", where=self.endpoint, hint=hint
            )


def sign_address(target: Target, keys: tuple[str, str] | None = None) -> str:
    """Return the path that opens the tunnel, signed for a minute.

    `keys` are access key and secret; without them, what botocore finds. Raises TunnelRefused where it finds none, or is not
    installed, and UserError where it cannot ask for them now.
    """
    try:
        from botocore.auth import SigV4QueryAuth
        from botocore.awsrequest import AWSRequest
    except ImportError as error:
        raise TunnelRefused("EC2 needs boto3", hint="pip install 'launchbay[aws]'") from error
    asked = {
        "instanceConnectEndpointId": target.endpoint,
        "remotePort": str(target.port),
        "privateIpAddress": target.address,
    }
    asked |= {"maxTunnelDuration": str(target.seconds)} if target.seconds else {}
    # signed for its name, also where a twin is asked: the name is what says which endpoint is meant
    request = AWSRequest("GET", f"https://{target.name}/openTunnel?{urlencode(asked)}")
    SigV4QueryAuth(_find_keys(keys), _SERVICE, target.region, expires=_EXPIRES_S).add_auth(request)
    parts = urlsplit(str(request.url))
    return f"{parts.path}?{parts.query}"


def _find_keys(keys: tuple[str, str] | None) -> Any:
    from botocore.credentials import Credentials
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
    from botocore.session import Session

    if keys is not None:
        return Credentials(*keys).get_frozen_credentials()
    try:
        with asking_nobody():
            found = Session().get_credentials()
            if found is None:
                raise TunnelRefused("no credentials for AWS", hint="aws configure, or AWS_PROFILE")
            return found.get_frozen_credentials()
    except HTTPClientError as error:  # those of a role or of a login are asked for over the network
        raise UserError(f"no credentials for AWS: {error}") from error
    except (BotoCoreError, ClientError) as error:
        raise TunnelRefused(f"no credentials for AWS: {error}") from error


@contextlib.contextmanager
def asking_nobody() -> Iterator[None]:
    """Refuse credentials that ask for an MFA code where there is no terminal: stdin is the stream, or nothing at all.

    Raises TunnelRefused. Nothing is written then, and nothing of stdin is read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", GetPassWarning)  # given before the question is, where there is no terminal
            yield
    except (EOFError, GetPassWarning) as error:
        hint = "aws sts get-session-token gives ones that do not for hours; or --reach address --auth injected"
        raise TunnelRefused("these credentials ask for an MFA code at each connection", hint=hint) from error


async def _connect(target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a connection to an endpoint, through the person's own proxy where they have one for it. A twin's is in plain."""
    if target.url:
        where = urlsplit(target.url)
        return await asyncio.open_connection(where.hostname, where.port or 80, limit=_MOST_HEAD)
    secure = ssl.create_default_context(cafile=_trusted())
    proxy = _proxy_for(target.name)
    if proxy is None:
        return await asyncio.open_connection(target.name, _HTTPS, ssl=secure, limit=_MOST_HEAD)
    reader, writer = await asyncio.open_connection(proxy.hostname, proxy.port or 80, limit=_MOST_HEAD)
    try:
        await _ask_proxy(reader, writer, proxy, f"{target.name}:{_HTTPS}")
        await writer.start_tls(secure, server_hostname=target.name)
    except BaseException:
        writer.close()
        raise
    return reader, writer


def _trusted() -> str | None:
    """Return the file of certificates that the person's settings of AWS name; None for those of the system."""
    from botocore.session import Session

    found = Session().get_config_variable("ca_bundle")
    return str(found) if found else None


def _proxy_for(name: str) -> SplitResult | None:
    """Return the proxy that the environment says for an endpoint, as boto3 takes it too. Raises TunnelRefused for one of TLS."""
    found = getproxies().get("https", "")
    if not found or proxy_bypass(name):
        return None
    proxy = urlsplit(found if "://" in found else f"http://{found}")
    if proxy.scheme != "http" or not proxy.hostname:
        raise TunnelRefused(f"tunnels go through no proxy of {proxy.scheme}", hint="HTTPS_PROXY=http://HOST:PORT")
    return proxy


async def _ask_proxy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, proxy: SplitResult, place: str
) -> None:
    lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
    if proxy.username:
        who = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(who.encode()).decode()}")
    writer.write("\r\n".join([*lines, "", ""]).encode())
    try:
        status = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[0].split(" ", 1)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise UserError(f"the proxy {proxy.hostname} gives no answer") from error
    if len(status) < 2 or not status[1].startswith("200"):
        raise UserError(f"the proxy {proxy.hostname} leads nowhere: {_on_one_line(' '.join(status[1:]))}")


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
        raise _refusal(status[1:], await _body(reader, headers))
    if not is_upgrade(headers) or headers.get("sec-websocket-accept") != accept_of(key):
        raise UserError("what answers is no WebSocket")


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    """Return the beginning of what an answer says, as far as it comes soon."""
    length, found = headers.get("content-length", ""), b""
    wanted = min(int(length), _MOST_BODY) if length.isdecimal() else _MOST_BODY
    with contextlib.suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(CLOSING_S):
            while len(found) < wanted and (part := await reader.read(wanted - len(found))):
                found += part
    return found


def _refusal(status: list[str], body: bytes) -> UserError:
    """Return why a tunnel was refused, in the endpoint's own words."""
    code = ""
    try:
        found = json.loads(body)
        code = str(found["ErrorCode"])
        words = f"{code}: {found['Message']}"
    except (ValueError, KeyError, TypeError):
        words = body.decode("utf-8", "replace")
    what = f"the endpoint refuses the tunnel ({' '.join(status)}): {_on_one_line(words)}"
    number = status[0] if status else ""
    if code not in _FOR_GOOD and number not in _NOT_PERMITTED:
        return UserError(what)
    refused = TunnelRefused(what)
    refused.is_denied = number == _DENIED and not _OF_KEYS.search(code)
    return refused


def _on_one_line(words: str) -> str:
    """Return what the other side says as a terminal may show it."""
    return "".join(letter for letter in " ".join(words.split()) if letter.isprintable())[:_MOST_SAID]


class _Tunnel(Stream):
    """A tunnel over an open WebSocket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._is_closed = False

    async def send(self, data: bytes) -> None:
        if data:
            self._writer.write(frame(BINARY, data, is_client=True))
        else:
            self._close(NORMAL)
        await self._writer.drain()

    async def receive(self) -> AsyncGenerator[bytes, None]:
        frames = Frames(from_client=False)
        while data := await self._read():
            try:
                for found in frames.feed(data):
                    if found.opcode == BINARY:
                        yield found.data
                    elif found.opcode == PING:
                        self._writer.write(frame(PONG, found.data, is_client=True))
                    elif found.opcode == CLOSE:
                        code, why = read_close(found.data)
                        self._close(NORMAL)
                        if code != NORMAL:
                            raise UserError(f"the endpoint ended the tunnel ({code}): {_on_one_line(why)}")
                        return
            except Broken as error:
                self._close(error.code)
                raise UserError(f"what the endpoint sends cannot be read: {error}") from error
        if not self._is_closed:
            raise UserError("the connection to the endpoint broke")

    async def _read(self) -> bytes:
        with contextlib.suppress(OSError):
            return await self._reader.read(CHUNK)
        return b""

    def _close(self, code: int) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._writer.write(close_frame(code, is_client=True))


@contextlib.asynccontextmanager
async def open_tunnel(target: Target, *, keys: tuple[str, str] | None = None) -> AsyncIterator[Stream]:
    """Have a tunnel; whether the instance answers is only known once something is carried through it.

    `keys` as for `sign_address`. Raises TunnelRefused for what waiting does not change, UserError for what may pass.
    """
    where, path = target.url or target.name, sign_address(target, keys)
    late = UserError(f"the endpoint does not answer within {CONNECT_S:.0f} s", where=where)
    try:
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await _connect(target)
    except TimeoutError as error:
        raise late from error
    except OSError as error:
        kind = TunnelRefused if isinstance(error, ssl.SSLCertVerificationError) else UserError
        raise kind(f"the endpoint cannot be reached: {error}", where=where) from error
    try:
        try:
            async with asyncio.timeout(CONNECT_S):
                await _shake_hands(reader, writer, target.name, path)
        except TimeoutError as error:
            raise late from error
        except OSError as error:
            raise UserError(f"the connection to the endpoint broke: {error}", where=where) from error
        yield _Tunnel(reader, writer)
    finally:
        await close_stream(writer)
