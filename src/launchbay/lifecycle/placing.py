"""Put a baked recipe with its lock and files where a person wants it, and replace nothing of somebody else's."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from pathlib import Path

from launchbay.errors import Conflict
from launchbay.files import remove_tree
from launchbay.images.carried import list_carried
from launchbay.images.lock import Lock, lock_path
from launchbay.planning.fleet import Instance

__all__ = ["place", "sign"]

_HEAD = re.compile(r"# baked from (?P<name>\S+) \((?P<id>\S+)\), sha256 of what follows (?P<hash>[0-9a-f]{64})\n")


def sign(text: str, instance: Instance) -> str:
    """Return a recipe under a head by which it is known again, as long as nobody touched it."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"# baked from {instance.name} ({instance.id}), sha256 of what follows {digest}\n{text}"


def place(draft: Path, target: Path, lock: Lock, instance: Instance) -> bool:
    """Put files, lock and recipe beside each other, the recipe last; say whether an earlier one was replaced.

    `draft` is the recipe as it was made, its folder of files beside it. Killed at any instant, the same call goes on.
    Raises Conflict for what is there already, unless it is the same, or was baked from this instance and not touched
    since.
    """
    made, files = _files(draft), _files(target)
    locked_at, text = lock_path(target, lock.target), lock.text().encode()
    taken = [path for path in (target, files, locked_at) if os.path.lexists(path)]
    same = {
        target: _holds(target, draft.read_bytes()),
        locked_at: _holds(locked_at, text),
        files: files.is_dir() and made.exists() and list_carried(files) == lock.files,
    }
    others = [path for path in taken if not same[path]]
    if others and not _is_ours(target, instance):
        what = f"{others[0].name} is there already, and is not what this command would write"
        raise Conflict(what, where=str(others[0]), hint="--name ANOTHER, or move it away")
    half = files.with_name(f".{files.name}.tmp")
    remove_tree(half)
    if not same[files]:
        if made.exists():
            shutil.copytree(made, half, symlinks=True)
        remove_tree(files)
        if made.exists():
            os.rename(half, files)
    for path, data in ((locked_at, text), (target, draft.read_bytes())):
        half = path.with_name(f".{path.name}.tmp")  # of one name, so that nothing stays of one who was killed
        half.write_bytes(data)
        os.replace(half, path)
    return bool(others)


def _files(recipe: Path) -> Path:
    return recipe.with_name(f"{recipe.stem}.files")


def _holds(path: Path, data: bytes) -> bool:
    return path.is_file() and path.read_bytes() == data


def _is_ours(path: Path, instance: Instance) -> bool:
    """Say whether a recipe was baked from this instance and has not been touched since."""
    if not path.is_file():
        return False
    text = path.read_bytes().decode(errors="replace")
    head = _HEAD.match(text)
    rest = text[head.end() :].encode() if head else b""
    return head is not None and head["id"] == instance.id and hashlib.sha256(rest).hexdigest() == head["hash"]
