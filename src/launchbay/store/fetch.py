"""Data with a checksum: fetch a file by HTTP or from a path; it gets its name when it is whole and right.

Size, sha256 and content are checked on the part (see `part.py`); then it gets its name in one step. A file
that has the name already is never touched.
"""

from __future__ import annotations

import contextlib
import os
import re
import string
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from launchbay.errors import NotFound, UsageError, UserError
from launchbay.files import explain_os_error, sha256_file
from launchbay.onboard.result import is_full
from launchbay.ports import Clock, Reporter, SystemClock
from launchbay.store.csvcheck import check_csv
from launchbay.store.download import (
    CHUNK,
    HEAD,
    Errand,
    Meter,
    Patience,
    Tries,
    ask,
    conflict,
    download,
    last_part,
    page_in_place,
    shown,
)
from launchbay.store.part import Part, find_started, hold_part

__all__ = ["Fetched", "Patience", "fetch", "safe_name"]

_NAME_BYTES = 200  # a file system takes 255; ".", ".part.json" and a temporary suffix stand around the name


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A file that was fetched, and what is in it.

    `rows`, `columns` and the counts of cells are None for a file that is not CSV. `resumed_from` counts the
    bytes that an earlier fetch left and this one did not load again; `is_new` is false if the file was there.
    `source` is without the query of a URL, because signed links carry their secret there.
    """

    path: Path
    sha256: str
    bytes: int
    rows: int | None
    columns: int | None
    nan_cells: int | None
    empty_cells: int | None
    inf_cells: int | None
    text_columns: tuple[str, ...]
    source: str
    resumed_from: int
    is_new: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What to fetch: `path` is None for a URL."""

    url: str
    path: Path | None
    into: Path
    expected: str | None
    meter: Meter

    @property
    def source(self) -> str:
        return str(self.path) if self.path else shown(self.url)


def fetch(
    source: str,
    *,
    into: Path,
    reporter: Reporter,
    sha256: str | None = None,
    patience: Patience | None = None,
    clock: Clock | None = None,
) -> Fetched:
    """Fetch a URL (http, https, file) or a path into a folder, check it, and say what it holds.

    Blocking and idempotent: a file that is there with the right sha256 is left alone. Raises UsageError for a
    source or a sha256 that cannot be, NotFound, Conflict if another file has the name, else UserError.
    """
    expected = _read_digest(sha256) if sha256 is not None else None
    url, path = _read_source(source)
    guess = safe_name(path.name if path else last_part(url))
    clock = clock or SystemClock()
    meter = Meter(reporter, clock, f"fetch {guess}")
    job = _Job(url=url, path=path, into=into.absolute(), expected=expected, meter=meter)
    try:
        job.into.mkdir(parents=True, exist_ok=True)
        if path:
            return _fetch_path(path, job)
        errand = Errand(url=url, is_pinned=bool(expected), patience=patience or Patience(), clock=clock, meter=meter)
        return _fetch_url(errand, guess, job)
    except OSError as error:
        raise _explain_disk(error, job) from error
    finally:
        meter.end()


def safe_name(text: str) -> str:
    """Make a file name out of what a server says: no folder, hidden file, option or control character.

    Pure. At most 200 bytes, the suffix kept; ``data`` when nothing is left.
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", text))[-1]
    name = "".join(char for char in last if not unicodedata.category(char).startswith("C"))
    name = name.strip().lstrip(".- ").rstrip(". ")
    suffix = "".join(Path(name).suffixes[-2:])
    if len(suffix.encode()) > 20:
        suffix = ""
    stem = name.removesuffix(suffix).encode()[: _NAME_BYTES - len(suffix.encode())]
    return stem.decode(errors="ignore") + suffix or "data"


# --- what is asked for ---


def _read_digest(text: str) -> str:
    digest = text.strip().lower().removeprefix("sha256:")
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise UsageError(f"a sha256 must be 64 hexadecimal digits, got {text!r}", where="--sha256")
    return digest


def _read_source(source: str) -> tuple[str, Path | None]:
    """Return a URL that can be sent, or a local path."""
    if not source or "\0" in source:
        raise UsageError(f"a source must be a URL or a path, got {source!r}")
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", source):
        return "", Path(source).absolute()
    try:
        parts = urlsplit(source)
        port = f":{parts.port}" if parts.port is not None else ""
        host = parts.hostname or ""
        host = host if host.isascii() else host.encode("idna").decode()
    except ValueError as error:
        raise UsageError(f"a source must be a URL or a path: {error}", where=source) from error
    if parts.scheme == "file" and host in ("", "localhost"):
        return "", Path(unquote(parts.path)).absolute()
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError(
            f"a source must be an http, https or file URL or a path, got {shown(source)}",
            hint="bay fetch https://HOST/FILE.csv",
        )
    if "@" in parts.netloc:
        raise UsageError("a URL must not carry a name or password: it would end up in logs", where=host)
    netloc = (f"[{host}]" if ":" in host else host) + port
    path = quote(parts.path or "/", safe=string.punctuation)
    query = quote(parts.query, safe=string.punctuation)
    return parts._replace(netloc=netloc, path=path, query=query, fragment="").geturl(), None


def _name_of(answer: Any, url: str) -> str:
    """Choose a name: what the server calls the file, else what the final or the first URL ends with."""
    said = answer.headers.get_filename() or ""
    with contextlib.suppress(UnicodeError):  # http.client takes UTF-8 for Latin-1
        said = said.encode("latin-1").decode()
    ends = [last_part(answer.url), last_part(url)]
    return safe_name(said or next((end for end in ends if Path(end).suffix), "") or ends[0] or ends[1])


# --- from a URL ---


def _fetch_url(errand: Errand, guess: str, job: _Job) -> Fetched:
    started = find_started(job.into, errand.key)
    if there := _find_there(job.into / guess, job) if job.expected and not started else None:
        return there
    tries = Tries(errand)
    with contextlib.ExitStack() as stack:
        first = None if started else stack.enter_context(ask(errand, tries))
        target = job.into / (started or _name_of(first, errand.url))
        part = stack.enter_context(_hold(target, job))
        if there := _check_there(target, job):
            part.clear()
            return there
        download(errand, part, target, first=first, tries=tries)
        if part.is_joined and job.expected not in (None, sha256_file(part.path)):
            part.clear("the pieces together have another sha256")
            download(errand, part, target, first=None, tries=tries)
        return _settle(part, target, job)


def _hold(target: Path, job: _Job) -> contextlib.AbstractContextManager[Part]:
    return hold_part(target, lambda: job.meter.show(0, None, "waiting for another fetch of this file", at_once=True))


# --- from a path ---


def _fetch_path(source: Path, job: _Job) -> Fetched:
    if source.is_dir():
        hint = f"a script is given a folder as it is: bay train SCRIPT --data {source}"
        raise UsageError("this is a folder, and only a file can be fetched", where=str(source), hint=hint)
    if not source.exists():
        raise NotFound(
            "there is no such file", where=str(source), hint="an address (https://...) or the path of a file"
        )
    if not source.is_file():
        raise UsageError("this is not a regular file", where=str(source))
    if not os.access(source, os.R_OK):
        raise UserError("no permission to read it", where=str(source))
    target = job.into / safe_name(source.name)
    if target.exists() and target.samefile(source):
        digest = sha256_file(target)
        _check_digest(digest, job)
        return _describe(target, digest, job, is_new=False)
    with _hold(target, job) as part:
        if there := _check_there(target, job):
            part.clear()
            return there
        try:
            _copy(source, part, target, job)
            return _settle(part, target, job)
        except BaseException:
            part.clear()  # a copy starts over: nothing that takes room stays
            raise


def _copy(source: Path, part: Part, target: Path, job: _Job) -> None:
    part.clear()
    with source.open("rb") as file:
        before = os.fstat(file.fileno())
        while data := file.read(CHUNK):
            if not part.size and (page := page_in_place(data[:HEAD], target.name, where=str(source))):
                raise page
            part.append(data)
            job.meter.show(part.size, before.st_size)
        after = os.fstat(file.fileno())
    if part.size != before.st_size or before.st_mtime_ns != after.st_mtime_ns:
        raise UserError("the file changed while it was copied", where=str(source), hint="the same command again")
    if not part.size:
        raise UserError("the file is empty", where=str(source))


# --- checks, and the name ---


def _check_there(target: Path, job: _Job) -> Fetched | None:
    """Return the file that has the name, if it is the one that is wanted. Raises Conflict if it is not."""
    if os.path.lexists(target) and not target.is_file():
        raise conflict(target, "it is not a file")
    there = _find_there(target, job)
    if there is None and job.expected and target.exists():
        raise conflict(target, f"sha256 {sha256_file(target)}, expected {job.expected}")
    return there


def _find_there(target: Path, job: _Job) -> Fetched | None:
    if not job.expected or not target.is_file() or sha256_file(target) != job.expected:
        return None
    return _describe(target, job.expected, job, is_new=False)


def _settle(part: Part, target: Path, job: _Job) -> Fetched:
    """Give a whole part its name if it is what it should be; else remove it."""
    try:
        fetched = _judge(part, target, job)
    except UserError:
        part.clear()
        raise
    fetched = replace(fetched, resumed_from=part.kept, notes=(*part.notes, *fetched.notes))
    if fetched.is_new:
        part.become(target)
    else:
        part.clear()
    return fetched


def _judge(part: Part, target: Path, job: _Job) -> Fetched:
    digest = sha256_file(part.path)
    _check_digest(digest, job)
    if not os.path.lexists(target):
        return _describe(part.path, digest, job, is_new=True, target=target)
    there = sha256_file(target)
    if there != digest:
        raise conflict(target, f"sha256 {there}, the new one has {digest}")
    return _describe(target, digest, job, is_new=False)


def _check_digest(digest: str, job: _Job) -> None:
    if job.expected not in (None, digest):
        raise UserError(
            f"wrong sha256: expected {job.expected}, got {digest}; the file was not taken",
            where=job.source,
            hint="take the sha256 from who publishes the file; if it is right, the file was changed since",
        )


def _describe(path: Path, digest: str, job: _Job, *, is_new: bool, target: Path | None = None) -> Fetched:
    target = target or path
    size = path.stat().st_size
    shape = check_csv(path, name=target.name, progress=lambda done: job.meter.show(done, size, "checking"))
    job.meter.show(size, size)
    notes = shape.notes if shape else ()
    if not is_new:
        notes = ("it is there already, with this sha256", *notes)
    if not job.expected:
        notes = (*notes, f"nothing to check it against; next time: --sha256 {digest}")
    return Fetched(
        path=target,
        sha256=digest,
        bytes=size,
        rows=shape.rows if shape else None,
        columns=shape.columns if shape else None,
        nan_cells=shape.nan_cells if shape else None,
        empty_cells=shape.empty_cells if shape else None,
        inf_cells=shape.inf_cells if shape else None,
        text_columns=shape.text_columns if shape else (),
        source=job.source,
        resumed_from=0,
        is_new=is_new,
        notes=notes,
    )


def _explain_disk(error: OSError, job: _Job) -> UserError:
    if is_full(error):
        kept = "nothing of it was left" if job.path else "what came is kept, and the same command continues"
        hint = "free some space there, or choose another disk with -o DIR"
        return UserError(f"the disk is full; {kept}", where=str(job.into), hint=hint)
    explained = explain_os_error(error, "fetching")
    return UserError(explained.what, where=explained.where or str(job.into), hint="try another folder with -o DIR")
