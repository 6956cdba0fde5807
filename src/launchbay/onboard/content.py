"""What is installed, by hash: the files of an environment against what their packages say of themselves.

Three kinds of file: those with a hash in some RECORD (they make up the *content* of an image), those without
(compiled modules, scripts; listed by hash in the *seal* when the image is made), and those in neither (added later).
"""

from __future__ import annotations

import base64
import csv
import hashlib
import os
from typing import Callable, Dict, List, NamedTuple, Optional, TypeVar

from .prints import fingerprint_path, hash_file, list_packages

__all__ = [
    "Content",
    "compare_seals",
    "in_parallel",
    "seal_beside",
    "seal_unrecorded",
    "verify_environment",
    "verify_records",
]


_Item = TypeVar("_Item")


class Content(NamedTuple):
    """The outcome of hashing: `content` is sha256 over the sorted RECORD rows; `problems` name package and file."""

    content: str
    files: int
    size_bytes: int
    packages: Dict[str, str]
    problems: List[str]


class _Row(NamedTuple):
    package: str
    path: str
    hash: str
    size: str


def verify_records(site_packages: str) -> Content:
    """Hash every file that a RECORD names. Reads all of it: seconds for gigabytes, on all cores."""
    rows = _read_rows(site_packages)
    problems = [problem for problem in in_parallel(lambda row: _check_row(site_packages, row), rows) if problem]
    lines = sorted("{},{},{}".format(row.path, row.hash, row.size) for row in rows)
    total = sum(int(row.size) for row in rows if row.size.isdigit())
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return Content(digest, len(rows), total, list_packages(site_packages), problems)


def seal_unrecorded(environment: str, site_packages: str) -> Dict[str, str]:
    """Return every file and link that no RECORD vouches for, relative path -> ``sha256:...`` or ``link:target``."""
    recorded = {os.path.normpath(os.path.join(site_packages, row.path)) for row in _read_rows(site_packages)}
    paths = [path for path in _walk(environment) if path not in recorded]
    prints = in_parallel(fingerprint_path, paths)
    return {os.path.relpath(path, environment): value for path, value in zip(paths, prints)}


def verify_environment(environment: str, site_packages: str, sealed: Dict[str, str]) -> Content:
    """Hash everything: recorded files against RECORD, the rest against the seal; name what was added or is missing."""
    result = verify_records(site_packages)
    problems = list(result.problems)
    problems += compare_seals(sealed, seal_unrecorded(environment, site_packages))
    return result._replace(problems=problems)


def seal_beside(folder: str) -> Dict[str, str]:
    """Return what lies beside the environment of an image (its commands, lock and record), less the seal itself."""
    names = sorted(name for name in os.listdir(folder) if name not in ("env", "seal.json"))
    paths = {name: os.path.join(folder, name) for name in names}
    return {name: fingerprint_path(path) if os.path.isfile(path) else "folder" for name, path in paths.items()}


def compare_seals(sealed: Dict[str, str], now: Dict[str, str]) -> List[str]:
    """Return what was added, changed or lost since the seal was made.

    A sealed module that was compiled once more, with other optimisations or by another Python, is the same module: to
    a user whom permissions do not stop, Python adds those by itself.
    """
    compiled = {_compiled_module(path) for path in sealed if path.endswith(".pyc")}
    problems = []
    for path in sorted(set(now) | set(sealed)):
        if path not in now:
            problems.append("{}: missing".format(path))
        elif path not in sealed and path.endswith(".pyc") and _compiled_module(path) in compiled - {None}:
            continue
        elif path not in sealed:
            problems.append("{}: added to the image".format(path))
        elif now[path] != sealed[path]:
            problems.append("{}: changed in place".format(path))
    return problems


def _compiled_module(path: str) -> Optional[str]:
    """Return the module, as a path, that Python keeps compiled there; None where it keeps none."""
    parent, name = os.path.split(path)
    return os.path.join(parent, name.split(".")[0]) if os.path.basename(parent) == "__pycache__" else None


def _walk(folder: str) -> List[str]:
    found: List[str] = []
    for parent, folders, files in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        found.extend(os.path.join(parent, name) for name in files + links)
    return sorted(found)


def _read_rows(site_packages: str) -> List[_Row]:
    rows = []
    for name in sorted(os.listdir(site_packages)):
        record = os.path.join(site_packages, name, "RECORD")
        if not name.endswith(".dist-info") or not os.path.exists(record):
            continue
        with open(record, encoding="utf-8", newline="") as file:
            whole = (row for row in csv.reader(file) if len(row) == 3)  # a RECORD that was edited is told by the seal
            for path, digest, size in whole:
                # the installer rewrites these, so their hash is not the package's word
                if (
                    digest
                    and not path.endswith((".pyc", "/INSTALLER", "/REQUESTED", "/direct_url.json"))
                    and "../" not in path
                ):
                    rows.append(_Row(name[: -len(".dist-info")], path, digest, size))
    return rows


def _check_row(site_packages: str, row: _Row) -> str:
    path = os.path.join(site_packages, row.path)
    method, _, expected = row.hash.partition("=")
    try:
        found = hash_file(path, method)
    except FileNotFoundError:
        return "{} of {}: missing".format(row.path, row.package)
    except (OSError, ValueError) as error:
        return "{} of {}: {}".format(row.path, row.package, error)
    if base64.urlsafe_b64encode(found).rstrip(b"=").decode() != expected.rstrip("="):
        return "{} of {}: changed in place".format(row.path, row.package)
    return ""


def in_parallel(function: Callable[[_Item], str], items: List[_Item]) -> List[str]:
    """Apply a function that reads files, on all cores."""
    from concurrent.futures import ThreadPoolExecutor  # 10 ms, which a fingerprint must not pay

    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(function, items))
