"""A launch on the twin, asked by boto3: tokens, counts, room, states, pages, spot."""

from __future__ import annotations

import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.twin_process import TwinProcess

IMAGE = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"


def launch(ec2: Any, *, count: int = 1, least: int | None = None, token: str = "t", **more: Any) -> Any:
    return ec2.run_instances(
        **{
            "ImageId": more.pop("image", IMAGE),
            "InstanceType": "p3.2xlarge",
            "MinCount": count if least is None else least,
            "MaxCount": count,
            "ClientToken": token,
            **more,
        }
    )


def ids(answer: Any) -> list[str]:
    return [item["InstanceId"] for item in answer["Instances"]]


def described(ec2: Any, **asked: Any) -> dict[str, str]:
    pages = ec2.get_paginator("describe_instances").paginate(**asked)
    return {
        item["InstanceId"]: item["State"]["Name"]
        for page in pages
        for reservation in page["Reservations"]
        for item in reservation["Instances"]
    }


def code_of(caught: pytest.ExceptionInfo[ClientError]) -> str:
    return str(caught.value.response["Error"]["Code"])


# --- tokens -----------------------------------------------------------------------------------------------------------


def test_the_same_token_launches_once(ec2: Any) -> None:
    first, again = launch(ec2, count=3), launch(ec2, count=3)
    assert ids(first) == ids(again)
    assert len(described(ec2)) == 3
    assert first["ResponseMetadata"]["RequestId"] != again["ResponseMetadata"]["RequestId"]


def test_a_token_with_other_parameters_is_refused(ec2: Any) -> None:
    launch(ec2)
    with pytest.raises(ClientError) as caught:
        launch(ec2, InstanceType="g5.xlarge")
    assert code_of(caught) == "IdempotentParameterMismatch"
    assert len(described(ec2)) == 1


def test_a_token_holds_in_its_zone(ec2: Any) -> None:
    """The trap: with a zone in the request, the same token in another zone is a second launch."""
    zones = [launch(ec2, Placement={"AvailabilityZone": f"us-east-1{letter}"}) for letter in "aab"]
    assert ids(zones[0]) == ids(zones[1])
    assert ids(zones[1]) != ids(zones[2])
    subnet = ec2.describe_subnets(Filters=[{"Name": "availability-zone", "Values": ["us-east-1c"]}])["Subnets"][0][
        "SubnetId"
    ]
    assert ids(launch(ec2, SubnetId=subnet)) == ids(launch(ec2, SubnetId=subnet))
    assert len(described(ec2)) == 3


def test_a_token_whose_instances_are_gone_says_so(ec2: Any) -> None:
    ec2.terminate_instances(InstanceIds=ids(launch(ec2)))
    with pytest.raises(ClientError) as caught:
        launch(ec2)
    assert code_of(caught) == "IdempotentInstanceTerminated"


def test_a_refused_launch_is_not_remembered(twin: TwinProcess, ec2: Any) -> None:
    twin.ask("fault", name="capacity", action="ec2:RunInstances")
    with pytest.raises(ClientError):
        launch(ec2)
    assert len(ids(launch(ec2))) == 1


def test_a_launch_whose_answer_is_lost_is_found_by_its_token(twin: TwinProcess, ec2: Any) -> None:
    twin.ask("fault", name="lost-answer", action="ec2:RunInstances")
    with pytest.raises(ClientError):
        launch(ec2, count=2)
    assert len(described(ec2, Filters=[{"Name": "client-token", "Values": ["t"]}])) == 2
    assert not described(ec2, Filters=[{"Name": "client-token", "Values": ["u"]}])
    assert sorted(ids(launch(ec2, count=2))) == sorted(described(ec2))


def test_a_token_longer_than_64_characters_is_refused(ec2: Any) -> None:
    with pytest.raises(ClientError) as caught:
        launch(ec2, token="x" * 65)
    assert code_of(caught) == "InvalidParameterValue"


# --- counts and room --------------------------------------------------------------------------------------------------


def test_a_launch_gets_as_many_as_there_is_room_for_between_least_and_most(twin: TwinProcess, ec2: Any) -> None:
    twin.ask("capacity", type="p3.2xlarge", zone="us-east-1a", count=5)
    zone = {"AvailabilityZone": "us-east-1a"}
    assert len(ids(launch(ec2, least=1, count=9, Placement=zone))) == 5
    with pytest.raises(ClientError) as caught:
        launch(ec2, token="next", Placement=zone)
    assert code_of(caught) == "InsufficientInstanceCapacity"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert "us-east-1b" in str(caught.value)


def test_all_or_none_of_them(twin: TwinProcess, ec2: Any) -> None:
    for letter in "abcdef":
        twin.ask("capacity", type="p3.2xlarge", zone=f"us-east-1{letter}", count=3)
    with pytest.raises(ClientError) as caught:
        launch(ec2, count=4)
    assert code_of(caught) == "InsufficientInstanceCapacity"
    assert not described(ec2)


def test_without_a_zone_the_launch_goes_where_there_is_room_for_all(twin: TwinProcess, ec2: Any) -> None:
    for letter, count in zip("abcdef", (0, 2, 4, 0, 0, 0), strict=True):
        twin.ask("capacity", type="p3.2xlarge", zone=f"us-east-1{letter}", count=count)
    answer = launch(ec2, count=4)
    assert {item["Placement"]["AvailabilityZone"] for item in answer["Instances"]} == {"us-east-1c"}
    assert {item["SubnetId"] for item in answer["Instances"]} != {None}


def test_room_is_by_market_and_comes_back(twin: TwinProcess, ec2: Any) -> None:
    twin.ask("capacity", type="p3.2xlarge", market="spot", count=0)
    spot = {"MarketType": "spot"}
    with pytest.raises(ClientError):
        launch(ec2, InstanceMarketOptions=spot)
    twin.ask("capacity", type="p3.2xlarge", market="spot", count=1)
    first = launch(ec2, InstanceMarketOptions=spot)
    with pytest.raises(ClientError):
        launch(ec2, token="u", InstanceMarketOptions=spot, Placement={"AvailabilityZone": "us-east-1a"})
    ec2.terminate_instances(InstanceIds=ids(first))
    assert ids(launch(ec2, token="v", InstanceMarketOptions=spot, Placement={"AvailabilityZone": "us-east-1a"}))


def test_least_above_most_is_refused(ec2: Any) -> None:
    with pytest.raises(ClientError) as caught:
        launch(ec2, least=5, count=2)
    assert code_of(caught) == "InvalidParameterCombination"


# --- states -----------------------------------------------------------------------------------------------------------


def test_an_instance_goes_through_its_states(twin: TwinProcess, ec2: Any) -> None:
    answer = launch(ec2)
    (name,) = ids(answer)
    assert answer["Instances"][0]["State"] == {"Code": 0, "Name": "pending"}
    ec2.get_waiter("instance_running").wait(InstanceIds=[name], WaiterConfig={"Delay": 0})
    assert twin.ask("status")["instances"] == {"running": 1}
    change = ec2.stop_instances(InstanceIds=[name])["StoppingInstances"][0]
    assert (change["PreviousState"]["Name"], change["CurrentState"]["Name"]) == ("running", "stopping")
    with pytest.raises(ClientError) as caught:
        ec2.start_instances(InstanceIds=[name])
    assert code_of(caught) == "IncorrectInstanceState"
    ec2.get_waiter("instance_stopped").wait(InstanceIds=[name], WaiterConfig={"Delay": 0})
    ec2.start_instances(InstanceIds=[name])
    ec2.get_waiter("instance_running").wait(InstanceIds=[name], WaiterConfig={"Delay": 0})
    ec2.terminate_instances(InstanceIds=[name])
    assert twin.ask("left")["volumes"]  # a disk lives as long as its instance does
    ec2.get_waiter("instance_terminated").wait(InstanceIds=[name], WaiterConfig={"Delay": 0})
    assert twin.ask("left")["volumes"] == []
    found = ec2.describe_instances(InstanceIds=[name])["Reservations"][0]["Instances"][0]
    assert found["StateReason"]["Code"] == "Client.UserInitiatedShutdown"


def test_terminating_twice_is_fine_and_never_shows_an_older_state(twin: TwinProcess, ec2: Any) -> None:
    (name,) = ids(launch(ec2))
    ec2.terminate_instances(InstanceIds=[name])
    twin.ask("advance", seconds=60)
    change = ec2.terminate_instances(InstanceIds=[name])["TerminatingInstances"][0]
    assert (change["PreviousState"]["Name"], change["CurrentState"]["Name"]) == ("terminated", "terminated")
    twin.ask("advance", seconds=3700)
    with pytest.raises(ClientError) as caught:
        ec2.describe_instances(InstanceIds=[name])
    assert code_of(caught) == "InvalidInstanceID.NotFound"


def test_one_unknown_instance_and_none_is_terminated(ec2: Any) -> None:
    (name,) = ids(launch(ec2))
    with pytest.raises(ClientError) as caught:
        ec2.terminate_instances(InstanceIds=[name, "i-0123456789abcdef0"])
    assert code_of(caught) == "InvalidInstanceID.NotFound"
    assert described(ec2)[name] != "terminated"


def test_filters_and_status_follow_the_state(ec2: Any) -> None:
    (name,) = ids(launch(ec2))
    pending = [{"Name": "instance-state-name", "Values": ["pending"]}]
    ec2.describe_instances(InstanceIds=[name])
    assert not described(ec2, Filters=pending)
    assert ec2.describe_instance_status(InstanceIds=[name])["InstanceStatuses"][0]["InstanceState"]["Name"] == "running"


def test_a_new_instance_may_not_be_seen_for_a_while(twin: TwinProcess) -> None:
    twin.ask("reset", visible_after_s=30.0)
    ec2 = twin.client("ec2")
    names = ids(launch(ec2, count=10))
    assert len(described(ec2)) < 10
    with pytest.raises(ClientError) as caught:
        ec2.describe_instances(InstanceIds=names)
    assert code_of(caught) == "InvalidInstanceID.NotFound"
    twin.ask("advance", seconds=31)
    assert len(described(ec2, InstanceIds=names)) == 10
    twin.ask("reset", visible_after_s=0.0)


# --- pages ------------------------------------------------------------------------------------------------------------


def test_a_page_counts_instances(ec2: Any) -> None:
    launch(ec2, count=12)
    launch(ec2, count=3, token="u")
    sizes, token = [], ""
    while True:
        page = ec2.describe_instances(MaxResults=5, **({"NextToken": token} if token else {}))
        sizes.append(sum(len(item["Instances"]) for item in page["Reservations"]))
        token = page.get("NextToken", "")
        if not token:
            break
    assert sizes == [5, 5, 5]
    assert len(described(ec2)) == 15
    with pytest.raises(ClientError) as caught:
        ec2.describe_instances(MaxResults=4)
    assert code_of(caught) == "InvalidParameterValue"


# --- dry runs, faults, spot -------------------------------------------------------------------------------------------


def test_a_dry_run_launches_nothing(ec2: Any) -> None:
    with pytest.raises(ClientError) as caught:
        launch(ec2, DryRun=True)
    assert code_of(caught) == "DryRunOperation"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    assert not described(ec2)


def test_a_fault_hits_as_often_as_asked(twin: TwinProcess, ec2: Any) -> None:
    twin.ask("fault", name="throttling", action="ec2:DescribeVpcs", after=1, count=2)
    ec2.describe_vpcs()
    for _ in range(2):
        with pytest.raises(ClientError) as caught:
            ec2.describe_vpcs()
        assert code_of(caught) == "RequestLimitExceeded"
    ec2.describe_vpcs()
    with pytest.raises(ValueError, match="there is no fault 'earthquake'"):
        twin.ask("fault", name="earthquake")


def test_what_moto_does_not_know_is_refused_by_its_name(ec2: Any) -> None:
    with pytest.raises(ClientError) as caught:
        ec2.get_ebs_default_kms_key_id()
    assert code_of(caught) == "InvalidAction"
    assert "GetEbsDefaultKmsKeyId" in str(caught.value)


def test_a_spot_instance_has_a_request_and_a_price(ec2: Any) -> None:
    tags = [{"ResourceType": "spot-instances-request", "Tags": [{"Key": "fleet", "Value": "f"}]}]
    answer = launch(ec2, InstanceMarketOptions={"MarketType": "spot"}, TagSpecifications=tags)
    instance = answer["Instances"][0]
    assert instance["InstanceLifecycle"] == "spot"
    found = ec2.describe_spot_instance_requests(Filters=[{"Name": "tag:fleet", "Values": ["f"]}])[
        "SpotInstanceRequests"
    ]
    assert [(item["SpotInstanceRequestId"], item["State"]) for item in found] == [
        (instance["SpotInstanceRequestId"], "active")
    ]
    with pytest.raises(ClientError) as caught:
        ec2.stop_instances(InstanceIds=[instance["InstanceId"]])
    assert code_of(caught) in ("IncorrectInstanceState", "UnsupportedOperation")
    ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    assert ec2.describe_spot_instance_requests()["SpotInstanceRequests"][0]["State"] == "closed"
    low = {"MarketType": "spot", "SpotOptions": {"MaxPrice": "0.01"}}
    with pytest.raises(ClientError) as caught:
        launch(ec2, token="u", InstanceMarketOptions=low)
    assert code_of(caught) == "SpotMaxPriceTooLow"


def test_a_spot_instance_is_taken_back_two_minutes_after_the_notice(twin: TwinProcess, ec2: Any) -> None:
    (name,) = ids(launch(ec2, InstanceMarketOptions={"MarketType": "spot"}))
    with pytest.raises(ValueError, match="not a running spot instance"):
        twin.ask("interrupt", instance=name)
    twin.ask("advance", seconds=10)
    twin.ask("interrupt", instance=name, rebalance_s=30)
    twin.ask("advance", seconds=149)
    assert described(ec2)[name] == "running"
    status = ec2.describe_spot_instance_requests()["SpotInstanceRequests"][0]["Status"]["Code"]
    assert status == "marked-for-termination"
    twin.ask("advance", seconds=10)
    found = ec2.describe_instances(InstanceIds=[name])["Reservations"][0]["Instances"][0]
    assert (found["State"]["Name"], found["StateReason"]["Code"]) == ("terminated", "Server.SpotInstanceTermination")
    assert twin.ask("left")["volumes"] == []


# --- the meter, time, and a restart -----------------------------------------------------------------------------------


def test_the_meter_bills_by_the_second_from_running_to_the_end(twin: TwinProcess, ec2: Any) -> None:
    (name,) = ids(launch(ec2))
    assert twin.ask("bill")["usd"] == "0.00"
    twin.ask("advance", seconds=4)
    twin.ask("advance", seconds=3600)
    lines = [line for line in twin.ask("bill")["lines"] if line["resource"] == name]
    assert [(line["item"], line["usd"], line["seconds"]) for line in lines] == [
        ("p3.2xlarge on-demand", "3.06", 3600.0)
    ]
    ec2.terminate_instances(InstanceIds=[name])
    twin.ask("advance", seconds=86400)
    bill = twin.ask("bill")
    assert bill["running"] == 0
    assert [line["seconds"] for line in bill["lines"] if line["resource"] == name] == [3600.0]


def test_a_stopped_instance_pays_for_its_disk(twin: TwinProcess, ec2: Any) -> None:
    (name,) = ids(launch(ec2))
    twin.ask("advance", seconds=10)
    ec2.stop_instances(InstanceIds=[name])
    twin.ask("advance", seconds=10)
    going = [line["item"] for line in twin.ask("bill")["lines"] if line["end"] is None]
    assert len(going) == 1
    assert going[0].endswith("disk")


def test_launch_times_are_of_the_twins_clock(twin: TwinProcess, ec2: Any) -> None:
    twin.ask("advance", seconds=30 * 86400)
    launched = launch(ec2)["Instances"][0]["LaunchTime"]
    assert (launched - datetime.now(UTC)).days >= 29


def test_the_state_survives_a_kill(tmp_path_factory: pytest.TempPathFactory) -> None:
    twin = TwinProcess(tmp_path_factory.mktemp("kept"), is_virtual=True)
    try:
        ec2 = twin.client("ec2")
        names = ids(launch(ec2, count=3, InstanceMarketOptions={"MarketType": "spot"}))
        twin.kill()
        twin.start()
        ec2 = twin.client("ec2")
        assert ids(launch(ec2, count=3, InstanceMarketOptions={"MarketType": "spot"})) == names
        twin.ask("advance", seconds=5)
        assert set(described(ec2).values()) == {"running"}
        ec2.terminate_instances(InstanceIds=names)
        twin.ask("advance", seconds=5)
        left = twin.ask("left")
        assert left["left"] == 0, left
    finally:
        twin.end()


def test_its_own_addresses_are_for_who_has_the_token(twin: TwinProcess) -> None:
    token, twin.token = twin.token, "guessed"
    try:
        with pytest.raises(ValueError, match="who started the twin"):
            twin.ask("bill")
    finally:
        twin.token = token


def test_an_unknown_region_is_a_refusal(twin: TwinProcess) -> None:
    with pytest.raises(ClientError, match="there is no region 'mars-1'"):
        twin.client("ec2", region="mars-1").describe_instances()


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/moto-api/reset", {}),
        ("/", {"Origin": "http://evil.example"}),
        ("/", {"Sec-Fetch-Site": "cross-site"}),
        ("/", {}),
    ],
)
def test_a_page_in_a_browser_and_who_does_not_sign_change_nothing(
    twin: TwinProcess, ec2: Any, path: str, headers: dict[str, str]
) -> None:
    launch(ec2)
    form = {"Content-Type": "application/x-www-form-urlencoded", **headers}
    request = urllib.request.Request(f"{twin.url}{path}", b"Action=TerminateInstances&InstanceId.1=i-1", form)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code == 403
    assert len(described(ec2)) == 1
