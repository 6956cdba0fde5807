"""An image as one file: a gzipped tar of which the manifest decides every byte.

First comes an empty gzip member that says what the file is, then the tar in pieces that are gzipped each on its own
(so that every core helps), last an empty member that holds the sha256 of all before it. `tar` and `gunzip` read it too.
In the tar the manifest comes first: record, lock, and every file with size, permission and sha256, in order. Reading
compares what comes with what the manifest makes necessary, so there is no such thing as an unexpected link or path.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import tarfile
import zlib
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from launchbay.errors import BuildError
from launchbay.files import sha256_file

__all__ = [
    "Archive",
    "Entry",
    "Manifest",
    "Tell",
    "check_archive",
    "is_archive",
    "list_files",
    "open_archive",
    "write_archive",
]

Tell = Callable[[int], None]
"""Called with the bytes that are done so far."""

_VERSION = 1
_LEVEL = 1  # 6 takes twice as long and saves a seventh
_PIECE = 4 << 20
_READ = 1 << 20
_MOST_MANIFEST = 256 << 20
_END = bytes(2 * tarfile.BLOCKSIZE)


def _empty_member(comment: str) -> bytes:
    """Return a gzip member that unpacks to nothing and carries a comment."""
    return b"\x1f\x8b\x08\x10\0\0\0\0\0\xff" + comment.encode() + b"\0\x03\0" + bytes(8)


_KIND = "launchbay image "
_HEAD = _empty_member(f"{_KIND}{_VERSION}")
_BEGIN = _HEAD[: _HEAD.index(_KIND.encode()) + len(_KIND)]
_TAIL_SIZE = len(_empty_member("sha256 " + "0" * 64))


class Entry(NamedTuple):
    """A file of the archive."""

    size: int
    executable: bool
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What an archive holds: the image's record and lock, and its files by their path from the image's folder."""

    record: Mapping[str, Any]
    lock: str
    files: Mapping[str, Entry]

    @property
    def size_bytes(self) -> int:
        """The bytes of all files."""
        return sum(entry.size for entry in self.files.values())


# --- writing --------------------------------------------------------------------------------------------------------


def list_files(folder: Path, *, made_anew: Collection[str]) -> dict[str, Entry]:
    """Hash what an image's environment holds, less compiled modules and what every empty environment has.

    Both hold the paths of this machine, and are made anew where the image arrives.
    """
    paths = []
    for parent, folders, names in os.walk(folder / "env"):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        paths += [os.path.relpath(os.path.join(parent, name), folder) for name in (*names, *links)]
    wanted = sorted(path for path in paths if path not in made_anew)
    for path in wanted:
        if os.path.islink(folder / path):
            raise BuildError("the image holds a link, which an archive does not carry", where=str(folder / path))
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        hashes = pool.map(lambda path: sha256_file(folder / path), wanted)
        return {path: _entry(folder / path, sha256) for path, sha256 in zip(wanted, hashes, strict=True)}


def _entry(path: Path, sha256: str) -> Entry:
    status = path.stat()
    return Entry(status.st_size, bool(status.st_mode & 0o100), sha256)


def write_archive(target: BinaryIO, folder: Path, manifest: Manifest, *, tell: Tell) -> str:
    """Write an image's files and return the sha256 of the archive. The same image gives the same bytes.

    Blocks; what stands in `target` when it fails is no archive.
    """
    whole = hashlib.sha256()

    def write(data: bytes) -> None:
        target.write(data)
        whole.update(data)

    write(_HEAD)
    done = 0
    for size, packed in _compress(_tar(folder, manifest)):
        write(packed)
        done += size
        tell(min(done, manifest.size_bytes))
    write(_empty_member(f"sha256 {whole.hexdigest()}"))
    return whole.hexdigest()


def _tar(folder: Path, manifest: Manifest) -> Iterator[bytes]:
    text = _manifest_text(manifest)
    yield from (_header("manifest.json", len(text), executable=False), text, _padding(len(text)))
    for path, entry in manifest.files.items():
        yield _header(path, entry.size, executable=entry.executable)
        with (folder / path).open("rb") as file:
            while chunk := file.read(_READ):
                yield chunk
        yield _padding(entry.size)
    yield _END


def _manifest_text(manifest: Manifest) -> bytes:
    files = {path: list(entry) for path, entry in manifest.files.items()}
    value = {"version": _VERSION, "record": manifest.record, "lock": manifest.lock, "files": files}
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def _header(path: str, size: int, *, executable: bool) -> bytes:
    info = tarfile.TarInfo(path)
    info.size, info.mode = size, 0o755 if executable else 0o644
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


def _compress(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield each piece of the stream gzipped, in order, with its size before; several are worked on at once."""
    cores = os.cpu_count() or 1
    with ThreadPoolExecutor(max_workers=cores) as pool:
        waiting: deque[tuple[int, Future[bytes]]] = deque()
        for piece in _pieces(chunks):
            waiting.append((len(piece), pool.submit(_gzip, piece)))
            while len(waiting) > 2 * cores:
                size, first = waiting.popleft()
                yield size, first.result()
        for size, future in waiting:
            yield size, future.result()


def _pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    piece = bytearray()
    for chunk in chunks:
        piece += chunk
        while len(piece) >= _PIECE:
            yield bytes(piece[:_PIECE])
            del piece[:_PIECE]
    yield bytes(piece)


def _gzip(data: bytes) -> bytes:
    packer = zlib.compressobj(_LEVEL, wbits=31)
    return packer.compress(data) + packer.flush()


# --- reading --------------------------------------------------------------------------------------------------------


def is_archive(path: Path) -> bool:
    """Say whether a file begins as an archive of an image does."""
    with path.open("rb") as file:
        return file.read(len(_BEGIN)) == _BEGIN


def check_archive(path: Path, *, tell: Tell) -> str:
    """Hash an archive whole and return its sha256. Raises BuildError unless it is one, and every byte as written."""
    before, whole, done = hashlib.sha256(), hashlib.sha256(), 0
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(len(_HEAD))
        if not head.startswith(_BEGIN):
            raise BuildError("this is no image that `bay image export` wrote", where=str(path))
        if head != _HEAD:
            raise _from_another_version(str(path))
        file.seek(0)
        body = max(size - _TAIL_SIZE, 0)
        while chunk := file.read(min(_READ, body - done)):
            before.update(chunk)
            done += len(chunk)
            tell(done)
        whole = before.copy()
        tail = file.read()
    whole.update(tail)
    if tail != _empty_member(f"sha256 {before.hexdigest()}"):
        raise BuildError("the archive was cut off or altered on its way", where=str(path), hint=_AGAIN)
    return whole.hexdigest()


_AGAIN = "copy it again, or `bay image export` it anew where it came from"


def _from_another_version(where: str) -> BuildError:
    return BuildError("the archive is of a later version of Launchbay, or was altered", where=where, hint=_AGAIN)


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive that is being read: its manifest is known, its files are still to come, once."""

    manifest: Manifest
    stream: gzip.GzipFile
    where: str

    def unpack(self, folder: Path, *, tell: Tell) -> None:
        """Write every file below `folder`, comparing each with its hash.

        Raises BuildError for whatever is not as the manifest says, and for a path that is taken; then what stands in
        `folder` is to be thrown away.
        """
        made: set[str] = set()
        done = 0
        for path, entry in self.manifest.files.items():
            if self.stream.read(len(header := _header(path, entry.size, executable=entry.executable))) != header:
                raise self._refused(f"something else stands where {path} should")
            _make_parents(folder, path, made, self._refused)
            digest = hashlib.sha256()
            with _create(folder / path, executable=entry.executable, refused=self._refused) as file:
                for chunk in self._read(entry.size):
                    digest.update(chunk)
                    file.write(chunk)
                    done += len(chunk)
                    tell(done)
            if digest.hexdigest() != entry.sha256:
                raise self._refused(f"{path} does not have the hash that the manifest names")
        if self.stream.read(len(_END) + 1) != _END:
            raise self._refused("more follows than the manifest names")

    def _read(self, size: int) -> Iterator[bytes]:
        left = size
        while left:
            chunk = self.stream.read(min(left, _READ))
            if not chunk:
                raise self._refused("it ends in the middle of a file")
            left -= len(chunk)
            yield chunk
        if self.stream.read(len(_padding(size))) != _padding(size):
            raise self._refused("something stands between two files")

    def _refused(self, why: str) -> BuildError:
        return BuildError(f"the archive is refused: {why}", where=self.where)


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Lend an archive, its manifest read. Raises BuildError for one that is not well-formed."""
    try:
        with gzip.open(path, "rb") as stream:
            assert isinstance(stream, gzip.GzipFile)
            yield Archive(_read_manifest(stream, str(path)), stream, str(path))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BuildError(f"the archive is damaged: {error}", where=str(path), hint=_AGAIN) from error


def _read_manifest(stream: gzip.GzipFile, where: str) -> Manifest:
    refused = BuildError("the archive is refused: it does not begin with a manifest", where=where)
    head = stream.read(tarfile.BLOCKSIZE)
    try:
        size = int(head[124:135], 8)
    except ValueError:
        raise refused from None
    if size > _MOST_MANIFEST or head != _header("manifest.json", size, executable=False):
        raise refused
    text = stream.read(size)
    if stream.read(len(_padding(size))) != _padding(size):
        raise refused
    try:
        value = json.loads(text)
        files = {path: Entry(*entry) for path, entry in value["files"].items()}
        manifest = Manifest(record=value["record"], lock=value["lock"], files=files)
        is_ours = value["version"] == _VERSION and _manifest_text(manifest) == text  # one way to write it, and no other
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise refused from None
    if not (is_ours and type(value["lock"]) is str and type(value["record"]) is dict):
        raise refused
    for path, entry in files.items():
        _check_entry(path, entry, where)
    return manifest


def _check_entry(path: str, entry: Entry, where: str) -> None:
    parts = path.split("/")
    is_inside = parts[0] == "env" and len(parts) > 1 and not {"", ".", ".."} & set(parts) and "\0" not in path
    is_plain = type(entry.size) is int and entry.size >= 0 and type(entry.executable) is bool
    if not is_inside or not is_plain or not isinstance(entry.sha256, str):
        raise BuildError(f"the archive is refused: it may not hold {path!r}", where=where)


def _make_parents(folder: Path, path: str, made: set[str], refused: Callable[[str], BuildError]) -> None:
    parts = path.split("/")[:-1]
    for depth in range(1, len(parts) + 1):
        parent = "/".join(parts[:depth])
        if parent in made:
            continue
        place = folder / parent
        with contextlib.suppress(FileExistsError):
            place.mkdir()
        if place.is_symlink() or not place.is_dir():
            raise refused(f"{parent} is no folder here")
        made.add(parent)


def _create(path: Path, *, executable: bool, refused: Callable[[str], BuildError]) -> BinaryIO:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.fdopen(os.open(path, flags, 0o755 if executable else 0o644), "wb")
    except FileExistsError:
        raise refused(f"{path.name} is there already, in every environment") from None
