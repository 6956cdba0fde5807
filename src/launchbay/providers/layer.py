"""How a local instance sits on its image.

`PthLayer` is a virtual environment that holds nothing but a line which adds the image's packages after its own, and
links for the commands. It needs no privileges and takes milliseconds. What is installed into it shadows the image for
this instance alone. It does not isolate hostile users, and it cannot hide a package of the image.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from launchbay.errors import StateError
from launchbay.images.commands import LOOSENING, command_environment, list_commands
from launchbay.images.image import Image
from launchbay.providers.processes import INSTANCE_MARK

__all__ = ["Layer", "PthLayer", "find_layer", "instance_environment"]


class Layer(Protocol):
    """**Protocol:** a thin writable layer on a sealed image. Used by the local provider."""

    @property
    def name(self) -> str:
        """The layer's name in records."""

    def create(self, root: Path, image: Image) -> None:
        """Make the environment of an instance in `root`, a folder that is renamed afterwards."""

    def pristine(self, image: Image) -> Mapping[str, str]:
        """Return every file of an untouched layer, path -> ``sha256:...`` or ``link:...``: what verifying compares with."""

    def restore(self, root: Path, image: Image) -> None:
        """Give back the image's own commands where removing a package of the layer took them along. Idempotent."""

    def remove(self, root: Path) -> None:
        """Undo whatever of `create` removing the folder does not (a mount, say)."""


class PthLayer:
    """The default layer: any POSIX system, no privileges."""

    name = "layer"

    def create(self, root: Path, image: Image) -> None:
        """Write the few files and links; nothing in them names the instance, so it can be renamed."""
        environment = str(root / "env")
        folders: set[str] = set()
        for path, text, target in _entries(image):
            place = os.path.join(environment, path)
            folder = os.path.dirname(place)
            if folder not in folders:
                os.makedirs(folder, exist_ok=True)
                folders.add(folder)
            if target:
                os.symlink(target, place)
            else:
                with open(place, "w", encoding="utf-8") as file:
                    file.write(text)

    def pristine(self, image: Image) -> Mapping[str, str]:
        """Return what `create` writes, by hash."""
        return {
            path: f"link:{target}" if target else "sha256:" + hashlib.sha256(text.encode()).hexdigest()
            for path, text, target in _entries(image)
        }

    def restore(self, root: Path, image: Image) -> None:
        """Link what is missing.

        A package that shadows one of the image puts scripts in the place of the links; its removal leaves neither, and
        the next `pip` would be the machine's own.
        """
        folder = root / "env" / "bin"
        for path, _, target in _entries(image) if folder.is_dir() else ():
            if target and not os.path.lexists(place := root / "env" / path):
                with contextlib.suppress(FileExistsError):  # another command restores it too
                    os.symlink(target, place)

    def remove(self, root: Path) -> None:
        """Do nothing: there is nothing but files."""


def find_layer(name: str) -> Layer:
    """Return the layer that an instance's record names. Raises StateError for one that this version does not know."""
    if name != PthLayer.name:
        raise StateError(f"instances on {name!r} layers need a newer Launchbay", hint="pip install -U launchbay")
    return PthLayer()


def _entries(image: Image) -> list[tuple[str, str, str]]:
    """Return (path, text, link target) of every file of a layer; the same for each instance on an image."""
    python = os.readlink(image.python_path) if image.python_path.is_symlink() else str(image.python_path)
    base = os.path.join(image.environment, "bin", python)
    home = os.path.dirname(os.path.realpath(base))
    version = image.python
    config = (
        f"home = {home}\nimplementation = CPython\nversion_info = {image.python_version}\n"
        "include-system-site-packages = false\n"
    )
    # addsitedir, so that the .pth files of the image's own packages take effect too
    pth = f"import site; site.addsitedir({str(image.site_packages)!r})\n"
    pip = f"[global]\nconstraint = {image.constraints}\ndisable-pip-version-check = true\n"
    entries = [
        ("pyvenv.cfg", config, ""),
        ("pip.conf", pip, ""),
        (f"lib/python{version}/site-packages/_launchbay.pth", pth, ""),
        ("bin/python", "", os.path.realpath(base)),
        ("bin/python3", "", "python"),
        (f"bin/python{version}", "", "python"),
    ]
    command = str(image.folder / "command.sh")
    return entries + [(f"bin/{name}", "", command) for name in list_commands(image.folder)]


def instance_environment(
    root: Path, image: Image, *, outer: Mapping[str, str], name: str, identity: str
) -> dict[str, str]:
    """Return the variables of everything that runs in an instance: the caller's own, less what would leak in.

    The instance's id is among them, which is how its processes are found again, whoever started them.
    """
    foreign = ("PYTHON", "JUPYTER", "CONDA", "VIRTUAL_ENV")
    kept = {key: value for key, value in outer.items() if key not in LOOSENING and not key.startswith(foreign)}
    active = os.path.join(outer.get("VIRTUAL_ENV", ""), "bin")  # whose commands are of another Python
    path = [folder for folder in outer.get("PATH", os.defpath).split(os.pathsep) if folder != active]
    person = outer.get("HOME") or os.path.expanduser("~")
    return {
        **kept,
        **_shared_configuration(person, outer),
        **command_environment(image.folder),
        **image.env,
        "HOME": str(root / "home"),
        "PATH": os.pathsep.join([str(root / "env" / "bin"), *path]),
        "VIRTUAL_ENV": str(root / "env"),
        "PYTHONNOUSERSITE": "1",
        INSTANCE_MARK: identity,
        "LAUNCHBAY_INSTANCE_NAME": name,
    }


def _shared_configuration(person: str, outer: Mapping[str, str]) -> dict[str, str]:
    """Keep the person's package caches and index configuration, which a home of its own would hide."""
    cache = outer.get("XDG_CACHE_HOME") or os.path.join(person, ".cache")
    config = outer.get("XDG_CONFIG_HOME") or os.path.join(person, ".config")
    found = {
        "UV_CACHE_DIR": outer.get("UV_CACHE_DIR") or os.path.join(cache, "uv"),
        "PIP_CACHE_DIR": outer.get("PIP_CACHE_DIR") or os.path.join(cache, "pip"),
    }
    for key, path in (("PIP_CONFIG_FILE", "pip/pip.conf"), ("UV_CONFIG_FILE", "uv/uv.toml")):
        chosen = outer.get(key) or os.path.join(config, path)
        if os.path.isfile(chosen):
            found[key] = chosen
    return found
