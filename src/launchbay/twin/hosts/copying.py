"""A copy of all the files of a host, for an image that is made of it: whoever filled the folder may be hostile.

As in `tree`: each folder is opened step by step and no link is followed. The copy is made where no box looks, so only the source
may change meanwhile.
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import os
import stat
from collections.abc import Collection
from dataclasses import dataclass, field

from launchbay.twin.hosts import tree
from launchbay.twin.hosts.tree import Owner

__all__ = ["copy_tree"]

_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_NO_RANGE = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
_PIECE = 1 << 26
_READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_WRITING = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_Parts = tuple[str, ...]


def copy_tree(source: int, target: int, *, owner: Owner = None, without: Collection[str] = ()) -> None:
    """Copy what is in a folder into an empty one: folders, files, links as links, times and modes.

    Files of several names stay one file. Holes stay holes, and where the file system can share blocks, it does. Sockets, pipes
    and devices are left out, and so is what matches `without` (patterns of paths in the folder). Raises OSError.
    """
    _Copying(source, target, owner, tuple(without)).go()


@dataclass(frozen=True, slots=True)
class _Copying:
    source: int
    target: int
    owner: Owner
    without: tuple[str, ...]
    folders: list[tuple[_Parts, int]] = field(default_factory=list)
    copied: dict[tuple[int, int], _Parts] = field(default_factory=dict)

    def go(self) -> None:
        waiting: list[_Parts] = [()]
        while waiting:
            waiting += self._folder(waiting.pop())
        for parts, mode in reversed(self.folders):  # last, since one that may not be written into could not be filled
            *above, name = parts
            with tree.folder(self.target, above) as parent:
                os.chmod(name, mode, dir_fd=parent)

    def _folder(self, parts: _Parts) -> list[_Parts]:
        """Copy what is in a folder, and return the folders in it, which are empty yet."""
        below: list[_Parts] = []
        with contextlib.ExitStack() as stack:
            try:
                source = stack.enter_context(tree.folder(self.source, parts))
            except OSError as error:
                if error.errno in _GONE:  # it went, or became something else, since it was listed
                    return below
                raise
            target = stack.enter_context(tree.folder(self.target, parts))
            for name in os.listdir(source):
                path = (*parts, name)
                if any(fnmatch.fnmatchcase("/".join(path), pattern) for pattern in self.without):
                    continue
                try:
                    about = os.stat(name, dir_fd=source, follow_symlinks=False)
                    if stat.S_ISLNK(about.st_mode):
                        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
                        self._give(name, target)
                except FileNotFoundError:
                    continue
                if stat.S_ISDIR(about.st_mode):
                    os.mkdir(name, 0o700, dir_fd=target)
                    self._give(name, target)
                    self.folders.append((path, about.st_mode & 0o1777))
                    below.append(path)
                elif stat.S_ISREG(about.st_mode):
                    self._file(source, target, path, about)
        return below

    def _file(self, source: int, target: int, path: _Parts, about: os.stat_result) -> None:
        """Copy a file, or give the copy that there is of it another name."""
        name, key = path[-1], (about.st_dev, about.st_ino)
        if about.st_nlink > 1 and key in self.copied:
            *above, first = self.copied[key]
            with tree.folder(self.target, above) as parent:
                os.link(first, name, src_dir_fd=parent, dst_dir_fd=target, follow_symlinks=False)
            return
        try:
            reading = os.open(name, _READING, dir_fd=source)
        except OSError as error:
            if error.errno in _GONE:
                return
            raise
        with os.fdopen(reading, "rb", buffering=0):
            found = os.fstat(reading)
            if not stat.S_ISREG(found.st_mode):
                return
            if found.st_nlink > 1 and found.st_uid != os.fstat(self.source).st_uid:
                return  # linked here from elsewhere: what the box may not read is not read for it
            with os.fdopen(os.open(name, _WRITING, 0o600, dir_fd=target), "wb", buffering=0) as made:
                _fill(reading, made.fileno(), found.st_size)
                if self.owner is not None:
                    os.fchown(made.fileno(), *self.owner)
                os.fchmod(made.fileno(), found.st_mode & 0o777)
                os.utime(made.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))
        self.copied[key] = path

    def _give(self, name: str, parent: int) -> None:
        if self.owner is not None:
            os.chown(name, *self.owner, dir_fd=parent, follow_symlinks=False)


def _fill(reading: int, writing: int, size: int) -> None:
    """Copy the parts of a file that hold something."""
    offset = 0
    while offset < size:
        try:
            begin = os.lseek(reading, offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole from here on
                break
            raise
        end = min(os.lseek(reading, begin, os.SEEK_HOLE), size)
        offset = end if end > offset else size
        while begin < end:
            count = _piece(reading, writing, min(end - begin, _PIECE), begin)
            if not count:
                break
            begin += count
    os.ftruncate(writing, size)


def _piece(reading: int, writing: int, count: int, at: int) -> int:
    try:
        return os.copy_file_range(reading, writing, count, at, at)
    except OSError as error:
        if error.errno not in _NO_RANGE:
            raise
    return os.pwrite(writing, os.pread(reading, min(count, 1 << 20), at), at)
