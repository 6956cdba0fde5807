"""Files in a folder that somebody hostile may have filled: reached step by step from its descriptor, no link followed.

What is written in a box is written by anybody; a link in it may point at any file of the laptop. So the twin, which may
be root, never opens a path in there: it opens each folder on the way with O_NOFOLLOW, and only plain files at the end.
Nothing here may run while the host's box does, but for reading: a name can change between two steps, though never
into a link that is followed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator, Sequence

__all__ = ["Owner", "folder", "link", "make_folder", "make_mountpoint", "read", "remove", "write"]

Owner = tuple[int, int] | None
"""The user and group whose files these are; None: whose process this is."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LARGEST = 1 << 20


@contextlib.contextmanager
def folder(base: int, parts: Sequence[str]) -> Iterator[int]:
    """Open a folder below another. Raises OSError where a part is missing, a link, or no folder."""
    current = os.dup(base)
    try:
        for part in parts:
            below = os.open(_name(part), _FOLDER, dir_fd=current)
            os.close(current)
            current = below
        yield current
    finally:
        os.close(current)


def make_folder(base: int, path: str, *, mode: int = 0o755, owner: Owner = None) -> None:
    """Make a folder and those above it. Idempotent. Raises OSError where something that is no folder is in the way."""
    current = os.dup(base)
    try:
        for part in path.split("/"):
            try:
                below = os.open(_name(part), _FOLDER, dir_fd=current)
            except FileNotFoundError:
                os.mkdir(part, 0o700, dir_fd=current)
                below = os.open(part, _FOLDER, dir_fd=current)
                _give(below, owner)
                os.fchmod(below, mode)
            os.close(current)
            current = below
    finally:
        os.close(current)


def make_mountpoint(base: int, path: str, *, is_folder: bool, owner: Owner = None) -> None:
    """Make what something is mounted on, with the folders above. Idempotent.

    Raises OSError where a part is a link: bubblewrap would follow it, out of the box and into the laptop.
    """
    if is_folder:
        make_folder(base, path, owner=owner)
        return
    above, _, name = path.rpartition("/")
    if above:
        make_folder(base, above, owner=owner)
    with folder(base, above.split("/") if above else []) as parent:
        with contextlib.suppress(FileExistsError):
            made = os.open(_name(name), os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644, dir_fd=parent)
            _give(made, owner)
            os.close(made)
        if not stat.S_ISREG(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            raise OSError(errno.ELOOP, "not a plain file", path)


def read(base: int, path: str, *, most: int = _LARGEST) -> bytes | None:
    """Return what is in a plain file; None where there is none, where a part of the path is a link, or it is too large."""
    *above, name = path.split("/")
    try:
        with folder(base, above) as parent:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            with os.fdopen(os.open(_name(name), flags, dir_fd=parent), "rb") as file:
                about = os.fstat(file.fileno())
                # A file of several names may be one of the laptop's, linked here where the kernel allows that.
                if not stat.S_ISREG(about.st_mode) or about.st_nlink != 1:
                    return None
                data = file.read(most + 1)
    except OSError:
        return None
    return data if len(data) <= most else None


def write(base: int, path: str, data: bytes, *, mode: int = 0o644, owner: Owner = None) -> None:
    """Put a file in place, whole or not at all, over what had its name. Raises OSError."""
    *above, name = path.split("/")
    draft = f".{secrets.token_hex(8)}"
    with folder(base, above) as parent:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(draft, flags, 0o600, dir_fd=parent), "wb") as file:
            file.write(data)
            _give(file.fileno(), owner)
            os.fchmod(file.fileno(), mode)
        os.replace(draft, _name(name), src_dir_fd=parent, dst_dir_fd=parent)


def link(base: int, path: str, target: str) -> None:
    """Make a symbolic link, unless something has its name already."""
    *above, name = path.split("/")
    with folder(base, above) as parent, contextlib.suppress(FileExistsError):
        os.symlink(target, _name(name), dir_fd=parent)


def remove(base: int, name: str) -> None:
    """Remove whatever has a name in a folder, however deep and whatever its permissions; links go, not what they name.

    Idempotent. Folders below are first moved up to the top, so that neither their depth nor their names matter. Nothing
    may run that writes there.
    """
    try:
        about = os.stat(_name(name), dir_fd=base, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(about.st_mode):
        os.unlink(name, dir_fd=base)
        return
    with _opened(base, name) as top:
        waiting = _emptied(top, top)
        while waiting:
            current = waiting.pop()
            with _opened(top, current) as inner:
                waiting += _emptied(top, inner)
            os.rmdir(current, dir_fd=top)
    os.rmdir(name, dir_fd=base)


def _emptied(top: int, current: int) -> list[str]:
    """Remove the files of a folder, move its folders up to the top, and return the names that they have there."""
    found = []
    with os.scandir(current) as entries:
        listed = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in listed:
        if not is_folder:
            os.unlink(name, dir_fd=current)
            continue
        moved = f".{secrets.token_hex(16)}"
        with contextlib.suppress(PermissionError):  # a folder's own mode matters when its parent changes
            os.chmod(name, 0o700, dir_fd=current)  # listed as a folder, and nothing runs that could put a link there
        os.rename(name, moved, src_dir_fd=current, dst_dir_fd=top)
        found.append(moved)
    return found


@contextlib.contextmanager
def _opened(base: int, name: str) -> Iterator[int]:
    try:
        current = os.open(name, _FOLDER, dir_fd=base)
    except PermissionError:
        os.chmod(name, 0o700, dir_fd=base)
        current = os.open(name, _FOLDER, dir_fd=base)
    try:
        with contextlib.suppress(PermissionError):
            os.fchmod(current, 0o700)
        yield current
    finally:
        os.close(current)


def _name(part: str) -> str:
    if part in ("", ".", "..") or "/" in part or "\0" in part:
        raise OSError(errno.EINVAL, "not a name", part)
    return part


def _give(descriptor: int, owner: Owner) -> None:
    if owner is not None:
        os.fchown(descriptor, *owner)
