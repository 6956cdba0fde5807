"""Whether an image's frameworks can use the GPUs that the driver shows: asked for real, and remembered per driver."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from launchbay.errors import StateError
from launchbay.files import read_json, write_json
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.identity import Difference
from launchbay.lifecycle.scratch import ask_image
from launchbay.planning.fleet import Instance
from launchbay.units import count_of

__all__ = ["prove_gpus"]


def prove_gpus(
    bay: Bay,
    instances: Sequence[Instance],
    images: Mapping[str, Image],
    prints: Mapping[str, Mapping[str, Any]],
    *,
    afresh: bool,
) -> tuple[bool | None, list[Difference]]:
    """Compare what the driver shows with what each image's frameworks can use; None where the driver shows nothing.

    Importing a framework takes seconds, so an answer holds until the driver or the GPUs change; `afresh` asks anyway.
    """
    proven: bool | None = None
    differences: list[Difference] = []
    for digest, image in [(digest, part) for digest, whole in images.items() for part in whole.parts]:
        members = [item for item in instances if item.digest == digest and prints[item.name].get("gpus")]
        modules = [name for name in image.frameworks if name != "keras"]
        if not members or not modules:
            continue
        shown = len(prints[members[0].name]["gpus"])
        usable = _count_usable(bay, image, modules, prints[members[0].name], afresh=afresh)
        if not usable:
            continue  # none of them has a say in it: unknown, not proven
        proven = (proven is not False) and all(count == shown for count in usable.values())
        for name, count in usable.items():
            if count != shown:
                differences += (
                    Difference(
                        instance=item.name,
                        kind="gpu",
                        what=f"the driver shows {count_of(shown, 'GPU')}, {name} can use {count}"
                        f" (the image is locked for {image.accelerator})",
                    )
                    for item in members
                )
    return proven, differences


def _count_usable(
    bay: Bay, image: Image, modules: Sequence[str], print_: Mapping[str, Any], *, afresh: bool
) -> dict[str, int]:
    """Return how many GPUs each framework can use: by importing it, or as it answered under this very driver."""
    seen_by_driver = {"driver": print_.get("driver"), "gpus": print_["gpus"]}
    path = bay.home.probes / f"{image.digest}.json"
    before: dict[str, Any] = {}
    with contextlib.suppress(FileNotFoundError, StateError):
        before = read_json(path)
    answer = before.get("usable")
    if not afresh and isinstance(answer, dict) and {key: before.get(key) for key in seen_by_driver} == seen_by_driver:
        return answer
    seen = ask_image(bay, image, "probe", {"modules": modules})["gpus"]
    usable = {name: len(gpus) for name, gpus in seen.items()}
    write_json(path, {**seen_by_driver, "usable": usable})
    return usable
