"""What an image needs of the machine it runs on: an architecture, and a GPU of some age where it is to use one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from launchbay.catalog.type import architecture_named
from launchbay.errors import NotFound
from launchbay.images.image import Image
from launchbay.images.lock import current_target
from launchbay.images.recipe import Recipe, find_recipe
from launchbay.lifecycle.accelerator import least_needed
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.images import find_any

__all__ = ["ImageNeeds", "find_needs"]

_SLUG = re.compile(r"\.py\d+-[a-z]+-(?P<machine>\w+)-(?:cpu|cuda\d+)\.(?:txt|lock)\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageNeeds:
    """What an image runs on. `capability` is the least one that a CUDA build of it runs on, empty where it has none.

    `architectures`, in EC2's words, are those that it is locked or built for.
    """

    image: str
    architectures: tuple[str, ...]
    capability: str
    runs_on_cpu: bool


def find_needs(bay: Bay, reference: str) -> ImageNeeds:
    """Return what an image needs, from its recipe or, for one that was built from elsewhere, from the build.

    Resolves nothing and needs no network. Raises NotFound with the nearest names.
    """
    try:
        recipe = find_recipe(reference)
    except NotFound:
        image, _ = find_any(bay, reference)
        if image is None:
            raise
        return _join(image.name, map(_needs_of_build, image.parts))
    members = [find_recipe(item) for item in recipe.images] or [recipe]
    return _join(recipe.name, map(_needs_of_recipe, members))


def _join(name: str, needs: Iterable[ImageNeeds]) -> ImageNeeds:
    """Return what several side by side need together: of those that use a GPU, the most demanding counts."""
    parts = list(needs)
    shared = [item for item in parts[0].architectures if all(item in part.architectures for part in parts)]
    return ImageNeeds(
        image=name,
        architectures=tuple(shared),
        capability=max((part.capability for part in parts), key=_number),
        runs_on_cpu=all(part.runs_on_cpu for part in parts),
    )


def _needs_of_recipe(recipe: Recipe) -> ImageNeeds:
    cudas = [item for item in recipe.accelerators if item != "cpu"]
    return ImageNeeds(
        image=recipe.name,
        architectures=_ec2_names(_locked_for(recipe) or [current_target(recipe.python).platform.partition("-")[2]]),
        capability=min((least_needed(recipe, item)[1] for item in cudas), key=_number, default=""),
        runs_on_cpu="cpu" in recipe.accelerators,
    )


def _needs_of_build(image: Image) -> ImageNeeds:
    recipe = Recipe(name=image.name, origin=None)
    is_cpu = image.accelerator == "cpu"
    return ImageNeeds(
        image=image.name,
        architectures=_ec2_names([image.platform.partition("-")[2]]),
        capability="" if is_cpu else least_needed(recipe, image.accelerator)[1],
        runs_on_cpu=is_cpu,
    )


def _locked_for(recipe: Recipe) -> list[str]:
    """Return the machines that a recipe has locks for, in the package or beside its file."""
    return [found["machine"] for name in _lock_names(recipe) if (found := _SLUG.search(name))]


def _lock_names(recipe: Recipe) -> Iterator[str]:
    if recipe.origin is None:
        shipped = resources.files("launchbay.images") / "locks"
        yield from (item.name for item in shipped.iterdir() if item.name.startswith(f"{recipe.name}.py"))
    else:
        yield from (path.name for path in Path(recipe.origin).parent.glob(f"{recipe.origin.stem}.py*.lock"))


def _ec2_names(machines: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(map(architecture_named, machines))))


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part)
