"""What a run's folder holds that outlives its instance, and how it is looked at while the run writes to it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import time

from .eventfiles import is_event_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

__all__ = ["Found", "Look", "find_files", "is_of_set", "is_result", "look_at"]

_TOP = re.compile(r"(output\.log|supervisor\.log|record\.json|result\.json)\Z")
_OF_ATTEMPT = re.compile(r"\d{1,6}/(supervisor\.log|record\.json|result\.json)\Z")
_SET = "checkpoints/"
"""Files that belong together: a checkpoint is its arrays and the manifest that names them."""

_TRIES = 5
_PAUSE_S = 0.05


class Found:
    """The files (name -> size, when changed in ns, inode) and links (name -> target) of a run."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[int, int, int]] = {}
        self.links: dict[str, str] = {}

    def of_set(self) -> dict[str, tuple[int, int, int]]:
        """Return the files that belong together."""
        return {name: mark for name, mark in self.files.items() if is_of_set(name)}


class Look:
    """A file as it was found: `path` is where it is read, `mark` tells whether it is another by now.

    One that `is_growing` is only ever added to. Those that are of the `is_set` are as they were at one moment.
    """

    def __init__(self, name: str, path: str, mark: tuple[int, int, int], *, is_growing: bool, is_set: bool) -> None:
        self.name = name
        self.path = path
        self.mark = mark
        self.is_growing = is_growing
        self.is_set = is_set

    def is_same(self) -> bool:
        """Say whether the file is still what was found."""
        try:
            return _mark(os.lstat(self.path)) == self.mark
        except OSError:
            return False


def _mark(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ino


def is_of_set(name: str) -> bool:
    """Say whether a file belongs together with others."""
    return name.startswith(_SET)


def is_result(name: str) -> bool:
    """Say whether a file says how the run, or an attempt of it, ended."""
    return name.endswith("result.json") and not name.startswith(("work/", _SET))


def find_files(run: str) -> Found:
    """Find what a run's folder holds: its records, logs, work and checkpoints, and nothing else that lies there."""
    found = Found()
    for name in ("output.log", "supervisor.log", "record.json", "result.json"):
        _add(found, run, name)
    for number in _listed(os.path.join(run, "attempts")):
        for name in ("supervisor.log", "record.json", "result.json"):
            if _OF_ATTEMPT.match("{}/{}".format(number, name)):
                _add(found, run, "attempts/{}/{}".format(number, name))
    for part in ("work", "checkpoints"):
        _add_all(found, run, part)
    return found


def _add_all(found: Found, run: str, part: str) -> None:
    for folder, folders, names in os.walk(os.path.join(run, part)):
        inner = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in [*names, *inner]:
            _add(found, run, os.path.relpath(os.path.join(folder, name), run))


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _add(found: Found, run: str, name: str) -> None:
    path = os.path.join(run, name)
    with contextlib.suppress(OSError):  # gone meanwhile
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            found.links[name] = os.readlink(path)
        elif stat.S_ISREG(status.st_mode):
            found.files[name] = _mark(status)


@contextlib.contextmanager
def look_at(run: str, scratch: str, found: Found) -> Iterator[list[Look]]:
    """Give the files to read. Those of the set are held by further names, so that they stay while the script replaces them.

    Nothing changed among them between two looks, so they are what a kill at that instant would have left. Where they never
    hold still, they are left out.
    """
    place = os.path.join(scratch, "held")
    shutil.rmtree(place, ignore_errors=True)
    looks = []
    for name, mark in found.files.items():
        if not is_of_set(name):
            path = os.path.join(run, name)
            is_growing = name == "output.log" or (name.startswith("work/") and is_event_file(path))
            looks.append(Look(name, path, mark, is_growing=is_growing, is_set=not name.startswith("work/")))
    try:
        looks += _hold(run, place, found)
        yield looks
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _hold(run: str, place: str, found: Found) -> list[Look]:
    """Hold the set, and let `found` be what is held; where it never holds still, hold nothing and change nothing."""
    before = found.of_set()
    for attempt in range(_TRIES):
        held = [_held(run, place, number, name, mark) for number, (name, mark) in enumerate(before.items())]
        again = _find_set(run)
        if again == before:
            found.files = {**{name: mark for name, mark in found.files.items() if not is_of_set(name)}, **before}
            return held
        shutil.rmtree(place, ignore_errors=True)
        before = again
        if attempt + 1 < _TRIES:
            time.sleep(_PAUSE_S)
    return []


def _find_set(run: str) -> dict[str, tuple[int, int, int]]:
    found = Found()
    _add_all(found, run, _SET.rstrip("/"))
    return found.files


def _held(run: str, place: str, number: int, name: str, mark: tuple[int, int, int]) -> Look:
    path, link = os.path.join(run, name), os.path.join(place, str(number))
    try:
        os.makedirs(place, exist_ok=True)
        os.link(path, link, follow_symlinks=False)
        path = link
    except OSError:  # a file system without further names: what is replaced meanwhile is seen by its mark
        pass
    return Look(name, path, mark, is_growing=False, is_set=True)
