"""A run's own copy of the folder that its script lies in: everything that a script may need, and nothing it may mix up."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection
from pathlib import Path

from launchbay.errors import UsageError
from launchbay.onboard.eventfiles import is_event_file

__all__ = ["copy_work"]

_NEVER_COPIED = (
    ".git",
    "__pycache__",
    ".venv",
    "venv",
    "node_modules",
    ".ipynb_checkpoints",
    ".mypy_cache",
    ".ruff_cache",
)
_MOST_BYTES = 1 << 30


def copy_work(script: Path, work: Path, *, data: Path | None, home: Path) -> None:
    """Copy a script's folder and link its data. The data itself is not copied: it may be large, and is the person's.

    The script comes along whatever it is called. Raises UsageError when it is more than anybody wants copied.
    """
    source = script.parent
    data = data.expanduser().resolve() if data else None
    # our own home may lie in the folder, and the copy with it: it would be copied into itself
    apart = {home.resolve(), *([data, source.resolve() / "data"] if data else [])}
    _refuse_too_large(source, apart)
    work.parent.mkdir(parents=True)

    def leave_out(folder: str, names: list[str]) -> set[str]:
        paths = [Path(folder) / name for name in names]
        return {path.name for path in paths if path != script and _left_out(path, apart)}

    shutil.copytree(source, work, symlinks=True, ignore=leave_out)
    _anchor_links(source, work)
    if data is not None:
        (work / "data").symlink_to(data)


def _anchor_links(source: Path, copy: Path) -> None:
    """Make relative links that leave the script's folder absolute: from the copy they would point nowhere."""
    for folder, folders, files in os.walk(copy):
        for name in folders + files:
            path = Path(folder) / name
            if path.is_symlink() and not os.path.isabs(target := os.readlink(path)):
                origin = source / path.relative_to(copy)
                meant = os.path.normpath(origin.parent / target)
                if not Path(meant).is_relative_to(source):
                    path.unlink()
                    path.symlink_to(meant)


def _left_out(path: Path, apart: Collection[Path]) -> bool:
    """Say whether a path stays behind: caches, environments, sockets, our home; with --data, whatever `data/` was there.

    Event files are those of an earlier training: curves would take both for one that was started again.
    """
    if path.name in _NEVER_COPIED or (path / "pyvenv.cfg").exists():
        return True
    if Path(os.path.realpath(path)) in apart or Path(os.path.realpath(path.parent), path.name) in apart:
        return True
    if path.is_dir():
        return False
    return is_event_file(str(path)) or not (path.is_file() or path.is_symlink())


def _refuse_too_large(top: Path, apart: Collection[Path]) -> None:
    total = 0
    for folder, folders, files in os.walk(top):
        folders[:] = [name for name in folders if not _left_out(Path(folder) / name, apart)]
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_size
        if total > _MOST_BYTES:
            raise UsageError(
                f"the script's folder {top} holds more than 1 GiB, and all of it would be copied",
                hint="put the script in a folder of its own, and give its data with --data DIR",
            )
