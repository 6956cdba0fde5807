"""Whether an image runs on an instance type from an AMI: said before anything is launched, and in sentences. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launchbay.catalog.capability import Capability, capability_of, format_capability, parse_capability, runs_cuda
from launchbay.catalog.type import InstanceType

if TYPE_CHECKING:
    from launchbay.images.recipe import Recipe

__all__ = ["Ami", "ImageNeeds", "needs_of", "read_families", "why_not"]

_LEAST_DRIVER = {"cuda12": "525", "cuda13": "580"}
"""The oldest driver that runs programs of a CUDA, by its release notes; remembered."""

_DROPPED: tuple[tuple[int, Capability], ...] = ((590, (7, 5)), (495, (5, 0)))
"""From which driver on the least compute capability is which: 580 is the last for Maxwell, Pascal and Volta, 470 for Kepler.

Remembered.
"""

_SUPPORTED = re.compile(r"supported\s+(?:EC2\s+)?instances?(?:\s+types?)?\s*:\s*([^.;|\n]*)", re.IGNORECASE)
_FAMILY = re.compile(r"[a-z]+\d[a-z0-9]*(?:-[a-z0-9]+)?", re.IGNORECASE)
_SHORT = {"g4": ("g4dn",), "p3": ("p3", "p3dn"), "p4": ("p4d",)}
"""What AWS's lists call a family, where that is none of its names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageNeeds:
    """What an image needs. `accelerator` is what it is locked for: ``cpu``, ``cuda12`` or ``cuda13``.

    `capability` is None where any will do, `driver` empty.
    """

    accelerator: str = "cpu"
    architecture: str = "x86_64"
    capability: Capability | None = None
    driver: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ami:
    """What an AMI has. `driver` is NVIDIA's version, empty where there is none, None where it is not known.

    `families` are those that it says to support; none where it says nothing. `is_neuron` says that it drives AWS's own
    accelerators.
    """

    id: str
    architecture: str
    driver: str | None = None
    families: tuple[str, ...] = ()
    is_neuron: bool = False


def needs_of(recipe: Recipe, accelerator: str, architecture: str = "x86_64") -> ImageNeeds:
    """Return what the image of a recipe needs when it is locked for an accelerator; a CPU lock needs no GPU."""
    if accelerator == "cpu":
        return ImageNeeds(architecture=architecture)
    return ImageNeeds(
        accelerator=accelerator,
        architecture=architecture,
        capability=parse_capability(recipe.gpu_capability) if recipe.gpu_capability else None,
        driver=recipe.gpu_driver or _LEAST_DRIVER.get(accelerator, ""),
    )


def read_families(description: str) -> tuple[str, ...]:
    """Return the families that an AMI's description says it supports: "Supported EC2 instances: G4dn, G5" are g4dn and g5."""
    found = _SUPPORTED.search(description)
    return tuple(name.casefold() for name in _FAMILY.findall(found[1])) if found else ()


def why_not(needs: ImageNeeds, type_: InstanceType, ami: Ami | None) -> tuple[str, ...]:
    """Return why an image does not run on a type from an AMI, a sentence for each reason; nothing where it does.

    Unknown is a reason: a GPU or driver that nobody knows may train on the CPU in silence. Without an AMI what would depend
    on it is left out.
    """
    return (*_system(needs, type_, ami), *_devices(needs, type_, ami), *_family(type_, ami))


def _system(needs: ImageNeeds, type_: InstanceType, ami: Ami | None) -> Iterator[str]:
    has = " and ".join(type_.architectures)
    if needs.architecture not in type_.architectures:
        yield f"the image is for {needs.architecture}, and {type_.name} is {has}"
    if ami is not None and ami.architecture not in type_.architectures:
        yield f"{ami.id} is for {ami.architecture}, and {type_.name} is {has}"
    if ami is not None and ami.architecture != needs.architecture:
        yield f"the image is for {needs.architecture}, and {ami.id} for {ami.architecture}"


def _devices(needs: ImageNeeds, type_: InstanceType, ami: Ami | None) -> Iterator[str]:
    own = [item for item in type_.accelerators if item.kind in ("neuron", "inference") and item.maker == "AWS"]
    if own and ami is not None and not ami.is_neuron:
        yield f"{type_.name} has {own[0].name}, which only a Neuron AMI drives, and {ami.id} is none"
    if needs.accelerator == "cpu":
        return
    gpu = type_.gpu
    if gpu is None:
        yield f"the image is locked for {needs.accelerator}, and {type_.name} has no GPU"
        return
    if not runs_cuda(gpu):
        yield f"the image is locked for {needs.accelerator}, and the GPU of {type_.name} is of {gpu.maker}, which runs no CUDA"
        return
    has = capability_of(gpu)
    if needs.capability is not None and has is None:
        least = format_capability(needs.capability)
        yield f"the image needs compute capability {least}, and that of {type_.name}'s {gpu.name} is not known"
    elif needs.capability is not None and has is not None and has < needs.capability:
        least = format_capability(needs.capability)
        yield f"the image needs compute capability {least}, and {type_.name}'s {gpu.name} has {format_capability(has)}"
    if ami is not None:
        yield from _driver(needs, f"{type_.name}'s {gpu.name}", has, ami)


def _driver(needs: ImageNeeds, device: str, has: Capability | None, ami: Ami) -> Iterator[str]:
    if ami.driver == "":
        yield f"the image needs an NVIDIA driver, and {ami.id} has none"
        return
    if ami.driver is None:
        yield f"the image needs NVIDIA driver {needs.driver or 'of some version'}, and that of {ami.id} is not known"
        return
    if needs.driver and _version(ami.driver) < _version(needs.driver):
        yield f"the image needs NVIDIA driver {needs.driver} or newer, and {ami.id} has {ami.driver}"
    for since, least in _DROPPED:
        if has is not None and has < least and _version(ami.driver) >= (since,):
            last = f"since {since} wants compute capability {format_capability(least)}"
            yield f"NVIDIA's driver {last}, {device} has {format_capability(has)}, and {ami.id} has driver {ami.driver}"
            return


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


def _family(type_: InstanceType, ami: Ami | None) -> Iterator[str]:
    """Yield what a list of families says; a family beside its own devices is not on a list of those with a GPU."""
    if ami is None or not ami.families:
        return
    known = {name for item in ami.families for name in (item, *_SHORT.get(item, ()))}
    if type_.family not in known and type_.accelerators:
        yield f"{ami.id} supports {', '.join(ami.families)}, and {type_.name} is none of them"
