"""Launchbay as one file that another machine can run: this package and the Python that it needs, nothing compiled.

The same sources give the same bytes, so the sha256 of the file names it, and a machine that has it is not sent it again.
What draws is left out (plots are drawn where the person sits), and so is uv, a program that is found or got over there.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.metadata
import io
import os
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import launchbay
from launchbay.errors import UserError
from launchbay.files import locked, remove_tree, sha256_file, write_atomic
from launchbay.home import Home

__all__ = ["Bundle", "find_bundle", "pure_files"]

_PACKAGE = "launchbay"
_NOT_OURS = ("tests", "twin", "__pycache__")
"""Folders of ours that stay here: the offline EC2 stands on the person's own machine."""
_STAYS = frozenset({"plotext", "uv"})
_PURE_WITHOUT = frozenset({"pyyaml"})
"""Distributions whose compiled parts only make them faster."""
_COMPILED = re.compile(r"\.(so|pyd|dylib|dll|a)(\.\d+)*\Z")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_FOLDER = "lib"

_MAIN = """\
import fcntl, os, sys
here = os.path.dirname(os.path.abspath(__file__))
held = os.open(here + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
fcntl.flock(held, fcntl.LOCK_SH)  # as long as this runs, nobody removes the folder
sys.path.insert(0, os.path.join(here, "lib"))
"""
_PROGRAMS = {
    "__main__.py": _MAIN + "from launchbay.cli.main import main\nsys.exit(main())\n",
    "there.py": _MAIN + "from launchbay.afar.there import main\nsys.exit(main())\n",
    "handing.py": _MAIN + "from launchbay.afar.handing import main\nsys.exit(main())\n",
}
"""The programs of a bundle: `bay`, what moves files, and what hands an instance to a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle on this disk: a tar.gz, named by its sha256 (hex)."""

    path: Path
    sha256: str
    bytes: int


def find_bundle(home: Home) -> Bundle:
    """Return the bundle of the Launchbay that runs, made now unless it was made before from the very same files.

    A look at sizes and times of all files tells (0.05 s); making it takes about 2 s. Raises UserError, naming it, for a
    distribution that is missing or does not run without what was compiled for this machine.
    """
    files = _files()
    mark = _mark(files)
    folder = home.root / "bundles"
    path = folder / f"{mark}.tar.gz"
    if not path.exists():
        with locked(home.lock("bundle")):
            if not path.exists():
                write_atomic(path, _pack(files))
                for old in sorted(folder.glob("*.tar.gz"), key=lambda item: item.stat().st_mtime)[:-_KEPT]:
                    remove_tree(old)
    return Bundle(path=path, sha256=sha256_file(path), bytes=path.stat().st_size)


_KEPT = 2


def _files() -> dict[str, Path]:
    """Return what goes into the bundle, by its name there, in order."""
    found = {f"{_FOLDER}/{_PACKAGE}/{name}": path for name, path in _own_files(Path(launchbay.__file__).parent)}
    for distribution in _needed():
        for name, path in pure_files(distribution):
            found[f"{_FOLDER}/{name}"] = path
    return dict(sorted(found.items()))


def _own_files(package: Path) -> Iterator[tuple[str, Path]]:
    for folder, folders, names in os.walk(package):
        folders[:] = sorted(name for name in folders if name not in _NOT_OURS)
        for name in names:
            path = Path(folder, name)
            if not name.endswith((".pyc", ".tmp")):
                yield path.relative_to(package).as_posix(), path


def _needed() -> list[importlib.metadata.Distribution]:
    """Return the distributions that run with us, those that they need too; extras are nobody's need over there."""
    found: dict[str, importlib.metadata.Distribution] = {}
    left = [_PACKAGE]
    while left:
        name = left.pop()
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            what = f"{name} is not installed here, and Launchbay needs it on every machine"
            raise UserError(what, hint="pip install launchbay, then the same command again") from None
        for line in distribution.requires or ():
            needed = _normal(match[0]) if (match := _NAME.match(line)) else ""
            if needed and "extra ==" not in line and needed not in _STAYS and needed not in found:
                found[needed] = distribution  # a place, taken until it is looked at
                left.append(needed)
        found[name] = distribution
    return [distribution for name, distribution in sorted(found.items()) if name != _PACKAGE]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pure_files(distribution: importlib.metadata.Distribution) -> Iterator[tuple[str, Path]]:
    """Yield a distribution's files that any Python of any machine runs, with their names among packages.

    Raises UserError for one that needs what was compiled, or that does not say which files it has.
    """
    name = _normal(distribution.metadata["Name"])
    if distribution.files is None:
        raise UserError(f"{name} does not say which files it has", hint=f"pip install --force-reinstall {name}")
    for file in distribution.files:
        if ".." in file.parts or file.is_absolute() or "__pycache__" in file.parts or file.suffix == ".pyc":
            continue  # its commands, and what its installer compiled
        if ".dist-info" in file.parts[0] and file.name != "METADATA":
            continue  # how and when it was installed here
        if _COMPILED.search(file.name):
            if name in _PURE_WITHOUT:
                continue
            what = f"{name} holds {file}, which was compiled for this machine, and cannot be carried to another"
            raise UserError(what, hint="it is one of Launchbay's own needs: report it")
        path = Path(str(distribution.locate_file(file)))
        if not path.is_file():
            raise UserError(f"{file} of {name} is gone", hint=f"pip install --force-reinstall {name}")
        yield file.as_posix(), path


def _mark(files: Mapping[str, Path]) -> str:
    """Return what stands for the state of all files without reading them."""
    digest = hashlib.sha256("".join(_PROGRAMS.values()).encode())
    for name, path in files.items():
        status = path.stat()
        digest.update(f"{name} {path} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]


def _pack(files: Mapping[str, Path]) -> bytes:
    """Return the archive: names in order, and nothing in it that says when or by whom."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=6, mtime=0, filename="") as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        contents = {**{name: text.encode() for name, text in _PROGRAMS.items()}}
        for name, data in contents.items():
            _add(archive, name, data)
        for name, path in files.items():
            _add(archive, name, path.read_bytes())
    return packed.getvalue()


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    archive.addfile(info, io.BytesIO(data))
