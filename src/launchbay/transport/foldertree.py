"""What a folder holds, ours or an instance's, seen before anything of it is copied."""

from __future__ import annotations

import os
import posixpath
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launchbay.errors import NotFound, UserError

if TYPE_CHECKING:
    import asyncssh

__all__ = ["Tree", "look_here", "look_there"]

_KINDS = {stat.S_IFIFO: "named pipe", stat.S_IFSOCK: "socket", stat.S_IFBLK: "device", stat.S_IFCHR: "device"}


@dataclass(slots=True, kw_only=True)
class Tree:
    """What a folder holds, by path from its top; folders come before what is in them."""

    folders: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Mode and time of change of each; the top is the empty path."""
    files: dict[str, int] = field(default_factory=dict)
    """Size of each."""
    links: dict[str, str] = field(default_factory=dict)
    """Where each leads, which is nowhere looked at."""


def look_here(source: str) -> Tree | None:
    """Return what a folder of ours holds; None for a file. A link that is named itself is followed, others are not."""
    if not os.path.lexists(source):
        raise NotFound(f"there is no {source}")
    top = os.stat(source)
    _check_kind(source, top.st_mode)
    if not stat.S_ISDIR(top.st_mode):
        return None
    tree = Tree(folders={"": (stat.S_IMODE(top.st_mode), top.st_mtime)})
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        with os.scandir(os.path.join(source, folder)) as entries:
            for entry in entries:
                name, status = posixpath.join(folder, entry.name), entry.stat(follow_symlinks=False)
                _check_kind(entry.path, status.st_mode)
                if entry.is_symlink():
                    tree.links[name] = os.readlink(entry.path)
                elif entry.is_dir():
                    tree.folders[name] = stat.S_IMODE(status.st_mode), status.st_mtime
                    waiting.append(name)
                else:
                    tree.files[name] = status.st_size
    return tree


async def look_there(sftp: asyncssh.SFTPClient, source: str) -> Tree | None:
    """Return what a folder of the instance holds; None for a file."""
    top = await sftp.stat(source)
    _check_kind(source, top.permissions or 0)
    if not stat.S_ISDIR(top.permissions or 0):
        return None
    tree = Tree(folders={"": (stat.S_IMODE(top.permissions or 0), top.mtime or 0)})
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        async for entry in sftp.scandir(posixpath.join(source, folder)):
            own = str(entry.filename)
            if own in (".", ".."):
                continue
            name, mode = posixpath.join(folder, own), entry.attrs.permissions or 0
            if not own or "/" in own or "\0" in own or name in tree.links or name in tree.folders:
                raise UserError(
                    f"refused: the instance lists {own!r} in a folder, which no folder can hold", where=source
                )
            _check_kind(posixpath.join(source, name), mode)
            if stat.S_ISLNK(mode):
                tree.links[name] = str(await sftp.readlink(posixpath.join(source, name)))
            elif stat.S_ISDIR(mode):
                tree.folders[name] = stat.S_IMODE(mode), entry.attrs.mtime or 0
                waiting.append(name)
            else:
                tree.files[name] = entry.attrs.size or 0
    return tree


def _check_kind(path: str, mode: int) -> None:
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
        kind = _KINDS.get(stat.S_IFMT(mode), "special file")
        raise UserError(f"cannot copy: `{path}` is a {kind}", where=path)
