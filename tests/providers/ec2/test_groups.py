"""A fleet's own group and key on the twin: nothing but SSH from whom it is wished, in its own VPC, and nobody else's touched."""

from __future__ import annotations

from typing import Any

import pytest

from launchbay.errors import Conflict
from launchbay.providers.ec2.client import Client, open_client
from launchbay.providers.ec2.groups import (
    _is_of,
    caller_network,
    default_vpc,
    ensure_group,
    ensure_key,
    find_groups,
    remove_group,
    remove_key,
)
from tests.providers.ec2.test_instances import KEY, TwinClock
from tests.twin_process import TwinProcess

HERE = "203.0.113.1/32"
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPQqHrXDXOZm5ZPCqUiWrXNy6nYFcYpRhD5n4ZqG0Ecb somebody else"


@pytest.fixture
def clock(twin: TwinProcess) -> TwinClock:
    return TwinClock(twin)


@pytest.fixture
def client(twin: TwinProcess) -> Client:
    return open_client("us-east-1", endpoint=twin.url, keys=("twin", "twin"), address_url=f"{twin.url}/twin/address")


def rules_of(ec2: Any, identity: str) -> set[tuple[str, int, int, str]]:
    """Return every rule that lets something in, as EC2 lists them one by one."""
    found = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [identity]}])
    return {
        (
            rule["IpProtocol"],
            rule["FromPort"],
            rule["ToPort"],
            rule.get("CidrIpv4")
            or rule.get("CidrIpv6")
            or rule.get("PrefixListId")
            or rule["ReferencedGroupInfo"]["GroupId"],
        )
        for rule in found["SecurityGroupRules"]
        if not rule["IsEgress"]
    }


SSH_ONLY = {("tcp", 22, 22, HERE)}


@pytest.mark.parametrize(
    "rule",
    [
        {"IpProtocol": "tcp", "FromPort": 8888, "ToPort": 8888, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
        {"IpProtocol": "tcp", "FromPort": 20, "ToPort": 30, "IpRanges": [{"CidrIp": HERE, "Description": "mine"}]},
        {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 23, "IpRanges": [{"CidrIp": HERE}]},
        {"IpProtocol": "tcp", "FromPort": 0, "ToPort": 65535, "IpRanges": [{"CidrIp": "198.51.100.0/24"}]},
        {"IpProtocol": "udp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": HERE}]},
        {"IpProtocol": "icmp", "FromPort": -1, "ToPort": -1, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
        {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "Ipv6Ranges": [{"CidrIpv6": "::/0"}]},
        {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "PrefixListIds": [{"PrefixListId": "pl-0123456789abcdef0"}]},
        {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
        {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "default"}]},
        {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "UserIdGroupPairs": [{"GroupId": "default"}]},
    ],
    ids=["port", "range", "wider", "all-tcp", "udp", "icmp", "ipv6", "list", "all", "group-all", "group-ssh"],
)  # fmt: skip
def test_whatever_else_the_group_lets_in_is_taken_back(
    ec2: Any, client: Client, clock: TwinClock, rule: dict[str, Any]
) -> None:
    vpc = default_vpc(client)
    identity = ensure_group(client, "exp", vpc, [HERE], clock=clock)
    assert rules_of(ec2, identity) == SSH_ONLY
    default = ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"][0]["GroupId"]
    pairs = [{"GroupId": default} for _ in rule.get("UserIdGroupPairs", ())]
    ec2.authorize_security_group_ingress(
        GroupId=identity, IpPermissions=[{**rule, **({"UserIdGroupPairs": pairs} if pairs else {})}]
    )
    assert len(rules_of(ec2, identity)) == 2
    assert ensure_group(client, "exp", vpc, [HERE], clock=clock) == identity
    assert rules_of(ec2, identity) == SSH_ONLY


def test_members_talk_to_each_other_only_where_that_is_wished(ec2: Any, client: Client, clock: TwinClock) -> None:
    vpc = default_vpc(client)
    identity = ensure_group(client, "exp", vpc, [HERE, "2001:db8::1/128"], is_clustered=True, clock=clock)
    both = {*SSH_ONLY, ("tcp", 22, 22, "2001:db8::1/128")}
    assert rules_of(ec2, identity) == {*both, ("-1", -1, -1, identity)}
    client.calls.clear()
    ensure_group(client, "exp", vpc, [HERE, "2001:db8::1/128"], is_clustered=True, clock=clock)
    assert client.calls == {"ec2:describe_security_groups": 1}
    ensure_group(client, "exp", vpc, [HERE, "2001:db8::1/128"], clock=clock)
    assert rules_of(ec2, identity) == both


def test_a_group_that_somebody_goes_on_opening_is_said(
    twin: TwinProcess, ec2: Any, client: Client, clock: TwinClock
) -> None:
    vpc = default_vpc(client)
    identity = ensure_group(client, "exp", vpc, [HERE], clock=clock)
    open_to_all = {"IpProtocol": "tcp", "FromPort": 8888, "ToPort": 8888, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}

    def open_it(**_: Any) -> None:
        if len(rules_of(ec2, identity)) == 1:
            ec2.authorize_security_group_ingress(GroupId=identity, IpPermissions=[open_to_all])

    client.raw("ec2").meta.events.register("before-call.ec2.DescribeSecurityGroups", open_it)
    with pytest.raises(Conflict, match=r"does not stay as it was set: tcp 8888-8888 from 0\.0\.0\.0/0"):
        ensure_group(client, "exp", vpc, [HERE], clock=clock)
    assert twin.ask("calls")["ec2:RevokeSecurityGroupIngress"] >= 3


def test_each_network_has_a_group_of_its_own(ec2: Any, client: Client, clock: TwinClock) -> None:
    vpc = default_vpc(client)
    first = ensure_group(client, "exp", vpc, [HERE], clock=clock)
    other = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    second = ensure_group(client, "exp", other, ["198.51.100.7/32"], clock=clock)
    assert first != second
    assert {group["GroupId"]: group["VpcId"] for group in find_groups(client, "exp")} == {first: vpc, second: other}
    assert rules_of(ec2, first) == SSH_ONLY
    assert rules_of(ec2, second) == {("tcp", 22, 22, "198.51.100.7/32")}
    assert set(remove_group(client, "exp", clock=clock)) == {first, second}


def test_a_group_of_somebody_else_is_left_alone(ec2: Any, client: Client, clock: TwinClock) -> None:
    """One of our name without our tags is not ours; one with our tag and another fleet's, or none, is not this fleet's."""
    vpc = default_vpc(client)
    named = ec2.create_security_group(GroupName="launchbay-exp", Description="mine", VpcId=vpc)["GroupId"]
    ours = {"Key": "managed-by", "Value": "launchbay"}
    for name, tags in (
        ("other", [ours, {"Key": "launchbay:fleet", "Value": "other"}]),
        ("bare", [ours]),
        ("decoy", [{"Key": "launchbay:fleet", "Value": "exp"}]),
    ):
        made = ec2.create_security_group(GroupName=name, Description="no", VpcId=vpc)["GroupId"]
        ec2.create_tags(Resources=[made], Tags=tags)
    with pytest.raises(Conflict, match="named launchbay-exp that Launchbay did not make"):
        ensure_group(client, "exp", vpc, [HERE], clock=clock)
    assert rules_of(ec2, named) == set()
    assert remove_group(client, "exp", clock=clock) == ()
    left = {group["GroupName"] for group in ec2.describe_security_groups()["SecurityGroups"]}
    assert left == {"default", "launchbay-exp", "other", "bare", "decoy"}


@pytest.mark.parametrize("fault", ["throttling", "internal-error", "unavailable", "lost-answer", "truncated-answer"])
def test_a_bad_minute_of_ec2_changes_nothing(
    twin: TwinProcess, ec2: Any, client: Client, clock: TwinClock, fault: str
) -> None:
    for action in (
        "CreateSecurityGroup",
        "AuthorizeSecurityGroupIngress",
        "RevokeSecurityGroupIngress",
        "DeleteSecurityGroup",
        "ImportKeyPair",
        "DeleteKeyPair",
    ):
        twin.ask("fault", name=fault, action=f"ec2:{action}", count=2)
    vpc = default_vpc(client)
    identity = ensure_group(client, "exp", vpc, [HERE], clock=clock)
    ensure_group(client, "exp", vpc, ["198.51.100.7/32"], clock=clock)
    assert rules_of(ec2, identity) == {("tcp", 22, 22, "198.51.100.7/32")}
    ensure_key(client, "exp", KEY, clock=clock)
    assert len(find_groups(client, "exp")) == 1
    remove_group(client, "exp", clock=clock)
    remove_key(client, "exp", clock=clock)
    left = twin.ask("left")
    assert left["left"] == 0
    assert twin.ask("status")["faults"] == 0  # each of them was met


def test_it_is_not_asked_for_ever(twin: TwinProcess, client: Client, clock: TwinClock) -> None:
    ensure_key(client, "exp", KEY, clock=clock)
    twin.ask("fault", name="throttling", action="ec2:DeleteKeyPair", count=999)
    began = clock.now()
    with pytest.raises(Exception, match="RequestLimitExceeded"):
        remove_key(client, "exp", clock=clock)
    assert 20 < clock.now() - began < 90
    assert twin.ask("calls")["ec2:DeleteKeyPair"] == 8


# --- keys -------------------------------------------------------------------------------------------------------------


def test_a_key_pair_of_somebody_else_is_refused(ec2: Any, client: Client, clock: TwinClock) -> None:
    ec2.import_key_pair(KeyName="launchbay-exp", PublicKeyMaterial=OTHER_KEY.encode())
    with pytest.raises(Conflict, match="with a public key that is not this fleet's") as caught:
        ensure_key(client, "exp", KEY, clock=clock)
    assert "--name" in caught.value.hint
    remove_key(client, "exp", clock=clock)
    assert [pair["KeyName"] for pair in ec2.describe_key_pairs()["KeyPairs"]] == ["launchbay-exp"]


def test_the_same_key_again_is_the_same_pair(ec2: Any, client: Client, clock: TwinClock) -> None:
    assert ensure_key(client, "exp", KEY, clock=clock) == "launchbay-exp"
    assert ensure_key(client, "exp", f"{KEY} with another comment", clock=clock) == "launchbay-exp"
    assert len(ec2.describe_key_pairs()["KeyPairs"]) == 1


def test_a_pair_is_known_by_its_fingerprint_where_the_key_is_not_shown() -> None:
    """EC2 shows that of Ed25519 as `ssh-keygen -l` does, filled up with ``=``; this one is what ssh-keygen says of the key."""
    shown = "RBBACGGx7mrANWMUBtNg0MOe0xGVggSHcJuPYWJAuAQ"
    for written in (shown, f"{shown}=", f"SHA256:{shown}"):
        assert _is_of({"KeyFingerprint": written}, KEY)
        assert not _is_of({"KeyFingerprint": written}, OTHER_KEY)
    assert not _is_of({}, KEY)


def test_only_the_fleets_own_key_is_removed(ec2: Any, client: Client, clock: TwinClock) -> None:
    ours = {"Key": "managed-by", "Value": "launchbay"}
    for name, tags in (
        ("bare", [ours]),
        ("decoy", [{"Key": "launchbay:fleet", "Value": "exp"}]),
        ("other", [ours, {"Key": "launchbay:fleet", "Value": "other"}]),
    ):
        tagged = [{"ResourceType": "key-pair", "Tags": tags}]
        ec2.import_key_pair(KeyName=name, PublicKeyMaterial=KEY.encode(), TagSpecifications=tagged)
    ensure_key(client, "exp", KEY, clock=clock)
    remove_key(client, "exp", clock=clock)
    assert {pair["KeyName"] for pair in ec2.describe_key_pairs()["KeyPairs"]} == {"bare", "decoy", "other"}


# --- proxies ----------------------------------------------------------------------------------------------------------


def test_a_proxy_is_not_asked_for_what_is_on_this_machine(twin: TwinProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    client = open_client("us-east-1", endpoint=twin.url, keys=("twin", "twin"), address_url=f"{twin.url}/twin/address")
    assert default_vpc(client).startswith("vpc-")
    assert caller_network(client) == HERE
    client.act("create_key_pair", KeyName="x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", twin.url)  # said by the person, as other tools are pointed at a twin
    assert default_vpc(open_client("us-east-1", keys=("twin", "twin"))).startswith("vpc-")
