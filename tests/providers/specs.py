"""Instances to be, without a launch around them."""

from __future__ import annotations

from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.planning.fleet import Instance, InstanceSpec
from launchbay.providers.base import Provider

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


def make_instances(bay: Bay, image: Image, count: int = 1, *, provider: Provider | None = None) -> list[Instance]:
    """Make instances, and return them as observed."""
    provider = provider or bay.provider
    provider.create(make_specs(image, count), image, made=lambda instance: None)
    return list(provider.observe())
