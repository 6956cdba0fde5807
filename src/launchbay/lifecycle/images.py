"""List, check and remove images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from launchbay.errors import BuildError, Conflict, NotFound
from launchbay.files import discard
from launchbay.images.image import FRAMEWORKS, Image, list_images
from launchbay.images.lock import Lock, compose_digest
from launchbay.images.recipe import Recipe, builtin_names, find_recipe
from launchbay.lifecycle.bay import Bay, image_mark
from launchbay.lifecycle.build import find_built, image_lock, known_lock, resolve_lock
from launchbay.lifecycle.verify import verify_whole
from launchbay.planning.fleet import Instance
from launchbay.providers.processes import instance_processes
from launchbay.spec.names import nearest
from launchbay.store.journal import open_journal
from launchbay.units import count_of

__all__ = [
    "ImageCheck",
    "ImageRow",
    "find_any",
    "image_rows",
    "must_be_built",
    "remove_image",
    "standing_on",
    "verify_built",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRow:
    """An image as listed: built, or still only a recipe (then most is unknown)."""

    name: str
    kind: str
    description: str
    frameworks: dict[str, str]
    python: str
    accelerator: str | None
    digest: str | None
    size_bytes: int | None
    built: str | None
    support_ends: str | None
    instances: int
    retired: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageCheck:
    """The outcome of hashing an image."""

    name: str
    digest: str
    content: str
    ok: bool
    files: int
    problems: Sequence[str]


def image_rows(bay: Bay, query: str = "") -> Sequence[ImageRow]:
    """Return built images and recipes that could be built; `query` filters by words in name, description or packages."""
    instances = bay.provider.observe()
    built = list(list_images(bay.home))
    rows = [_built_row(image, sum(item.digest == image.digest for item in instances)) for image in built]
    names = {image.name for image in built}
    rows += [_recipe_row(bay, find_recipe(name)) for name in builtin_names() if name not in names]
    words = query.lower().split()
    packages = {image.digest: " ".join(image.packages) for image in built}
    return [
        row
        for row in rows
        if all(word in f"{row.name} {row.description} {packages.get(row.digest or '', '')}".lower() for word in words)
    ]


def _built_row(image: Image, instances: int) -> ImageRow:
    return ImageRow(
        name=image.name,
        kind=image.kind,
        description=image.description,
        frameworks=dict(image.frameworks),
        python=image.python_version,
        accelerator=image.accelerator,
        digest=image.digest,
        size_bytes=image.size_bytes,
        built=image.built,
        support_ends=image.support_ends,
        instances=instances,
        retired=image.retired,
    )


def _recipe_row(bay: Bay, recipe: Recipe) -> ImageRow:
    return ImageRow(
        name=recipe.name,
        kind="recipe",
        description=recipe.description,
        frameworks=_locked_frameworks(bay, recipe),
        python=recipe.python,
        accelerator=None,
        digest=None,
        size_bytes=None,
        built=None,
        support_ends=None,
        instances=0,
        retired=recipe.retired,
    )


def _locked_frameworks(bay: Bay, recipe: Recipe) -> dict[str, str]:
    """Return what the locks that are there would install; of two versions, the default environment's."""
    found: dict[str, str] = {}
    for part in [find_recipe(name) for name in recipe.images] or [recipe]:
        lock = known_lock(bay, part)
        packages = {pin.name: pin.version for pin in lock.pins} if lock else {}
        for name in sorted(FRAMEWORKS):
            if name in packages:
                found.setdefault(name, packages[name])
    return found


def find_any(bay: Bay, reference: str) -> tuple[Image | None, Lock | None]:
    """Return the built image that a name, recipe file or digest stands for, and its lock. Raises NotFound.

    For a recipe that is not built the image is None; the lock says what building would install. Several images side
    by side have no lock of their own.
    """
    try:
        recipe = find_recipe(reference)
    except NotFound:
        image = find_built(bay, reference)
        if image is None:
            known = {*builtin_names(), *(item.name for item in list_images(bay.home))}
            raise nearest(
                reference, known, kind="image", hint="`bay images` lists them; or give a recipe file (./ml.yaml)"
            ) from None
        return image, None
    if recipe.images:
        members = [find_recipe(item) for item in recipe.images]
        return find_built(bay, compose_digest([(item.name, _look_up(bay, item).digest) for item in members])), None
    lock = _look_up(bay, recipe)
    return find_built(bay, lock.digest), lock


def _look_up(bay: Bay, recipe: Recipe) -> Lock:
    """Return the lock that building would take; with a GPU that is too old for it, the one for the CPU."""
    try:
        return resolve_lock(bay, recipe)
    except BuildError:
        if recipe.accelerators == ("cpu",):
            raise
        return resolve_lock(bay, recipe, "cpu")


def verify_built(bay: Bay, reference: str) -> ImageCheck:
    """Hash every file of a built image; seconds."""
    image = must_be_built(bay, reference)
    found = verify_whole(image)
    return ImageCheck(
        name=image.name,
        digest=image.digest,
        content=found.content,
        ok=not found.problems,
        files=found.files,
        problems=found.problems,
    )


def standing_on(bay: Bay, image: Image) -> Sequence[Instance]:
    """Return the instances that need an image, be it as one of several side by side."""
    needing = {image.digest, *(item.digest for item in _composed_of(bay, image))}
    return [item for item in bay.provider.observe() if needing & {item.digest, item.previous}]


def _composed_of(bay: Bay, image: Image) -> Sequence[Image]:
    """Return the images that this one stands in beside others."""
    return [item for item in list_images(bay.home) if image.digest in [member.digest for member in item.members]]


def remove_image(bay: Bay, reference: str) -> Image:
    """Remove a built image. Raises Conflict while instances stand on it. Runs keep their records."""
    image = must_be_built(bay, reference)
    with image_lock(bay, image.digest, what=f"removing {image.name}"):
        standing = standing_on(bay, image)
        if standing:
            fleets = ", ".join(dict.fromkeys(item.fleet for item in standing))
            raise Conflict(
                f"{image.name} is in use by {count_of(len(standing), 'instance')}: {fleets}",
                hint=f"bay terminate {standing[0].fleet}",
            )
        if instance_processes([image_mark(image)]):
            raise Conflict(f"a board, or another command, runs on {image.name}", hint="bay board --stop")
        if whole := _composed_of(bay, image):
            raise Conflict(
                f"{image.name} is part of {whole[0].name}",
                hint=f"bay image remove {whole[0].name}, which keeps its parts",
            )
        with open_journal(bay.home.journal, bay.clock, bay.reporter.note, frees=True) as journal:
            operation = journal.begin("image remove", image.digest, {"name": image.name})
            with journal.step(operation, "remove"):
                discard(image.folder, bay.home.trash)
            journal.end(operation, "done")
    bay.provider.sweep()
    return image


def must_be_built(bay: Bay, reference: str) -> Image:
    """Return a built image. Raises NotFound, and Conflict for a recipe that is not built."""
    image = find_built(bay, reference)
    if image is None:
        image, _ = find_any(bay, reference)
    if image is None:
        raise Conflict(f"{reference} is not built", hint=f"bay image build {reference}")
    return image
