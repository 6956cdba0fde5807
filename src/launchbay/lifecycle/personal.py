"""What a person has put into an instance's layer: packages, which can be installed again, and files, which can be kept."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launchbay.images.image import Image
from launchbay.lifecycle.identity import removed_packages
from launchbay.onboard.fingerprint import list_added, list_files
from launchbay.providers.environment import environments, find_environment
from launchbay.providers.layer import Layer
from launchbay.transport.base import Transport

__all__ = ["Personal", "Replayed", "environment_for", "find_personal", "keep_files", "replay"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Personal:
    """What is in one environment of a layer beyond the image: name -> version, and paths of files with no package.

    `foreign` are packages that came from a place and not from an index, by where that was; `removed` are those of the
    image that were taken away, which an overlay can.
    """

    environment: str
    folder: Path
    packages: Mapping[str, str]
    foreign: Mapping[str, str]
    removed: Mapping[str, str]
    files: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What was installed again in an instance, and what was not, with the reason."""

    instance: str
    packages: Sequence[str]
    left: Mapping[str, str]


def find_personal(root: Path, image: Image, layer: Layer) -> Sequence[Personal]:
    """Look through a layer that lies in `root` and was made on `image`."""
    top = layer.written(root)[""]
    pristine = layer.pristine(image)
    found = []
    for environment in environments(root, image):
        part = os.path.relpath(environment.path, root / "env") if image.members else ""
        folder = top / part
        if not folder.is_dir():
            continue
        packages = list_added(str(folder), [""])
        owned, foreign = _look_into_packages(folder)
        there = list_files(str(folder))
        base = environment.image.packages
        removed = {name: base[name] for name in removed_packages(there, base) - packages.keys()}
        expected = {path.removeprefix(f"{part}/") for path in pristine if path.startswith(f"{part}/" if part else "")}
        files = [path for path in there if path not in owned | expected and not _is_removal(folder, path)]
        kept = {name: version for name, version in packages.items() if name not in foreign}
        found.append(
            Personal(
                environment=environment.image.name,
                folder=folder,
                packages=kept,
                foreign=foreign,
                removed=removed,
                files=sorted(files),
            )
        )
    return [item for item in found if item.packages or item.foreign or item.removed or item.files]


def _is_removal(folder: Path, path: str) -> bool:
    """Say whether an overlay only marks that something of the image is hidden."""
    return not (folder / path).is_symlink() and not (folder / path).is_file()


def _look_into_packages(folder: Path) -> tuple[set[str], dict[str, str]]:
    """Return the paths of all files that packages have written down as theirs, and which packages came from a place."""
    owned: set[str] = set()
    foreign: dict[str, str] = {}
    for info in folder.glob("lib/python*/site-packages/*.dist-info"):
        if not (info / "RECORD").is_file():
            continue
        with (info / "RECORD").open(encoding="utf-8", newline="") as file:
            site = os.path.relpath(info.parent, folder)
            owned.update(os.path.normpath(os.path.join(site, row[0])) for row in csv.reader(file) if row)
        owned.update(os.path.relpath(path, folder) for path in info.iterdir())
        if (place := _origin(info)) is not None:
            foreign[re.sub(r"[-_.]+", "-", info.name.rpartition("-")[0].rpartition("-")[0]).lower()] = place
    return owned, foreign


def _origin(info: Path) -> str | None:
    """Return where a package came from, if it was an address or a path; None for one of an index."""
    try:
        return str(json.loads((info / "direct_url.json").read_bytes())["url"])
    except (FileNotFoundError, ValueError, KeyError):
        return None


def replay(personal: Personal, image: Image, transport: Transport) -> tuple[Sequence[str], Mapping[str, str]]:
    """Install packages again under another image's constraints: all at once, else one by one.

    Return what was installed, and what was not with the reason. `transport` leads into the environment that they are
    for, which stands on `image`.
    """
    left = {name: f"it came from {place}" for name, place in personal.foreign.items()}
    for name, version in personal.removed.items():
        if name in image.packages:
            left[f"{name} {version}"] = f"it had been uninstalled, and {image.name} has {image.packages[name]}"
    wanted = []
    for name, version in sorted(personal.packages.items()):
        there = image.packages.get(name)
        if there is not None and there != version:
            left[f"{name} {version}"] = f"{image.name} has {there}"
        elif there is None:
            wanted.append((name, version))
    if not wanted:
        return (), left
    if not _install(transport, [f"{name}=={version}" for name, version in wanted]):
        return [f"{name} {version}" for name, version in wanted], left
    done = []
    for name, version in wanted:
        if reason := _install(transport, [f"{name}=={version}"]):
            left[f"{name} {version}"] = reason
        else:
            done.append(f"{name} {version}")
    return done, left


def _install(transport: Transport, requirements: Sequence[str]) -> str:
    """Install with the instance's own pip; return why it could not be, or nothing."""
    done = transport.run(["pip", "install", "--quiet", "--no-input", *requirements])
    if done.code == 0:
        return ""
    words = [line for line in done.stderr.decode(errors="replace").splitlines() if line.startswith("ERROR: ")]
    return words[-1].removeprefix("ERROR: ")[:200] if words else f"pip ended with code {done.code}"


def keep_files(personal: Personal, place: Path) -> Iterator[Path]:
    """Copy files that belong to no package below `place`, each by its own name; yield where they are now."""
    for path in personal.files:
        target = place / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(target):
            shutil.copy2(personal.folder / path, target, follow_symlinks=False)
        yield target


def environment_for(name: str, root: Path, image: Image) -> str:
    """Return the environment that takes over from one of that name: the one called so, else the default."""
    names = [item.image.name for item in environments(root, image)]
    return name if name in names else find_environment(root, image, None).image.name
