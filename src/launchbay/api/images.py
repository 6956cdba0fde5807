"""Images: list, build, show, verify, remove; take them to another machine as a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from launchbay.api.place import regions_of
from launchbay.cloud.bake import FarBaked, bake_far, remove_far_image
from launchbay.cloud.standing import find_one_far
from launchbay.errors import UsageError
from launchbay.images.image import Image
from launchbay.images.recipe import find_recipe
from launchbay.jsonable import to_json
from launchbay.lifecycle import archives
from launchbay.lifecycle.archives import Exported, Imported
from launchbay.lifecycle.bake import Baked, bake_instance
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.build import ensure_image
from launchbay.lifecycle.images import ImageCheck, ImageRow, find_any, image_rows, remove_image, verify_built
from launchbay.providers.ec2.baking import RemovedImage

__all__ = [
    "Baked",
    "Exported",
    "ImageCheck",
    "ImageRow",
    "Imported",
    "bake",
    "build_image",
    "check_far_bake",
    "export_image",
    "import_image",
    "list_images",
    "remove_cloud_image",
    "remove_image",
    "show_image",
    "verify_built",
]


def list_images(bay: Bay, query: str = "") -> Sequence[ImageRow]:
    """List built images and the recipes that could be built."""
    return image_rows(bay, query)


def build_image(bay: Bay, reference: str, *, accelerator: str = "auto") -> Image:
    """Build the image of a recipe's name, a recipe file or a requirements file, if it is not there.

    `accelerator` is ``cpu``, ``cuda``, or ``auto``: CUDA where the machine has an NVIDIA GPU and the recipe a CUDA lock.
    """
    return ensure_image(bay, reference, accelerator)[0]


def bake(
    bay: Bay, instance: str, *, name: str | None = None, env: str | None = None, output: str | Path | None = None
) -> Baked | FarBaked:
    """Make a recipe, its lock and an image of what was built up in an instance, and prove them the same.

    They are called `name` (default: INSTANCE-baked) and written to the folder `output` (default: here); `env` names the
    environment where an instance has several. Of an instance on EC2 it makes a machine image, tagged with the digest of its
    image, which the next launch of that begins with: the instance restarts meanwhile, and takes none of these options.
    """
    far = find_one_far(bay, instance)
    if far is not None:
        check_far_bake(instance, name=name, env=env, output=output)
        return bake_far(bay, far)
    return bake_instance(bay, instance, image_name=name, env=env, output=None if output is None else Path(output))


def check_far_bake(instance: str, *, name: str | None, env: str | None, output: str | Path | None) -> None:
    """Raise UsageError for an option of `bake` that a machine image of an instance on EC2 does not take; nobody is asked."""
    if name or env or output:
        raise UsageError(
            "a machine image is called by its digest, and is nowhere here", hint=f"bay image bake {instance}"
        )


def show_image(bay: Bay, reference: str) -> Mapping[str, Any]:
    """Describe an image or recipe with all its packages."""
    image, lock = find_any(bay, reference)
    if image is not None:
        packages = {
            f"{part.name}/{name}" if image.members else name: version
            for part in image.parts
            for name, version in part.packages.items()
        }
        return {**to_json(image), "packages": packages}
    if lock is None:
        recipe = find_recipe(reference)
        members = {find_recipe(item).name: None for item in recipe.images}
        return {
            "name": recipe.name,
            "description": recipe.description,
            "members": members,
            "packages": {},
            "built": None,
            "size_bytes": None,
        }
    return {
        "name": lock.recipe,
        "digest": lock.digest,
        "python": lock.target.python,
        "platform": lock.target.platform,
        "accelerator": lock.target.accelerator,
        "env": dict(lock.env),
        "packages": {pin.name: pin.version for pin in lock.pins},
        "built": None,
        "size_bytes": None,
    }


def export_image(bay: Bay, reference: str, *, output: str | Path | None = None) -> Exported:
    """Write a built image as one file that another machine can take in."""
    return archives.export_image(bay, reference, None if output is None else Path(output))


def remove_cloud_image(bay: Bay, image: str, *, provider: str, region: str | None = None) -> RemovedImage:
    """Deregister a machine image that was baked from here, by its id, and delete its snapshots. Idempotent."""
    return remove_far_image(bay, provider, regions_of(bay, (region,) if region else ())[0], image)


def import_image(bay: Bay, file: str | Path, *, sha256: str | None = None) -> Imported:
    """Take in an image that was exported, here or elsewhere; verified before it gets its name."""
    return archives.import_image(bay, Path(file), sha256=sha256)
