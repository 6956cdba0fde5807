"""Stopped instances are started all or none: quota and room are looked at for the whole call."""

from __future__ import annotations

from typing import Any

import pytest

from tests.twin.rules.launching import refusal, run
from tests.twin_process import IMAGE, TwinProcess

G, STANDARD = "L-DB2E81BA", "L-1216C47A"


@pytest.fixture
def stopped(twin: TwinProcess, ec2: Any) -> list[str]:
    """Return three stopped instances of 2 vCPUs each, in one zone."""
    zone = {"AvailabilityZone": "us-east-1a"}
    names = [item["InstanceId"] for item in run(ec2, IMAGE, 3, Placement=zone)]
    twin.ask("advance", seconds=10)
    ec2.stop_instances(InstanceIds=names)
    twin.ask("advance", seconds=10)
    return names


def states(ec2: Any) -> list[str]:
    return [item["State"]["Name"] for group in ec2.describe_instances()["Reservations"] for item in group["Instances"]]


def test_what_is_beyond_the_quota_starts_none(twin: TwinProcess, ec2: Any, stopped: list[str]) -> None:
    twin.ask("quota", region="us-east-1", code=STANDARD, vcpus=5)  # for two of the three
    assert refusal(ec2.start_instances, InstanceIds=stopped) == "VcpuLimitExceeded"
    assert states(ec2) == ["stopped"] * 3
    assert len(ec2.start_instances(InstanceIds=stopped[:2])["StartingInstances"]) == 2
    assert refusal(ec2.start_instances, InstanceIds=stopped) == "VcpuLimitExceeded"
    assert not refusal(ec2.start_instances, InstanceIds=stopped[:2])  # they are started, and need no more


def test_a_quota_counts_all_types_of_a_call(twin: TwinProcess, ec2: Any, stopped: list[str]) -> None:
    (other,) = run(ec2, IMAGE, InstanceType="c5.xlarge")
    twin.ask("advance", seconds=10)
    ec2.stop_instances(InstanceIds=[other["InstanceId"]])
    twin.ask("advance", seconds=10)
    twin.ask("quota", region="us-east-1", code=STANDARD, vcpus=9)
    assert refusal(ec2.start_instances, InstanceIds=[*stopped, other["InstanceId"]]) == "VcpuLimitExceeded"
    assert states(ec2) == ["stopped"] * 4
    twin.ask("quota", region="us-east-1", code=STANDARD, vcpus=10)
    assert not refusal(ec2.start_instances, InstanceIds=[*stopped, other["InstanceId"]])


def test_what_there_is_no_room_for_starts_none(twin: TwinProcess, ec2: Any, stopped: list[str]) -> None:
    twin.ask("capacity", type="m5.large", zone="us-east-1a", count=2)
    assert refusal(ec2.start_instances, InstanceIds=stopped) == "InsufficientInstanceCapacity"
    assert states(ec2) == ["stopped"] * 3
    # the same one twice needs room once
    assert not refusal(ec2.start_instances, InstanceIds=[stopped[0], stopped[0], stopped[1]])
