"""The twin's own addresses: what is asked for wrongly changes nothing, and a fault hits as often as it was asked to."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.twin.rules.launching import run, run_one
from tests.twin_process import IMAGE, TwinProcess


@pytest.mark.parametrize("asked", [{"pending_s": "x"}, {"nonsense": 1}, {"region": "mars-1"}, {"seed": None}])
def test_a_reset_that_cannot_be_forgets_nothing(twin: TwinProcess, ec2: Any, asked: dict[str, Any]) -> None:
    (item,) = run(ec2, IMAGE)
    with pytest.raises(ValueError, match=r"must be|unexpected|no region"):
        twin.ask("reset", **asked)
    found = ec2.describe_instances()["Reservations"][0]["Instances"]
    assert [one["InstanceId"] for one in found] == [item["InstanceId"]]
    assert twin.ask("bill")["running"] > 0
    ec2.describe_vpcs()


def test_a_fault_of_a_chance_hits_as_often_as_asked(twin: TwinProcess, ec2: Any) -> None:
    twin.ask("fault", name="throttling", action="ec2:DescribeVpcs", count=3, chance=0.3)
    hits = 0
    for _ in range(60):
        try:
            ec2.describe_vpcs()
        except ClientError:
            hits += 1
    assert hits == 3  # not three calls of which one or none was hit
    assert twin.ask("faults")["faults"] == []


def test_a_token_is_the_accounts_whoever_signs(twin: TwinProcess) -> None:
    one, other = twin.client("ec2", key="AKIAONE"), twin.client("ec2", key="AKIAOTHER")
    first, second = (run_one(ec2, IMAGE, ClientToken="t")["InstanceId"] for ec2 in (one, other))
    assert first == second
    volumes = [
        ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, ClientToken="v")["VolumeId"] for ec2 in (one, other)
    ]
    assert volumes[0] == volumes[1]


def test_what_goes_wrong_in_the_twin_is_in_its_status(twin: TwinProcess) -> None:
    assert twin.ask("status")["problems"] == []
