"""A package index on loopback, with packages made on the spot: real wheels for the real uv, and no network."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import re
import threading
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["Index", "Wheel", "make_wheel", "run_index"]


@dataclass(frozen=True)
class Wheel:
    """A built package: `name` is as in its file's name (with underscores)."""

    name: str
    version: str
    data: bytes

    @property
    def file(self) -> str:
        return f"{self.name}-{self.version}-py3-none-any.whl"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def make_wheel(
    name: str,
    version: str = "1.0",
    *,
    files: Mapping[str, str | bytes] | None = None,
    needs: tuple[str, ...] = (),
    scripts: Mapping[str, str] | None = None,
) -> Wheel:
    """Make a wheel of one module (or of `files`); it is stored, not compressed, so that a large file stays large."""
    info = f"{name}-{version}.dist-info"
    content: dict[str, str | bytes] = dict(files or {f"{name}.py": f"VERSION = {version!r}\n"})
    content[f"{info}/METADATA"] = "".join(
        [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", *(f"Requires-Dist: {item}\n" for item in needs)]
    )
    content[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    if scripts:
        lines = "".join(f"{key} = {value}\n" for key, value in scripts.items())
        content[f"{info}/entry_points.txt"] = f"[console_scripts]\n{lines}"
    rows = []
    for path, text in content.items():
        data = text.encode() if isinstance(text, str) else text
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(data)}\n")
    content[f"{info}/RECORD"] = "".join([*rows, f"{info}/RECORD,,\n"])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path, text in content.items():
            archive.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), text)
    return Wheel(name, version, buffer.getvalue())


@dataclass
class Index:
    """What the index offers: `wheels`; a file named in `cut` breaks off half-way, one in `swapped` has other bytes."""

    wheels: list[Wheel] = field(default_factory=list)
    cut: set[str] = field(default_factory=set)
    swapped: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def add(self, *wheels: Wheel) -> None:
        self.wheels += wheels

    def page(self, project: str) -> bytes | None:
        """Return a project's page, as PEP 503 wants it."""
        mine = [wheel for wheel in self.wheels if _normal(wheel.name) == project]
        links = (f'<a href="/files/{wheel.file}#sha256={wheel.sha256}">{wheel.file}</a>' for wheel in mine)
        return f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode() if mine else None

    def body(self, file: str) -> bytes | None:
        """Return a wheel's bytes."""
        return self.swapped.get(file) or next((wheel.data for wheel in self.wheels if wheel.file == file), None)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@contextlib.contextmanager
def run_index(index: Index) -> Iterator[Index]:
    """Serve an index on a free port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            index.asked.append(self.path)
            kind, _, rest = self.path.strip("/").partition("/")
            body = index.page(rest) if kind == "simple" else index.body(rest)
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Type", "text/html" if kind == "simple" else "application/octet-stream")
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            if self.command == "HEAD":
                return
            with contextlib.suppress(OSError):
                self.wfile.write((body or b"")[: len(body or b"") // 2 if rest in index.cut else None])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    index.url = f"http://127.0.0.1:{server.server_port}/simple/"
    try:
        yield index
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
