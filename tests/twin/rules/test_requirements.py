"""Types by what they must have."""

from __future__ import annotations

from typing import Any

import pytest

from launchbay.catalog.snapshot import load_snapshot
from launchbay.twin.call import Call, Refused
from launchbay.twin.rules.requirements import RULE
from launchbay.twin.truth import Settings, new_truth
from launchbay.twin.world import World


def ask(ec2: Any, architectures: tuple[str, ...] = ("x86_64",), **needs: Any) -> set[str]:
    needs = {"VCpuCount": {"Min": 0}, "MemoryMiB": {"Min": 0}, **needs}
    rows = ec2.get_instance_types_from_instance_requirements(
        ArchitectureTypes=list(architectures), VirtualizationTypes=["hvm"], InstanceRequirements=needs
    )["InstanceTypes"]
    return {row["InstanceType"] for row in rows}


def test_accelerators_by_maker_name_count_and_memory(ec2: Any) -> None:
    gpus: dict[str, Any] = {"AcceleratorTypes": ["gpu"], "AcceleratorManufacturers": ["nvidia"]}
    assert ask(ec2, **gpus, AcceleratorNames=["a10g"], AcceleratorCount={"Min": 4, "Max": 4}) == {
        "g5.12xlarge",
        "g5.24xlarge",
    }
    large = ask(ec2, **gpus, AcceleratorTotalMemoryMiB={"Min": 8 * 80 * 1024})
    assert "p5.48xlarge" in large
    assert "g5.48xlarge" not in large
    assert "inf2.xlarge" in ask(ec2, AcceleratorTypes=["inference"])
    assert "g4ad.xlarge" not in ask(ec2, AcceleratorManufacturers=["amd"])  # retired: it cannot be launched any more


def test_bare_metal_and_burstable_types_are_left_out_unless_wanted(ec2: Any) -> None:
    usual = ask(ec2, VCpuCount={"Min": 1, "Max": 2}, AcceleratorCount={"Max": 0})
    assert "m5.large" in usual
    assert "t3.micro" not in usual
    assert "t3.micro" in ask(ec2, VCpuCount={"Min": 1, "Max": 2}, BurstablePerformance="included")
    assert all(".metal" in name for name in ask(ec2, BareMetal="required"))


def test_patterns_architectures_and_generations(ec2: Any) -> None:
    assert ask(ec2, ("arm64",), AllowedInstanceTypes=["g5*"], ExcludedInstanceTypes=["*.metal", "g5g.1*"]) == {
        f"g5g.{size}" for size in ("xlarge", "2xlarge", "4xlarge", "8xlarge")
    }
    assert ask(ec2, AllowedInstanceTypes=["m4.*", "m8i.large"], InstanceGenerations=["current"]) == {"m8i.large"}


def test_vcpus_and_memory_have_to_be_named() -> None:
    asked = {"InstanceRequirements": {"VCpuCount": {"Min": 1}, "MemoryMiB": {"Max": 4}}}
    call = Call(service="ec2", action="GetInstanceTypesFromInstanceRequirements", region="us-east-1", params=asked)
    assert RULE.before is not None
    with pytest.raises(Refused, match=r"MemoryMiB.Min"):  # boto3 would not send it
        RULE.before(call, World(new_truth(Settings()), load_snapshot(()), []))
