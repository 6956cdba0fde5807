"""Files that survive a kill: atomic writes, JSON records, exclusive locks, folders that go away whole.

Every function here may be interrupted at any instant; what a reader then finds is the old state or the new one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from launchbay.errors import StateError, UserError
from launchbay.onboard.process import is_taken
from launchbay.onboard.result import is_full, sync_folder

__all__ = [
    "discard",
    "explain_os_error",
    "first_failure",
    "locked",
    "make_folder",
    "read_json",
    "remove_temporaries",
    "remove_tree",
    "sha256_file",
    "write_atomic",
    "write_json",
]


def write_atomic(path: Path, data: bytes, *, durable: bool = False, private: bool = False) -> None:
    """Replace `path` by `data` in one step; with `durable`, only return once it is on the disk.

    One that is `private` can be read by nobody else, at no instant.
    """
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.unlink(missing_ok=True)  # it would keep the rights that it has
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666), "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
        if durable:
            sync_folder(str(path.parent))  # else the file is on the disk, and its new name is not
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def remove_temporaries(folder: Path) -> None:
    """Remove what `write_atomic` left in a folder where it was killed; what a living process writes stays."""
    for path in folder.glob(".*.tmp"):
        pid = path.name.split(".")[-2]
        if pid.isdigit() and not is_taken(int(pid)):
            path.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder with those above it; one that is there is fine. Raises UserError where there can be none."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:  # what is above it is there and takes no folders, as /proc does not
        what, hint = "the folder cannot be made", "LAUNCHBAY_HOME chooses another home"
        raise UserError(what, where=str(folder), hint=hint) from error


def write_json(path: Path, value: Mapping[str, Any], *, durable: bool = False) -> None:
    """Write a record atomically, keys sorted, so that equal records are equal files; any path can be in it."""
    text = json.dumps(value, indent=1, sort_keys=True)  # in ASCII: a file's name need not be UTF-8
    write_atomic(path, text.encode() + b"\n", durable=durable)


def read_json(path: Path) -> dict[str, Any]:
    """Read a record. Raises FileNotFoundError when there is none, StateError when it is damaged."""
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:
        raise StateError("record is damaged", where=str(path), hint="bay doctor") from error
    if not isinstance(value, dict):
        raise StateError("record is damaged: not an object", where=str(path), hint="bay doctor")
    return value


def sha256_file(path: Path) -> str:
    """Hash one file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True, shared: bool = False, inherit: bool = False) -> Iterator[bool]:
    """Hold an advisory lock on `path`; yield whether it was got (always True with `wait`).

    The kernel drops the lock when its holder dies, so there is never one to clean up by hand. With `inherit`, child
    processes started with ``close_fds=False`` hold it too: it is dropped when the last of them is gone.
    """
    make_folder(path.parent)
    mode = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.set_inheritable(descriptor, inherit)
    try:
        try:
            fcntl.flock(descriptor, mode)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)


def remove_tree(path: Path) -> None:
    """Remove a file or folder, also one that was sealed read-only; one that is not there is fine.

    Several processes may remove the same one at once, as two sweeps of the trash do.
    """
    for _ in range(_ROUNDS):
        with contextlib.suppress(FileNotFoundError):  # somebody else got there first: look what is left
            return _remove_once(path)
    return _remove_once(path)


_ROUNDS = 100


def _remove_once(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
    elif path.exists():
        try:
            shutil.rmtree(path)
        except PermissionError:  # sealed, and we are not root
            path.chmod(stat.S_IRWXU)
            for folder, names, _ in os.walk(path):
                for name in names:
                    inner = os.path.join(folder, name)
                    if not os.path.islink(inner):
                        os.chmod(inner, stat.S_IRWXU)
            shutil.rmtree(path)


def discard(path: Path, trash: Path) -> None:
    """Make `path` vanish in one step (a rename into `trash`), then remove it at leisure.

    Killed in between, the rest lies in `trash`, where no reader looks, until the next sweep of it.
    """
    trash.mkdir(parents=True, exist_ok=True)
    target = trash / f"{path.name}.{os.getpid()}"
    remove_tree(target)
    try:
        path.rename(target)
    except FileNotFoundError:
        return
    except PermissionError:
        os.chmod(path, stat.S_IRWXU)  # a sealed folder cannot be moved: its '..' entry would change
        path.rename(target)
    remove_tree(target)


def explain_os_error(error: OSError, doing: str) -> UserError:
    """Turn the operating system's refusal into a message that says what, where and what next."""
    where, why = first_failure(error)
    is_copy = isinstance(error, shutil.Error)  # it keeps the words of the errors, and not the errors
    if f"[Errno {errno.ENOSPC}]" in why if is_copy else is_full(error):
        return UserError(
            f"the disk is full while {doing}; nothing half-made was left",
            where=where,
            hint="free some space (`bay images` shows sizes), then the same command again",
        )
    if is_copy:
        return UserError(f"cannot copy while {doing}: {why}", where=where)
    if error.errno == errno.EROFS or isinstance(error, PermissionError):
        hint = "see who owns it; LAUNCHBAY_HOME chooses another home"
        return UserError(f"no permission while {doing}", where=where, hint=hint)
    return UserError(f"{why} while {doing}", where=where)


def first_failure(error: OSError) -> tuple[str, str]:
    """Return which file the system refused, and why; of many that could not be copied, the first."""
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list):
        where, _, why = error.args[0][0]
        return str(where), str(why)
    return str(error.filename or ""), error.strerror or str(error)
