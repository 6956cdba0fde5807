"""Take an image to another machine as one file, and in from one: verified before it gets its name."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from launchbay.errors import BuildError, Conflict, NotFound, StateError, UsageError
from launchbay.files import explain_os_error, locked
from launchbay.images import build
from launchbay.images.archive import (
    Archive,
    Manifest,
    check_archive,
    is_archive,
    list_files,
    open_archive,
    write_archive,
)
from launchbay.images.image import Image, from_record
from launchbay.images.lock import Lock, current_target, parse_lock
from launchbay.images.recipe import Recipe
from launchbay.images.uv import Uv, find_uv
from launchbay.jsonable import fields_of
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.build import find_whole, image_lock, image_lock_path, make_image
from launchbay.lifecycle.images import must_be_built
from launchbay.lifecycle.scratch import scratch
from launchbay.lifecycle.verify import verify_image
from launchbay.ports import Event
from launchbay.units import format_bytes

__all__ = ["Exported", "Imported", "export_image", "import_image"]

_BESIDE = {
    "command.py",
    "command.sh",
    "commands.json",
    "constraints.txt",
    "env",
    "lock.txt",
    "record.json",
    "seal.json",
}
"""What lies in an image's folder; all but the packages is made anew from lock and record."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,62}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """An archive that was written."""

    name: str
    digest: str
    path: Path
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """An image that came from an archive. `is_new` is False where it was there already."""

    image: Image
    sha256: str
    is_new: bool


def export_image(bay: Bay, reference: str, output: Path | None = None) -> Exported:
    """Write a built image as one file, hashing it first. Raises Conflict when it was changed or the file is another's.

    The file gets its name when it is whole. The same image gives the same file.
    """
    image = must_be_built(bay, reference)
    if image.members:
        what = f"{image.name} is several images side by side: {', '.join(part.name for part in image.parts)}"
        raise Conflict(what, hint=f"one file each: bay image export {image.parts[0].name}")
    path = Path(output or f"{image.name}-{image.digest[:12]}.tar.gz").absolute()
    if path.is_dir():
        raise UsageError("the output must be a file, and there is a folder", where=str(path), hint=f"-o {path}/FILE")
    if path.exists() and not is_archive(path):
        raise Conflict("there is another file, which is no archive of an image", where=str(path), hint="-o FILE")
    half = path.with_name(f".{path.name}.{image.digest[:12]}.tmp")
    lock = bay.home.lock(f"export-{image.digest[:32]}")
    with locked(lock), locked(image_lock_path(bay.home, image.digest), shared=True):
        manifest = _describe(bay, image)
        try:
            with half.open("wb") as file:
                sha256 = write_archive(file, image.folder, manifest, tell=_tell(bay, "export", image.name, manifest))
            size = half.stat().st_size
            half.replace(path)
        except OSError as error:
            raise explain_os_error(error, f"exporting {image.name}") from error
        finally:
            half.unlink(missing_ok=True)
    return Exported(name=image.name, digest=image.digest, path=path, bytes=size, sha256=sha256)


def _describe(bay: Bay, image: Image) -> Manifest:
    """Hash an image and return its manifest; only an image that is as it was built may go out."""
    task = Event(task=f"hash {image.name}")
    bay.reporter.event(task)
    if more := {path.name for path in image.folder.iterdir()} - _BESIDE:
        raise Conflict(f"{image.name} holds what an archive does not carry: {', '.join(sorted(more))}")
    if problems := verify_image(image).problems:
        hint = f"bay image verify {image.name}"
        raise Conflict(f"{image.name} was changed since it was built, first {problems[0]}", hint=hint)
    with scratch(bay) as folder:
        empty = folder / "env"
        Uv(find_uv()).make_environment(empty, image.python_path.resolve())
        made_anew = {str(path.relative_to(folder)) for path in empty.rglob("*") if path.is_symlink() or path.is_file()}
    record = {name: value for name, value in fields_of(image).items() if name not in ("folder", "members")}
    lock = (image.folder / "lock.txt").read_text(encoding="utf-8")
    manifest = Manifest(record=record, lock=lock, files=list_files(image.folder, made_anew=made_anew))
    bay.reporter.event(replace(task, finished=True, message="done"))
    return manifest


def import_image(bay: Bay, path: Path, *, sha256: str | None = None) -> Imported:
    """Take an image in from an archive; what holds this machine's paths is made anew. Blocks.

    Raises NotFound, or BuildError for an archive that is cut off, altered, or for another kind of machine; then nothing
    of it was left behind. With `sha256`, it must be that very file.
    """
    if not path.is_file():
        raise NotFound("there is no such file", where=str(path), hint="bay image export NAME writes one")
    try:
        size = path.stat().st_size
        checking = Event(task=f"check {path.name}", total=size, unit="bytes")
        found = check_archive(path, tell=lambda done: bay.reporter.event(replace(checking, done=done)))
        bay.reporter.event(replace(checking, done=size, finished=True))
        if sha256 is not None and sha256.lower() != found:
            raise BuildError(f"the archive is not the one that was meant: its sha256 is {found}", where=str(path))
        with open_archive(path) as archive:
            image, is_new = _import(bay, archive)
    except OSError as error:
        raise explain_os_error(error, f"importing {path.name}") from error
    return Imported(image=image, sha256=found, is_new=is_new)


def _import(bay: Bay, archive: Archive) -> tuple[Image, bool]:
    image, lock = _check_manifest(bay, archive)
    recipe = Recipe(name=image.name, origin=None, description=image.description, retired=image.retired)
    with image_lock(bay, lock.digest, what=f"importing {image.name}"):
        if standing := find_whole(bay, lock):
            return standing, False
        _check_room(bay, archive)

        def fill(stage: build.Stage) -> int:
            build.make_environment(stage, uv=Uv(find_uv()))
            archive.unpack(stage.folder, tell=_tell(bay, "unpack", image.name, archive.manifest))
            return 0

        made = make_image(bay, recipe, lock, fill=fill, content=image.content, verb="import")
    bay.provider.sweep()
    return made, True


def _check_manifest(bay: Bay, archive: Archive) -> tuple[Image, Lock]:
    """Return what the archive says it is. Raises BuildError unless it agrees with itself and fits this machine."""
    try:
        lock = parse_lock(archive.manifest.lock, where="lock")
        image = from_record(archive.manifest.record, bay.home.images)
    except StateError as error:
        raise BuildError(f"the archive is refused: {error.what}", where=archive.where) from error
    target = current_target(lock.target.python)
    if lock.target.platform != target.platform:
        raise BuildError(
            f"the image is for {lock.target.platform}, and this machine is {target.platform}",
            where=archive.where,
            hint=f"build it here: bay image build {image.name}",
        )
    if lock.digest != image.digest or not _NAME.match(image.name):
        raise BuildError("the archive is refused: its lock is not that of its record", where=archive.where)
    return image, lock


def _check_room(bay: Bay, archive: Archive) -> None:
    """Raise BuildError where the image does not fit, before the disk is full of the half of it."""
    bay.home.tmp.mkdir(parents=True, exist_ok=True)
    free, size = shutil.disk_usage(bay.home.tmp).free, archive.manifest.size_bytes
    if size > free:
        raise BuildError(
            f"the image needs {format_bytes(size)}, and {format_bytes(free)} are free",
            where=str(bay.home.root),
            hint="free some space (`bay images` shows sizes), or LAUNCHBAY_HOME on another disk",
        )


def _tell(bay: Bay, verb: str, name: str, manifest: Manifest) -> Callable[[int], None]:
    moving = Event(task=f"{verb} {name}", total=manifest.size_bytes, unit="bytes")
    return partial(_tell_done, bay, moving)


def _tell_done(bay: Bay, moving: Event, done: int) -> None:
    bay.reporter.event(replace(moving, done=done, finished=done == moving.total))
