"""A folder of links to the event files of runs, kept as the runs are: what TensorBoard is shown, and nothing else.

TensorBoard walks all that lies in a log folder, again and again, and through links: a run's data, its checkpoints and
its embeddings would be walked too. Here it finds event files alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil

from .eventfiles import is_event_file
from .process import process_alive

TYPE_CHECKING = False  # `typing` would cost a tenth of what a supervisor does
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Links"]

_MOST = 60  # characters of a script's arguments: they stand beside a run's name


class Links:
    """The links in `folder`, to runs in `runs`. `refresh` may be called at any time, and makes them what they should be."""

    def __init__(self, folder: str, runs: str) -> None:
        self.folder = folder
        self.runs = runs
        self.known: dict[str, dict[str, str]] = {}

    def refresh(self, selection: dict[str, Any]) -> None:
        """Link the event files of every run that `selection` means; unlink what it does not mean any more."""
        wanted: dict[str, str] = {}
        for name in sorted(os.listdir(self.runs)) if os.path.isdir(self.runs) else []:
            with contextlib.suppress(OSError, TypeError, ValueError):  # half-made or damaged
                record = _read(os.path.join(self.runs, name, "record.json"))
                if is_meant(name, record, selection):
                    wanted.update(self._files(name, record))
        for path in set(_links(self.folder)) - set(wanted):
            os.unlink(os.path.join(self.folder, path))
        for path, target in wanted.items():
            place = os.path.join(self.folder, path)
            if not os.path.islink(place):
                os.makedirs(os.path.dirname(place), exist_ok=True)
                os.symlink(target, place)
        _remove_empty(self.folder)

    def _files(self, name: str, record: dict[str, Any]) -> dict[str, str]:
        """Return where the event files of a run shall appear, and where they lie; looked for once, when it is over."""
        if name in self.known:
            return self.known[name]
        folder = os.path.join(self.runs, name)
        goes_on = _goes_on(folder)  # asked first: what is written between the two is found at the next look
        work = os.path.join(folder, "work")
        shown = _shown(name, record)
        found = {}
        for parent, _, files in os.walk(work):
            for file in files:
                path = os.path.join(parent, file)
                if is_event_file(path):
                    found[os.path.normpath(os.path.join(shown, os.path.relpath(path, work)))] = path
        if not goes_on:
            self.known[name] = found
        return found


def is_meant(name: str, record: dict[str, Any], selection: dict[str, Any]) -> bool:
    """Say whether a run is one of those selected: by id, by the id of its instance, by the name of instance or fleet."""
    asked = (
        (name, selection.get("runs")),
        (record.get("instance_id"), selection.get("instance_ids")),
        (record.get("instance"), selection.get("instances")),
        (record.get("fleet"), selection.get("fleets")),
    )
    return not any(names for _, names in asked) or any(names and value in names for value, names in asked)


def _shown(name: str, record: dict[str, Any]) -> str:
    """Return a run's name with the arguments of its script, as one name of a folder."""
    words = " ".join(str(item) for item in record.get("args") or [])
    words = "".join(letter if letter.isprintable() and letter != "/" else "_" for letter in words)
    return "{} {}".format(name, words if len(words) <= _MOST else words[: _MOST - 1] + "…").strip()


def _goes_on(folder: str) -> bool:
    if os.path.exists(os.path.join(folder, "result.json")) and not os.path.exists(
        os.path.join(folder, "result.reserve")
    ):
        return False
    try:
        process = _read(os.path.join(folder, "process.json"))
    except OSError:
        return True  # it is being started
    return process_alive(process)


def _read(path: str) -> dict[str, Any]:
    with open(path, encoding="utf-8") as file:
        value = json.load(file)
    if not isinstance(value, dict):
        raise TypeError("not an object: {}".format(path))
    return value


def _links(folder: str) -> list[str]:
    return [
        os.path.relpath(os.path.join(parent, name), folder) for parent, _, names in os.walk(folder) for name in names
    ]


def _remove_empty(folder: str) -> None:
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if not _links(path):
            shutil.rmtree(path)
