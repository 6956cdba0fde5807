"""Fleets that are reached through an Instance Connect Endpoint, and opened by keys for a minute."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from launchbay.cloud.fleet import door_of, find_fleet
from launchbay.cloud.launch import launch_cloud
from launchbay.cloud.plan import CloudPlan, plan_cloud
from launchbay.cloud.proxy import main
from launchbay.errors import UsageError, UserError
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.twin import ask_twin
from launchbay.planning.ingress import networks_let_in
from launchbay.providers.ec2.client import Client, CloudRefusal
from launchbay.providers.ec2.groups import find_groups
from launchbay.transport.sshconfig import write_ssh_config
from launchbay.transport.trouble import KeyRefused, Unreachable, WayRefused
from launchbay.transport.waiting import wait_for_ssh
from tests.cloud.fleets import (
    asked,
    client_of,
    end,
    exec_there,
    left,
    let_in_from,
    make_endpoint,
    recipe_of,
    remove_endpoint,
    row_of,
    set_power,
)

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="hosts need bubblewrap")


@pytest.fixture
def bay(empty: Bay) -> Bay:
    return empty


@pytest.fixture
def endpoint(bay: Bay) -> str:
    return make_endpoint(bay)


def plan(bay: Bay, **changed: Any) -> CloudPlan:
    return plan_cloud(bay, asked(bay, **changed))


def calls(bay: Bay, name: str) -> int:
    return int(ask_twin(bay.home, "calls").get(f"ec2-instance-connect:{name}", 0))


def group_of(bay: Bay, endpoint: str) -> str:
    client = client_of(bay)
    found = client.ask("describe_instance_connect_endpoints", InstanceConnectEndpointIds=[endpoint])
    return str(found["InstanceConnectEndpoints"][0]["SecurityGroupIds"][0])


def own_group(bay: Bay, **rule: Any) -> str:
    """Make a security group of somebody's in the default network, with a rule for port 22."""
    client = client_of(bay)
    vpc = client.ask("describe_vpcs")["Vpcs"][0]["VpcId"]
    group = str(client.act("create_security_group", GroupName="lab", Description="lab", VpcId=vpc)["GroupId"])
    rules = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, **rule}]
    client.act("authorize_security_group_ingress", GroupId=group, IpPermissions=rules)
    return group


# --- what is chosen ---------------------------------------------------------------------------------------------------


def test_an_endpoint_that_stands_is_gone_through(bay: Bay, endpoint: str) -> None:
    found = plan(bay)
    assert found.way.endpoint is not None
    assert (found.way.endpoint.id, found.way.networks, found.way.is_one_time) == (endpoint, (), True)
    assert found.way.let_in == found.way.endpoint.networks
    assert (found.makes_group, found.makes_key, found.wish.public_address) == (True, False, True)
    accepted = {item.control: item.sentence for item in found.findings}
    near = found.way.endpoint.networks[0]
    assert accepted["EC2.9"] == f"the instance has a public address, as asked; {near} may reach it"


@pytest.mark.parametrize(
    ("said", "reach", "auth"),
    [
        ({"reach": "address"}, "address", "injected"),
        ({"networks": ("198.51.100.0/24",)}, "address", "injected"),
        ({"networks": ("198.51.100.0/24",), "reach": "endpoint"}, "endpoint", "one-time"),
        ({"auth": "injected"}, "endpoint", "injected"),
        ({"reach": "address", "auth": "one-time"}, "address", "one-time"),
    ],
)
def test_what_is_said_goes_before_what_stands(
    bay: Bay, endpoint: str, said: dict[str, Any], reach: str, auth: str
) -> None:
    found = plan(bay, **said).way
    assert (found.reach, found.auth) == (reach, auth)
    assert found.endpoint is None or found.endpoint.id == endpoint
    assert found.networks == said.get("networks", () if reach == "endpoint" else ("203.0.113.1/32",))


def test_an_endpoint_that_is_not_there_is_asked_for_in_vain(bay: Bay) -> None:
    with pytest.raises(UserError, match="has no EC2 Instance Connect Endpoint that is ready") as caught:
        plan(bay, reach="endpoint")
    assert "aws ec2 create-instance-connect-endpoint --region us-east-1 --subnet-id subnet-" in caught.value.hint
    assert "`bay twin start`" in caught.value.hint  # where else it would be made on AWS
    subnet = client_of(bay).ask("describe_subnets")["Subnets"][0]["SubnetId"]
    client_of(bay).act("create_instance_connect_endpoint", SubnetId=subnet)
    with pytest.raises(UserError, match=r"that is ready, eice-\w+ is create-in-progress") as caught:
        plan(bay, reach="endpoint")
    assert caught.value.hint == "the same again in a minute or two"
    found = plan(bay)
    assert found.way.reach == "address"
    assert any(note.endswith(" is create-in-progress") for note in found.notes)


def test_an_endpoint_whose_group_lets_nothing_out_is_none(bay: Bay, endpoint: str) -> None:
    rules = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    client_of(bay).act("revoke_security_group_egress", GroupId=group_of(bay, endpoint), IpPermissions=rules)
    found = plan(bay)
    assert found.way.reach == "address"
    assert f"{endpoint} is not gone through: its security group" in " ".join(found.notes)
    with pytest.raises(UserError, match="lets nothing out to port 22"):
        plan(bay, reach="endpoint")


def test_groups_of_ones_own_have_to_let_it_in(bay: Bay, endpoint: str) -> None:
    group = own_group(bay, IpRanges=[{"CidrIp": "8.8.8.0/24"}])
    assert plan(bay, groups=(group,)).way.reach == "address"
    with pytest.raises(UserError, match=f"{group} does not let in port 22"):
        plan(bay, groups=(group,), reach="endpoint")
    rule = {"UserIdGroupPairs": [{"GroupId": group_of(bay, endpoint)}]}
    rules = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, **rule}]
    client_of(bay).act("authorize_security_group_ingress", GroupId=group, IpPermissions=rules)
    found = plan(bay, groups=(group,))
    assert (found.way.reach, found.way.networks, found.makes_group) == ("endpoint", ("8.8.8.0/24",), False)


def test_one_that_keeps_its_clients_addresses_needs_ours_let_in(bay: Bay) -> None:
    make_endpoint(bay, PreserveClientIp=True)
    found = plan(bay).way
    assert (found.reach, found.networks, found.let_in) == ("endpoint", ("203.0.113.1/32",), ("203.0.113.1/32",))
    found = plan(bay, reach="endpoint", networks=("198.51.100.0/24",)).way
    assert found.let_in == ("198.51.100.0/24", "203.0.113.1/32")
    group = own_group(bay, IpRanges=[{"CidrIp": "8.8.8.0/24"}])
    assert plan(bay, groups=(group,)).way.reach == "address"


def test_a_network_without_one_is_reached_by_addresses(bay: Bay, endpoint: str) -> None:
    client = client_of(bay)
    vpc = client.act("create_vpc", CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = client.act("create_subnet", VpcId=vpc, CidrBlock="10.9.1.0/24", AvailabilityZone="us-east-1b")["Subnet"]
    assert plan(bay, subnet=subnet["SubnetId"]).way.reach == "address"
    assert plan(bay).way.endpoint is not None, endpoint


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ({"reach": "ssm"}, "--reach is endpoint or address, got 'ssm'"),
        ({"auth": "password"}, "--auth is one-time or injected, got 'password'"),
        ({"auth": "one-time", "key_name": "ada", "identity_file": "/ada"}, "what opens the instances is said twice"),
    ],
)
def test_what_contradicts_itself_is_refused(bay: Bay, said: dict[str, Any], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        plan(bay, **said)


def refuse(*_: object) -> None:
    raise CloudRefusal("describe", "UnauthorizedOperation", "no", status=403, region="us-east-1")


def test_credentials_that_may_not_ask_take_an_address(bay: Bay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("launchbay.cloud.way.list_endpoints", refuse)
    found = plan(bay)
    assert found.way.reach == "address"
    assert (
        "whether there is an Instance Connect Endpoint is not known: these credentials may not ask (describe)"
        in found.notes
    )
    with pytest.raises(CloudRefusal):
        plan(bay, reach="endpoint")


def test_credentials_that_ask_for_a_code_take_an_address(
    bay: Bay, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each connection would ask for one, and a tunnel that connects again by itself has nobody to ask."""
    monkeypatch.setattr("launchbay.cloud.way.asks_for_code", lambda: True)
    assert plan(bay).way.reach == "endpoint"  # the twin has keys of its own
    monkeypatch.setattr(Client, "provider", "ec2")
    found = plan(bay)
    assert found.way.reach == "address"
    assert f"{endpoint} is not gone through: these credentials ask for an MFA code at each connection" in found.notes
    for said in ({"reach": "endpoint"}, {"reach": "address", "auth": "one-time"}):
        with pytest.raises(UserError, match="these credentials ask for an MFA code at each connection") as caught:
            plan(bay, **said)
        assert "--reach address --auth injected" in caught.value.hint


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_a_fleet_that_stands_keeps_its_way(bay: Bay, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = launch_cloud(bay, plan(bay)).fleet
    assert (fleet.endpoint, fleet.is_one_time) == (None, False)
    endpoint = make_endpoint(bay)
    found = plan(bay)
    assert (found.way.reach, found.way.auth) == ("address", "injected")
    launch_cloud(bay, found)
    assert find_fleet(bay.home, "exp") == fleet
    # another way is taken where it is said, and kept once it was gone
    moved = launch_cloud(bay, plan(bay, reach="endpoint"))
    assert moved.created == ()
    kept = find_fleet(bay.home, "exp")
    assert kept is not None
    assert kept.endpoint is not None
    assert (kept.endpoint.id, kept.is_one_time) == (endpoint, False)
    assert let_in_from(bay, "127.0.0.1") == 0
    assert plan(bay).way.endpoint == kept.endpoint
    # that nobody knows whether it stands is no reason to let in an address
    monkeypatch.setattr("launchbay.cloud.way.list_endpoints", refuse)
    unsure = plan(bay)
    assert unsure.way.endpoint == kept.endpoint
    assert f"whether {endpoint} stands is not known: these credentials may not ask (describe)" in unsure.notes
    end(bay)


def test_a_way_that_leads_nowhere_is_not_kept(bay: Bay) -> None:
    fleet = launch_cloud(bay, plan(bay)).fleet
    endpoint = make_endpoint(bay)
    found = plan(bay, reach="endpoint")
    rules = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    client_of(bay).act("revoke_security_group_egress", GroupId=group_of(bay, endpoint), IpPermissions=rules)
    with pytest.raises(Unreachable, match="Unable to connect to target"):
        launch_cloud(bay, found)
    assert find_fleet(bay.home, "exp") == fleet
    assert exec_there(bay, "exp-1", "true")["exit_code"] == 0
    (group,) = find_groups(client_of(bay), "exp")
    assert [str(network) for network in networks_let_in([group])] == ["203.0.113.1/32"]
    end(bay)


def test_a_launch_that_was_cut_off_goes_on_as_it_began(bay: Bay, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def be_killed(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("launchbay.cloud.launch.climb", be_killed)
        patched.setattr("launchbay.cloud.launch._Launching._undo", lambda *_: None)
        with pytest.raises(Killed):
            launch_cloud(bay, plan(bay))
    make_endpoint(bay)
    launched = launch_cloud(bay, plan(bay))
    assert (launched.fleet.endpoint, launched.fleet.is_one_time, len(launched.created)) == (None, False, 1)
    end(bay)


# --- what comes of it -------------------------------------------------------------------------------------------------


def test_a_fleet_through_an_endpoint_from_nothing_to_nothing(bay: Bay, endpoint: str, tmp_path: Path) -> None:
    before = left(bay)
    launched = launch_cloud(bay, plan(bay, count=2))
    assert launched.identical
    fleet = find_fleet(bay.home, "exp")
    assert fleet == launched.fleet
    assert fleet.endpoint is not None
    assert (fleet.endpoint.id, fleet.is_one_time) == (endpoint, True)
    client = client_of(bay)
    assert client.ask("describe_key_pairs")["KeyPairs"] == []
    (instance,) = (row.id for row in launched.rows.values() if row.index == 0)
    shown = client.ask("describe_instances", InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    assert "KeyName" not in shown
    # not even from where it was launched is anything reached
    assert (let_in_from(bay, "127.0.0.1"), let_in_from(bay, "127.0.0.9")) == (0, 0)
    assert calls(bay, "SendSSHPublicKey") == calls(bay, "OpenTunnel") > 0
    assert exec_there(bay, "exp-1", "true")["exit_code"] == 0
    # OpenSSH too, by its own configuration, from any folder, and without our home in its environment
    config = tmp_path / "config"
    write_ssh_config(config, {"exp-2": door_of(bay.home, fleet, row_of(bay, "exp-2"), 22)})
    words = ["ssh", "-F", str(config), "exp-2", "echo in"]
    done = subprocess.run(words, capture_output=True, check=False, timeout=60, cwd=tmp_path)
    assert (done.stdout, done.returncode) == (b"in\n", 0), done
    again = launch_cloud(bay, plan(bay, count=2, auth="one-time"))  # as it is opened already
    assert (again.created, again.identical) == ((), True)
    set_power(bay, "exp-1", "stop")
    set_power(bay, "exp-1", "start")
    assert exec_there(bay, "exp-1", "true")["exit_code"] == 0
    end(bay)
    assert left(bay) == before


def test_an_endpoint_in_anothers_place_is_taken_by_the_same_launch(bay: Bay, endpoint: str) -> None:
    launch_cloud(bay, plan(bay))
    remove_endpoint(bay, endpoint)
    with pytest.raises(WayRefused, match="does not exist"):
        exec_there(bay, "exp-1", "hostname")
    with pytest.raises(UserError, match=f"exp is reached through {endpoint}, and that is gone") as caught:
        plan(bay)  # no address is let in by itself
    assert "--reach address, which lets in your own address" in caught.value.hint
    other = make_endpoint(bay)
    launched = launch_cloud(bay, plan(bay))
    assert launched.fleet.endpoint is not None
    assert (launched.created, launched.fleet.endpoint.id) == ((), other)
    assert exec_there(bay, "exp-1", "true")["exit_code"] == 0
    end(bay)


def test_a_key_for_a_minute_opens_by_an_address_too(bay: Bay) -> None:
    launched = launch_cloud(bay, plan(bay, auth="one-time"))
    assert (launched.fleet.endpoint, launched.fleet.is_one_time) == (None, True)
    assert exec_there(bay, "exp-1", "true")["exit_code"] == 0
    row = row_of(bay, "exp-1")
    port = int(ask_twin(bay.home, "hosts")["hosts"][row.id]["port"])
    door = door_of(bay.home, launched.fleet, row, port)
    ask_twin(bay.home, "advance", seconds=61)
    with pytest.raises(KeyRefused):  # the key alone opens nothing
        wait_for_ssh(replace(door, proxy=()), timeout_s=2, key_grace_s=0)
    wait_for_ssh(door, timeout_s=30)
    end(bay)


def test_a_key_from_the_launch_opens_through_an_endpoint(bay: Bay, endpoint: str) -> None:
    launched = launch_cloud(bay, plan(bay, auth="injected"))
    assert (launched.fleet.is_one_time, launched.fleet.endpoint is not None) == (False, True), endpoint
    assert (calls(bay, "SendSSHPublicKey"), len(client_of(bay).ask("describe_key_pairs")["KeyPairs"])) == (0, 1)
    end(bay)


def test_several_network_cards_have_a_way_in_through_an_endpoint(bay: Bay, endpoint: str) -> None:
    found = plan(bay, image=recipe_of(bay, "tiny"), type="p4d.24xlarge", efa=True)
    assert (len(found.wish.efa_cards), found.wish.public_address, found.way.reach) == (4, False, "endpoint"), endpoint
    assert not any("reached from inside their network" in note for note in found.notes)
    launched = launch_cloud(bay, found)
    assert [row.public_address for row in launched.rows.values()] == [""]
    assert exec_there(bay, "exp-1", "true")["exit_code"] == 0
    end(bay)


# --- why there is no way ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def kept(bay: Bay) -> Iterator[None]:
    """Lend what is kept of a fleet under its name no more."""
    folder = bay.home.cloud / "exp"
    folder.rename(bay.home.cloud / "gone")
    try:
        yield
    finally:
        (bay.home.cloud / "gone").rename(folder)


def test_the_program_says_why_it_leads_nowhere(bay: Bay, endpoint: str, capfd: pytest.CaptureFixture[str]) -> None:
    launched = launch_cloud(bay, plan(bay))
    row = launched.rows["exp-1"]
    words = [str(bay.home.root), "exp", row.id, row.private_address, "22"]
    with kept(bay):
        assert main(words) == 2
    assert capfd.readouterr().err == "nothing is known here of a fleet 'exp'\n"
    assert main([*words[:3], "172.31.250.250", "22"]) == 1  # it may be there in a moment
    assert "Unable to connect to target" in capfd.readouterr().err
    end(bay)
    assert endpoint


def test_a_launch_says_why_there_is_no_way(bay: Bay, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may launch and not open tunnels learns it at once, and nothing is left."""
    monkeypatch.setattr("launchbay.transport.waiting._GRACE_S", 0.0)
    before = left(bay)
    found = plan(bay)
    iam = client_of(bay).raw("iam")
    iam.create_user(UserName="nobody")
    key = iam.create_access_key(UserName="nobody")["AccessKey"]
    # what the program finds, and not this test
    monkeypatch.setenv("LAUNCHBAY_TWIN_KEYS", f"{key['AccessKeyId']}:{key['SecretAccessKey']}")
    with pytest.raises(WayRefused, match="the endpoint refuses the tunnel"):
        launch_cloud(bay, found)
    assert left(bay) == before, endpoint
