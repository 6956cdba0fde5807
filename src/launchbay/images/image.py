"""Images on disk: find, list, describe."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launchbay.errors import StateError
from launchbay.fields import INTEGER, NUMBER, TEXT, check_fields, mapping_of, nullable, optional
from launchbay.files import read_json
from launchbay.home import Home
from launchbay.jsonable import fields_of

__all__ = ["Image", "damaged_images", "find_image", "from_record", "image_folder", "list_images"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A built image. `folder` holds ``env/`` (the environment), the lock, the seal and this record."""

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
        return {name: value for name, value in fields_of(self).items() if name != "packages"}


def image_folder(home: Home, digest: str) -> Path:
    """Return where the image of that digest lies once it is built."""
    return home.images / digest


def find_image(home: Home, digest: str) -> Image | None:
    """Return the image of that digest, or None when it is not built."""
    folder = image_folder(home, digest)
    try:
        record = read_json(folder / "record.json")
    except FileNotFoundError:
        return None
    return from_record(record, folder)


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


_RECORD = {
    **dict.fromkeys(("name", "kind", "digest", "content", "python", "python_version"), TEXT),
    **dict.fromkeys(("platform", "accelerator", "built"), TEXT),
    **dict.fromkeys(("frameworks", "packages", "env"), mapping_of(TEXT)),
    **dict.fromkeys(("size_bytes", "files", "downloaded_bytes"), INTEGER),
    "build_seconds": mapping_of(NUMBER),
    "first_import_s": nullable(NUMBER),
    **dict.fromkeys(("description", "retired"), dataclasses.replace(TEXT, may_lack=True)),
    "support_ends": optional(TEXT),
}


def from_record(record: Mapping[str, Any], folder: Path) -> Image:
    """Make the value from its record; fields of later versions are ignored. Raises StateError when some cannot be used."""
    check_fields(record, _RECORD, where=folder / "record.json")
    return Image(folder=folder, **{name: record[name] for name in _RECORD if name in record})
