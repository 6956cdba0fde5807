"""What becomes of a home whose machine was made from an image of another: what was that one's is gone before anything else.

A baked machine image holds a whole disk: instances, runs and homes of the machine it was made of, and the keys that opened it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

from launchbay.errors import UsageError
from launchbay.files import locked, remove_tree, write_atomic
from launchbay.home import Home

__all__ = ["DOES"]

_OF_ITS_MACHINE = ("instances", "runs", "services", "shares", "spent", "elsewhere", "cloud", "tmp")
"""What of a home belongs to one machine; images and programs are the same anywhere."""
_RECORD = "machine.json"


def _settle(home: Home, request: Mapping[str, Any], _: BinaryIO, target: BinaryIO) -> None:
    """Make a home that of the machine `identity`, which only `keys` of its authorized ones may come in to. Idempotent.

    A home that has no machine yet is left as it is: a launch that was cut off goes on in it.
    """
    identity, keys = str(request["identity"]), [str(key) for key in request["keys"]]
    if not identity or not all(keys):
        raise UsageError("a machine and its keys must have names")
    record = home.root / _RECORD
    with locked(home.lock("afar")):
        before = _read(record)
        if before not in ("", identity):
            for name in _OF_ITS_MACHINE:
                remove_tree(home.root / name)
            for path in home.root.glob("state.db*"):
                path.unlink(missing_ok=True)
            _keep_keys(Path.home() / ".ssh" / "authorized_keys", keys)
        if before != identity:
            write_atomic(record, json.dumps({"v": 1, "identity": identity}).encode(), durable=True)
    target.write(json.dumps({"was": before}).encode() + b"\n")


def _read(record: Path) -> str:
    try:
        return str(json.loads(record.read_text(encoding="utf-8"))["identity"])
    except FileNotFoundError:
        return ""
    except (ValueError, KeyError, TypeError):
        return "damaged"


_TYPES = ("ssh-", "ecdsa-", "sk-")


def _key_of(line: str) -> str:
    """Return the key of a line, which is what follows its type; a comment is none, whatever it says."""
    words = [] if line.lstrip().startswith("#") else line.split()
    return next((key for type_, key in pairwise(words) if type_.startswith(_TYPES)), "")


def _keep_keys(path: Path, keys: list[str]) -> None:
    """Leave in a file of authorized keys only lines with one of these keys, none where there are none: who comes in has others.

    Where a key is named and no line has it, nothing is changed: nobody would come in any more.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return
    kept = [line for line in lines if _key_of(line) in keys]
    if kept != lines and (kept or not keys):
        mode = path.stat().st_mode & 0o777
        write_atomic(path, "".join(f"{line}\n" for line in kept).encode("utf-8", "surrogateescape"), private=True)
        os.chmod(path, mode)


DOES = {"settle": _settle}
"""What can be asked for."""
