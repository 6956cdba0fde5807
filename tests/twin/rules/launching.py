"""What the tests of single rules share: an image to launch, a launch, and the code of a refusal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError


def make_image(ec2: Any, name: str = "an image", **changes: Any) -> str:
    asked = {"Name": name, "Architecture": "x86_64", "VirtualizationType": "hvm", "RootDeviceName": "/dev/sda1"}
    return str(ec2.register_image(**{**asked, **changes})["ImageId"])


def run(ec2: Any, image: str, count: int = 1, **changes: Any) -> list[dict[str, Any]]:
    asked = {"ImageId": image, "InstanceType": "m5.large", "MinCount": count, "MaxCount": count}
    return list(ec2.run_instances(**{**asked, **changes})["Instances"])


def run_one(ec2: Any, image: str, **changes: Any) -> dict[str, Any]:
    return run(ec2, image, **changes)[0]


def refusal(call: Callable[..., Any], *args: Any, **asked: Any) -> str:
    """Return the code with which a call is refused; empty where it is not."""
    try:
        call(*args, **asked)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def message(call: Callable[..., Any], *args: Any, **asked: Any) -> str:
    """Return the message with which a call is refused; empty where it is not."""
    try:
        call(*args, **asked)
    except ClientError as error:
        return str(error.response["Error"]["Message"])
    return ""


def described(ec2: Any, identity: str) -> dict[str, Any]:
    found: dict[str, Any] = ec2.describe_instances(InstanceIds=[identity])["Reservations"][0]["Instances"][0]
    return found


def end(ec2: Any, *identities: str) -> None:
    """Terminate instances and wait until they are gone; the clock is virtual."""
    ec2.terminate_instances(InstanceIds=list(identities))
    ec2.get_waiter("instance_terminated").wait(InstanceIds=list(identities), WaiterConfig={"Delay": 0})
