"""What the program on a machine elsewhere does with a store: fetch from it, and let a courier send a run's news to it.

What is signed comes on standard input and stays in memory; it stands in no argument, file or log.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from launchbay.afar.names import hash_tree, is_inside
from launchbay.errors import NotFound, UsageError, UserError
from launchbay.files import locked, read_json, remove_tree, sha256_file, write_json
from launchbay.home import Home
from launchbay.onboard.refused import Refused
from launchbay.transport.base import OF_STARTER

__all__ = ["DOES", "UNTOUCHED_S"]

UNTOUCHED_S = 1_000_000_000
"""When every file of a tree was last changed, seconds since 1970: a file with another time is another file by now."""


def _say(target: BinaryIO, value: Mapping[str, Any]) -> None:
    target.write(json.dumps(value).encode() + b"\n")


def _hash_named(request: Mapping[str, Any], field: str) -> str:
    name = str(request[field])
    if len(name) != 64 or not name.isalnum():
        raise UsageError(f"a {field} must be named by its hash, got {name!r}")
    return name


def _fetch(home: Home, request: Mapping[str, Any], _: BinaryIO, target: BinaryIO) -> None:
    """Fetch what is missing of a tree, or of a source, to where it is put together."""
    half = home.root / "afar" / "half" / _hash_named(request, "tree")
    if not all(is_inside(path) for group in request["groups"] for get in group for path, _, _ in get["spans"]):
        raise UsageError("a tree must hold names that stay in it")
    half.mkdir(parents=True, exist_ok=True)
    from launchbay.onboard.fetching import fetch  # it brings HTTP, which no other question pays for

    try:
        _say(target, {"bytes": fetch(str(half), request["groups"])})
    except Refused as refused:
        raise UserError(refused.what, where=refused.where, hint=refused.hint) from refused


# --- what lies in somebody's bucket: known by what S3 says of it, named by its hash once it is here ------------------


def _have_source(home: Home, request: Mapping[str, Any], _: BinaryIO, target: BinaryIO) -> None:
    """Say whether what a listing speaks of is here as a tree, or how many bytes of each of its files are."""
    source, half = _source(home, request)
    if source.is_file():
        tree = home.root / "afar" / "trees" / str(read_json(source)["tree"])
        if tree.is_dir():
            return _say(target, {"tree": tree.name, "folder": str(tree), "missing": {}})
    missing = {}
    for path, (size, _) in request["files"].items():
        here = (half / path).lstat().st_size if (half / path).is_file() else 0
        if here != size or not size:
            missing[path] = here
    return _say(target, {"tree": None, "folder": "", "missing": missing})


def _source(home: Home, request: Mapping[str, Any]) -> tuple[Path, Path]:
    name = _hash_named(request, "source")
    if not all(is_inside(path) for path in request["files"]):
        raise UsageError("a source must hold names that stay in it")
    return home.root / "afar" / "sources" / f"{name}.json", home.root / "afar" / "half" / name


def _finish_source(home: Home, request: Mapping[str, Any], _: BinaryIO, target: BinaryIO) -> None:
    """Make a tree of what was fetched, named by what is in it; say which files are not what S3 said of them."""
    from launchbay.onboard.fetching import md5_of

    source, half = _source(home, request)
    with locked(home.lock("afar")):
        half.mkdir(parents=True, exist_ok=True)
        wrong, files = [], {}
        for path, (size, md5) in request["files"].items():
            place = half / path
            is_right = place.is_file() and place.stat().st_size == size and (not md5 or md5_of(str(place)) == md5)
            if is_right:
                files[path] = [size, sha256_file(place), False]
            else:
                wrong.append(path)
                place.unlink(missing_ok=True)
        if wrong:
            return _say(target, {"wrong": wrong, "tree": None, "folder": "", "files": {}})
        tree = home.root / "afar" / "trees" / hash_tree(files, {})
        if tree.is_dir():
            remove_tree(half)
        else:
            for path in files:
                (half / path).chmod(0o444)
                os.utime(half / path, (UNTOUCHED_S, UNTOUCHED_S))
            tree.parent.mkdir(parents=True, exist_ok=True)
            half.rename(tree)
        write_json(source, {"version": 1, "tree": tree.name})
    return _say(target, {"wrong": [], "tree": tree.name, "folder": str(tree), "files": files})


# --- runs whose news is sent -----------------------------------------------------------------------------------------


def _start_courier(home: Home, request: Mapping[str, Any], _: BinaryIO, target: BinaryIO) -> None:
    """Start a courier for a run, in the place of one that is at it: it goes on where that one was."""
    from launchbay.transport.local import LocalTransport
    from launchbay.transport.onboard import install_onboard, parse_answer

    name = str(request["run"])
    if not is_inside(name) or "/" in name or not (home.runs / name).is_dir():
        raise NotFound(f"there is no run {name!r} on that machine")
    folder = home.runs / name / "courier"
    folder.mkdir(mode=0o700, exist_ok=True)
    own = {key: text for key, text in os.environ.items() if key not in OF_STARTER}
    transport = LocalTransport(environment=own, folder=str(folder))
    asked = {"v": 1, "run": str(home.runs / name), "home": str(home.root), "post": request["post"]}
    asked |= {"every_s": request["every_s"], "stored": request["stored"]}
    done = transport.start(
        [sys.executable, str(install_onboard(home)), "courier"],
        data=json.dumps(asked).encode(),
        errors=str(folder / "courier.log"),
        variables={},
    )
    words = (folder / "courier.log").read_bytes()
    _say(target, {"pid": parse_answer(done.stdout, what="the courier", words=words, code=done.code)["pid"]})


def _courier(home: Home, request: Mapping[str, Any], _: BinaryIO, target: BinaryIO) -> None:
    """Say how a run's courier stands: what it wrote last, and whether it lives."""
    name = str(request["run"])
    if not is_inside(name) or "/" in name:
        raise NotFound(f"there is no run {name!r} on that machine")
    try:
        status = read_json(home.runs / name / "courier" / "status.json")
    except FileNotFoundError:
        status = {}
    _say(target, status)


DOES = {
    "fetch": _fetch,
    "have source": _have_source,
    "finish source": _finish_source,
    "start courier": _start_courier,
    "courier": _courier,
}
"""Questions that `there` answers, beside its own."""
