"""Which names another machine may give to what it sends: those that stay where they are put, and no other. Pure."""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Mapping
from typing import Any

__all__ = ["hash_tree", "is_inside", "link_inside"]


def is_inside(name: object) -> bool:
    """Say whether a name is a relative path of plain parts: no root, no way up, nothing that a system reads otherwise."""
    if not isinstance(name, str) or not name or "\0" in name or len(name) > 4096:
        return False
    return not {"", ".", ".."} & set(name.split("/"))


def link_inside(link: str, target: str) -> bool:
    """Say whether a relative link, at a path of a folder, leads to something in that folder."""
    if not target or target.startswith("/") or "\0" in target:
        return False
    meant = posixpath.normpath(posixpath.join(posixpath.dirname(link), target))
    return meant != ".." and not meant.startswith(("../", "/"))


def hash_tree(files: Mapping[str, Any], links: Mapping[str, str]) -> str:
    """Return a tree's name: sha256 over the names, contents and links in it."""
    value = json.dumps([sorted(files.items()), sorted(links.items())], separators=(",", ":"))
    return hashlib.sha256(value.encode()).hexdigest()
