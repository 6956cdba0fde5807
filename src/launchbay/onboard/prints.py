"""Fingerprints of files. Imported by every fingerprint of an instance, so it imports next to nothing itself."""

from __future__ import annotations

import hashlib
import os
import stat

__all__ = ["fingerprint_path", "hash_file", "list_packages"]


def list_packages(site_packages: str) -> dict[str, str]:
    """Return name -> version of the packages in a folder, from the names of their dist-info folders."""
    found = {}
    for name in sorted(os.listdir(site_packages)):
        if name.endswith(".dist-info") and os.path.isdir(os.path.join(site_packages, name)):  # no mark of a removal
            package, _, version = name[: -len(".dist-info")].rpartition("-")
            found[package.replace("_", "-").lower()] = version
    return found


def fingerprint_path(path: str) -> str:
    """Return what a path is: ``link:target``, ``sha256:hex``, or ``special:`` with its kind as `ls -l` shows it.

    A pipe or a device is not opened: reading it could take for ever.
    """
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        return "link:" + os.readlink(path)
    if not stat.S_ISREG(mode):
        return "special:" + stat.filemode(mode)[0]
    return "sha256:" + hash_file(path).hex()


def hash_file(path: str, method: str = "sha256") -> bytes:
    """Hash a file of any size in constant memory."""
    digest = hashlib.new(method)
    with open(path, "rb", buffering=0) as file:
        while True:
            chunk = file.read(1 << 20)
            if not chunk:
                return digest.digest()
            digest.update(chunk)
