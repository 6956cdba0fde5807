"""Which packages of the machine's own system do compiled packages link to? Known where Debian's tools are."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Collection, Iterator, Sequence

from launchbay.transport.base import Transport

__all__ = ["find_system_packages"]

_RESOLVED = re.compile(rb"=> (/\S+) \(0x")
_EVERYWHERE = {"libc6", "libgcc-s1", "libstdc++6", "zlib1g"}
"""What every Debian has: dpkg itself needs them, or almost everything that is compiled."""
_AT_ONCE = 200


def find_system_packages(
    transport: Transport, libraries: Sequence[str], *, python: str, inside: Collection[str]
) -> Sequence[str]:
    """Return Debian's packages that hold what these libraries link to, beyond what `python` needs itself.

    Libraries found in folders of `inside` are the environment's own. Nothing is known, and nothing returned, where
    there is no ldd or no dpkg.
    """
    if not libraries or not shutil.which("ldd") or not shutil.which("dpkg-query"):
        return ()
    needed = _link_to(transport, libraries) - _link_to(transport, [python])
    outside = {path for path in needed if not any(path.startswith(f"{folder}/") for folder in inside)}
    outside -= _link_to(transport, sorted(outside))  # what those need comes with them
    return sorted({name for path in outside if (name := _owner(path))} - _EVERYWHERE)


def _link_to(transport: Transport, files: Sequence[str]) -> set[str]:
    """Return the libraries that the loader finds for these files."""
    found: set[str] = set()
    for start in range(0, len(files), _AT_ONCE):
        done = transport.run(["ldd", *files[start : start + _AT_ONCE]])
        found.update(os.fsdecode(match[1]) for match in _RESOLVED.finditer(done.stdout))
    return found


def _owner(path: str) -> str:
    """Return the Debian package that a library belongs to, "" for one of none."""
    for candidate in _spellings(path):
        done = subprocess.run(["dpkg-query", "-S", candidate], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.split(":")[0]
    return ""


def _spellings(path: str) -> Iterator[str]:
    """Yield a path as dpkg may know it: /lib is a link to /usr/lib by now, and not in all of its lists."""
    for one in dict.fromkeys((path, os.path.realpath(path))):
        yield one
        yield one.removeprefix("/usr") if one.startswith("/usr/") else f"/usr{one}"
