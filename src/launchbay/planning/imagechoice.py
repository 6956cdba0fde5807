"""Which image a launch begins with, and why no other. Pure: the same listings are always the same choice.

An image baked of the same lock comes before all. Else the normal road is a base image, to which our lock is applied at boot:
with a driver where there is a GPU, plain where there is none. A Deep Learning AMI's own framework is used when it is named.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

from launchbay.catalog.capability import capability_of, format_capability
from launchbay.catalog.type import InstanceType
from launchbay.errors import UsageError
from launchbay.planning.cloudimage import MARKETPLACE, OURS, OWN, QUICK_START, ListedImage, to_ami
from launchbay.planning.fit import ImageNeeds, why_not

__all__ = ["ImageChoice", "Rejected", "choose_image", "parameters_for", "reasons_of", "role_of", "take_image"]

_OPEN_FROM = (7, 5)
"""The least compute capability that NVIDIA's open kernel modules drive: Turing, by their own page."""

_ROADS = {
    "neuron": ("neuron base", "neuron"),
    "cpu": ("plain", "single", "base"),
    "gpu": ("single", "base", "proprietary"),
}
"""What is taken for which type and lock, the best first. Ones with a driver do for a CPU too, if they are all there is."""


_DLAMI, _NEURON = "/aws/service/deeplearning/ami", "/aws/service/neuron/dlami"
_UBUNTU = "/aws/service/canonical/ubuntu/server"
_PARAMETERS = {
    ("neuron", "x86_64"): (
        f"{_NEURON}/base/ubuntu-24.04/latest/image_id",
        f"{_NEURON}/base/amazon-linux-2023/latest/image_id",
        f"{_NEURON}/multi-framework/ubuntu-24.04/latest/image_id",
        f"{_NEURON}/multi-framework/ubuntu-22.04/latest/image_id",
    ),
    ("gpu", "x86_64"): (
        f"{_DLAMI}/x86_64/base-with-single-cuda-ubuntu-24.04/latest/ami-id",
        f"{_DLAMI}/x86_64/base-with-single-cuda-ubuntu-22.04/latest/ami-id",
        f"{_DLAMI}/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id",
        f"{_DLAMI}/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id",
        f"{_DLAMI}/x86_64/base-proprietary-nvidia-driver-gpu-ubuntu-20.04/latest/ami-id",
        f"{_DLAMI}/x86_64/base-proprietary-nvidia-driver-amazon-linux-2/latest/ami-id",
    ),
    ("gpu", "arm64"): (
        f"{_DLAMI}/arm64/base-with-single-cuda-ubuntu-22.04/latest/ami-id",
        f"{_DLAMI}/arm64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id",
    ),
    ("cpu", "x86_64"): (
        f"{_UBUNTU}/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id",
        f"{_UBUNTU}/22.04/stable/current/amd64/hvm/ebs-gp2/ami-id",
    ),
    ("cpu", "arm64"): (
        f"{_UBUNTU}/24.04/stable/current/arm64/hvm/ebs-gp3/ami-id",
        f"{_UBUNTU}/22.04/stable/current/arm64/hvm/ebs-gp2/ami-id",
    ),
}
"""What names the bases that most launches begin with, at most ten, so that one question answers it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """An image that will not do, with a sentence for each reason."""

    image: ListedImage
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageChoice:
    """The image to begin with, None where none will do; what would do as well, the next best first; and what will not.

    `role` is ``baked`` where nothing is left to install, ``framework`` where the image's own is used, else what kind of base
    it is. `warnings` are what has to be said of the choice.
    """

    chosen: ListedImage | None
    role: str = ""
    others: tuple[ListedImage, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    warnings: tuple[str, ...] = ()


def role_of(image: ListedImage) -> str:
    """Return what an image is good for: ``baked``, ``framework``, a kind of base, or nothing that is known."""
    if image.kind == OURS:
        return "baked"
    if image.kind != QUICK_START:
        return ""
    is_base = " Base " in image.name
    if image.is_neuron:
        return "neuron base" if is_base else "neuron"
    if image.frameworks:
        return "framework"
    if is_base and "Proprietary" in image.name:
        return "proprietary"
    if is_base:
        return "single" if "Single CUDA" in image.name else "base"
    return "plain" if image.driver == "" and image.system else ""


def choose_image(
    needs: ImageNeeds,
    type_: InstanceType,
    listings: Iterable[ListedImage],
    *,
    today: date,
    digest: str | None = None,
    framework: str | None = None,
    system: str | None = None,
) -> ImageChoice:
    """Choose an image that the needs fit on a type, and say of every other why not.

    `digest` is the image that is wanted: one baked of it comes first. `framework` names a Deep Learning AMI's own
    (``pytorch``, ``pytorch 2.9``); where none has it, a base is chosen and that is said. `system` is the operating system,
    or how it begins (``ubuntu``, ``Amazon Linux 2023``). Raises UsageError for a framework that is no name.
    """
    wanted = _parse(framework)
    roles = _roles(needs, type_)
    fitting: list[ListedImage] = []
    rejected: list[Rejected] = []
    for image in sorted({item.id: item for item in listings}.values(), key=lambda item: item.id):
        reasons = tuple(_reasons(needs, type_, image, today=today, digest=digest, wanted=wanted, system=system))
        if reasons:
            rejected.append(Rejected(image=image, reasons=reasons))
        else:
            fitting.append(image)
    order = ("baked", "framework", *roles)
    ranked = sorted(fitting, key=lambda image: _rank(image, order, wanted, today))
    if not ranked:
        return ImageChoice(chosen=None, rejected=tuple(rejected))
    return ImageChoice(
        chosen=ranked[0],
        role=role_of(ranked[0]),
        others=tuple(ranked[1:]),
        rejected=tuple(rejected),
        warnings=tuple(_warnings(ranked[0], wanted, today)),
    )


def reasons_of(choice: ImageChoice, most: int = 3) -> tuple[str, ...]:
    """Return why nothing was chosen: what no image would mend, alone; else what those lack that come nearest to fitting.

    Images of strangers count only where there are no others.
    """
    fair = [item for item in choice.rejected if not _strange(item.image)] or list(choice.rejected)
    counts = Counter(reason for item in fair for reason in dict.fromkeys(item.reasons))
    nearest = sorted(fair, key=lambda item: len(item.reasons))
    reasons = sorted(
        dict.fromkeys(reason for item in nearest for reason in item.reasons), key=lambda text: -counts[text]
    )
    of_all = [reason for reason in reasons if counts[reason] == len(fair)]
    return tuple((of_all or reasons)[:most])


def parameters_for(needs: ImageNeeds, type_: InstanceType) -> tuple[str, ...]:
    """Return the public parameters of the bases that are looked at first; what is found by them is often all it takes."""
    return _PARAMETERS.get((_road(needs, type_), needs.architecture), ())


def take_image(needs: ImageNeeds, type_: InstanceType, image: ListedImage, *, today: date) -> tuple[str, ...]:
    """Return what has to be said of an image that a person names by its id, whoever made it.

    Raises UsageError where it cannot run on the type, each reason in it. What is not known is said and not refused: who
    names an image may know what is in it.
    """
    ami = to_ami(image)
    unknown = ami.driver is None and needs.accelerator != "cpu"
    reasons = why_not(needs, type_, replace(ami, driver=needs.driver) if unknown else ami)
    if image.state != "available":
        reasons = (*reasons, f"{image.id} is {image.state or 'in no known state'}")
    if reasons:
        raise UsageError(
            "; ".join(reasons), where=image.name, hint="another --ami, another --type, or no --ami: one is chosen"
        )
    said = [image.warning] if image.warning else []
    if unknown:
        said.append(
            f"which NVIDIA driver {image.id} has is not known: whether the GPU works is seen when it is verified"
        )
    if image.is_deprecated(today):
        said.append(f"{image.id} is deprecated by who published it")
    return (
        *(f"{image.id} is {text}" if text == image.warning else text for text in said),
        *_warnings(image, None, today),
    )


def _parse(framework: str | None) -> tuple[str, str] | None:
    if framework is None:
        return None
    found = re.fullmatch(r"([A-Za-z]+)(?:[ =-]{1,2}(\d+(?:\.\d+)*))?", framework.strip())
    if found is None:
        raise UsageError(f"a framework must look like pytorch or pytorch 2.9, got {framework[:40]!r}", hint="pytorch")
    return found[1].casefold(), found[2] or ""


def _road(needs: ImageNeeds, type_: InstanceType) -> str:
    if any(item.kind in ("neuron", "inference") and item.maker == "AWS" for item in type_.accelerators):
        return "neuron"
    return "cpu" if needs.accelerator == "cpu" else "gpu"


def _roles(needs: ImageNeeds, type_: InstanceType) -> Sequence[str]:
    return _ROADS[_road(needs, type_)]


def _named(role: str) -> str:
    names = {
        "": "of no kind that is known here",
        "base": "a base with several CUDAs",
        "neuron": "a Neuron image",
        "neuron base": "a Neuron base",
        "plain": "a plain system",
        "proprietary": "a base with NVIDIA's own driver",
        "single": "a base with a single CUDA",
    }
    return names[role]


def _reasons(
    needs: ImageNeeds,
    type_: InstanceType,
    image: ListedImage,
    *,
    today: date,
    digest: str | None,
    wanted: tuple[str, str] | None,
    system: str | None,
) -> Iterator[str]:
    """Yield why an image will not do, for whom it comes from first."""
    if reason := _strange(image):
        yield reason
        return
    if image.state != "available":
        yield f"{image.id} is {image.state or 'in no known state'}"
    if image.is_deprecated(today):
        yield f"{image.id} is deprecated by who published it"
    if image.root_gib is None:
        yield f"the root disk of {image.id} is not known"
    if system and not (image.system or "").casefold().startswith(system.casefold()):
        yield f"{image.id} has {image.system or 'a system that is not known'}, and {system} is asked for"
    if image.kind == OURS and (digest is None or image.digest != digest):
        yield f"{image.id} is baked of another lock: {(image.digest or 'none')[:12]}"
    if role_of(image) == "framework" and not _has(image, wanted):
        inside = ", ".join(f"{name} {version}" for name, version in image.frameworks.items())
        yield f"{image.id} has {inside}, and is used when that is asked for by name"
    roles = _roles(needs, type_)
    if role_of(image) not in ("baked", "framework", *roles):
        yield f"{image.id} is {_named(role_of(image))}, and {type_.name} takes {_named(roles[0])}"
    yield from why_not(needs, type_, to_ami(image))
    yield from _open_driver(image, type_)


def _strange(image: ListedImage) -> str:
    """Return why an image is nobody's whom we choose from: who wants it names it by its id."""
    if image.kind == MARKETPLACE:
        costs = "what is not known" if image.usd_per_hour is None else f"${image.usd_per_hour}"
        return f"{image.id} is of the marketplace, and costs {costs} an hour besides: by its id only"
    if image.kind == OWN:
        return f"{image.id} is this account's own, and what is in it is not known: by its id only"
    if image.kind not in (OURS, QUICK_START):
        return f"{image.id} is {image.warning}: by its id only"
    if image.kind == QUICK_START and image.usd_per_hour is None:
        return f"{image.id} may cost something an hour besides, and how much is not known: by its id only"
    return ""


def _open_driver(image: ListedImage, type_: InstanceType) -> Iterator[str]:
    """Yield that NVIDIA's open driver does not drive old GPUs, which an image without a list of families would not say."""
    is_open = role_of(image) in ("single", "base") or "OSS Nvidia" in image.name
    has = capability_of(type_.gpu)
    if is_open and has is not None and has < _OPEN_FROM and not image.families and type_.gpu is not None:
        least = format_capability(_OPEN_FROM)
        device = f"{type_.name}'s {type_.gpu.name}"
        yield f"{image.id} has NVIDIA's open driver, which wants compute capability {least}, and {device} has less"


def _has(image: ListedImage, wanted: tuple[str, str] | None) -> bool:
    if wanted is None:
        return False
    has = image.frameworks.get(wanted[0])
    return has is not None and f"{has}.".startswith(f"{wanted[1]}." if wanted[1] else "")


def _rank(image: ListedImage, order: Sequence[str], wanted: tuple[str, str] | None, today: date) -> tuple[object, ...]:
    """Return what sorts the better image first: its role, patched before not, Ubuntu, newer framework, longer support, newer."""
    version = tuple(-int(part) for part in re.findall(r"\d+", image.frameworks.get(wanted[0], "") if wanted else ""))
    has_wanted = wanted is not None and _has(image, wanted)
    return (
        0 if role_of(image) == "baked" else 1,
        not has_wanted,
        order.index(role_of(image)),
        image.has_ended(today),
        not (image.system or "").startswith("Ubuntu"),
        (*version, 1),
        image.support_ends is None,
        -(image.support_ends.toordinal() if image.support_ends else 0),
        -(image.created.timestamp() if image.created else 0.0),
        image.id,
    )


def _warnings(image: ListedImage, wanted: tuple[str, str] | None, today: date) -> Iterator[str]:
    if wanted is not None and image.kind != OURS and not _has(image, wanted):
        name = " ".join(part for part in wanted if part)
        yield f"no Deep Learning AMI that fits has {name}: {image.id} is a base, and the lock is installed at boot"
    if image.has_ended(today):
        yield f"{image.id} ({image.system or image.name}) is patched no more since {image.ends_by}"
    if image.driver is None and image.driver_floor:
        yield f"the driver of {image.id} is taken to be {image.driver_floor} or newer: {image.facts_from or 'from its tags'}"
    if image.usd_per_hour is None:
        yield f"{image.id} may cost something an hour besides: its product is somebody's, and the price is not known"
