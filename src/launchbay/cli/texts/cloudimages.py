"""Images on EC2 as text for people. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from launchbay.cli.table import table
from launchbay.units import count_of, format_amount, format_usd

if TYPE_CHECKING:
    from launchbay.api.cloudimages import ListedImage
    from launchbay.cloud.bake import FarBaked
    from launchbay.providers.ec2.baking import RemovedImage

__all__ = ["cloud_baked_text", "cloud_images_text", "cloud_removed_text"]

_HEAD = ("ID", "NAME", "KIND", "FRAMEWORKS", "DRIVER", "CUDA", "GIB", "BUILT", "SUPPORT ENDS", "EXTRA $/H", "OWNER")
_LEAST = ("OWNER", "BUILT", "GIB", "FRAMEWORKS", "CUDA", "DRIVER")
"""What a narrow terminal loses: never the price, the kind, or the end of support."""


def cloud_baked_text(baked: FarBaked) -> str:
    """Say which machine image was made, what it costs to keep, and what went along."""
    made = baked.machine_image
    price = "unknown" if baked.usd_per_month is None else f"at most ${format_usd(baked.usd_per_month)}"
    return "\n".join(
        [
            f"{made.id} made of {baked.instance}: the next launch of {baked.image} {baked.digest[:12]} begins with it",
            f"  cost    {price} a month for {count_of(len(made.snapshots), 'snapshot')}, as long as it is kept",
            *(f"  note    {note}" for note in baked.notes),
            f"  next    bay image remove {made.id} --provider {baked.provider} --region {baked.region}",
        ]
    )


def cloud_removed_text(removed: RemovedImage) -> str:
    """Say what became of a machine image and its snapshots."""
    lines = [f"{removed.id} removed, with {count_of(len(removed.snapshots), 'snapshot')}"]
    lines += [f"  {name} stays, and costs: {why}" for name, why in removed.kept.items()]
    return "\n".join(lines)


def cloud_images_text(images: Sequence[ListedImage], today: date, width: int | None = None) -> str:
    """Say what images there are. Below the table stands what has to be said loudly, and what a sign in it means."""
    if not images:
        return "No image matches."
    rows = [
        (
            image.id,
            image.name,
            image.kind,
            ", ".join(f"{name} {version}" for name, version in image.frameworks.items()) or "-",
            _driver(image),
            image.cuda or "unknown" if _may_have_gpu(image) else "-",
            "unknown" if image.root_gib is None else str(image.root_gib),
            image.created.date().isoformat() if image.created else "unknown",
            _support(image, today),
            "unknown" if image.usd_per_hour is None else format_amount(image.usd_per_hour),
            image.owner,
        )
        for image in images
    ]
    lines = [table(_HEAD, rows, right=(6, 9), width=width, least=_LEAST)]
    lines += [f"WARNING  {image.id}: {image.warning}" for image in images if image.warning]
    lines += list(_legend(images, today))
    return "\n".join(lines)


def _may_have_gpu(image: ListedImage) -> bool:
    return image.driver != ""


def _driver(image: ListedImage) -> str:
    if image.driver is not None:
        return image.driver or "-"
    return f"{image.driver_floor}+" if image.driver_floor else "unknown"


def _support(image: ListedImage, today: date) -> str:
    if image.has_ended(today):
        return f"ended {image.ends_by}"
    if image.support_ends:
        return image.support_ends.isoformat()
    return f"by {image.ends_by}" if image.ends_by else "unknown"


def _legend(images: Sequence[ListedImage], today: date) -> list[str]:
    """Explain the signs that are there, and count what somebody might overlook."""
    lines = []
    if any(image.driver is None and image.driver_floor for image in images):
        lines.append(
            "DRIVER 595.71.05+ is that version or a newer one, by what is known of an earlier build; --json says from where"
        )
    if any(image.support_ends is None and image.ends_by and not image.has_ended(today) for image in images):
        lines.append("SUPPORT ENDS by a day: then its system's patches end, and those of a framework may end before")
    if ended := [image for image in images if image.has_ended(today)]:
        lines.append(
            f"{count_of(len(ended), 'image')} can be launched, but without patches any more: support has ended"
        )
    if any(image.usd_per_hour is None for image in images):
        lines.append("EXTRA $/H unknown: somebody sells it by the hour, and EC2 does not say for how much")
    return lines
