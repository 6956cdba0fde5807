"""What a workload may ask for, how it is rounded, and why a machine cannot serve it."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal

import pytest

from launchbay.cost.optimum.machine import Machine, check_machines, why_not
from launchbay.cost.optimum.needs import Job, Needs, Service, check_load
from launchbay.errors import UsageError
from tests.cost.optimum.workloads import job, machine, service


def test_needs_are_rounded_up_and_machines_down() -> None:
    assert Needs(vcpus=0.26, memory_gib=3.51, gpus=1).units == (2, 8, 1)
    assert Needs(vcpus=0.25, memory_gib=0.5).units == (1, 1, 0)
    assert Needs(vcpus=0.1 + 0.2 - 0.05, memory_gib=0.1 + 0.2 + 0.2).units == (1, 1, 0)
    assert machine("t3.nano", 2, 0.9, "0.005").units == (8, 1, 0)


@pytest.mark.parametrize(
    ("needs", "why"),
    [
        (Needs(vcpus=4, memory_gib=61, gpus=1, gpu_memory_gib=12), ""),
        (Needs(vcpus=4, memory_gib=61, requires=frozenset({"x86_64", "us-west-2"})), ""),
        (Needs(vcpus=4, memory_gib=61, requires=frozenset({"arm64", "x86_64"})), "is not arm64"),
        (Needs(vcpus=4, memory_gib=61, requires=frozenset({"arm64", "cuda"})), "is not arm64 and not cuda"),
        (Needs(vcpus=4, memory_gib=61, requires=frozenset({"us-east-1"})), "is not us-east-1"),
        (Needs(vcpus=4, memory_gib=61, gpus=2), "has 1 GPUs, 2 needed"),
        (Needs(vcpus=4, memory_gib=61, gpus=1, gpu_memory_gib=16), "has 12 GiB a GPU, 16 needed"),
        (Needs(vcpus=4, memory_gib=61, gpus=1, gpu_memory_gib=13, gpu_slack=0.1), ""),
        (Needs(vcpus=4, memory_gib=61, gpus=1, gpu_memory_gib=16, gpu_slack=0.1), "has 12 GiB a GPU, 16 needed"),
        (Needs(vcpus=4.1, memory_gib=61), "has 4 vCPUs, 4.25 needed"),
        (Needs(vcpus=4, memory_gib=61.1), "has 61 GiB of memory, 61.5 needed"),
    ],
)
def test_a_machine_serves_what_it_has_and_is(needs: Needs, why: str) -> None:
    there = machine("p2.xlarge", 4, 61, "0.90", gpus=1, gpu_memory_gib=12)
    assert why_not(needs, there) == why


def test_memory_of_several_gpus_is_no_sum() -> None:
    two = machine("g4.2", 8, 64, "1", gpus=2, gpu_memory_gib=12)
    assert why_not(Needs(vcpus=1, memory_gib=1, gpus=1, gpu_memory_gib=20), two) == "has 12 GiB a GPU, 20 needed"


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (service("web", -1, 1), "vcpus must be 0 or more, got -1 (web)"),
        (service("web", 1, math.nan), "memory_gib must be 0 or more, got nan (web)"),
        (service("web", 1, math.inf), "memory_gib must be 0 or more, got inf (web)"),
        (service("web", 1, 1, gpu_memory_gib=8.0), "8.0 GiB a GPU are needed, and no GPU (web)"),
        (service("web", 1, 1, gpu_slack=1.0), "gpu_slack must be 0 or more and below 1, got 1.0 (web)"),
        (service("web", 1, 1, 0), "replicas must be 1 or more, got 0 (web)"),
        (job("train", 1, 1, 0), "hours_per_run must be above 0, got 0 (train)"),
        (job("train", 1, 1, -3), "hours_per_run must be above 0, got -3 (train)"),
        (job("train", 1, 1, 1, 0), "runs_per_month must be above 0, got 0 (train)"),
        (job("train", 1, 1, 1, speeds={"c5.large": 0}), "the speed on c5.large must be above 0, got 0 (train)"),
        (job("train", 1, 1, 1, checkpoint_hours=-1.0), "checkpoint_hours and restart_hours must be 0 or more (train)"),
        (job("train", 1, 1, 1, deadline_hours=0.0), "deadline_hours must be above 0, got 0.0 (train)"),
        (job("train", 1, 1, 1, instances=0), "instances must be 1 or more, got 0 (train)"),
    ],
)
def test_what_cannot_be_is_refused(bad: Service | Job, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        check_load((bad,) if isinstance(bad, Service) else (), (bad,) if isinstance(bad, Job) else ())
    assert str(refused.value).partition("\n")[0] == said


def test_names_are_given_once() -> None:
    with pytest.raises(UsageError, match="two services or jobs are called 'web'"):
        check_load((service("web", 1, 1),), (job("web", 1, 1, 1),))


GOOD = machine("c5.large", 2, 4, "0.085")


@pytest.mark.parametrize(
    "bad",
    [
        replace(GOOD, always_on_usd=Decimal(0)),
        replace(GOOD, hourly_usd=Decimal(-1)),
        replace(GOOD, spot_usd=Decimal("nan")),
        replace(GOOD, spot_mean_hours=0.0),
    ],
)
def test_nothing_is_for_free(bad: Machine) -> None:
    with pytest.raises(UsageError, match="must be above 0, or None where it is unknown"):
        check_machines([bad])


def test_a_machine_is_there_once() -> None:
    check_machines([GOOD, replace(GOOD, region="us-east-1", always_on_usd=None, hourly_usd=None)])
    with pytest.raises(UsageError, match="is there twice"):
        check_machines([GOOD, GOOD])
