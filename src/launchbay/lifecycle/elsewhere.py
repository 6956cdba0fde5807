"""What an instance on this machine would cost as one of EC2: the cheapest type that has what it may use here."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from launchbay.catalog.type import InstanceType, architecture_named
from launchbay.errors import LaunchbayError, NotFound, StateError
from launchbay.files import read_json, write_json
from launchbay.jsonable import fields_of
from launchbay.lifecycle.bay import Bay
from launchbay.planning.fleet import Instance
from launchbay.providers.resources import Part, find_part
from launchbay.store.spent import Elsewhere, find_elsewhere, write_elsewhere

__all__ = ["Size", "find_type", "note_elsewhere"]

_GPUS = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What an instance may use: processors, memory in MiB, and GPUs by what the driver calls each."""

    processors: int
    memory_mib: int
    architecture: str
    gpus: tuple[str, ...] = ()


def note_elsewhere(bay: Bay, instances: Sequence[Instance], *, region: str) -> Sequence[Elsewhere]:
    """Write down with each instance what the same would cost in a region, at the prices of now; once, and never again.

    Return what is written there; nothing of one for which no type has what it may use, or no price is known.
    """
    whole, gpus = _whole_machine(), _gpus()
    known: dict[Size, Elsewhere | None] = {}
    noted = []
    for instance in instances:
        found = find_elsewhere(instance.root)
        if found is None:
            size = _part_of(whole, gpus, find_part(instance.root))
            if size not in known:
                known[size] = _look_up(bay, size, region)
            found = known[size]
            if found is not None:
                with contextlib.suppress(OSError):  # no launch fails for want of room for what is only shown
                    write_elsewhere(instance.root, found)
        if found is not None:
            noted.append(found)
    return noted


def _whole_machine() -> Size:
    return Size(
        processors=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_mib=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20,
        architecture=architecture_named(os.uname().machine),
    )


def _part_of(whole: Size, gpus: Mapping[int, str], part: Part) -> Size:
    """Return what an instance may use: what it was given a part of, and all there is of the rest."""
    return replace(
        whole,
        processors=part.cpus or whole.processors,
        memory_mib=part.memory >> 20 if part.memory else whole.memory_mib,
        gpus=tuple(gpus.get(number, "") for number in (sorted(gpus) if part.gpus is None else part.gpus)),
    )


def _gpus() -> Mapping[int, str]:
    """Return what the driver calls each GPU, by the number of its device, without asking the GPUs."""
    found = {}
    with contextlib.suppress(OSError):
        for path in _GPUS.glob("*/information"):
            said = dict(re.findall(r"^([^:\n]+):\s*(.+?)\s*$", path.read_text(encoding="utf-8"), re.MULTILINE))
            if said.get("Device Minor", "").isdigit():
                found[int(said["Device Minor"])] = said.get("Model", "")
    return found


def _look_up(bay: Bay, size: Size, region: str) -> Elsewhere | None:
    """Return the answer for a size, remembered as long as the catalogue is the same: reading that takes a tenth of a second."""
    packaged = (resources.files("launchbay.catalog") / "data" / "manifest.json").read_text(encoding="utf-8")
    refreshed = bay.home.catalog.stat().st_mtime_ns if bay.home.catalog.exists() else 0
    asked = json.dumps([packaged, refreshed, region, fields_of(size)])
    path = bay.home.elsewhere / f"{hashlib.sha256(asked.encode()).hexdigest()[:16]}.json"
    with contextlib.suppress(OSError, StateError, TypeError):
        known = read_json(path)
        return Elsewhere(**known) if known else None
    try:
        found = find_type(bay, size, region)
    except NotFound:  # of a region that is nobody's, no price is known
        found = None
    except LaunchbayError:  # a catalogue that cannot be read just now: no launch fails for it, and none remembers it
        return None
    with contextlib.suppress(OSError):
        write_json(path, {} if found is None else fields_of(found))
    return found


def find_type(bay: Bay, size: Size, region: str) -> Elsewhere | None:
    """Return the cheapest type with at least this size whose price is known; None where there is none.

    It is of the current generation, or with whole GPUs of the same model, of which one that EC2 does not have is found nowhere.
    With GPUs it is also None where a smaller type would do and has no known price. Raises NotFound for an unknown region.
    """
    from launchbay.catalog.known import load_catalogue  # who has asked before does not wait for it
    from launchbay.catalog.query import find_types
    from launchbay.catalog.question import Question
    from launchbay.catalog.ranges import Range

    catalogue = load_catalogue(bay.home.catalog, bay.reporter.note, regions=[region])
    kinds = [kind.gpu for kind in catalogue.types.values() if kind.gpu is not None]
    model, least_mib = ("", 0)
    if size.gpus:
        model = _named(size.gpus[0], {gpu.name for gpu in kinds})
        if not model or len(set(size.gpus)) > 1:  # no type has GPUs of two models
            return None
        least_mib = _memory_in(size.gpus[0])
    asked = Question(
        regions=(region,),
        vcpus=Range(low=size.processors),
        memory_gib=Range(low=size.memory_mib / 1024),
        gpus=Range(low=len(size.gpus)) if size.gpus else None,
        gpu=model,
        gpu_memory_gib=Range(low=least_mib / 1024) if least_mib else None,
        architectures=(size.architecture,),
        is_current=None if size.gpus else True,  # who has that GPU has no choice of generation
        is_burstable=False,
        is_bare_metal=False,
    )
    offers = [offer for offer in find_types(catalogue, asked).offers if not size.gpus or _has_whole_gpus(offer.type)]
    if not offers or offers[0].price is None:
        return None
    best, price = offers[0], offers[0].price
    if size.gpus and any(offer.price is None and _is_smaller(offer.type, best.type) for offer in offers):
        return None  # that one is cheaper, maybe by seven GPUs of eight
    return Elsewhere(
        type=best.type.name,
        region=region,
        usd_per_hour=str(price.usd_per_hour),
        as_of=price.as_of.isoformat(),
        source=price.source,
        is_stale=price.is_stale,
        gpus=best.type.gpus,
        gpus_here=len(size.gpus),
    )


def _has_whole_gpus(kind: InstanceType) -> bool:
    return kind.gpu is not None and kind.gpu.share == 1


def _is_smaller(one: InstanceType, other: InstanceType) -> bool:
    """Say whether a type has fewer GPUs or vCPUs than another, and of neither more."""
    own, others = (one.gpus, one.vcpus), (other.gpus, other.vcpus)
    return own != others and all(mine <= theirs for mine, theirs in zip(own, others, strict=True))


def _named(model: str, names: set[str]) -> str:
    """Return which of the catalogue's GPUs a driver means: ``NVIDIA A100-SXM4-40GB`` is an ``A100``."""
    words = re.split(r"[^a-z0-9]+", model.casefold())
    fitting = [name for name in names if _within(name.casefold().split(), words)]
    return max(fitting, key=len, default="")


def _within(few: Sequence[str], many: Sequence[str]) -> bool:
    return any(many[place : place + len(few)] == [*few] for place in range(len(many)))


def _memory_in(model: str) -> int:
    """Return the MiB that a model's name says, 0 where it says none; EC2 has an A100 of 40 GB and one of 80."""
    match = re.search(r"\b(\d+) ?GB\b", model)
    return int(match[1]) * 1000**3 >> 20 if match else 0
