"""Launches on EC2, tried on the twin: once for a token whatever goes wrong, watched with one question, ended one by one."""

from __future__ import annotations

from typing import Any

import pytest

from launchbay.errors import LaunchbayError, UserError
from launchbay.providers.ec2.client import Client, CloudRefusal, CloudSilence, open_client
from launchbay.providers.ec2.groups import (
    caller_network,
    default_vpc,
    ensure_group,
    ensure_key,
    find_groups,
    remove_group,
    remove_key,
)
from launchbay.providers.ec2.instances import find_by_token, launch, list_ours, terminate, watch
from launchbay.testing import VirtualClock
from tests.twin_process import TwinProcess

IMAGE = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJX6dNeHsEM1KkMEgyi21Pe5oQBY4Tz2VwYpWiBvEsQL somebody"


class TwinClock(VirtualClock):
    """A clock whose sleeping is the twin's time going on."""

    def __init__(self, twin: TwinProcess) -> None:
        super().__init__()
        self.twin = twin

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.twin.ask("advance", seconds=seconds)


@pytest.fixture
def clock(twin: TwinProcess) -> TwinClock:
    return TwinClock(twin)


@pytest.fixture
def client(twin: TwinProcess) -> Client:
    return open_client("us-east-1", endpoint=twin.url, keys=("twin", "twin"), address_url=f"{twin.url}/twin/address")


def request(count: int = 3, **more: Any) -> dict[str, Any]:
    tags = [{"Key": "managed-by", "Value": "launchbay"}, {"Key": "launchbay:fleet", "Value": "exp"}]
    tagged = [{"ResourceType": "instance", "Tags": tags}]
    return {
        "ImageId": IMAGE,
        "InstanceType": "c5.large",
        "MinCount": count,
        "MaxCount": count,
        "TagSpecifications": tagged,
        **more,
    }


def standing(twin: TwinProcess) -> int:
    return len(twin.ask("left")["instances"])


# --- once for a token -------------------------------------------------------------------------------------------------


def test_a_launch_is_one_call_and_again_the_same_instances(twin: TwinProcess, client: Client, clock: TwinClock) -> None:
    first = launch(client, request(), "t", clock=clock)
    again = launch(client, request(), "t", clock=clock)
    assert [row.id for row in first] == [row.id for row in again]
    assert [row.index for row in first] == [0, 1, 2]
    assert client.calls == {"ec2:run_instances": 2}
    assert standing(twin) == 3


@pytest.mark.parametrize("fault", ["lost-answer", "truncated-answer", "internal-error", "unavailable", "throttling"])
def test_whatever_goes_wrong_with_the_answer_it_launches_once(
    twin: TwinProcess, client: Client, clock: TwinClock, fault: str
) -> None:
    twin.ask("fault", name=fault, action="ec2:RunInstances", count=2)
    rows = launch(client, request(), "t", clock=clock)
    assert len(rows) == 3
    assert standing(twin) == 3
    assert {row.id for row in find_by_token(client, "t")} == {row.id for row in rows}


def test_nobody_knows_after_some_tries_and_the_same_call_finds_it(
    twin: TwinProcess, client: Client, clock: TwinClock
) -> None:
    twin.ask("fault", name="lost-answer", action="ec2:RunInstances", count=99)
    twin.ask("fault", name="internal-error", action="ec2:DescribeInstances", count=99)
    with pytest.raises((CloudSilence, CloudRefusal)):
        launch(client, request(), "t", clock=clock)
    twin.ask("faults", clear=True)
    assert len(launch(client, request(), "t", clock=clock)) == 3
    assert standing(twin) == 3


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("capacity", "InsufficientInstanceCapacity"),
        ("unauthorized", "UnauthorizedOperation"),
        ("expired-credentials", "ExpiredToken"),
        ("pending-verification", "PendingVerification"),
    ],
)
def test_a_refusal_is_asked_once_and_keeps_its_code(
    twin: TwinProcess, client: Client, clock: TwinClock, fault: str, code: str
) -> None:
    """Want of room comes as a server's error, which an SDK would try again in the same zone."""
    twin.ask("fault", name=fault, action="ec2:RunInstances", count=9)
    with pytest.raises(CloudRefusal) as caught:
        launch(client, request(), "t", clock=clock)
    assert caught.value.code == code
    assert not caught.value.in_doubt
    assert twin.ask("calls")["ec2:RunInstances"] == 1


@pytest.mark.parametrize("fault", ["unauthorized", "expired-credentials", "pending-verification"])
def test_a_refusal_after_silence_proves_nothing(
    twin: TwinProcess, client: Client, clock: TwinClock, fault: str
) -> None:
    twin.ask("fault", name="lost-answer", action="ec2:RunInstances")
    twin.ask("fault", name="lost-answer", action="ec2:DescribeInstances", count=9)
    twin.ask("fault", name=fault, action="ec2:RunInstances", after=1, count=9)
    with pytest.raises(CloudRefusal) as caught:
        launch(client, request(), "t", clock=clock)
    assert caught.value.in_doubt
    assert standing(twin) == 3


def test_a_token_that_was_asked_before_is_in_doubt_until_room_is_lacking(
    twin: TwinProcess, client: Client, clock: TwinClock
) -> None:
    twin.ask("fault", name="unauthorized", action="ec2:RunInstances")
    with pytest.raises(CloudRefusal) as caught:
        launch(client, request(), "t", clock=clock, asked_before=True)
    assert caught.value.in_doubt
    twin.ask("capacity", type="c5.large", count=2)
    with pytest.raises(CloudRefusal) as caught:
        launch(client, request(), "t", clock=clock, asked_before=True)
    assert not caught.value.in_doubt


def test_a_part_that_is_shown_is_not_taken_for_all(twin: TwinProcess) -> None:
    """Some of what was launched is shown before the rest; every answer is lost, so that it has to be looked for."""
    twin.ask("reset", visible_after_s=8.0)
    try:
        clock = TwinClock(twin)
        client = open_client("us-east-1", endpoint=twin.url, keys=("twin", "twin"))
        for turn in range(4):
            twin.ask("fault", name="lost-answer", action="ec2:RunInstances", count=4)
            rows = launch(client, request(6), f"t{turn}", clock=clock)
            assert len(rows) == 6
            twin.ask("faults", clear=True)
        assert standing(twin) == 24
    finally:
        twin.ask("reset", visible_after_s=0.0)


def test_the_time_is_the_clouds(twin: TwinProcess, client: Client) -> None:
    twin.ask("advance", seconds=40 * 86400)
    client.ask("describe_vpcs")
    status = twin.ask("status")["now"]
    assert client.now.isoformat()[:13] == status[:13]


def test_nothing_is_reached_and_no_key_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    nowhere = open_client("us-east-1", endpoint="http://127.0.0.1:9", keys=("a", "b"))
    with pytest.raises(UserError, match="AWS cannot be reached"):
        nowhere.ask("describe_vpcs")
    with pytest.raises(CloudSilence):
        nowhere.act("delete_security_group", GroupId="sg-1")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(UserError, match="no credentials for AWS"):
        open_client("us-east-1").ask("describe_vpcs")


# --- watched and ended ------------------------------------------------------------------------------------------------


def test_all_are_watched_with_one_question_a_poll(client: Client, clock: TwinClock) -> None:
    rows = launch(client, request(20), "t", clock=clock)
    client.calls.clear()
    told: list[int] = []
    found = watch(client, [row.id for row in rows], "running", clock=clock, poll_s=5, timeout_s=60, tell=told.append)
    assert {row.state for row in found.rows} == {"running"}
    assert [row.index for row in found.rows] == list(range(20))
    assert client.calls == {"ec2:describe_instances": len(told)}
    assert told[-1] == 20


def test_ids_that_are_not_known_everywhere_yet_are_no_error(twin: TwinProcess) -> None:
    twin.ask("reset", visible_after_s=40.0)
    try:
        clock = TwinClock(twin)
        client = open_client("us-east-1", endpoint=twin.url, keys=("twin", "twin"))
        rows = launch(client, request(5), "t", clock=clock)
        found = watch(client, [row.id for row in rows], "running", clock=clock, poll_s=5, timeout_s=120)
        assert len(found.rows) == 5
    finally:
        twin.ask("reset", visible_after_s=0.0)


def test_what_ends_in_place_of_running_is_lost_and_not_waited_for(
    twin: TwinProcess, client: Client, clock: TwinClock
) -> None:
    rows = launch(client, request(3), "t", clock=clock)
    terminate(client, [rows[1].id])
    found = watch(client, [row.id for row in rows], "running", clock=clock, poll_s=5, timeout_s=60)
    assert [row.id for row in found.rows] == [rows[0].id, rows[2].id]
    assert [(row.id, row.reason) for row in found.lost] == [(rows[1].id, "Client.UserInitiatedShutdown")]
    assert standing(twin) == 2


def test_what_does_not_come_in_time_is_said(twin: TwinProcess) -> None:
    twin.ask("reset", pending_s=10_000.0)
    try:
        clock = TwinClock(twin)
        client = open_client("us-east-1", endpoint=twin.url, keys=("twin", "twin"))
        rows = launch(client, request(2), "t", clock=clock)
        with pytest.raises(LaunchbayError, match="2 of 2 instances are not running after 20 seconds"):
            watch(client, [row.id for row in rows], "running", clock=clock, poll_s=5, timeout_s=20)
    finally:
        twin.ask("reset", pending_s=4.0)


def test_one_that_is_gone_keeps_none_of_the_others(twin: TwinProcess, client: Client, clock: TwinClock) -> None:
    rows = launch(client, request(3), "t", clock=clock)
    names = [rows[0].id, "i-0123456789abcdef0", rows[1].id, rows[2].id]
    assert terminate(client, names) == (rows[0].id, rows[1].id, rows[2].id)
    ended = watch(client, names, "terminated", clock=clock, poll_s=5, timeout_s=60)
    assert len(ended.rows) == 3
    assert standing(twin) == 0


def test_a_protected_one_is_told_after_the_others_are_ending(
    twin: TwinProcess, client: Client, clock: TwinClock
) -> None:
    rows = launch(client, request(2), "t", clock=clock)
    twin.client("ec2").modify_instance_attribute(InstanceId=rows[0].id, DisableApiTermination={"Value": True})
    with pytest.raises(CloudRefusal) as caught:
        terminate(client, [row.id for row in rows])
    assert caught.value.code == "OperationNotPermitted"
    assert caught.value.what.startswith(f"{rows[0].id} cannot be ended")
    assert caught.value.what.endswith("the others are ending")
    assert f"--no-disable-api-termination --instance-id {rows[0].id}" in caught.value.hint
    watch(client, [rows[1].id], "terminated", clock=clock, poll_s=5, timeout_s=60)
    assert twin.ask("left")["instances"] == [rows[0].id]


def test_only_what_is_ours_is_listed(twin: TwinProcess, client: Client, clock: TwinClock) -> None:
    ours = launch(client, request(2), "t", clock=clock)
    decoy = [{"ResourceType": "instance", "Tags": [{"Key": "launchbay:fleet", "Value": "exp"}]}]
    launch(client, request(1, TagSpecifications=decoy), "u", clock=clock)
    assert {row.id for row in list_ours(client)} == {row.id for row in ours}
    assert list_ours(client, fleet="other") == ()
    assert list_ours(client, launch="op-1") == ()
    terminate(client, [row.id for row in ours])
    twin.ask("advance", seconds=60)
    assert list_ours(client) == ()


@pytest.mark.parametrize("fault", ["throttling", "internal-error", "unavailable", "lost-answer"])
def test_a_terminate_that_meets_a_bad_minute_is_made_again(
    twin: TwinProcess, client: Client, clock: TwinClock, fault: str
) -> None:
    rows = launch(client, request(3), "t", clock=clock)
    twin.ask("fault", name=fault, action="ec2:TerminateInstances", count=4)
    began = clock.now()
    assert len(terminate(client, [row.id for row in rows], clock=clock)) == 3
    assert 7 <= clock.now() - began <= 15
    twin.ask("advance", seconds=60)
    assert standing(twin) == 0


def test_what_one_launch_made_is_told_from_the_rest_of_its_fleet(client: Client, clock: TwinClock) -> None:
    tags = [{"Key": "managed-by", "Value": "launchbay"}, {"Key": "launchbay:fleet", "Value": "exp"}]
    made = {}
    for name in ("op-1", "op-2"):
        tagged = [{"ResourceType": "instance", "Tags": [*tags, {"Key": "launchbay:launch", "Value": name}]}]
        made[name] = {row.id for row in launch(client, request(2, TagSpecifications=tagged), name, clock=clock)}
    assert {row.id for row in list_ours(client, fleet="exp", launch="op-1")} == made["op-1"]
    assert {row.id for row in list_ours(client, launch="op-2")} == made["op-2"]
    assert list_ours(client, fleet="other", launch="op-2") == ()


# --- the group and the key --------------------------------------------------------------------------------------------


def open_to(client: Client) -> list[str]:
    return [item["CidrIp"] for rule in find_groups(client, "exp")[0]["IpPermissions"] for item in rule["IpRanges"]]


def test_the_group_lets_in_the_caller_and_follows_his_address(client: Client) -> None:
    here = caller_network(client)
    assert here == "203.0.113.1/32"
    vpc = default_vpc(client)
    identity = ensure_group(client, "exp", vpc, [here])
    assert ensure_group(client, "exp", vpc, [here]) == identity
    assert open_to(client) == [here]
    assert ensure_group(client, "exp", vpc, ["198.51.100.7/32", here]) == identity
    assert sorted(open_to(client)) == ["198.51.100.7/32", here]
    ensure_group(client, "exp", vpc, ["198.51.100.7/32"])
    assert open_to(client) == ["198.51.100.7/32"]


def test_a_group_in_use_is_waited_for(twin: TwinProcess, client: Client, clock: TwinClock) -> None:
    identity = ensure_group(client, "exp", default_vpc(client), ["203.0.113.1/32"])
    rows = launch(client, request(1, SecurityGroupIds=[identity]), "t", clock=clock)
    with pytest.raises(LaunchbayError, match="is still in use"):
        remove_group(client, "exp", clock=clock)
    terminate(client, [row.id for row in rows])
    assert remove_group(client, "exp", clock=clock) == (identity,)
    assert remove_group(client, "exp", clock=clock) == ()
    assert twin.ask("left")["left"] == 0


def test_a_key_pair_is_imported_once_and_only_ours_is_removed(twin: TwinProcess, client: Client) -> None:
    assert ensure_key(client, "exp", KEY) == ensure_key(client, "exp", KEY) == "launchbay-exp"
    twin.client("ec2").import_key_pair(KeyName="launchbay-mine", PublicKeyMaterial=KEY.encode())
    remove_key(client, "exp")
    remove_key(client, "exp")
    assert len(twin.ask("left")["key_pairs"]) == 1


def test_without_a_default_network_one_line_says_what_to_do(twin: TwinProcess, client: Client) -> None:
    ec2 = twin.client("ec2")
    vpc = default_vpc(client)
    for subnet in ec2.describe_subnets()["Subnets"]:
        ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    for gateway in ec2.describe_internet_gateways()["InternetGateways"]:
        ec2.detach_internet_gateway(InternetGatewayId=gateway["InternetGatewayId"], VpcId=vpc)
    ec2.delete_vpc(VpcId=vpc)
    with pytest.raises(UserError, match="has no default network") as caught:
        default_vpc(client)
    assert "--subnet subnet-" in caught.value.hint
