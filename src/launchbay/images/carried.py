"""Files that an image has besides its packages: a folder beside the recipe, laid over the environment.

The lock lists each by its hash, so that they decide the digest as packages do.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import re
import shutil
import stat
from collections.abc import Collection, Sequence
from pathlib import Path

from launchbay.errors import BuildError, UsageError
from launchbay.onboard.prints import fingerprint_path

__all__ = ["check_carried", "is_of_environment", "lay_over", "list_carried", "mend_records"]

_OF_ENVIRONMENT = re.compile(
    r"(pyvenv\.cfg|pip\.conf|lib64|\.lock|\.gitignore|CACHEDIR\.TAG|bin/(python[\d.]*|pydoc\.bat|(de)?activate[^/]*))\Z"
    r"|lib/python[\d.]+/site-packages/(_launchbay\.pth|_virtualenv\.(py|pth))\Z"
)
_FOLDERS = ("bin/", "etc/", "include/", "lib/", "share/")


def is_of_environment(path: str) -> bool:
    """Say whether a file makes an environment what it is (its Python, its settings): each has its own."""
    return _OF_ENVIRONMENT.match(path) is not None


def list_carried(folder: Path) -> tuple[tuple[str, str], ...]:
    """Return every file of a folder of `files`, as (path, fingerprint); programs are told from other files.

    Raises UsageError for what cannot be laid over an environment.
    """
    found = []
    for parent, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in names + links:
            path = os.path.join(parent, name)
            inner = os.path.relpath(path, folder)
            value = _fingerprint(path)
            if value.startswith("special:"):
                raise UsageError("files must be files, folders and links", where=path)
            if is_of_environment(inner) or not inner.startswith(_FOLDERS):
                what = (
                    f"files can lie below {', '.join(_FOLDERS)} and not in place of the environment's own, got {inner}"
                )
                raise UsageError(what, where=str(folder), hint="lib/python3.11/site-packages/NAME.py, or bin/NAME")
            found.append((inner, value))
    return tuple(sorted(found))


def _fingerprint(path: str) -> str:
    value = fingerprint_path(path)
    is_program = value.startswith("sha256:") and os.stat(path).st_mode & stat.S_IXUSR
    return value.replace("sha256:", "program:") if is_program else value


def lay_over(environment: Path, site_packages: Path, folder: Path, carried: Sequence[tuple[str, str]]) -> None:
    """Copy the files onto an environment that is being made, and let the packages' records say so."""
    for inner, _ in carried:
        target = environment / inner
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir() and not target.is_symlink():
            raise BuildError(f"files hold {inner}, and a package has a folder there", where=str(folder))
        target.unlink(missing_ok=True)
        shutil.copy2(folder / inner, target, follow_symlinks=False)
    mend_records(site_packages, [environment / inner for inner, _ in carried])
    check_carried(environment, carried)


def mend_records(site_packages: Path, paths: Collection[Path]) -> None:
    """Let the records of packages say what these files are now. A record among them came along, and says it already."""
    for record in site_packages.glob("*.dist-info/RECORD"):
        if record not in paths:
            _rewrite(record, site_packages, {path for path in paths if not path.is_symlink()})


def _rewrite(record: Path, site_packages: Path, paths: set[Path]) -> None:
    """Put the hashes of the files that were laid over a package's own into its record."""
    rows = list(csv.reader(record.read_text(encoding="utf-8").splitlines()))
    is_changed = False
    for row in rows:
        path = Path(os.path.normpath(site_packages / row[0])) if len(row) == 3 and row[1] else None
        if path in paths:
            data = path.read_bytes()
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            now = [row[0], f"sha256={digest}", str(len(data))]
            is_changed |= now != row
            row[:] = now
    if is_changed:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(rows)
        record.unlink()
        record.write_text(text.getvalue(), encoding="utf-8")


def check_carried(environment: Path, carried: Sequence[tuple[str, str]]) -> None:
    """Raise BuildError for a file that is not what the lock lists."""
    for inner, value in carried:
        path = environment / inner
        if not os.path.lexists(path) or _fingerprint(str(path)) != value:
            hint = "the same command again; was the folder changed meanwhile?"
            raise BuildError(f"{inner} is not the file that the lock lists", hint=hint)
