"""Put folders on a machine elsewhere, named by what is in them: what is there already is not sent again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launchbay.afar.machine import FarMachine
from launchbay.afar.names import hash_tree, link_inside
from launchbay.errors import UserError
from launchbay.files import sha256_file
from launchbay.ports import Event, Reporter, SilentReporter

__all__ = ["Sent", "Tree", "read_tree", "send_tree"]

_PACK_BYTES = 32 << 20
_MOST_PIECES = 4096
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A folder of ours as it is sent: its files (bytes, sha256, executable) and the links that stay inside it."""

    folder: Path
    files: Mapping[str, tuple[int, str, bool]]
    links: Mapping[str, str]

    @property
    def name(self) -> str:
        """The sha256 of what is in it."""
        return hash_tree({path: list(file) for path, file in self.files.items()}, self.links)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """Where a folder lies on the other machine, and how many bytes had to go there."""

    folder: str
    bytes: int


def read_tree(folder: Path, *, without: tuple[str, ...] = (), most_bytes: int | None = None) -> Tree:
    """Hash a folder. A link that leads outside is taken for what it leads to: over there it would lead nowhere.

    `without` leaves out names at its top. Raises UserError for more than `most_bytes`, and for what cannot be sent.
    """
    files: dict[str, tuple[int, str, bool]] = {}
    links: dict[str, str] = {}
    total = 0
    for name, path in _walk(folder, "", frozenset({os.path.realpath(folder)})):
        if name.split("/")[0] in without:
            continue
        try:
            name.encode()
        except UnicodeEncodeError:
            raise UserError("a name that is not UTF-8 cannot be sent to another machine", where=repr(name)) from None
        if path.is_symlink() and link_inside(name, target := os.readlink(path)):
            links[name] = target
        elif path.is_file():
            status = path.stat()
            total += status.st_size
            if most_bytes is not None and total > most_bytes:
                raise UserError(f"more than {most_bytes >> 20} MiB would be sent", where=str(folder), hint="--data DIR")
            files[name] = (status.st_size, sha256_file(path), bool(status.st_mode & 0o100))
    return Tree(folder=folder, files=files, links=links)


def _walk(folder: Path, prefix: str, above: frozenset[str]) -> Iterator[tuple[str, Path]]:
    """Yield files and links; a link to a folder outside is gone into, unless it leads to one that it lies in."""
    for entry in sorted(os.scandir(folder), key=lambda item: item.name):
        name, path = f"{prefix}{entry.name}", Path(entry.path)
        leads_out = entry.is_symlink() and not link_inside(name, os.readlink(entry.path))
        if entry.is_dir(follow_symlinks=leads_out):
            real = os.path.realpath(path)
            if real not in above:
                yield from _walk(path, f"{name}/", above | {real})
        else:
            yield name, path


def send_tree(machine: FarMachine, tree: Tree, *, reporter: Reporter | None = None, task: str = "send") -> Sent:
    """Make sure that a folder is there, whole; return where. Killed and called again, it sends what is missing.

    Files there are hashed before the folder gets its name. Raises UserError where they do not arrive as they are.
    """
    reporter = reporter or SilentReporter()
    what = {"tree": tree.name, "files": tree.files, "links": tree.links}
    total, sent = sum(size for size, _, _ in tree.files.values()), 0
    for _ in range(_ATTEMPTS):
        answer = _ask(machine, {"do": "have", **what})
        missing: dict[str, int] = answer["missing"]
        left = sum(tree.files[path][0] - here for path, here in missing.items())
        for pieces in _packs(tree, missing):
            data = b"".join(_read(tree.folder / path, offset, count) for path, offset, count in pieces)
            _ask(machine, {"do": "put", "tree": tree.name, "pieces": pieces}, data)
            sent, left = sent + len(data), left - len(data)
            reporter.event(Event(task=task, done=total - max(left, 0), total=total, unit="bytes"))
        if answer["whole"] or not _ask(machine, {"do": "finish", **what})["wrong"]:
            reporter.event(Event(task=task, done=total, total=total, unit="bytes", finished=True))
            return Sent(folder=answer["folder"], bytes=sent)
    raise UserError("files were changed while they were sent, or do not arrive as they are", where=str(tree.folder))


def _packs(tree: Tree, missing: Mapping[str, int]) -> Iterator[list[tuple[str, int, int]]]:
    """Yield what is missing in pieces (path, offset, bytes), as many at a time as go into one question."""
    pack: list[tuple[str, int, int]] = []
    room = _PACK_BYTES
    for path, here in missing.items():
        size = tree.files[path][0]
        offset = here if here <= size else 0
        while True:
            count = min(size - offset, room)
            pack.append((path, offset, count))
            offset, room = offset + count, room - count
            if not room or len(pack) == _MOST_PIECES:
                yield pack
                pack, room = [], _PACK_BYTES
            if offset == size:
                break
    if pack:
        yield pack


def _read(path: Path, offset: int, count: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(count)
    return data.ljust(count, b"\0")  # it has become shorter meanwhile: its hash will say so


def _ask(machine: FarMachine, request: dict[str, Any], data: bytes = b"") -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(machine.there(request, data=data))
    return answer
