"""Decide what of an instance goes into an image baked from it, and compare the two. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from launchbay.errors import Conflict
from launchbay.images.carried import is_of_environment
from launchbay.lifecycle.stock import Stock

__all__ = ["Baking", "decide_baking", "find_baked_differences"]

_BY_INSTALLER = re.compile(
    r".*\.dist-info/(RECORD|INSTALLER|REQUESTED|direct_url\.json|uv_cache\.json|uv_build\.json)\Z"
)
"""What an installer writes about its own work: pip and uv differ there, and the package does not."""
_COMPILED = (".pyc", ".pyo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Baking:
    """What an image is to hold. Packages are name -> version; `left` are files that it cannot have, with why.

    `kept` stay as the image's lock pins them, `added` come from the index, `as_files` go along file by file.
    """

    kept: Collection[str]
    added: Mapping[str, str]
    replaced: Mapping[str, str]
    removed: Mapping[str, str]
    as_files: Mapping[str, str]
    carried: Sequence[str]
    left: Mapping[str, str]


def decide_baking(
    name: str, source: Stock, base: Stock, *, pins: Collection[str], carried: Collection[str], accelerator: str
) -> Baking:
    """Decide what an image of `source` holds, which stands on `base` with these pins and files carried by its lock.

    Raises Conflict for a package that neither a lock nor a folder of files can hold.
    """
    as_files, kept, added = {}, [], {}
    for package, found in source.packages.items():
        before = base.packages.get(package)
        is_same = before is not None and before.version == found.version
        if found.origin or (is_same and package not in pins):
            as_files[package] = found.version
        elif is_same:
            kept.append(package)
        else:
            added[package] = found.version
    _check(name, source, added, accelerator)
    taken, left = _choose_files(source, base, as_files, carried)
    removed = {item: found.version for item, found in base.packages.items() if item not in source.packages}
    return Baking(
        kept=sorted(kept),
        added=added,
        replaced={item: base.packages[item].version for item in added if item in base.packages},
        removed=removed,
        as_files=as_files,
        carried=taken,
        left=left,
    )


def _check(name: str, source: Stock, added: Collection[str], accelerator: str) -> None:
    for package, found in sorted(source.packages.items()):
        shown = f"{package} {found.version}"
        if found.is_editable:
            raise Conflict(
                f"{shown} is installed in place from {found.origin}, and what lies there is not the instance's",
                where=name,
                hint=f"bay exec {name} -- pip install FOLDER, without -e; then the same command again",
            )
        if found.origin and not found.is_pure:
            raise Conflict(
                f"{shown} was compiled from {found.origin}: no lock can hold it, and its files fit this machine alone",
                where=name,
                hint="publish it to your index and install it from there; or pip uninstall it",
            )
        if package in added and accelerator == "cpu" and package.startswith("nvidia-"):
            raise Conflict(
                f"a CPU image must hold no CUDA package, and {shown} was installed",
                where=name,
                hint="install the CPU build of what brought it (UV_TORCH_BACKEND=cpu)",
            )


def _choose_files(
    source: Stock, base: Stock, as_files: Collection[str], carried: Collection[str]
) -> tuple[Sequence[str], Mapping[str, str]]:
    """Return the files to carry, and those that cannot be."""
    taken, left = [], dict(source.left)
    for path, value in source.files.items():
        package, stated = source.rows.get(path, ("", ""))
        is_as_below = base.files.get(path) == value
        if is_of_environment(path):
            if not is_as_below and path in base.files:
                left[path] = "belongs to the environment itself"
        elif path.endswith("/direct_url.json"):
            continue  # it names a place of this machine
        elif package in as_files or path in carried:
            taken.append(path)
        elif is_as_below or _BY_INSTALLER.match(path) or (package and stated in ("", value)):
            continue
        elif value.startswith("special:"):
            left[path] = "is no file"
        else:
            taken.append(path)
    for path, (package, stated) in source.rows.items():
        if stated and path not in source.files and package not in as_files and not path.endswith(_COMPILED):
            left[path] = f"was removed, and {package} always brings it along"
    return sorted(taken), dict(sorted(left.items()))


def find_baked_differences(
    source: Stock, baked: Stock, *, carried: Mapping[str, str], left: Collection[str]
) -> Sequence[str]:
    """Return what an image has otherwise than the instance that it was baked from: packages, files, commands.

    `carried` are the fingerprints of the files that were taken along, `left` the files that were not, which are named
    already.
    """
    found = []
    for name in sorted({*source.packages, *baked.packages}):
        mine, theirs = (stock.packages.get(name) for stock in (source, baked))
        if mine is None or theirs is None or mine.version != theirs.version:
            versions = [package.version if package else "none" for package in (mine, theirs)]
            found.append(f"package {name}: {versions[0]} in the instance, {versions[1]} in the image")
    wanted = {path: value for path, value in source.files.items() if _counts(path)}
    there = {path: value for path, value in baked.files.items() if _counts(path)}
    wanted.update(carried)
    there.update({path: baked.files[path] for path in carried if path in baked.files})
    for path in sorted({*wanted, *there} - set(left)):
        if path not in there:
            found.append(f"{path} is missing in the image")
        elif path not in wanted:
            found.append(f"{path} is in the image only")
        elif wanted[path] != there[path]:
            found.append(f"{path} is another in the image")
    commands = [{path for path in stock.files if path.startswith("bin/")} for stock in (source, baked)]
    lacking = commands[0] - commands[1] - set(left)
    lost = sorted(path for path in lacking - set(carried) if not is_of_environment(path))
    return [*found, *(f"{path} is missing in the image" for path in lost)]


def _counts(path: str) -> bool:
    """Say whether a file has to be the same: not what an installer writes for its own environment."""
    is_written = _BY_INSTALLER.match(path) or path.startswith("bin/") or is_of_environment(path)
    return not is_written and not path.endswith(_COMPILED)
