"""Prove that instances are identical: a fingerprint each, the image below them hashed once."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from launchbay.errors import LaunchbayError, StateError
from launchbay.files import read_json
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay, connect, image_of, image_transport, python_of
from launchbay.lifecycle.identity import Difference, find_differences
from launchbay.onboard import content
from launchbay.planning.fleet import Instance
from launchbay.providers.layer import find_layer
from launchbay.transport.onboard import ask, install_onboard
from launchbay.units import count_of

__all__ = ["Verification", "verify_image", "verify_instances"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The outcome of a proof. `gpu_proven` is None where no driver shows a GPU; seconds by stage.

    Instances that all cannot use the GPU are identical and not proven; `differences` names them with kind ``gpu``.
    """

    identical: bool
    gpu_proven: bool | None
    fingerprints: Sequence[Mapping[str, Any]]
    differences: Sequence[Difference]
    image_problems: Sequence[str]
    content: str | None
    seconds: Mapping[str, float]


def verify_instances(
    bay: Bay, instances: Sequence[Instance], *, full: bool, told: Callable[[], None] = lambda: None
) -> Verification:
    """Fingerprint every instance and compare; with `full`, re-hash each image below them (seconds, once per image).

    Stopped instances are fingerprinted too: nothing of theirs runs but the fingerprint.
    """
    began = time.monotonic()
    program = install_onboard(bay.home)
    images = {
        digest: image_of(bay, next(item for item in instances if item.digest == digest))
        for digest in dict.fromkeys(item.digest for item in instances)
    }
    with ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 1)) as pool:

        def take(instance: Instance) -> Mapping[str, Any]:
            print_ = _fingerprint(bay, instance, images[instance.digest], program)
            told()
            return print_

        prints = dict(zip((item.name for item in instances), pool.map(take, instances), strict=True))
    printed = time.monotonic()
    differences: list[Difference] = []
    for digest, image in images.items():
        members = [item for item in instances if item.digest == digest]
        differences += find_differences(
            {item.name: prints[item.name] for item in members},
            pristine=find_layer(members[0].layer).pristine(image),
            packages=image.packages,
            modules=_modules(image),
        )
    if len(images) > 1:
        usual = instances[0].digest
        differences += (
            Difference(instance=item.name, kind="image", what=f"stands on image {item.image} {item.digest[:12]}")
            for item in instances
            if item.digest != usual
        )
    problems: list[str] = []
    for image in images.values() if full else ():
        problems += verify_image(image).problems
    hashed = time.monotonic()
    identical = not differences and not problems
    gpu, gpu_differences = _prove_gpus(bay, instances, images, prints)
    differences += gpu_differences
    return Verification(
        identical=identical,
        gpu_proven=gpu,
        fingerprints=[{"instance": item.name, "digest": item.digest, **prints[item.name]} for item in instances],
        differences=differences,
        image_problems=problems,
        content=next(iter(images.values())).content if len(images) == 1 else None,
        seconds={
            "fingerprints": round(printed - began, 3),
            "images": round(hashed - printed, 3),
            "per_instance": round((printed - began) / max(1, len(instances)), 4),
        },
    )


def _fingerprint(bay: Bay, instance: Instance, image: Image, program: Path) -> Mapping[str, Any]:
    transport = connect(bay, replace(instance, state="running"))  # a stopped one has a fingerprint too
    request = {"root": str(instance.root), "image": str(image.environment)}
    try:
        return ask(transport, python_of(instance), program, "fingerprint", request, timeout=60)
    except LaunchbayError as error:  # a broken Python is a finding, not a reason to stop looking at the others
        return {"broken": error.what}


def _modules(image: Image) -> Sequence[str]:
    return [name.split(".")[0] for name in os.listdir(image.site_packages) if not name.endswith((".dist-info", ".pth"))]


def verify_image(image: Image) -> content.Content:
    """Hash every file of an image against its packages' records and its seal. Seconds; reads gigabytes."""
    try:
        seal = read_json(image.folder / "seal.json")
    except FileNotFoundError:
        where, hint = str(image.folder), f"bay image remove {image.name}, then bay image build {image.name}"
        raise StateError("the image has lost its seal", where=where, hint=hint) from None
    found = content.verify_environment(str(image.environment), str(image.site_packages), seal["entries"])
    beside = content.seal_beside(str(image.folder))
    problems = [*found.problems, *content.compare_seals(seal.get("beside", beside), beside)]
    if found.content != image.content:
        problems.append("the packages' own records are not those of the day it was built")
    return found._replace(problems=problems)


def _prove_gpus(
    bay: Bay,
    instances: Sequence[Instance],
    images: Mapping[str, Image],
    prints: Mapping[str, Mapping[str, Any]],
) -> tuple[bool | None, list[Difference]]:
    """Where the driver shows GPUs, import the framework once per image and see whether it can use them."""
    proven: bool | None = None
    differences: list[Difference] = []
    for digest, image in images.items():
        members = [item for item in instances if item.digest == digest and prints[item.name].get("gpus")]
        modules = [name for name in image.frameworks if name != "keras"]
        if not members or not modules:
            continue
        shown = len(prints[members[0].name]["gpus"])
        with tempfile.TemporaryDirectory(prefix="launchbay-probe-") as folder:
            transport = image_transport(bay, image, folder=folder)
            seen = ask(transport, str(image.python_path), install_onboard(bay.home), "probe", {"modules": modules})[
                "gpus"
            ]
        usable = {name: len(gpus) for name, gpus in seen.items()}
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
