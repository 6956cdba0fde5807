"""Fetch files from addresses that were signed for it, straight to where they belong. No credentials are on this machine.

What is fetched is bytes of objects, in order; they are handed out over spans of files. Addresses are read by who holds them,
so they are in no error and in no log.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from .refused import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Sequence

__all__ = ["fetch", "md5_of"]

_AT_ONCE = 8
_TRIES = 6
_FIRST_WAIT_S = 0.5
_SILENT_S = 60.0
_BLOCK = 1 << 20


def fetch(
    folder: str, groups: Sequence[Sequence[dict[str, Any]]], *, sleep: Callable[[float], None] = time.sleep
) -> int:
    """Fetch into files of a folder; return how many bytes came. Blocks.

    A get has a ``url``, from which byte (``from``) it is read, and its ``spans``: path, offset in that file, bytes. Gets of
    one group follow each other, since they write to the same files, so that a file is always as long as what is right of
    it; groups go side by side. Raises Refused for an address that is over or wrong, and when nobody answers for long.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return sum(pool.map(lambda group: sum(_get(folder, get, sleep) for get in group), groups))


def _get(folder: str, get: dict[str, Any], sleep: Callable[[float], None]) -> int:
    spans = _Spans(folder, get["spans"])
    wait_s = _FIRST_WAIT_S
    for attempt in range(_TRIES):
        before = spans.done
        try:
            if spans.done < spans.total:
                _read(get, spans)
            spans.finish()
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (400, 401, 403, 404, 410):
                raise _refused(get, error.code) from None
            why = "it answers {}".format(error.code)
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            why = str(getattr(error, "reason", error)) or type(error).__name__
        else:
            return spans.total
        finally:
            spans.close()
        if attempt + 1 < _TRIES:
            wait_s = _FIRST_WAIT_S if spans.done > before else min(2 * wait_s, 30.0)
            sleep(wait_s)
    raise Refused("the store does not send {}: {}".format(_name(get), why), hint="the same command again goes on")


def _refused(get: dict[str, Any], code: int) -> Refused:
    if code == 404:
        return Refused("the store has no {}".format(_name(get)), hint="the same command again")
    what = "the store does not let {} be read any more ({})".format(_name(get), code)
    return Refused(what, hint="the same command again signs it anew")


def _name(get: dict[str, Any]) -> str:
    return urllib.parse.unquote(urllib.parse.urlsplit(get["url"]).path).lstrip("/")  # without what it is signed with


def _read(get: dict[str, Any], spans: _Spans) -> None:
    """Read what is left of a get into its spans. Raises what urllib raises, ConnectionError for an answer that is too short."""
    if urllib.parse.urlsplit(get["url"]).scheme not in ("http", "https"):
        raise Refused("an address must be https, got another for {}".format(_name(get)))
    first = get["from"] + spans.done
    last = get["from"] + spans.total - 1
    asked = urllib.request.Request(get["url"], headers={"Range": "bytes={}-{}".format(first, last)})  # noqa: S310 - seen above
    with urllib.request.urlopen(asked, timeout=_SILENT_S) as answer:  # noqa: S310
        if answer.status == 200 and first:  # a range was asked for, and all is sent
            raise Refused("the store sends other bytes of {} than were asked for".format(_name(get)))
        while spans.done < spans.total:
            data = answer.read(min(_BLOCK, spans.total - spans.done))
            if not data:
                raise ConnectionError("the connection ended early")
            spans.write(data)


class _Spans:
    """Where the bytes of one get go: to the spans of files, one after the other."""

    def __init__(self, folder: str, spans: Sequence[Sequence[Any]]) -> None:
        self._folder = folder
        self._left = [(str(path), int(offset), int(count)) for path, offset, count in spans]
        self.total = sum(count for _, _, count in self._left)
        self.done = 0
        self._file: Any = None

    def write(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            path, offset, count = self._left[0]
            if count:
                piece = data[at : at + count]
                self._open(path, offset).write(piece)
                at, self.done = at + len(piece), self.done + len(piece)
                self._left[0] = (path, offset + len(piece), count - len(piece))
            if not self._left[0][2]:
                self._open(path, self._left[0][1])  # a file of no bytes is one too
                self._next()

    def finish(self) -> None:
        """Make what is empty, once all has been read."""
        while self._left:
            self._open(*self._left[0][:2])
            self._next()

    def close(self) -> None:
        """Put what is written into its file, so that it is as long as what is right of it."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _next(self) -> None:
        self._left.pop(0)
        self.close()

    def _open(self, path: str, offset: int) -> Any:
        if self._file is None:
            place = os.path.join(self._folder, path)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            self._file = os.fdopen(descriptor, "r+b")
            self._file.truncate(offset)
            self._file.seek(offset)
        return self._file


def md5_of(path: str) -> str:
    """Return the MD5 of a file, hex: what S3 calls the content of most objects. It is a checksum here, no proof."""
    import hashlib

    with open(path, "rb") as file:
        digest = hashlib.md5(usedforsecurity=False)
        with contextlib.closing(file):
            for block in iter(lambda: file.read(_BLOCK), b""):
                digest.update(block)
    return digest.hexdigest()
