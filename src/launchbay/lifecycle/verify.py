"""Prove that instances are identical: a fingerprint each, the image below them hashed once."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from launchbay.errors import LaunchbayError, StateError
from launchbay.files import read_json
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay, connect, image_of, python_of, variables_of
from launchbay.lifecycle.gpus import prove_gpus
from launchbay.lifecycle.identity import Base, Difference, find_differences
from launchbay.onboard import content
from launchbay.planning.fleet import Instance
from launchbay.providers.layer import find_layer
from launchbay.transport.onboard import ask, install_onboard

__all__ = ["Verification", "verify_image", "verify_instances", "verify_whole"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The outcome of a proof. `gpu_proven` is None where no driver shows a GPU; seconds by stage.

    Instances that all cannot use the GPU are identical and not proven; `differences` names them with kind ``gpu``. `declared`
    names instances of a twin whose GPUs are only said to be there.
    """

    identical: bool
    gpu_proven: bool | None
    fingerprints: Sequence[Mapping[str, Any]]
    differences: Sequence[Difference]
    image_problems: Sequence[str]
    content: str | None
    seconds: Mapping[str, float]
    declared: Sequence[str] = ()


def verify_instances(
    bay: Bay, instances: Sequence[Instance], *, full: bool, told: Callable[[], None] = lambda: None
) -> Verification:
    """Fingerprint every instance and compare; with `full`, re-hash each image below them (seconds, once per image).

    Only with `full` are the settings in homes and the data compared: to a launch, what others filled in is no fault.
    Stopped instances are fingerprinted too: nothing of theirs runs but the fingerprint.
    """
    began = time.monotonic()
    images = {
        digest: image_of(bay, next(item for item in instances if item.digest == digest))
        for digest in dict.fromkeys(item.digest for item in instances)
    }
    prints = _take_fingerprints(bay, instances, images, told, filled=full)
    for item in instances:
        if item.state != "running":
            find_layer(item.layer).shut([item])  # it was opened for its fingerprint alone
    printed = time.monotonic()
    differences: list[Difference] = []
    problems: list[str] = []
    for digest, image in images.items():
        members = [item for item in instances if item.digest == digest]
        try:
            pristine, bases = find_layer(members[0].layer).pristine(image), _bases(image)
        except (OSError, ValueError) as error:  # there is nothing left to compare with: that is the finding
            problems.append(f"{image.name} cannot be compared with: {error}")
            continue
        differences += find_differences(
            {item.name: prints[item.name] for item in members},
            pristine=pristine,
            bases=bases,
        )
    if len(images) > 1:
        usual = instances[0].digest
        differences += (
            Difference(instance=item.name, kind="image", what=f"stands on image {item.image} {item.digest[:12]}")
            for item in instances
            if item.digest != usual
        )
    for image in images.values() if full else ():
        problems += verify_whole(image).problems
    hashed = time.monotonic()
    identical = not differences and not problems
    gpu, gpu_differences = prove_gpus(bay, instances, images, prints, afresh=full)
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


def _take_fingerprints(
    bay: Bay,
    instances: Sequence[Instance],
    images: Mapping[str, Image],
    told: Callable[[], None],
    *,
    filled: bool,
) -> dict[str, Mapping[str, Any]]:
    """Fingerprint all, several at a time; the driver of this machine is asked once for its GPUs, since it takes long."""
    program = install_onboard(bay.home)
    gpus: list[str] | None = None

    def take(instance: Instance) -> Mapping[str, Any]:
        print_ = _fingerprint(bay, instance, images[instance.digest], program, gpus, filled=filled)
        told()
        return print_

    prints: dict[str, Mapping[str, Any]] = {}
    left = list(instances)
    if len(left) > 1 and shutil.which("nvidia-smi", path=bay.environ.get("PATH", "")):
        first = left.pop(0)
        prints[first.name] = take(first)
        gpus = prints[first.name].get("gpus")
    with ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 1)) as pool:
        prints.update(zip((item.name for item in left), pool.map(take, left), strict=True))
    return prints


def _fingerprint(
    bay: Bay, instance: Instance, image: Image, program: Path, gpus: list[str] | None, *, filled: bool
) -> Mapping[str, Any]:
    transport = connect(bay, replace(instance, state="running"))  # a stopped one has a fingerprint too
    layer = find_layer(instance.layer)
    request = {
        "root": str(instance.root),
        "folders": {prefix: str(path) for prefix, path in layer.written(instance.root).items()},
        "covered": {part: str(path) for part, path in layer.covered(image).items()},
        "given": variables_of(bay, instance, image),
        "filled": filled,
        "environments": [member.name for member in image.members],
        "image": str(image.parts[0].environment),
        "gpus": gpus,
    }
    try:
        return ask(transport, python_of(bay, instance), program, "fingerprint", request, timeout=60)
    except LaunchbayError as error:  # a broken Python is a finding, not a reason to stop looking at the others
        return {"broken": error.what}


def _bases(image: Image) -> Mapping[str, Base]:
    """Return what lies below each environment, by the folder that it has among several."""
    if not image.members:
        return {"": Base(image.packages, frozenset(_modules(image)))}
    return {member.name: Base(member.packages, frozenset(_modules(member))) for member in image.members}


def _modules(image: Image) -> Sequence[str]:
    return [name.split(".")[0] for name in os.listdir(image.site_packages) if not name.endswith((".dist-info", ".pth"))]


def verify_whole(image: Image) -> content.Content:
    """Hash an image, or each of several side by side; then problems say of which they are."""
    if not image.members:
        return verify_image(image)
    found = [(member, verify_image(member)) for member in image.members]
    return content.Content(
        content=image.content,
        files=sum(each.files for _, each in found),
        size_bytes=sum(each.size_bytes for _, each in found),
        packages={},
        problems=[f"{member.name}: {problem}" for member, each in found for problem in each.problems],
    )


def verify_image(image: Image) -> content.Content:
    """Hash every file of an image against its packages' records and its seal. Seconds; reads gigabytes."""
    again = f"bay image remove {image.name}, then bay image build {image.name}"
    try:
        seal = read_json(image.folder / "seal.json")
    except FileNotFoundError:
        raise StateError("the image has lost its seal", where=str(image.folder), hint=again) from None
    if not isinstance(seal.get("entries"), dict):
        raise StateError("the image's seal is damaged", where=str(image.folder / "seal.json"), hint=again)
    try:
        found = content.verify_environment(str(image.environment), str(image.site_packages), seal["entries"])
    except FileNotFoundError as error:  # a folder that all the rest lies in
        return content.Content("", 0, 0, {}, [f"{os.path.relpath(error.filename, image.folder)}: missing"])
    beside = content.seal_beside(str(image.folder))
    problems = [*found.problems, *content.compare_seals(seal.get("beside", beside), beside)]
    if found.content != image.content:
        problems.append("the packages' own records are not those of the day it was built")
    return found._replace(problems=problems)
