"""Images: an API call for each verb, and what of it is shown."""

from __future__ import annotations

from datetime import UTC, datetime

import launchbay
from launchbay.api.images import check_far_bake
from launchbay.cli.context import Context, list_width
from launchbay.cli.texts.baked import baked_text
from launchbay.cli.texts.cloudimages import cloud_baked_text, cloud_images_text, cloud_removed_text
from launchbay.cli.texts.images import exported_text, image_check_text, image_text, images_text, imported_text
from launchbay.errors import UsageError
from launchbay.lifecycle.bake import Baked

__all__ = ["COMMANDS"]


def _images(context: Context) -> int:
    given = context.arguments
    if given.provider in (None, "local"):
        if given.region or given.all_owners:
            raise UsageError("images on this machine have no region and no owner", hint="bay images --provider ec2")
        return _local_images(context)
    query = " ".join(given.query)
    found = launchbay.list_cloud_images(
        context.bay, given.provider, query, region=given.region, all_owners=given.all_owners
    )
    today = datetime.fromtimestamp(context.bay.clock.now(), UTC).date()
    context.show(found, lambda: cloud_images_text(found, today, list_width()))
    return 0


def _local_images(context: Context) -> int:
    rows = launchbay.list_images(context.bay, " ".join(context.arguments.query))
    context.show(rows, lambda: images_text(rows, list_width()))
    return 0


def _image_build(context: Context) -> int:
    image = launchbay.build_image(context.bay, context.arguments.image, accelerator=context.arguments.accelerator)
    shown = {**launchbay.to_json(image), "packages": dict(image.packages)}
    context.show(image, lambda: image_text(shown).split("\n\n")[0])
    return 0


def _image_show(context: Context) -> int:
    shown = launchbay.show_image(context.bay, context.arguments.image)
    context.show(shown, lambda: image_text(shown))
    return 0


def _image_verify(context: Context) -> int:
    check = launchbay.verify_built(context.bay, context.arguments.image)
    context.show(check, lambda: image_check_text(check))
    return 0 if check.ok else 1


def _image_bake(context: Context) -> int:
    given = context.arguments
    if launchbay.is_on_ec2(context.bay, given.instance):
        check_far_bake(given.instance, name=given.name, env=given.env, output=given.output)
        context.agree(f"Baking a machine image of {given.instance} restarts it, and ends what runs there")
    baked = launchbay.bake(context.bay, given.instance, name=given.name, env=given.env, output=given.output)
    if isinstance(baked, Baked):
        context.show(baked, lambda: baked_text(baked))
        return 0 if baked.same else 1
    context.show(baked, lambda: cloud_baked_text(baked))
    return 0


def _image_export(context: Context) -> int:
    exported = launchbay.export_image(context.bay, context.arguments.image, output=context.arguments.output)
    context.show(exported, lambda: exported_text(exported))
    return 0


def _image_import(context: Context) -> int:
    given = context.arguments
    imported = launchbay.import_image(context.bay, given.file, sha256=given.sha256)
    context.show(imported, lambda: imported_text(imported))
    return 0


def _image_remove(context: Context) -> int:
    given = context.arguments
    if given.provider not in (None, "local"):
        context.agree(f"Removing the machine image {given.image} and its snapshots")
        removed = launchbay.remove_cloud_image(context.bay, given.image, provider=given.provider, region=given.region)
        context.show(removed, lambda: cloud_removed_text(removed))
        return 0
    context.agree(f"Removing the image {context.arguments.image}")
    image = launchbay.remove_image(context.bay, context.arguments.image)
    context.show({"removed": image}, lambda: f"{image.name} {image.digest[:12]} removed")
    return 0


COMMANDS = {
    "images": _images,
    "image build": _image_build,
    "image show": _image_show,
    "image verify": _image_verify,
    "image bake": _image_bake,
    "image export": _image_export,
    "image import": _image_import,
    "image remove": _image_remove,
}
"""The verbs of this group."""
