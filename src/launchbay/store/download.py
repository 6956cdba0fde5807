"""Load a URL into a part over a network that breaks: continue, start over where need be, give up in time.

What came is only ever continued when the server says that it is the same version (`If-Range`), or when a
sha256 will prove it. A web page in place of data is refused before anything is given up for it.
"""

from __future__ import annotations

import hashlib
import html
import http.client
import re
import shutil
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib import request
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urljoin, urlsplit

from launchbay.errors import Conflict, NotFound, UserError
from launchbay.ports import Clock, Event, Reporter
from launchbay.store.part import Origin, Part
from launchbay.units import format_bytes, format_duration

__all__ = [
    "CHUNK",
    "HEAD",
    "Errand",
    "Meter",
    "Patience",
    "Tries",
    "ask",
    "conflict",
    "download",
    "last_part",
    "page_in_place",
    "shown",
]

CHUNK = 1 << 18
HEAD = 1 << 12  # bytes looked at to tell a web page from data
_PAGE = 1 << 16  # bytes of a page in which its title is looked for
_PROGRESS = 1 << 16  # bytes that an attempt must win to count as one that got on
_PAGE_NAMES = (".html", ".htm", ".xhtml")
_SCRIPT_NAMES = ("", ".php", ".asp", ".aspx", ".jsp", ".cgi")  # these say text/html of whatever they send
_IS_PAGE = re.compile(
    rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*"
    rb"<(!doctype\s+html|html|head|body|title|script|meta)\b",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for a server, in seconds, and how often to try while nothing gets on.

    The timeout holds for connecting and for each read; the wait doubles from `backoff_s` with each failure.
    """

    timeout_s: float = 30.0
    tries: int = 6
    backoff_s: float = 0.5
    longest_wait_s: float = 120.0


class Meter:
    """Shows how many bytes are there, ten times a second at most."""

    def __init__(self, reporter: Reporter, clock: Clock, task: str) -> None:
        self.reporter = reporter
        self.clock = clock
        self.last = Event(task=task, unit="bytes")
        self.shown_at = 0.0

    def show(self, done: int, total: int | None, message: str = "", *, at_once: bool = False) -> None:
        """Show progress; `at_once` for what must not be missed."""
        self.last = Event(task=self.last.task, message=message, done=done, total=total, unit="bytes")
        now = self.clock.now()
        if at_once or not 0 <= now - self.shown_at < 0.1:
            self.shown_at = now
            self.reporter.event(self.last)

    def end(self) -> None:
        """Show that no more will come."""
        last = self.last
        self.reporter.event(Event(task=last.task, done=last.done, total=last.total, unit="bytes", finished=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What to load. `is_pinned` says that a sha256 will be checked, so that a wrong join cannot pass."""

    url: str
    is_pinned: bool
    patience: Patience
    clock: Clock
    meter: Meter

    @property
    def key(self) -> str:
        """Return the URL's hash, which may be written down where the URL must not."""
        return hashlib.sha256(self.url.encode()).hexdigest()


class Tries:
    """Counts the attempts that got nowhere, and waits between them."""

    def __init__(self, errand: Errand) -> None:
        self.errand = errand
        self.failed = 0
        self.best = 0

    def again(self, drop: _Dropped, size: int) -> None:
        """Wait before the next attempt. Raises UserError when it is time to give up."""
        patience = self.errand.patience
        if size >= self.best + _PROGRESS:
            self.best, self.failed = size, 0
        self.failed += 1
        wait = patience.backoff_s * 2 ** (self.failed - 1) if drop.wait_s is None else drop.wait_s
        what = ""
        if self.failed >= patience.tries:
            what = f"{drop}; gave up after {self.failed} tries"
        elif wait > patience.longest_wait_s:
            what = f"{drop} and asks to come back in {format_duration(wait)}"
        if what:
            kept = f"; it continues from {format_bytes(size)}" if size else ""
            hint = f"the same command again later{kept}"
            raise UserError(what, where=shown(self.errand.url), hint=hint)
        meter = self.errand.meter
        message = f"{drop}; trying again in {format_duration(wait)}"
        meter.show(size, meter.last.total, message, at_once=True)
        self.errand.clock.sleep(wait)


def shown(url: str) -> str:
    """Leave out of a URL what may be secret: the query, where links are signed, and a password."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="", fragment="").geturl() + ("?..." if parts.query else "")


def last_part(url: str) -> str:
    """Return what stands last in the path of a URL."""
    return unquote(urlsplit(url).path).rpartition("/")[2]


def page_in_place(head: bytes, name: str, *, media_type: str = "", where: str = "") -> UserError | None:
    """Return the error if a file begins as a web page although its name promises something else. Pure."""
    suffix = Path(name).suffix.lower()
    says_page = media_type in ("text/html", "application/xhtml+xml") and suffix not in _SCRIPT_NAMES
    if suffix in _PAGE_NAMES or not (says_page or _IS_PAGE.match(head)):
        return None
    match = re.search(rb"<title[^>]*>(.*?)</title", head, re.IGNORECASE | re.DOTALL)
    words = html.unescape(match[1].decode(errors="replace")).split() if match else []
    title = "".join(char for char in " ".join(words) if char.isprintable())[:80]
    return UserError(
        f"got a web page ({title!r}) in place of {name}" if title else f"got a web page in place of {name}",
        where=where,
        hint="open the link in a browser: it may want a login, or only show the file (take its 'raw' link)",
    )


def ask(errand: Errand, tries: Tries) -> Any:
    """Ask for the whole file and return the answer, open, its body unread."""
    while True:
        try:
            return _open(errand, None)
        except _Dropped as drop:
            tries.again(drop, 0)


def download(errand: Errand, part: Part, target: Path, *, first: Any, tries: Tries) -> None:
    """Fill `part` until it is whole. `first` is an open answer to use if nothing is there yet, or None.

    Raises UserError when the server refuses, sends a web page or nothing, or stays away for too long.
    """
    while True:
        _drop_untrusted(part, errand)
        if first is not None and part.size:
            first.close()
            first = None
        try:
            with first or _open(errand, part) as answer:
                first = None
                _take(answer, errand, part, target)
        except _Dropped as drop:
            tries.again(drop, part.size)
        else:
            return


def _drop_untrusted(part: Part, errand: Errand) -> None:
    if part.size and (part.origin is None or part.origin.key != errand.key):
        part.clear("what was there is no part of this download")
    elif part.size and part.origin and not part.origin.validator and not errand.is_pinned:
        part.clear("the server does not say which version of the file it sends (no ETag, no Last-Modified)")


# --- one answer ---


def _take(answer: Any, errand: Errand, part: Part, target: Path) -> None:
    """Write one answer's body where it belongs. Raises _Dropped when the file is not whole after it."""
    start, origin = _read_head(answer, errand)
    total = origin.total
    if total is not None:
        _check_room(target, total, total - part.size)
    if answer.status == HTTPStatus.OK:
        beginning = _check_new(answer, total, errand, target)
        has_changed = part.origin is None or part.origin.differs(origin)
        part.clear("the file changed at the server" if has_changed else "the server cannot continue a download")
        part.begin(origin)
        part.append(beginning)
    elif answer.status in (HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE):
        if part.origin is None or part.origin.differs(origin) or start != part.size:
            part.clear("the file changed at the server")
            raise _Dropped("the server's answer does not continue what is there")
        part.is_joined = True
        total = part.origin.total if total is None else total
        if answer.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # nothing lies behind what is there: it was whole
    else:
        raise UserError(f"the server answered {answer.status} and sent no file", where=shown(answer.url))
    _read_body(answer, errand, part, total)


def _read_head(answer: Any, errand: Errand) -> tuple[int | None, Origin]:
    """Return where the body begins in the file, and which version of the file it is of."""
    headers: Message = answer.headers
    start: int | None = 0
    # Chunks say themselves where they end, and http.client does not look at a length beside them.
    total = None if "Transfer-Encoding" in headers else _number(headers.get("Content-Length"))
    if answer.status != HTTPStatus.OK:
        match = re.match(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)\Z", headers.get("Content-Range", ""))
        total = _number(match[2]) if match else None
        start = _number(match[1]) if match and match[1] else total
    etag, date = _clean(headers.get("ETag")), _clean(headers.get("Last-Modified"))
    return start, Origin(key=errand.key, etag=etag, last_modified=date, total=total)


def _number(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"[0-9]{1,18}", text) else None


def _clean(header: str | None) -> str | None:
    """Let a header's value pass that can be written down and sent back."""
    is_good = header and len(header) < 256 and header.isascii() and header.isprintable()
    return header if is_good else None


def _check_new(answer: Any, total: int | None, errand: Errand, target: Path) -> bytes:
    """Return the first bytes of a whole file, and refuse what is none before anything is given up for it."""
    where = shown(answer.url)
    beginning = _receive(answer.read, HEAD, errand)
    if not beginning and total in (None, 0):
        raise UserError("the server sent an empty file", where=where, hint="open the link in a browser")
    media_type = answer.headers.get_content_type()
    if page_in_place(beginning, target.name, media_type=media_type):
        page = beginning + _receive(answer.read, _PAGE, errand)
        raise page_in_place(page, target.name, media_type=media_type, where=where) or AssertionError
    packing = answer.headers.get("Content-Encoding", "identity").lower()
    if packing != "identity" and not (packing.endswith("gzip") and target.suffix in (".gz", ".tgz")):
        raise UserError(f"the server packed the file ({packing}) although asked not to", where=where)
    if target.is_file() and total is not None and target.stat().st_size != total:
        raise conflict(target, f"{format_bytes(target.stat().st_size)}, the new one has {format_bytes(total)}")
    return beginning


def _check_room(target: Path, total: int, missing: int) -> None:
    free = shutil.disk_usage(target.parent).free
    if missing > free:
        raise UserError(
            f"{target.name} has {format_bytes(total)}, of which {format_bytes(missing)} are to come, "
            f"and the disk has {format_bytes(free)} free",
            where=str(target.parent),
            hint="free some space there, or choose another disk with -o DIR",
        )


def conflict(target: Path, difference: str) -> Conflict:
    """Say that another file has the name; it is never overwritten."""
    return Conflict(
        f"another file of that name is there and was left as it is: {difference}",
        where=str(target),
        hint="move it away, or fetch into another folder with -o DIR",
    )


def _read_body(answer: Any, errand: Errand, part: Part, total: int | None) -> None:
    """Append the body as it comes. read1, not read: what came is on the disk before the next byte comes."""
    while data := _receive(answer.read1, CHUNK, errand):
        part.append(data)
        errand.meter.show(part.size, total)
    if total is not None and part.size != total:
        raise _Dropped(f"the connection closed after {part.size:,} of {total:,} bytes")
    if total is None and "Transfer-Encoding" not in answer.headers and not errand.is_pinned:
        part.notes.append("the server did not say how long the file is: a cut end would go unseen")


# --- requests ---


class _Dropped(Exception):
    """The server or the line failed in a way that may pass; `wait_s` is what the server asked for."""

    def __init__(self, reason: str, *, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class _Redirects(request.HTTPRedirectHandler):
    """Follows ten redirects, to http and https only, and never from https to http."""

    def http_error_302(self, req: request.Request, fp: Any, code: int, msg: str, headers: Any) -> Any:
        """Check where the redirect leads before it is followed."""
        fp.close()  # urllib would read the body first, however long it is
        try:
            target = urlsplit(urljoin(req.full_url, headers.get("Location", "")))
        except ValueError as error:
            raise UserError("the server redirects to no URL", where=shown(req.full_url)) from error
        is_downgrade = req.full_url.startswith("https:") and target.scheme == "http"
        if target.scheme not in ("http", "https") or "@" in target.netloc or is_downgrade:
            raise UserError(
                f"the server redirects to {shown(target.geturl())}, which is not followed",
                where=shown(req.full_url),
                hint="redirects may lead to http and https, and not from https to http: check the link",
            )
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _open(errand: Errand, part: Part | None) -> Any:
    """Send a request for the whole, or for what `part` lacks, and return the open answer."""
    opener = request.OpenerDirector()  # not build_opener: that one opens file: and ftp: as well
    for handler in (
        request.ProxyHandler(),
        request.HTTPHandler(),
        request.HTTPSHandler(),
        request.HTTPDefaultErrorHandler(),
        request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    headers = {"User-Agent": "launchbay"}  # http.client itself asks for no packing
    if part and part.size:
        headers["Range"] = f"bytes={part.size}-"
        if part.origin and part.origin.validator:
            headers["If-Range"] = part.origin.validator
    try:
        query = request.Request(errand.url, headers=headers)  # noqa: S310 - the opener knows http only
        return opener.open(query, timeout=errand.patience.timeout_s)
    except HTTPError as error:
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and part and part.size:
            return error
        error.close()
        raise _explain_status(error, errand) from error
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        raise _explain_network(error, errand) from error


def _receive(read: Callable[[int], bytes], size: int, errand: Errand) -> bytes:
    try:
        return read(size)
    except (OSError, http.client.HTTPException) as error:
        raise _explain_network(error, errand) from error


def _explain_status(error: HTTPError, errand: Errand) -> _Dropped | UserError:
    where = shown(error.url or errand.url)
    what = f"the server answered {error.code} {http.client.responses.get(error.code, '')}".rstrip()
    if error.code == HTTPStatus.TOO_MANY_REQUESTS or error.code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _Dropped(what, wait_s=_retry_after(error.headers.get("Retry-After", ""), errand.clock))
    if error.code in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        return NotFound(what, where=where, hint="check the link: the file may have moved")
    if error.code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return UserError(what, where=where, hint="the link may need a login, or may have expired: get a new one")
    if error.code < HTTPStatus.BAD_REQUEST:
        what = f"{what}, which leads nowhere: in a circle, on and on, or without an address"
        return UserError(what, where=where, hint="check the link")
    return UserError(what, where=where)


def _retry_after(text: str, clock: Clock) -> float | None:
    """Read seconds or a date (RFC 9110, 10.2.3); None when it is neither."""
    if (seconds := _number(text)) is not None:
        return float(seconds)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - clock.now())
    except ValueError:
        return None


def _explain_network(error: Exception, errand: Errand) -> _Dropped | UserError:
    reason = error.reason if isinstance(error, URLError) and isinstance(error.reason, OSError) else error
    where = shown(errand.url)
    if isinstance(reason, ssl.SSLCertVerificationError):
        hint = "behind a company's proxy, set SSL_CERT_FILE to the file with its certificates"
        what = f"the server's certificate is not trusted: {reason.verify_message}"
        return UserError(what, where=where, hint=hint)
    if isinstance(reason, socket.gaierror) and reason.errno == socket.EAI_NONAME:
        return NotFound("no server has that name", where=where, hint="check the link and the network")
    if isinstance(reason, TimeoutError):
        return _Dropped(f"nothing came for {format_duration(errand.patience.timeout_s)}")
    if isinstance(reason, UnicodeError) or (
        isinstance(reason, http.client.HTTPException)
        and not isinstance(reason, (http.client.RemoteDisconnected, http.client.IncompleteRead))
    ):
        return UserError(f"the server does not answer in HTTP: {type(reason).__name__}", where=where)
    return _Dropped(f"the connection failed ({getattr(reason, 'strerror', None) or reason})")
