"""How a local instance sits on its image: thin and writable, in one of two ways.

`PthLayer` is a virtual environment that holds nothing but a line which adds the image's packages after its own, and
links for the commands. It needs no privileges and takes milliseconds. What is installed into it shadows the image for
this instance alone. It cannot hide a package of the image. `OverlayLayer` is an overlay mount in a namespace of its
own, where an instance sees a whole environment, from which packages of the image can be removed too. It needs Linux and
the right to mount. Neither isolates hostile users.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from launchbay.errors import StateError
from launchbay.images.commands import list_commands
from launchbay.images.image import Image
from launchbay.planning.fleet import Instance
from launchbay.providers.kernels import kernel_files
from launchbay.providers.overlay import Mount, end_holders, find_holder, hold

__all__ = ["LAYERS", "Door", "Layer", "OverlayLayer", "PthLayer", "find_layer"]


@dataclass(frozen=True, slots=True)
class Door:
    """How commands get into an instance: words before each of them, and where its files are seen from outside."""

    words: Sequence[str] = ()
    view: str = ""


class Layer(Protocol):
    """**Protocol:** a thin writable layer on a sealed image. Used by the local provider, and by whoever goes inside."""

    @property
    def name(self) -> str:
        """The layer's name in records."""

    @property
    def is_whole(self) -> bool:
        """Whether an environment holds the image's packages too, and not only what is its own."""

    def create(self, root: Path, image: Image) -> None:
        """Make the environments of an instance in `root`, a folder that is renamed afterwards."""

    def open(self, instances: Sequence[Instance], image: Image) -> None:
        """Make instances that stand in their places ready to go inside. Idempotent; costs nothing where they are."""

    def door(self, instance: Instance, image: Image) -> Door:
        """Return the way in, opened if it is shut."""

    def shut(self, instances: Sequence[Instance]) -> None:
        """Undo `open`, whoever did it. Idempotent; files stay."""

    def written(self, root: Path) -> Mapping[str, Path]:
        """Return the folders that hold what the instance has written, by where they lie in its environments."""

    def covered(self, image: Image) -> Mapping[str, Path]:
        """Return the image's environments that an instance sees as its own, by where they lie in what it has written."""

    def pristine(self, image: Image) -> Mapping[str, str]:
        """Return every file of an untouched layer, path -> ``sha256:...`` or ``link:...``: what verifying compares with."""

    def restore(self, root: Path, image: Image) -> None:
        """Give back the image's own commands where removing a package of the layer took them along. Idempotent."""


class PthLayer:
    """The default layer: any POSIX system, no privileges."""

    name = "layer"
    is_whole = False

    def create(self, root: Path, image: Image) -> None:
        """Write the few files and links; nothing in them names the instance, so it can be renamed."""
        environments = str(root / "env")
        folders: set[str] = set()
        for path, text, target in _entries(image):
            place = os.path.join(environments, path)
            folder = os.path.dirname(place)
            if folder not in folders:
                os.makedirs(folder, exist_ok=True)
                folders.add(folder)
            if target:
                os.symlink(target, place)
            else:
                with open(place, "w", encoding="utf-8") as file:
                    file.write(text)

    def open(self, instances: Sequence[Instance], image: Image) -> None:
        """Do nothing: there is nothing but files."""

    def door(self, instance: Instance, image: Image) -> Door:  # noqa: ARG002 - the protocol's
        """Return a door that is none: everything can be reached as it lies."""
        return Door()

    def shut(self, instances: Sequence[Instance]) -> None:
        """Do nothing."""

    def written(self, root: Path) -> Mapping[str, Path]:
        """Return its environments: they hold nothing else."""
        return {"": root / "env"}

    def covered(self, image: Image) -> Mapping[str, Path]:  # noqa: ARG002 - the protocol's
        """Return none: the image's packages stay where they lie."""
        return {}

    def pristine(self, image: Image) -> Mapping[str, str]:
        """Return what `create` writes, by hash."""
        return {path: f"link:{target}" if target else _hash(text) for path, text, target in _entries(image)}

    def restore(self, root: Path, image: Image) -> None:
        """Link what is missing.

        A package that shadows one of the image puts scripts in the place of the links; its removal leaves neither, and
        the next `pip` would be the machine's own.
        """
        for path, _, target in _entries(image):
            place = root / "env" / path
            if target and not os.path.lexists(place) and place.parent.is_dir():
                with contextlib.suppress(FileExistsError):  # another command restores it too
                    os.symlink(target, place)


class OverlayLayer:
    """A layer where the kernel allows it: one environment, the image's files and the instance's own in it as one."""

    name = "overlay"
    is_whole = True

    def create(self, root: Path, image: Image) -> None:
        """Make the folders: what is written, what the kernel works in, and where both are seen with the image's."""
        for part in _parts(image):
            for folder in (root / "env" / part, root / "upper" / part, root / "mounting" / (part or "env")):
                folder.mkdir(parents=True, exist_ok=True)
        for path, text in kernel_files(image).items():
            (root / "env" / path).parent.mkdir(parents=True)
            (root / "env" / path).write_text(text, encoding="utf-8")

    def open(self, instances: Sequence[Instance], image: Image) -> None:
        """Let a process hold the mounts of each instance that has none."""
        closed = [item for item in instances if find_holder(item) is None]
        if closed:
            hold({item: list(_mounts(item.root, image)) for item in closed})

    def door(self, instance: Instance, image: Image) -> Door:
        """Enter the namespaces of the process that holds the mounts."""
        holder = find_holder(instance)
        if holder is None:
            self.open([instance], image)
            holder = find_holder(instance)
            assert holder is not None
        return Door(words=holder.words(str(instance.root / "work")), view=holder.view)

    def shut(self, instances: Sequence[Instance]) -> None:
        """End the processes that hold the mounts, and with them the mounts."""
        end_holders(instances)

    def written(self, root: Path) -> Mapping[str, Path]:
        """Return the upper folder of the mounts, and the kernels of several environments.

        One environment alone has no such folder here; inside, the image's own would be seen at that place.
        """
        kernels = root / "env" / "share"
        return {"": root / "upper", **({"share": kernels} if kernels.is_dir() else {})}

    def covered(self, image: Image) -> Mapping[str, Path]:
        """Return what lies below the mounts."""
        return {part: member.environment for part, member in zip(_parts(image), image.parts, strict=True)}

    def pristine(self, image: Image) -> Mapping[str, str]:
        """Return the kernels: nothing else is written before somebody works in it."""
        return {path: _hash(text) for path, text in kernel_files(image).items()}

    def restore(self, root: Path, image: Image) -> None:
        """Do nothing: what was removed here is meant to be gone."""


LAYERS: Mapping[str, Layer] = {layer.name: layer for layer in (PthLayer(), OverlayLayer())}
"""The layers that this version knows, by name."""


def find_layer(name: str) -> Layer:
    """Return the layer that an instance's record names. Raises StateError for one that this version does not know."""
    if name not in LAYERS:
        raise StateError(f"instances on {name!r} layers need a newer Launchbay", hint="pip install -U launchbay")
    return LAYERS[name]


def _mounts(root: Path, image: Image) -> Iterator[Mount]:
    for part, member in zip(_parts(image), image.parts, strict=True):
        yield Mount(
            lower=member.environment,
            upper=root / "upper" / part,
            work=root / "mounting" / (part or "env"),
            target=root / "env" / part,
        )


def _parts(image: Image) -> Sequence[str]:
    """Return the folder of each environment below ``env``; one alone has none of its own."""
    return [member.name for member in image.members] or [""]


def _hash(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _entries(image: Image) -> Sequence[tuple[str, str, str]]:
    """Return (path, text, link target) of every file of a layer; the same for each instance on an image."""
    if not image.members:
        return _entries_of(image)
    found = [(f"{member.name}/{path}", text, to) for member in image.members for path, text, to in _entries_of(member)]
    return found + [(path, text, "") for path, text in kernel_files(image).items()]


def _entries_of(image: Image) -> list[tuple[str, str, str]]:
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
