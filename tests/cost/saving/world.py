"""A few types with round figures, and workloads on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import yaml

from launchbay.catalog.price import Catalogue
from launchbay.catalog.type import Accelerator, InstanceType
from launchbay.cost.saving.asked import Asked
from launchbay.cost.saving.cheapest import Cheapest, find_alternatives
from launchbay.cost.saving.rung import Rung
from launchbay.cost.saving.waterfall import Waterfall
from launchbay.spec.needs import Measure
from launchbay.spec.workload import Workload, read_workload
from tests.cost.optimum.workloads import no_clock
from tests.cost.prices import SIDE, make_catalogue, make_type

HERE = "us-west-2"
T4 = Accelerator(kind="gpu", maker="NVIDIA", name="T4", count=1, memory_mib=16384)
A10G = Accelerator(kind="gpu", maker="NVIDIA", name="A10G", count=1, memory_mib=22888)
RADEON = Accelerator(kind="gpu", maker="AMD", name="Radeon Pro V520", count=1, memory_mib=8192)


def kind(name: str, vcpus: int, gib: int, **more: Any) -> InstanceType:
    gpu = more.pop("gpu", None)
    return replace(make_type(name, gpu=gpu), vcpus=vcpus, memory_mib=gib * 1024, **more)


TYPES = {
    item.name: item
    for item in (
        kind("c.small", 2, 8),
        kind("c.large", 4, 16),
        kind("c.huge", 8, 64),
        kind("arm.small", 2, 8, architectures=("arm64",)),
        kind("t.small", 2, 8, is_burstable=True),
        kind("old.small", 2, 8, is_current=False),
        kind("disk.small", 2, 8, local_disk_gb=200, local_disk_kind="ssd"),
        kind("gone.gpu", 4, 61, gpu=replace(T4, name="K80", memory_mib=12288), is_retired=True, regions=frozenset()),
        kind("t4.small", 4, 16, gpu=T4),
        kind("t4.large", 8, 64, gpu=T4),
        kind("t4.four", 16, 64, gpu=replace(T4, count=4)),
        kind("a10g.small", 4, 16, gpu=A10G),
        kind("amd.small", 4, 16, gpu=RADEON),
        kind("part.small", 4, 16, gpu=replace(A10G, share=Fraction(1, 8))),
        kind("metal.metal", 96, 384, is_bare_metal=True),
        kind("unpriced.small", 2, 8),
    )
}
HOURLY = {
    "c.small on-demand": "0.1",
    "c.large on-demand": "0.2",
    "c.huge on-demand": "0.5",
    "arm.small on-demand": "0.07",
    "t.small on-demand": "0.06",
    "old.small on-demand": "0.09",
    "disk.small on-demand": "0.13",
    "gone.gpu on-demand": "0.9",
    "t4.small on-demand": "0.5",
    "t4.large on-demand": "1.2",
    "t4.four on-demand": "3",
    "a10g.small on-demand": "1",
    "amd.small on-demand": "0.3",
    "part.small on-demand": "0.2",
    "metal.metal on-demand": "0.01",
}
API: dict[str, Any] = {"name": "api", "needs": {"vcpus": 2, "memory": "8GiB"}}
TRAINING: dict[str, Any] = {
    "name": "training",
    "needs": {"vcpus": 2, "memory": "16GiB", "gpus": 1, "gpu_memory": "12GiB"},
    "hours": 24,
    "runs": "2 a month",
}
SPOT: dict[str, Any] = {"interruptible": True, "checkpoint": "30s", "restart": "5m"}


def catalogue(hourly: Mapping[str, str] = HOURLY, side: Mapping[str, str] = SIDE, **how: Any) -> Catalogue:
    """Return a catalogue in which old.small is cheapest of the small ones, after what has to be asked for."""
    known = make_catalogue(hourly, side, **how)
    return replace(known, types=TYPES)


def workload(folder: Path, *, measure: Measure | None = None, **fields: Any) -> Workload:
    """Return a workload in us-west-2 with a month of 720 hours, read from a file."""
    path = folder / "workload.yaml"
    path.write_text(yaml.safe_dump({"region": HERE, "month": "720h", **fields}, sort_keys=False), encoding="utf-8")
    return read_workload(path, measure)


def alternatives(
    folder: Path, known: Catalogue | None = None, *, how: Mapping[str, Any] | None = None, **fields: Any
) -> Cheapest:
    """Return the alternatives to a workload made of these fields."""
    asked = Asked(workload=workload(folder, **fields), catalogue=known or catalogue(), clock=no_clock, **(how or {}))
    return find_alternatives(asked)


def rung(name: str, folder: Path, known: Catalogue | None = None, **fields: Any) -> Rung:
    found = alternatives(folder, known, **fields)
    return next(item for item in found.alternatives if item.name == name)


def needed(folder: Path, known: Catalogue | None = None, **fields: Any) -> Rung:
    """Return the last rung: what is needed."""
    return rung("stated need", folder, known, **fields)


def steps(waterfall: Waterfall) -> dict[str, str]:
    """Return what each step saves, in cents."""
    return {step.name: f"{step.saves_usd:.2f}" for step in waterfall.steps}


def used(found: Rung) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(item.type, item.market, item.runs) for item in found.instances]
