"""The metadata service of a host: version 2 only, so every question needs a token that was fetched with PUT before.

It listens in the box's network at 169.254.169.254:80, and is answered by the twin's process. After EC2's documentation
of IMDSv2: tokens last 1 to 21,600 seconds; 401 without a valid one, 400 for a bad time to live, 403 for a request that
came through a proxy (X-Forwarded-For), 404 for what there is not. The hop limit is not modelled. Below ``/twin/``, which
EC2 does not have, the stand-ins in the box reach the twin.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

__all__ = ["Answer", "Metadata"]

_TOKEN = "/latest/api/token"  # noqa: S105 - a path
_MOST_TOKENS = 10_000
_MOST_HEADERS = 100
_IDLE_SECONDS = 60.0
_REASONS = {
    200: "OK",
    204: "No Content",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    500: "Internal Server Error",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer; `ttl` is shown in the header that EC2 has for it."""

    status: int
    body: bytes = b""
    ttl: int | None = None


class Metadata:
    """Answer one host's box. `look_up` is given the path after ``/latest/``; `ask_twin` method and path after ``/twin/``."""

    def __init__(
        self,
        user_data: bytes,
        look_up: Callable[[str], Awaitable[bytes | None]],
        ask_twin: Callable[[str, str], Awaitable[Answer]],
        now: Callable[[], float],
    ) -> None:
        self._user_data = user_data
        self._look_up = look_up
        self._ask_twin = ask_twin
        self._now = now
        self._tokens: dict[str, float] = {}

    async def serve(self, listener: socket.socket) -> asyncio.Server:
        """Start to answer on a listening socket, which the server returned closes."""
        return await asyncio.start_server(self._serve_one, sock=listener, limit=1 << 16)

    async def answer(self, method: str, path: str, headers: Mapping[str, str]) -> Answer:
        """Answer one request. `headers` have lower-case names."""
        path = path.partition("?")[0]
        if path.startswith("/twin/"):
            return await self._ask_twin(method, path.removeprefix("/twin/"))
        if path == _TOKEN:
            return self._new_token(headers) if method == "PUT" else Answer(status=405)
        if method not in ("GET", "HEAD"):
            return Answer(status=405)
        token = headers.get("x-aws-ec2-metadata-token", "")
        if self._tokens.get(token, float("-inf")) <= self._now():
            return Answer(status=401)
        if path.rstrip("/") == "":
            return Answer(status=200, body=b"latest")
        if path.rstrip("/") == "/latest":
            listed = b"dynamic\nmeta-data" + (b"\nuser-data" if self._user_data else b"")
            return Answer(status=200, body=listed)
        if path.rstrip("/") == "/latest/user-data":
            return Answer(status=200, body=self._user_data) if self._user_data else Answer(status=404)
        if not path.startswith(("/latest/meta-data", "/latest/dynamic")):
            return Answer(status=404)
        value = await self._look_up(path.removeprefix("/latest/"))
        return Answer(status=404) if value is None else Answer(status=200, body=value)

    def _new_token(self, headers: Mapping[str, str]) -> Answer:
        if "x-forwarded-for" in headers:
            return Answer(status=403)
        wanted = headers.get("x-aws-ec2-metadata-token-ttl-seconds", "")
        if not wanted.isascii() or not wanted.isdigit() or not 1 <= int(wanted[:6]) <= 21600:
            return Answer(status=400)
        now = self._now()
        if len(self._tokens) >= _MOST_TOKENS:
            self._tokens = {token: until for token, until in self._tokens.items() if until > now}
        if len(self._tokens) >= _MOST_TOKENS:
            self._tokens.pop(next(iter(self._tokens)))
        token = secrets.token_urlsafe(40) + "=="
        self._tokens[token] = now + int(wanted)
        return Answer(status=200, body=token.encode(), ttl=int(wanted))

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._serve_request(reader, writer):
                pass
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass  # whoever asks like that gets no answer
        finally:
            with contextlib.suppress(OSError):
                writer.close()

    async def _serve_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request and return whether another may follow."""
        async with asyncio.timeout(_IDLE_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")[:_MOST_HEADERS]
        method, path, version = first.split(" ")
        pairs = (line.partition(":") for line in lines if line)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        async with asyncio.timeout(_IDLE_SECONDS):
            await reader.readexactly(min(int(headers.get("content-length", "0")), 1 << 16))
        answer = await self.answer(method, path, headers)
        stays = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
        shown = [
            f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}",
            "Content-Type: text/plain",
            "Server: EC2ws",
            f"Content-Length: {len(answer.body)}",
            f"Connection: {'keep-alive' if stays else 'close'}",
        ]
        if answer.ttl is not None:
            shown.append(f"X-Aws-Ec2-Metadata-Token-Ttl-Seconds: {answer.ttl}")
        writer.write("\r\n".join([*shown, "", ""]).encode())
        if method != "HEAD":
            writer.write(answer.body)
        await writer.drain()
        return stays
