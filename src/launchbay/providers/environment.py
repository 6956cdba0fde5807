"""The environments of an instance: one, or one for each of several images side by side; and the variables within."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launchbay.errors import NotFound
from launchbay.images.commands import LOOSENING, command_environment
from launchbay.images.image import Image
from launchbay.providers.processes import INSTANCE_MARK

__all__ = ["Environment", "environments", "find_environment", "instance_environment"]


@dataclass(frozen=True, slots=True)
class Environment:
    """A Python environment: where it lies, and the image below it. It is called after the image."""

    path: Path
    image: Image
    is_one_of_several: bool = False

    @property
    def python(self) -> Path:
        """Its Python."""
        return self.path / "bin" / "python"

    @property
    def name(self) -> str | None:
        """What tells it from others of its instance; None for one alone."""
        return self.image.name if self.is_one_of_several else None


def environments(root: Path, image: Image) -> Sequence[Environment]:
    """Return the environments of an instance in `root`; the first is the default."""
    if not image.members:
        return (Environment(root / "env", image),)
    return tuple(Environment(root / "env" / member.name, member, is_one_of_several=True) for member in image.members)


def find_environment(root: Path, image: Image, name: str | None) -> Environment:
    """Return the environment of that name, the default for None. Raises NotFound naming those there are."""
    there = environments(root, image)
    found = next((item for item in there if name in (None, item.image.name)), None)
    if found is None:
        names = ", ".join(item.image.name for item in there)
        raise NotFound(f"{image.name} has no environment {name!r}", hint=f"--env with one of: {names}")
    return found


def instance_environment(
    environment: Environment, *, person: Path, outer: Mapping[str, str], name: str, identity: str
) -> dict[str, str]:
    """Return the variables of everything that runs in an instance: the caller's own, less what would leak in.

    `person` is its home folder. The instance's id is among them, which is how its processes are found again, whoever
    started them.
    """
    foreign = ("PYTHON", "JUPYTER", "CONDA", "VIRTUAL_ENV", "LAUNCHBAY_ERRORS")
    kept = {key: value for key, value in outer.items() if key not in LOOSENING and not key.startswith(foreign)}
    active = os.path.join(outer.get("VIRTUAL_ENV", ""), "bin")  # whose commands are of another Python
    path = [folder for folder in outer.get("PATH", os.defpath).split(os.pathsep) if folder != active]
    home = outer.get("HOME") or os.path.expanduser("~")
    commands = command_environment(environment.image.folder)
    if environment.is_one_of_several:  # their kernels lie beside them
        kernels = environment.path.parent / "share" / "jupyter"
        commands["JUPYTER_PATH"] = os.pathsep.join([str(kernels), commands["JUPYTER_PATH"]])
    return {
        **kept,
        **_shared_configuration(home, outer),
        **commands,
        **environment.image.env,
        "HOME": str(person),
        "PATH": os.pathsep.join([str(environment.path / "bin"), *path]),
        "VIRTUAL_ENV": str(environment.path),
        "PYTHONNOUSERSITE": "1",
        INSTANCE_MARK: identity,
        "LAUNCHBAY_INSTANCE_NAME": name,
    }


def _shared_configuration(home: str, outer: Mapping[str, str]) -> dict[str, str]:
    """Keep the person's package caches and index configuration, which a home of its own would hide."""
    cache = outer.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")
    config = outer.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    found = {
        "UV_CACHE_DIR": outer.get("UV_CACHE_DIR") or os.path.join(cache, "uv"),
        "PIP_CACHE_DIR": outer.get("PIP_CACHE_DIR") or os.path.join(cache, "pip"),
    }
    for key, path in (("PIP_CONFIG_FILE", "pip/pip.conf"), ("UV_CONFIG_FILE", "uv/uv.toml")):
        chosen = outer.get(key) or os.path.join(config, path)
        if os.path.isfile(chosen):
            found[key] = chosen
    return found
