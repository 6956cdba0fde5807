"""A web site on loopback that behaves as badly as it is told to."""

from __future__ import annotations

import contextlib
import hashlib
import random
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from launchbay.errors import UserError
from launchbay.ports import Event
from launchbay.store.fetch import Fetched

__all__ = [
    "BODY",
    "HALF",
    "OTHER",
    "Asked",
    "Get",
    "Listener",
    "Request",
    "Site",
    "VirtualClock",
    "begin",
    "left",
    "run_site",
    "sha",
]

BODY = random.Random(3).randbytes(1_000_000)
OTHER = random.Random(4).randbytes(1_000_000)
HALF = len(BODY) // 2

Get = Callable[..., Fetched]


@dataclass
class Asked:
    """One request, and how many bytes of a body were sent for it."""

    path: str
    headers: Mapping[str, str]
    sent: int = 0


class Site:
    """Answers by path: `pages` maps one to a function of (request, number of the attempt from 1)."""

    def __init__(self) -> None:
        self.pages: dict[str, Callable[[Request, int], None]] = {}
        self.asked: list[Asked] = []
        self.closing = threading.Event()
        self.url = ""

    def page(self, path: str, answer: Callable[[Request, int], None]) -> str:
        """Add a page and return its URL."""
        self.pages[path.partition("?")[0]] = answer
        return self.url + path

    def file(self, path: str, body: bytes, **options: Any) -> str:
        """Add a file that is served as it should be, or with the faults given to `Request.serve`."""
        return self.page(path, lambda request, _: request.serve(body, **options))

    @property
    def sent(self) -> list[int]:
        """Bytes of body per request."""
        return [asked.sent for asked in self.asked]


class Request(BaseHTTPRequestHandler):
    """One request and the ways to answer it."""

    protocol_version = "HTTP/1.1"
    site: Site

    def do_GET(self) -> None:
        self.asked = Asked(self.path, dict(self.headers))
        self.site.asked.append(self.asked)
        path = re.sub(r"^http://[^/]+", "", self.path).partition("?")[0]
        attempt = sum(asked.path == self.path for asked in self.site.asked)
        self.close_connection = True
        self.site.pages[path](self, attempt)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        pass

    def head(self, status: int, **headers: str | int) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def send(self, data: bytes, *, block: int = 1 << 16, pause_s: float = 0) -> None:
        for start in range(0, len(data), block):
            self.wfile.write(data[start : start + block])
            self.asked.sent += len(data[start : start + block])
            if pause_s and self.site.closing.wait(pause_s):
                return

    def stall(self) -> None:
        """Send nothing more, for ten seconds or until the test is over."""
        self.site.closing.wait(10)

    def serve(
        self,
        body: bytes,
        *,
        etag: str | None = '"v1"',
        ranges: bool = True,
        stop: int | None = None,
        pause_s: float = 0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Serve a file with ranges as RFC 9110 has it; `stop` closes the connection after so many bytes."""
        extra = dict(headers or {})
        if etag:
            extra["ETag"] = etag
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(match[1]) if match and ranges else 0
        if self.headers.get("If-Range", etag) not in (etag, extra.get("Last_Modified")):
            start = 0
        if start and start >= len(body):
            self.head(416, Content_Range=f"bytes */{len(body)}", Content_Length=12, **extra)
            self.wfile.write(b"out of range")
            return
        if start:
            extra["Content_Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        self.head(206 if start else 200, Content_Length=len(body) - start, **extra)
        rest = body[start:]
        self.send(rest if stop is None else rest[:stop], pause_s=pause_s)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away: that is what is tested."""


@contextlib.contextmanager
def run_site(wrap: Callable[[Any], Any] | None = None) -> Iterator[Site]:
    """Run a site on a free port of loopback."""
    site = Site()
    server = _Server(("127.0.0.1", 0), type("_Request", (Request,), {"site": site}))
    if wrap:
        server.socket = wrap(server.socket)
    scheme = "https" if wrap else "http"
    site.url = f"{scheme}://localhost:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield site
    finally:
        site.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Listener:
    """Remembers what it was told."""

    events: list[Event] = field(default_factory=list)

    def event(self, event: Event) -> None:
        self.events.append(event)

    def note(self, text: str) -> None:
        raise AssertionError(text)

    @property
    def messages(self) -> list[str]:
        return [event.message for event in self.events if event.message]


@dataclass
class VirtualClock:
    """Stands still, but for sleeping, which takes no time."""

    time: float = 1_000_000_000.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


def begin(site: Site, get: Get, path: str = "/x.bin", **faults: Any) -> str:
    """Leave half of BODY behind, as a fetch that was given up, and return the URL."""
    url = site.page(path, lambda request, _: request.serve(BODY, stop=HALF, **faults))
    with pytest.raises(UserError, match="gave up"):
        get(url, tries=1)
    site.asked.clear()
    return url


def left(folder: Path) -> list[str]:
    """Name everything that lies in a folder."""
    return sorted(path.name for path in folder.iterdir())


def sha(data: bytes) -> str:
    """Hash some bytes."""
    return hashlib.sha256(data).hexdigest()
