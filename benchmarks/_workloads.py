"""Workloads and machines to plan for: seeded, and shaped like what people run and rent. Pure but for the catalogue."""

from __future__ import annotations

import importlib
import random
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from launchbay.cost.optimum.machine import Machine
from launchbay.cost.optimum.needs import Job, Needs, Service
from launchbay.cost.optimum.rentals import list_machines

__all__ = ["MONTH_HOURS", "REGIONS", "catalogue_machines", "made_up_machines", "random_jobs", "random_services"]

MONTH_HOURS = Decimal(720)
REGIONS = ("us-west-2", "us-east-1")
BESIDE = Decimal("0.0161")
"""An hour of 100 GiB of disk and a public address, beside every instance."""

_SIZES = (1, 2, 4, 8, 16, 32, 48, 64, 96)
_FAMILIES = (  # name, architecture, GiB of memory and US dollars an hour for each vCPU
    ("c4", "x86_64", 1.875, 0.0498),
    ("c5", "x86_64", 2.0, 0.0425),
    ("c5a", "x86_64", 2.0, 0.0385),
    ("c6a", "x86_64", 2.0, 0.0383),
    ("c6g", "arm64", 2.0, 0.034),
    ("c6i", "x86_64", 2.0, 0.0425),
    ("c7g", "arm64", 2.0, 0.0361),
    ("m4", "x86_64", 4.0, 0.05),
    ("m5", "x86_64", 4.0, 0.048),
    ("m5a", "x86_64", 4.0, 0.043),
    ("m6a", "x86_64", 4.0, 0.0432),
    ("m6g", "arm64", 4.0, 0.0385),
    ("m6i", "x86_64", 4.0, 0.048),
    ("r4", "x86_64", 7.625, 0.0665),
    ("r5", "x86_64", 8.0, 0.063),
    ("r5a", "x86_64", 8.0, 0.0565),
    ("r6g", "arm64", 8.0, 0.0504),
    ("r6i", "x86_64", 8.0, 0.063),
    ("x1e", "x86_64", 30.5, 0.2085),
    ("x2gd", "arm64", 16.0, 0.0835),
    ("z1d", "x86_64", 8.0, 0.093),
)
_BURSTABLE = (("t3", "x86_64", 0.0052), ("t3a", "x86_64", 0.0047), ("t4g", "arm64", 0.0042))
_GPUS = (  # name, vCPUs, GiB, GPUs, GiB of each, US dollars an hour
    ("g3s.xlarge", 4, 30.5, 1, 8, "0.75"),
    ("g3.8xlarge", 32, 244, 2, 8, "2.28"),
    ("g4dn.xlarge", 4, 16, 1, 16, "0.526"),
    ("g4dn.2xlarge", 8, 32, 1, 16, "0.752"),
    ("g4dn.4xlarge", 16, 64, 1, 16, "1.204"),
    ("g4dn.12xlarge", 48, 192, 4, 16, "3.912"),
    ("g4dn.metal", 96, 384, 8, 16, "7.824"),
    ("g5.xlarge", 4, 16, 1, 24, "1.006"),
    ("g5.2xlarge", 8, 32, 1, 24, "1.212"),
    ("g5.4xlarge", 16, 64, 1, 24, "1.624"),
    ("g5.12xlarge", 48, 192, 4, 24, "5.672"),
    ("g5.48xlarge", 192, 768, 8, 24, "16.288"),
    ("p2.xlarge", 4, 61, 1, 12, "0.9"),
    ("p2.8xlarge", 32, 488, 8, 12, "7.2"),
    ("p3.2xlarge", 8, 61, 1, 16, "3.06"),
    ("p3.8xlarge", 32, 244, 4, 16, "12.24"),
    ("p4d.24xlarge", 96, 1152, 8, 40, "32.7726"),
)


def made_up_machines(seed: int) -> list[Machine]:
    """Return about 700 machines in two regions, with prices near those of EC2."""
    chance = random.Random(seed)
    found = []
    for region in REGIONS:
        for family, architecture, memory, usd in _FAMILIES:
            for vcpus in _SIZES if architecture == "arm64" else _SIZES[1:]:
                for disk, more in (("", 1.0), ("d", 1.18)):
                    hourly = usd * vcpus * (more + chance.uniform(-0.004, 0.004))
                    name = f"{family}{disk}.{vcpus}"
                    found.append(_machine(name, region, (vcpus, vcpus * memory), {architecture, "steady"}, hourly))
        for family, architecture, usd in _BURSTABLE:
            for step, memory in enumerate((0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)):
                vcpus = max(2, 2 ** (step - 3))
                found.append(_machine(f"{family}.{step}", region, (vcpus, memory), {architecture}, usd * 2**step))
        for name, vcpus, memory, gpus, gpu_memory, text in _GPUS:
            traits = {"x86_64", "steady", "cuda"}
            machine = _machine(name, region, (vcpus, memory), traits, float(text))
            found.append(replace(machine, gpus=gpus, gpu_memory_gib=gpu_memory))
    return found


def _machine(name: str, region: str, size: tuple[float, float], traits: set[str], usd: float) -> Machine:
    bare = Decimal(f"{usd:.4f}")
    is_steady = "steady" in traits
    return Machine(
        type=name,
        region=region,
        vcpus=size[0],
        memory_gib=size[1],
        traits=frozenset(traits),
        always_on_usd=(bare + BESIDE) * MONTH_HOURS,
        hourly_usd=bare + BESIDE if is_steady else None,
        spot_usd=Decimal(f"{usd * 0.4:.4f}") + BESIDE if is_steady else None,
        spot_mean_hours=12.0,
    )


def catalogue_machines(regions: Sequence[str] = REGIONS) -> list[Machine]:
    """Return all types that the packaged catalogue knows in some regions; empty where there is no such catalogue."""
    try:
        snapshot = importlib.import_module("launchbay.catalog.snapshot")
    except ImportError:
        return []
    catalogue = snapshot.load_snapshot(regions)
    return list_machines(catalogue, regions, month_hours=MONTH_HOURS, disk_gib=100, with_address=True)


def random_services(count: int, seed: int, *, gpus: float = 0.0, most_replicas: int = 3) -> list[Service]:
    """Return services of which almost none are alike: 0.2 to 8 vCPUs, 1 to 8 GiB for each, a share of them with GPUs."""
    chance = random.Random(seed)
    found = []
    for number in range(count):
        vcpus = round(chance.choice([0.25, 0.5, 1, 2, 4, 6]) * chance.uniform(0.8, 1.3), 2)
        memory = round(vcpus * chance.choice([1, 2, 4, 8]) * chance.uniform(0.8, 1.25), 2)
        requires = {trait for trait, share in (("x86_64", 0.5), ("steady", 0.6)) if chance.random() < share}
        has_gpu = chance.random() < gpus
        needs = Needs(
            vcpus=max(vcpus, 2.0) if has_gpu else vcpus,
            memory_gib=memory,
            gpus=chance.choice([1, 1, 1, 2]) if has_gpu else 0,
            gpu_memory_gib=chance.choice([8.0, 12.0, 16.0, 20.0]) if has_gpu else 0.0,
            requires=frozenset(requires),
        )
        found.append(Service(name=f"service-{number:03}", needs=needs, replicas=chance.randint(1, most_replicas)))
    return found


def random_jobs(count: int, seed: int) -> list[Job]:
    """Return jobs of 2 to 240 hours a month, half of which can be interrupted."""
    chance = random.Random(seed)
    found = []
    for number in range(count):
        vcpus = chance.choice([1, 2, 2, 4, 4, 8])
        requires = {"steady", *(("x86_64",) if chance.random() < 0.7 else ())}
        found.append(
            Job(
                name=f"job-{number:03}",
                needs=Needs(vcpus=vcpus, memory_gib=vcpus * chance.choice([2, 4, 4, 8]), requires=frozenset(requires)),
                hours_per_run=chance.choice([0.5, 1.0, 2.0, 4.0, 8.0]),
                runs_per_month=chance.choice([4.0, 10.0, 30.0]),
                can_be_interrupted=chance.random() < 0.5,
                checkpoint_hours=30 / 3600,
                restart_hours=5 / 60,
            )
        )
    return found
