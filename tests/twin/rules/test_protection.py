"""Instances on the twin that may not be terminated or stopped, and what they do when they shut themselves down."""

from __future__ import annotations

from typing import Any

import pytest

from tests.twin.rules.launching import described, make_image, refusal, run_one


@pytest.fixture
def image(ec2: Any) -> str:
    return make_image(ec2)


def state(ec2: Any, identity: str) -> str:
    return str(described(ec2, identity)["State"]["Name"])


def attribute(ec2: Any, identity: str, name: str) -> Any:
    answer = ec2.describe_instance_attribute(InstanceId=identity, Attribute=name)
    return answer[name[0].upper() + name[1:]]["Value"]


def test_a_protected_instance_spares_its_zone_and_no_other(ec2: Any, image: str) -> None:
    here, there = {"Placement": {"AvailabilityZone": "us-east-1a"}}, {"Placement": {"AvailabilityZone": "us-east-1b"}}
    protected = run_one(ec2, image, DisableApiTermination=True, **here)["InstanceId"]
    beside, away = run_one(ec2, image, **here)["InstanceId"], run_one(ec2, image, **there)["InstanceId"]
    asked = [away, beside, protected]
    assert refusal(ec2.terminate_instances, InstanceIds=asked) == "OperationNotPermitted"
    assert state(ec2, away) in ("shutting-down", "terminated")
    assert [state(ec2, identity) for identity in (beside, protected)] == ["running", "running"]


def test_a_protected_instance_alone_stays(ec2: Any, image: str) -> None:
    protected = run_one(ec2, image, DisableApiTermination=True)["InstanceId"]
    assert refusal(ec2.terminate_instances, InstanceIds=[protected]) == "OperationNotPermitted"
    assert state(ec2, protected) == "running"


@pytest.mark.parametrize(
    ("on", "off"),
    [
        ({"DisableApiTermination": {"Value": True}}, {"DisableApiTermination": {"Value": False}}),
        (
            {"Attribute": "disableApiTermination", "Value": "true"},
            {"Attribute": "disableApiTermination", "Value": "false"},
        ),
    ],
)
def test_protection_is_switched_on_and_off(ec2: Any, image: str, on: Any, off: Any) -> None:
    made = run_one(ec2, image)["InstanceId"]
    ec2.modify_instance_attribute(InstanceId=made, **on)
    assert attribute(ec2, made, "disableApiTermination") is True
    assert refusal(ec2.terminate_instances, InstanceIds=[made]) == "OperationNotPermitted"
    ec2.modify_instance_attribute(InstanceId=made, **off)
    assert refusal(ec2.terminate_instances, InstanceIds=[made]) == ""
    assert described(ec2, made)["SecurityGroups"] != []


def test_an_unknown_id_spares_all(ec2: Any, image: str) -> None:
    made = run_one(ec2, image)["InstanceId"]
    asked = [made, "i-0123456789abcdef0"]
    assert refusal(ec2.terminate_instances, InstanceIds=asked) == "InvalidInstanceID.NotFound"
    assert state(ec2, made) == "running"


def test_an_instance_that_may_not_be_stopped_spares_all(ec2: Any, image: str) -> None:
    held, other = run_one(ec2, image, DisableApiStop=True)["InstanceId"], run_one(ec2, image)["InstanceId"]
    ec2.get_waiter("instance_running").wait(InstanceIds=[held, other], WaiterConfig={"Delay": 0})
    assert refusal(ec2.stop_instances, InstanceIds=[other, held]) == "OperationNotPermitted"
    assert state(ec2, other) == "running"
    ec2.modify_instance_attribute(InstanceId=held, DisableApiStop={"Value": False})
    assert refusal(ec2.stop_instances, InstanceIds=[other, held]) == ""


@pytest.mark.parametrize(
    "asked",
    [
        {"InstanceInitiatedShutdownBehavior": {"Value": "terminate"}},
        {"Attribute": "instanceInitiatedShutdownBehavior", "Value": "terminate"},
    ],
)
def test_what_a_shutdown_does_can_be_changed(ec2: Any, image: str, asked: Any) -> None:
    made = run_one(ec2, image)["InstanceId"]
    assert attribute(ec2, made, "instanceInitiatedShutdownBehavior") == "stop"
    ec2.modify_instance_attribute(InstanceId=made, **asked)
    assert attribute(ec2, made, "instanceInitiatedShutdownBehavior") == "terminate"
    assert described(ec2, made)["SecurityGroups"] != []
    wrong = {"InstanceInitiatedShutdownBehavior": {"Value": "explode"}}
    assert refusal(ec2.modify_instance_attribute, InstanceId=made, **wrong) == "InvalidParameterValue"
