"""Spot: a request lives as long as its instance may, and what was said of one run is not said of the next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.twin.rules.launching import refusal, run_one
from tests.twin_process import IMAGE, TwinProcess

SPOT = {"MarketType": "spot"}
KEPT = {"MarketType": "spot", "SpotOptions": {"SpotInstanceType": "persistent", "InstanceInterruptionBehavior": "stop"}}


def request(ec2: Any) -> tuple[str, str]:
    (found,) = ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    return found["State"], found["Status"]["Code"]


def state(ec2: Any, name: str) -> str:
    found = ec2.describe_instances(InstanceIds=[name])["Reservations"][0]["Instances"][0]
    return str(found["State"]["Name"])


def launched(twin: TwinProcess, ec2: Any, options: Mapping[str, Any]) -> str:
    name = str(run_one(ec2, IMAGE, InstanceMarketOptions=options)["InstanceId"])
    twin.ask("advance", seconds=10)
    return name


def test_an_interruption_is_of_one_run(twin: TwinProcess, ec2: Any) -> None:
    name = launched(twin, ec2, KEPT)
    assert request(ec2) == ("active", "fulfilled")
    twin.ask("interrupt", instance=name)
    assert request(ec2) == ("active", "marked-for-stop")
    ec2.stop_instances(InstanceIds=[name])
    assert request(ec2) == ("disabled", "instance-stopped-by-user")
    twin.ask("advance", seconds=10)
    ec2.start_instances(InstanceIds=[name])
    assert request(ec2) == ("active", "fulfilled")
    twin.ask("advance", seconds=300)  # the end that was announced to the run before
    assert state(ec2, name) == "running"


def test_what_was_interrupted_can_be_started_again(twin: TwinProcess, ec2: Any) -> None:
    name = launched(twin, ec2, KEPT)
    twin.ask("interrupt", instance=name)
    twin.ask("advance", seconds=130)
    assert (state(ec2, name), request(ec2)) == ("stopped", ("disabled", "instance-stopped-no-capacity"))
    ec2.start_instances(InstanceIds=[name])
    assert request(ec2) == ("active", "fulfilled")


def test_whoever_ends_an_instance_ends_its_request(twin: TwinProcess, ec2: Any) -> None:
    made = ec2.create_launch_template(
        LaunchTemplateName="t", LaunchTemplateData={"ImageId": IMAGE, "InstanceType": "m5.large"}
    )
    template = {"LaunchTemplateId": made["LaunchTemplate"]["LaunchTemplateId"], "Version": "1"}
    fleet = ec2.create_fleet(
        Type="instant",
        LaunchTemplateConfigs=[{"LaunchTemplateSpecification": template}],
        TargetCapacitySpecification={"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "spot"},
    )
    assert request(ec2) == ("active", "fulfilled")
    ec2.delete_fleets(FleetIds=[fleet["FleetId"]], TerminateInstances=True)
    assert request(ec2) == ("closed", "instance-terminated-by-user")
    ec2.delete_launch_template(LaunchTemplateId=template["LaunchTemplateId"])
    twin.ask("advance", seconds=10)
    assert twin.ask("left")["left"] == 0


def test_a_price_of_nothing_is_a_price(twin: TwinProcess, ec2: Any) -> None:
    twin.ask("spot", type="m5.large", usd="9")
    twin.ask("spot", type="m5.large", zone="us-east-1a", usd="0")
    cheap = {"MarketType": "spot", "SpotOptions": {"MaxPrice": "0.001"}}
    asked = {"MinCount": 1, "MaxCount": 1, "ImageId": IMAGE, "InstanceType": "m5.large", "InstanceMarketOptions": cheap}
    assert not refusal(ec2.run_instances, Placement={"AvailabilityZone": "us-east-1a"}, **asked)
    assert refusal(ec2.run_instances, Placement={"AvailabilityZone": "us-east-1b"}, **asked) == "SpotMaxPriceTooLow"
    (row,) = ec2.describe_spot_price_history(InstanceTypes=["m5.large"], AvailabilityZone="us-east-1a")[
        "SpotPriceHistory"
    ]
    assert float(row["SpotPrice"]) == 0
