"""Instances to be, without a launch around them."""

from __future__ import annotations

from launchbay.images.image import Image, find_image
from launchbay.lifecycle.bay import Bay
from launchbay.planning.fleet import Instance, InstanceSpec

__all__ = ["make_instances", "make_specs"]


def make_specs(image: Image, count: int, *, fleet: str = "exp") -> list[InstanceSpec]:
    """Return what a launch of `count` would hand to a provider."""
    return [
        InstanceSpec(
            id=f"i-{fleet}-{number}",
            name=f"{fleet}-{number}",
            fleet=fleet,
            count=count,
            image=image.name,
            digest=image.digest,
            token="token",
        )
        for number in range(1, count + 1)
    ]


def make_instances(bay: Bay, image: Image, count: int = 1) -> list[Instance]:
    """Make instances on the image as it lies in this home, and return them as observed."""
    mine = find_image(bay.home, image.digest)
    assert mine is not None
    bay.provider.create(make_specs(mine, count), mine, made=lambda _: None)
    return list(bay.provider.observe())
