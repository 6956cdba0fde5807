"""Copy files and folders to an instance and back, over SFTP."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import os
import posixpath
import shlex
import stat
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from launchbay.errors import NotFound, UserError
from launchbay.files import explain_os_error
from launchbay.transport.connection import NotBegun
from launchbay.transport.foldertree import look_here, look_there
from launchbay.transport.trouble import ConnectionBroken

if TYPE_CHECKING:
    import asyncssh

__all__ = ["Progress", "get_path", "put_path"]

Progress = Callable[[int, int], None]
"""Told how many bytes of how many are there."""

_AT_ONCE = 8
"""Files under way at a time: small ones wait for the network's answers, and not for its width."""

_OF_THE_NETWORK = {
    errno.ECONNABORTED,
    errno.ECONNRESET,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.EPIPE,
    errno.ETIMEDOUT,
}
_numbers = itertools.count(1)


async def put_path(
    connection: asyncssh.SSHClientConnection, source: str, target: str, progress: Progress | None
) -> None:
    """Copy to the instance. Raises NotFound or UserError, and then no file has its name that is not whole."""
    try:
        tree = look_here(source)
    except OSError as error:
        raise explain_os_error(error, "copying") from error
    async with _session(connection) as sftp:
        with _named(target):
            is_folder = await sftp.isdir(target)
        if is_folder or (target.endswith("/") and tree is None):
            target = posixpath.join(target, os.path.basename(source.rstrip("/")))
        with _named(target):
            await sftp.makedirs(posixpath.dirname(target) or ".", exist_ok=True)
        if tree is None:
            real, size = _real(source)
            await _put_file(sftp, real, target, _Meter(progress, size))
            return
        meter = _Meter(progress, sum(tree.files.values()))
        for name in tree.folders:
            await _make_there(sftp, _join(target, name))
        await _all(_put_file(sftp, os.path.join(source, name), _join(target, name), meter) for name in tree.files)
        await _link_there(connection, {_join(target, name): leads for name, leads in tree.links.items()})
        for name, (mode, changed) in reversed(tree.folders.items()):
            with _named(_join(target, name)):
                await sftp.chmod(_join(target, name), mode)
                await sftp.utime(_join(target, name), (changed, changed))


async def get_path(
    connection: asyncssh.SSHClientConnection, source: str, target: str, progress: Progress | None
) -> None:
    """Copy from the instance. Raises NotFound or UserError, and then no file has its name that is not whole.

    The instance is not trusted: a name that is a path is refused, and so is a link of ours below `target` where it has
    a folder.
    """
    async with _session(connection) as sftp:
        with _named(source):
            tree = await look_there(sftp, source)
            size = (await sftp.stat(source)).size or 0
        target = _aim(target, posixpath.basename(source.rstrip("/")), is_file=tree is None)
        if tree is None:
            await _get_file(sftp, source, target, _Meter(progress, size), is_followed=True)
            return
        meter = _Meter(progress, sum(tree.files.values()))
        for name in tree.folders:
            _make_here(os.path.join(target, name), is_top=not name)
        await _all(_get_file(sftp, _join(source, name), os.path.join(target, name), meter) for name in tree.files)
        for name, leads in tree.links.items():
            _link_here(leads, os.path.join(target, name))
        for name, (mode, changed) in reversed(tree.folders.items()):
            os.chmod(os.path.join(target, name), mode | stat.S_IRWXU)
            os.utime(os.path.join(target, name), (changed, changed))


@contextlib.asynccontextmanager
async def _session(connection: asyncssh.SSHClientConnection) -> AsyncIterator[asyncssh.SFTPClient]:
    import asyncssh

    try:
        client = await connection.start_sftp_client(path_encoding="utf-8", path_errors="surrogateescape")
    except (asyncssh.ConnectionLost, asyncssh.ChannelOpenError, OSError) as error:
        raise NotBegun from error
    except asyncssh.Error as error:
        raise UserError(f"the instance's SSH server copies no files: {error.reason}") from error
    try:
        async with client:
            yield client
    except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, asyncssh.ConnectionLost) as error:
        raise _broken() from error
    except OSError as error:
        if error.errno in _OF_THE_NETWORK and error.filename is None:
            raise _broken() from error
        raise explain_os_error(error, "copying") from error


def _broken() -> ConnectionBroken:
    hint = "the same command again: no file has its name that is not whole"
    return ConnectionBroken("the connection was lost while files were copied", hint=hint)


@contextlib.contextmanager
def _named(path: str) -> Iterator[None]:
    """Say which path the instance refused, which SFTP does not."""
    import asyncssh

    try:
        yield
    except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath) as error:
        raise NotFound(f"there is no {path}") from error
    except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection):
        raise
    except asyncssh.SFTPError as error:
        raise UserError(f"cannot copy: {error.reason}", where=path) from error


class _Meter:
    """Adds up what the files under way have done."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done: dict[bytes, int] = {}

    def __call__(self, source: bytes, _target: bytes, done: int, _size: int) -> None:
        self._done[source] = done
        if self._progress:
            self._progress(sum(self._done.values()), self._total)


async def _all(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do many things, so many at a time; the first that fails ends the others."""
    left = iter(works)

    async def work() -> None:
        for item in left:
            await item

    tasks = [asyncio.create_task(work()) for _ in range(_AT_ONCE)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _real(path: str) -> tuple[str, int]:
    """Return the file that a path names, and its size."""
    return os.path.realpath(path), os.path.getsize(path)


def _aim(target: str, name: str, *, is_file: bool) -> str:
    """Return where a copy goes that is aimed at a path of ours, whose folders are made."""
    if os.path.isdir(target) or (target.endswith("/") and is_file):
        target = os.path.join(target, name)
    os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
    return target


def _join(top: str, name: str) -> str:
    return posixpath.join(top, name) if name else top


def _part(path: str) -> str:
    """Return what a file is called until it is whole."""
    folder, name = posixpath.split(path)
    return posixpath.join(folder, f".{name[:200]}.{os.getpid()}-{next(_numbers)}.part")


async def _put_file(sftp: asyncssh.SFTPClient, source: str, target: str, meter: _Meter) -> None:
    part = _part(target)
    with _named(target):
        try:
            await sftp.put(source, part, preserve=True, progress_handler=meter)
            await sftp.posix_rename(part, target)
        except BaseException:
            await _remove_there(sftp, part)
            raise


async def _get_file(
    sftp: asyncssh.SFTPClient, source: str, target: str, meter: _Meter, *, is_followed: bool = False
) -> None:
    part = _part(target)
    with _named(source):
        try:
            await sftp.get(source, part, preserve=True, follow_symlinks=is_followed, progress_handler=meter)
            os.replace(part, target)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(part)
            raise


async def _make_there(sftp: asyncssh.SFTPClient, path: str) -> None:
    with _named(path):
        if not await sftp.lexists(path):
            await sftp.mkdir(path)
        elif not await sftp.isdir(path):
            raise UserError("cannot copy: there is a file where a folder has to be", where=path)


def _make_here(path: str, *, is_top: bool) -> None:
    if os.path.islink(path) and not is_top:
        raise UserError("refused: there is a link where a folder has to be, and it may lead anywhere", where=path)
    os.makedirs(path, exist_ok=True)


async def _link_there(connection: asyncssh.SSHClientConnection, links: Mapping[str, str]) -> None:
    """Make links, by path, with the instance's own shell.

    SFTP's request has two meanings, after what servers call themselves: taken for the other, it would write a link to
    where ours leads.
    """
    lines = []
    for path, leads in links.items():
        here = shlex.quote(path)
        lines.append(f"if [ -d {here} ] && [ ! -L {here} ]; then echo a folder is there: {here} >&2; exit 1; fi\n")
        lines.append(f"ln -sfn -- {shlex.quote(leads)} {here} || exit 1\n")
    if not lines:
        return
    done = await connection.run("/bin/sh -s", input="".join(lines).encode("utf-8", "surrogateescape"), encoding=None)
    if done.returncode is None:
        raise ConnectionBroken("the connection was lost while links were made", hint="the same command again")
    if done.returncode:
        words = done.stderr if isinstance(done.stderr, bytes) else b""
        raise UserError(f"cannot copy a link: {words.decode(errors='replace').strip()}")


def _link_here(leads: str, path: str) -> None:
    part = _part(path)
    os.symlink(leads, part)
    try:
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise


async def _remove_there(sftp: asyncssh.SFTPClient, path: str) -> None:
    """Remove what was begun. If the connection is gone it stays, under a name that says what it is."""
    import asyncssh

    with contextlib.suppress(asyncssh.Error, OSError):
        await asyncio.shield(sftp.remove(path))
