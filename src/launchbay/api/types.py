"""Instance types of EC2: find those that fit, and put some side by side. Reads what is known; asks nobody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation

from launchbay.api.place import regions_of
from launchbay.catalog import query
from launchbay.catalog.capability import ANY_CUDA, parse_capability
from launchbay.catalog.known import load_catalogue
from launchbay.catalog.match import wants_gpu
from launchbay.catalog.offer import Offer
from launchbay.catalog.query import Found
from launchbay.catalog.question import Question
from launchbay.catalog.ranges import Range, parse_range
from launchbay.catalog.type import architecture_named
from launchbay.errors import UsageError
from launchbay.lifecycle.bay import Bay

__all__ = ["Answer", "Offer", "compare_types", "find_types"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was asked and what was found; `needs` says in a sentence what an image made of the question."""

    question: Question
    found: Found
    needs: str = ""


def find_types(
    bay: Bay,
    *,
    regions: Sequence[str] = (),
    gpus: str | float | None = None,
    gpu: str = "",
    gpu_memory: str | float | None = None,
    gpu_memory_total: str | float | None = None,
    maker: str = "",
    capability: str | None = None,
    accelerator: str = "",
    vcpus: str | float | None = None,
    memory: str | float | None = None,
    architectures: Sequence[str] = (),
    processor: str = "",
    local_disk: str | float | None = None,
    network: str | float | None = None,
    efa: bool | None = None,
    families: Sequence[str] = (),
    is_current: bool | None = None,
    is_burstable: bool | None = None,
    is_bare_metal: bool | None = None,
    is_retired_too: bool = False,
    max_price: str | Decimal | None = None,
    is_spot: bool = False,
    like: str | None = None,
    image: str | None = None,
    sort: str = "price",
    is_reversed: bool = False,
    limit: int | None = None,
) -> Answer:
    """Find the instance types that fulfil everything asked for, in order of `sort` (the on-demand price).

    How many is a number, or written ``4``, ``4+``, ``2..8`` or ``..8``; memory is in GiB, local disks in GB, `network` in Gbit/s.
    `capability` is the least CUDA compute capability, or ``any``. `like` is a type to be like, `image` an image that must
    run. `regions` may hold ``all``; without any it is the region of ``AWS_REGION`` or ``AWS_DEFAULT_REGION``, else
    us-east-1. Raises UsageError and NotFound, the latter with the nearest names.
    """
    asked = Question(
        regions=regions_of(bay, regions),
        gpus=_range(gpus, "--gpus", whole="a share of a GPU counts as one: --gpus 1"),
        gpu=gpu,
        gpu_memory_gib=_range(gpu_memory, "--gpu-memory", unit="GiB"),
        gpu_memory_total_gib=_range(gpu_memory_total, "--gpu-memory-total", unit="GiB"),
        maker=maker,
        capability=None if capability is None else parse_capability(capability),
        accelerator=accelerator,
        vcpus=_range(vcpus, "--vcpus", whole="--vcpus 2+"),
        memory_gib=_range(memory, "--memory", unit="GiB"),
        architectures=tuple(map(architecture_named, architectures)),
        processor=processor,
        local_disk_gb=_range(local_disk, "--local-disk", unit="GB"),
        network_gbps=_range(network, "--network"),
        efa=efa,
        families=tuple(families),
        is_current=is_current,
        is_burstable=is_burstable,
        is_bare_metal=is_bare_metal,
        is_retired_too=is_retired_too,
        max_usd_per_hour=_price(max_price),
        market="spot" if is_spot else "on-demand",
        sort=sort,
        is_reversed=is_reversed,
        limit=limit,
    )
    catalogue = load_catalogue(bay.home.catalog, bay.reporter.note, regions=asked.regions)
    if like is not None:
        asked = query.like(catalogue, like, asked)
    needs = ""
    if image is not None:  # last: whether it is to use a GPU hangs on all the rest
        asked, needs = _for_image(bay, image, asked, is_on_gpu=wants_gpu(catalogue, asked))
    return Answer(question=asked, found=query.find_types(catalogue, asked), needs=needs)


def compare_types(bay: Bay, names: Sequence[str], *, region: str | None = None) -> Sequence[Offer]:
    """Return two or more types as they are in a region, in the order named; without one, in that of `find_types`.

    Raises NotFound with the nearest names, UsageError for fewer than two types or more than one region.
    """
    regions = regions_of(bay, () if region is None else [region])
    if len(regions) > 1:
        raise UsageError(
            f"comparing takes one region, got {region}",
            hint=f"bay types compare {' '.join(names)} --region {regions[0]}",
        )
    catalogue = load_catalogue(bay.home.catalog, bay.reporter.note, regions=regions)
    return query.compare_types(catalogue, names, regions[0])


def _range(asked: str | float | None, where: str, *, unit: str = "", whole: str = "") -> Range | None:
    return None if asked is None else parse_range(str(asked), where=where, unit=unit, whole=whole)


def _price(text: str | Decimal | None) -> Decimal | None:
    if text is None:
        return None
    try:
        price = Decimal(str(text).removeprefix("$"))
    except InvalidOperation:
        price = Decimal("NaN")
    if not price.is_finite():
        raise UsageError(f"--max-price must be US dollars an hour, got {text!r}", hint="--max-price 1.50")
    return price


def _for_image(bay: Bay, image: str, asked: Question, *, is_on_gpu: bool) -> tuple[Question, str]:
    """Narrow a question to types that an image runs on; with a GPU asked for, to those that its CUDA build runs on."""
    from launchbay.lifecycle.needs import find_needs  # recipes and locks; only who names an image needs them

    needs = find_needs(bay, image)
    on_gpu = is_on_gpu or not needs.runs_on_cpu
    if on_gpu and not needs.capability:
        raise UsageError(
            f"{needs.image} has no CUDA build, so it would leave a GPU idle", hint=f"bay types --for {image}"
        )
    least = parse_capability(needs.capability) if on_gpu else None
    if least is not None:
        asked = replace(asked, capability=max(least, asked.capability or ANY_CUDA))
    architectures = tuple(item for item in needs.architectures if item in (asked.architectures or needs.architectures))
    if not architectures:
        raise UsageError(
            f"{needs.image} is locked for {', '.join(needs.architectures)}, not for {', '.join(asked.architectures)}",
            hint=f"bay types --for {image}",
        )
    words = f"{needs.image} runs on {' and '.join(architectures)}"
    if least is not None:
        words += f", on GPUs of compute capability {needs.capability} or newer"
    elif needs.capability:
        words += f"; with --gpus 1+ it needs compute capability {needs.capability} or newer"
    return replace(asked, architectures=architectures), words
