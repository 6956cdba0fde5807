"""What an environment holds, as it is seen from inside: its packages, and every file by hash, with whose it is."""

from __future__ import annotations

import base64
import csv
import json
import os
import re

from .content import in_parallel
from .prints import fingerprint_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["list_environment", "run"]


def run(request: dict[str, Any]) -> dict[str, Any]:
    """List the environment that the request names."""
    return list_environment(request["environment"])


def list_environment(environment: str) -> dict[str, Any]:
    """Return packages, files and rows; compiled modules are left out. Reads every byte: seconds for gigabytes.

    `packages` say by name which version is there, where it came from if not from an index, if it is installed in place,
    and if it is pure Python. `files` are path -> fingerprint, `rows` path -> (package, the hash that its RECORD says).
    """
    paths = _walk(environment)
    prints = in_parallel(lambda path: fingerprint_path(os.path.join(environment, path)), paths)
    packages: dict[str, Any] = {}
    rows: dict[str, list[str]] = {}
    for site_packages in sorted({path for path in map(_site_packages, paths) if path}):
        for name in sorted(os.listdir(os.path.join(environment, site_packages))):
            info = os.path.join(environment, site_packages, name)
            if name.endswith(".dist-info") and os.path.isdir(info):
                package, _, version = name[: -len(".dist-info")].rpartition("-")
                package = re.sub(r"[-_.]+", "-", package).lower()
                packages[package] = {"version": version, **_describe(info)}
                rows.update({path: [package, value] for path, value in _rows(site_packages, info)})
    return {"packages": packages, "files": dict(zip(paths, prints)), "rows": rows}


def _walk(environment: str) -> list[str]:
    found = []
    for parent, folders, files in os.walk(environment):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        folders[:] = [name for name in folders if name != "__pycache__"]
        found += [os.path.relpath(os.path.join(parent, name), environment) for name in files + links]
    return sorted(found)


def _site_packages(path: str) -> str:
    match = re.match(r"lib/python[^/]+/site-packages(?=/)", path)
    return match.group() if match else ""


def _describe(info: str) -> dict[str, Any]:
    origin = _read(os.path.join(info, "direct_url.json"))  # what installers write for all that is not from an index
    try:
        place = json.loads(origin) if origin else {}
    except ValueError:
        place = {}
    is_impure = "root-is-purelib: false" in _read(os.path.join(info, "WHEEL")).lower()
    return {
        "origin": str(place.get("url", "")),
        "is_editable": bool(place.get("dir_info", {}).get("editable")),
        "is_pure": not is_impure,
    }


def _rows(site_packages: str, info: str) -> list[tuple[str, str]]:
    found = []
    for row in csv.reader(_read(os.path.join(info, "RECORD")).splitlines()):
        path = os.path.normpath(os.path.join(site_packages, row[0])) if len(row) == 3 else ".."
        if not path.startswith(".."):
            found.append((path, _hex(row[1])))
    return found


def _hex(value: str) -> str:
    """Return a RECORD's hash as a fingerprint, nothing for one that says nothing."""
    method, _, digest = value.partition("=")
    if method != "sha256":
        return ""
    try:
        return "sha256:" + base64.urlsafe_b64decode(digest + "=" * (-len(digest) % 4)).hex()
    except ValueError:
        return ""


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return ""
