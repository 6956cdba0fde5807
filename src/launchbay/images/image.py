"""Images on disk: find, list, describe.

An image of several side by side stores nothing but their digests: its record is all of it.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launchbay.errors import StateError
from launchbay.fields import INTEGER, NUMBER, TEXT, check_fields, fields, list_of, mapping_of, nullable, optional
from launchbay.files import read_json
from launchbay.home import Home
from launchbay.jsonable import fields_of

__all__ = [
    "FRAMEWORKS",
    "Image",
    "compose_image",
    "damaged_images",
    "find_image",
    "from_record",
    "image_folder",
    "list_images",
]

FRAMEWORKS = ("tensorflow", "torch", "jax", "mxnet", "keras")
"""Packages whose first import is what a person waits for; each is the name of its module too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A built image. `folder` holds ``env/`` (the environment), the lock, the seal and this record.

    One with `members` is several images side by side, and holds nothing itself; the first is the default.
    """

    name: str
    kind: str
    digest: str
    content: str
    folder: Path
    python: str
    python_version: str
    platform: str
    accelerator: str
    frameworks: Mapping[str, str]
    packages: Mapping[str, str]
    env: Mapping[str, str]
    size_bytes: int
    files: int
    downloaded_bytes: int
    built: str
    build_seconds: Mapping[str, float]
    first_import_s: float | None
    description: str = ""
    support_ends: str | None = None
    retired: str = ""
    system: tuple[str, ...] = ()
    members: tuple[Image, ...] = ()

    @property
    def parts(self) -> tuple[Image, ...]:
        """The images that an instance has an environment of each: its members, or itself alone."""
        return self.members or (self,)

    @property
    def environment(self) -> Path:
        """The sealed environment."""
        return self.folder / "env"

    @property
    def python_path(self) -> Path:
        """The image's own Python."""
        return self.environment / "bin" / "python"

    @property
    def site_packages(self) -> Path:
        """Where its packages lie."""
        return self.environment / "lib" / f"python{self.python}" / "site-packages"

    @property
    def constraints(self) -> Path:
        """The lock as ``name==version`` lines, which hold later installs to it."""
        return self.folder / "constraints.txt"

    def as_json(self) -> Mapping[str, Any]:
        """Return its fields, less the list of all packages (`bay image show` has that)."""
        shown = {name: value for name, value in fields_of(self).items() if name != "packages"}
        return {**shown, "members": {member.name: member.digest for member in self.members}}


def image_folder(home: Home, digest: str) -> Path:
    """Return where the image of that digest lies once it is built."""
    return home.images / digest


def find_image(home: Home, digest: str) -> Image | None:
    """Return the image of that digest, or None when it, or one of its members, is not built."""
    folder = image_folder(home, digest)
    try:
        record = read_json(folder / "record.json")
    except FileNotFoundError:
        return None
    if not record.get("members"):
        return from_record(record, folder)
    check_fields(record, _COMPOSED, where=folder / "record.json")
    members = []
    for named in record["members"]:
        member = find_image(home, named["digest"])
        if member is None:
            return None
        members.append(dataclasses.replace(member, name=named["name"]))  # equal content may have been built as another
    return compose_image(folder, {name: record[name] for name in _COMPOSED if name != "members"}, members)


def compose_image(folder: Path, record: Mapping[str, Any], members: Sequence[Image]) -> Image:
    """Return the image that is these images side by side. Its sizes are theirs: nothing is stored twice."""
    first = members[0]
    frameworks: dict[str, str] = {}
    for name, version in (pair for member in members for pair in member.frameworks.items()):
        frameworks.setdefault(name, version)  # of two versions the default environment's is shown
    imports = [member.first_import_s for member in members if member.first_import_s is not None]
    return Image(
        **record,
        kind="multi",
        content=hashlib.sha256("\n".join(member.content for member in members).encode()).hexdigest(),
        folder=folder,
        python=first.python,
        python_version=first.python_version,
        platform=first.platform,
        accelerator=first.accelerator,
        frameworks=frameworks,
        packages={},
        env={},
        size_bytes=sum(member.size_bytes for member in members),
        files=sum(member.files for member in members),
        downloaded_bytes=sum(member.downloaded_bytes for member in members),
        build_seconds={},
        first_import_s=max(imports, default=None),
        members=tuple(members),
    )


def list_images(home: Home) -> Iterator[Image]:
    """Yield the built images, oldest first; a damaged one is skipped (`bay doctor` names it)."""
    yield from sorted((image for _, image in _look(home) if image), key=lambda image: image.built)


def damaged_images(home: Home) -> Sequence[Path]:
    """Return the folders of images whose record cannot be read; nothing can stand on them."""
    return [folder for folder, image in _look(home) if image is None]


def _look(home: Home) -> Iterator[tuple[Path, Image | None]]:
    for folder in sorted(home.images.iterdir()) if home.images.is_dir() else ():
        try:
            yield folder, find_image(home, folder.name)
        except (StateError, NotADirectoryError):
            yield folder, None


_COMPOSED = {
    **dict.fromkeys(("name", "digest", "built", "description"), TEXT),
    "members": list_of(fields({"name": TEXT, "digest": TEXT})),
}
_RECORD = {
    **dict.fromkeys(("name", "kind", "digest", "content", "python", "python_version"), TEXT),
    **dict.fromkeys(("platform", "accelerator", "built"), TEXT),
    **dict.fromkeys(("frameworks", "packages", "env"), mapping_of(TEXT)),
    **dict.fromkeys(("size_bytes", "files", "downloaded_bytes"), INTEGER),
    "build_seconds": mapping_of(NUMBER),
    "first_import_s": nullable(NUMBER),
    **dict.fromkeys(("description", "retired"), dataclasses.replace(TEXT, may_lack=True)),
    "support_ends": optional(TEXT),
    "system": dataclasses.replace(list_of(TEXT), may_lack=True),
}


def from_record(record: Mapping[str, Any], folder: Path) -> Image:
    """Make the value from its record; fields of later versions are ignored. Raises StateError when some cannot be used."""
    check_fields(record, _RECORD, where=folder / "record.json")
    known = {name: record[name] for name in _RECORD if name in record}
    return Image(folder=folder, **{**known, "system": tuple(record.get("system") or ())})
