"""The program that moves files on a machine elsewhere: one question on standard input, one answer on standard output.

It is part of the Launchbay that was put there. What comes is a line of JSON, then bytes; what goes is the same.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from launchbay.afar.carrying import DOES as CARRYING
from launchbay.afar.carrying import UNTOUCHED_S
from launchbay.afar.names import hash_tree, is_inside
from launchbay.afar.settling import DOES as SETTLING
from launchbay.errors import Conflict, LaunchbayError, NotFound, StateError, UsageError
from launchbay.files import explain_os_error, locked, remove_tree, sha256_file, write_json
from launchbay.home import Home, find_home
from launchbay.images.image import find_image, image_folder
from launchbay.jsonable import error_line
from launchbay.onboard.eventfiles import is_event_file
from launchbay.store.records import read_run

__all__ = ["UNTOUCHED_S", "main"]

_PIECE = 1 << 20

Answer = Callable[[Mapping[str, Any]], None]


def main() -> int:
    """Answer one question; an error is one line of JSON on standard error."""
    request = json.loads(sys.stdin.buffer.readline())
    home = find_home(os.environ)
    try:
        _DOES[request["do"]](home, request, sys.stdin.buffer, sys.stdout.buffer)
    except LaunchbayError as error:
        sys.stderr.write(error_line(error) + "\n")
        return error.exit_code
    except OSError as error:
        sys.stderr.write(error_line(explain_os_error(error, f"answering {request['do']!r}")) + "\n")
        return 1
    return 0


def _say(target: BinaryIO, value: Mapping[str, Any]) -> None:
    target.write(json.dumps(value).encode() + b"\n")


# --- trees that are sent: a folder each, named by what is in it ----------------------------------------------------


def _tree(home: Home, request: Mapping[str, Any]) -> tuple[Path, Path]:
    """Return where a tree lies, and where it is put together."""
    name = str(request["tree"])
    if len(name) != 64 or not name.isalnum():
        raise UsageError(f"a tree must be named by its hash, got {name!r}")
    return home.root / "afar" / "trees" / name, home.root / "afar" / "half" / name


def _files(request: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return a tree's files: path -> (bytes, sha256, executable)."""
    files: dict[str, list[Any]] = request["files"]
    if not all(is_inside(path) for path in (*files, *request["links"])):
        raise UsageError("a tree must hold names that stay in it")
    if hash_tree(files, request["links"]) != request["tree"]:
        raise UsageError("a tree must be named by the hash of what is in it")
    return files


def _have(home: Home, request: Mapping[str, Any], _: BinaryIO, target: BinaryIO) -> None:
    """Say which bytes of a tree are not here yet: path -> how many of its bytes are."""
    (tree, half), files = _tree(home, request), _files(request)
    if tree.is_dir():
        changed = [path for path, file in files.items() if not _is_untouched(tree / path, file)]
        if not changed:
            return _say(target, {"folder": str(tree), "whole": True, "missing": {}})
        with locked(home.lock("afar")):  # somebody wrote into it: what is still right is kept
            half.parent.mkdir(parents=True, exist_ok=True)
            remove_tree(half)
            tree.rename(half)
        for path in changed:
            remove_tree(half / path)
    sizes = {path: _size(half / path) for path in files}
    missing = {path: sizes[path] for path, file in files.items() if sizes[path] != file[0] or not file[0]}
    return _say(target, {"folder": str(tree), "whole": False, "missing": missing})


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _is_untouched(path: Path, file: list[Any]) -> bool:
    try:
        status = path.lstat()
    except OSError:
        return False
    if not stat.S_ISREG(status.st_mode) or status.st_size != file[0]:
        return False
    return status.st_mtime == UNTOUCHED_S or sha256_file(path) == file[1]


def _put(home: Home, request: Mapping[str, Any], source: BinaryIO, target: BinaryIO) -> None:
    """Write pieces (path, offset, bytes) of a tree, as they follow on standard input."""
    _, half = _tree(home, request)
    for path, offset, count in request["pieces"]:
        if not is_inside(path):
            raise UsageError(f"{path!r} does not stay in the tree")
        (half / path).parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(half / path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o644), "r+b") as file:
            file.truncate(offset)
            file.seek(offset)
            file.write(source.read(count))
    _say(target, {})


def _finish(home: Home, request: Mapping[str, Any], _: BinaryIO, target: BinaryIO) -> None:
    """Give a tree its name, once every file is what it should be; say which are not."""
    (tree, half), files = _tree(home, request), _files(request)
    with locked(home.lock("afar")):
        if tree.is_dir():  # somebody else has sent the same
            remove_tree(half)
            return _say(target, {"wrong": []})
        half.mkdir(parents=True, exist_ok=True)
        wrong = [path for path, file in files.items() if sha256_file(half / path) != file[1]]
        for path in wrong:
            (half / path).unlink()
        if not wrong:
            for path, (_, _, executable) in files.items():
                (half / path).chmod(0o555 if executable else 0o444)
                os.utime(half / path, (UNTOUCHED_S, UNTOUCHED_S))
            for link, text in request["links"].items():
                with contextlib.suppress(FileExistsError):
                    (half / link).parent.mkdir(parents=True, exist_ok=True)
                    (half / link).symlink_to(text)
            tree.parent.mkdir(parents=True, exist_ok=True)
            half.rename(tree)
    return _say(target, {"wrong": wrong})


# --- runs that are brought home ------------------------------------------------------------------------------------


def _run_folder(home: Home, request: Mapping[str, Any]) -> Path:
    name = str(request["run"])
    if not is_inside(name) or "/" in name or not (home.runs / name).is_dir():
        raise NotFound(f"there is no run {name!r} on that machine")
    return home.runs / name


def _list(home: Home, request: Mapping[str, Any], _: BinaryIO, target: BinaryIO) -> None:
    """List a run's files and links, and how it stands; `hashed` asks for the sha256 of each file as well."""
    folder = _run_folder(home, request)
    try:
        run = read_run(folder)  # first: what a run that is over holds is whole
    except FileNotFoundError:
        raise NotFound(f"the run {folder.name} is not begun") from None
    files: dict[str, list[Any]] = {}
    links: dict[str, str] = {}
    for path in _walk(folder):
        name = path.relative_to(folder).as_posix()
        with contextlib.suppress(FileNotFoundError):  # gone meanwhile
            status = path.lstat()
            if stat.S_ISLNK(status.st_mode):
                links[name] = os.readlink(path)
            elif stat.S_ISREG(status.st_mode):
                sha256 = sha256_file(path) if request["hashed"] else None
                files[name] = [status.st_size, status.st_mtime_ns, is_event_file(str(path)), sha256]
    _say(target, {"home": str(home.root), "state": run.state, "over": run.is_over, "files": files, "links": links})


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        yield from (Path(parent, name) for name in sorted([*names, *links]))


def _read(home: Home, request: Mapping[str, Any], _: BinaryIO, target: BinaryIO) -> None:
    """Answer with pieces (path, offset, bytes) of a run's files, one after the other, each less than asked at its end."""
    folder = _run_folder(home, request)
    pieces = []
    for name, offset, count in request["pieces"]:
        if not is_inside(name):
            raise UsageError(f"{name!r} is not in the run")
        with open(os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            file.seek(offset)
            pieces.append(file.read(count))
    _say(target, {"sizes": [len(piece) for piece in pieces]})
    target.writelines(pieces)


def _take_run(home: Home, request: Mapping[str, Any], _: BinaryIO, target: BinaryIO) -> None:
    """Make a run out of a tree that was sent, with the records and times that are told, in one step.

    One that is here already is replaced: what was sent is what became of it since. Raises Conflict when it goes on here.
    """
    name, tree = str(request["run"]), _tree(home, request)[0]
    inner = [*request["records"], *request["times"]]
    if not is_inside(name) or "/" in name or not all(is_inside(path) for path in inner) or not tree.is_dir():
        raise UsageError("a run must be named by its id, and made of a tree that was sent")
    folder, draft = home.runs / name, home.tmp / f"new-{name}-{os.getpid()}"
    with locked(home.lock("create"), shared=True):  # no sweep takes the draft for one that was left
        remove_tree(draft)
        shutil.copytree(tree, draft, symlinks=True)
        for path in (draft, *_walk_all(draft)):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        for path, changed in request["times"].items():
            os.utime(draft / path, ns=(changed, changed))
        for part in ("work", "checkpoints"):
            (draft / part).mkdir(exist_ok=True)
        if request["data"]:
            (draft / "work" / "data").symlink_to(request["data"])
        for path, record in request["records"].items():
            (draft / path).parent.mkdir(parents=True, exist_ok=True)
            write_json(draft / path, record, durable=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists():
            with contextlib.suppress(FileNotFoundError, StateError):
                if not read_run(folder).is_over:
                    remove_tree(draft)
                    raise Conflict(f"{name} still goes on", hint=f"bay logs {name} -f, or first: bay stop {name}")
            old = home.trash / f"{name}-{os.getpid()}"
            old.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(old)
            draft.rename(folder)
            remove_tree(old)
        else:
            draft.rename(folder)
    _say(target, {})


def _walk_all(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        yield from (Path(parent, name) for name in [*folders, *names])


# --- images that are there already ---------------------------------------------------------------------------------


def _link_images(home: Home, request: Mapping[str, Any], _: BinaryIO, target: BinaryIO) -> None:
    """Take images in that lie, built, in folders of this machine: by a link each. Say which are there then."""
    found = []
    for digest in request["digests"]:
        link = image_folder(home, digest)
        for folder in request["folders"]:
            place = Path(folder) / digest
            if not os.path.lexists(link) and (place / "record.json").is_file():
                home.images.mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(FileExistsError):
                    link.symlink_to(place)
        with contextlib.suppress(StateError):
            if find_image(home, digest) is not None:
                found.append(digest)
    _say(target, {"found": found})


# --- services that are reached through a tunnel ---------------------------------------------------------------------


def _token(home: Home, request: Mapping[str, Any], _: BinaryIO, target: BinaryIO) -> None:
    """Tell the token of a service of this home; no other file is read."""
    file = Path(request["file"])
    if file.name != "token" or file.parent.parent != home.services or ".." in file.parts:
        raise UsageError("that is no token of a service here")
    _say(target, {"token": file.read_text(encoding="ascii").strip()})


_DOES: dict[str, Callable[[Home, Mapping[str, Any], BinaryIO, BinaryIO], None]] = {
    "have": _have,
    "put": _put,
    "finish": _finish,
    "list": _list,
    "read": _read,
    "take run": _take_run,
    "link images": _link_images,
    "token": _token,
    **CARRYING,
    **SETTLING,
}
