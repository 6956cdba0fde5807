"""A fleet launched, stopped, started and ended under exactly the least policy; less one statement, and something is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode, urlsplit

import boto3
import pytest
import websocket
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from launchbay.cloud.launch import launch_cloud
from launchbay.cloud.plan import plan_cloud
from launchbay.errors import LaunchbayError, UsageError, UserError
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.cloud import open_cloud
from launchbay.lifecycle.twin import ask_twin, find_twin
from launchbay.planning.cloudwish import Volume
from launchbay.planning.leastpolicy import least_policy
from launchbay.providers.ec2 import power
from launchbay.providers.ec2.baking import bake, remove_baked
from launchbay.providers.ec2.bucket import ensure_bucket, list_kept, read_kept, remove_bucket, write_kept
from launchbay.providers.ec2.client import Client, CloudRefusal
from launchbay.providers.ec2.groups import ensure_group, ensure_key, remove_group, remove_key
from launchbay.providers.ec2.images import search_images
from launchbay.providers.ec2.instances import Row, list_ours, terminate, watch
from launchbay.providers.ec2.offers import quota_limit
from launchbay.providers.ec2.placement import ensure_placement, remove_placement
from launchbay.providers.ec2.templates import remove_template
from launchbay.testing import RecordingReporter
from tests.cloud.fleets import REGION, asked, client_of, end, lend_place

USER, POLICY = "engineer", "least"
KEYS = "LAUNCHBAY_TWIN_KEYS"


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory, image_store: Callable[[str], Image]) -> Iterator[Bay]:
    with lend_place(tmp_path_factory.mktemp("least"), image_store("tiny"), has_hosts=False) as bay:
        yield bay


@pytest.fixture
def bay(bare: Bay) -> Bay:
    """Return a bay whose twin's instances are answers only, with nothing in it yet."""
    ask_twin(bare.home, "reset")
    return bare


def as_user(bay: Bay, keys: Mapping[str, str]) -> Bay:
    return replace(bay, environ={**bay.environ, KEYS: f"{keys['AccessKeyId']}:{keys['SecretAccessKey']}"})


def under(bay: Bay, policy: Mapping[str, Any]) -> Bay:
    """Return the same bay, but it works as a user with that policy and no other."""
    twin = find_twin(bay.home)
    assert twin is not None
    keys = {"aws_access_key_id": "twin", "aws_secret_access_key": "twin"}
    iam = boto3.client("iam", region_name=REGION, endpoint_url=twin.url, **keys)
    iam.create_user(UserName=USER)
    iam.put_user_policy(UserName=USER, PolicyName=POLICY, PolicyDocument=json.dumps(policy))
    return as_user(bay, iam.create_access_key(UserName=USER)["AccessKey"])


def wait(bay: Bay, rows: tuple[Row, ...], state: str) -> None:
    names = [row.id for row in rows]
    watch(client_of(bay), names, state, clock=bay.clock, poll_s=5.0, timeout_s=600.0)


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="hosts need bubblewrap")
def test_a_fleet_from_nothing_to_nothing(empty: Bay) -> None:
    bay = empty
    user = under(bay, least_policy())
    client = client_of(user)
    assert client.ask("get_caller_identity", service="sts")["Arn"].endswith(f"user/{USER}")
    assert search_images(client.raw("ec2"), client.raw("ssm"), ("pytorch",), region=REGION).notes == ()
    launched = launch_cloud(user, plan_cloud(user, asked(bay, count=2, volumes=(Volume(gib=5, mount="/data"),))))
    assert launched.proof.identical
    rows = list_ours(client, fleet="exp")
    assert [row.state for row in rows] == ["running", "running"]
    power.stop(client, [row.id for row in rows], clock=bay.clock)
    wait(user, rows, "stopped")
    power.start(client, [row.id for row in rows], clock=bay.clock)
    wait(user, rows, "running")
    power.reboot(client, [row.id for row in rows], clock=bay.clock)
    assert end(user) is not None
    assert ask_twin(bay.home, "left")["left"] == 0


def launch_bare(client: Client, bay: Bay, **changed: Any) -> str:
    """Launch one as a launch of ours is asked for, or otherwise where that is wanted."""
    image = client.raw("ec2").describe_images(
        Owners=["amazon"], Filters=[{"Name": "name", "Values": ["al2023*x86_64"]}]
    )
    tags = [{"Key": "managed-by", "Value": "launchbay"}, {"Key": "launchbay:fleet", "Value": "exp"}]
    device = image["Images"][0]["RootDeviceName"]
    asked = {
        "ImageId": image["Images"][0]["ImageId"],
        "InstanceType": "c5.large",
        "MinCount": 1,
        "MaxCount": 1,
        "BlockDeviceMappings": [{"DeviceName": device, "Ebs": {"Encrypted": True, "VolumeType": "gp3"}}],
        "MetadataOptions": {"HttpTokens": "required"},
        "TagSpecifications": [
            {"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume", "network-interface")
        ],
        **changed,
    }
    identity = str(client.act("run_instances", **asked)["Instances"][0]["InstanceId"])
    watch(client, [identity], "running", clock=bay.clock, poll_s=5.0, timeout_s=600.0)
    return identity


def make_endpoint(account: Client, bay: Bay) -> Mapping[str, Any]:
    """Make an endpoint in a subnet, which only the account's own keys may, and wait until it is there."""
    subnet = account.ask("describe_subnets")["Subnets"][0]["SubnetId"]
    made = account.act("create_instance_connect_endpoint", SubnetId=subnet)["InstanceConnectEndpoint"]
    ask_twin(bay.home, "advance", seconds=130)
    return dict(made)


def remove_endpoint(account: Client, bay: Bay, endpoint: Mapping[str, Any]) -> None:
    identity = endpoint["InstanceConnectEndpointId"]
    account.act("delete_instance_connect_endpoint", InstanceConnectEndpointId=identity)
    ask_twin(bay.home, "advance", seconds=70)


def open_tunnel(bay: Bay, endpoint: Mapping[str, Any], port: int = 22) -> None:
    """Open a tunnel with the keys of a bay's user and close it. No host is behind it. Raises UserError where it is refused."""
    twin = find_twin(bay.home)
    assert twin is not None
    name = str(endpoint["DnsName"])
    query = {
        "instanceConnectEndpointId": endpoint["InstanceConnectEndpointId"],
        "remotePort": port,
        "privateIpAddress": "172.31.0.250",
    }
    request = AWSRequest("GET", f"https://{name}/openTunnel?{urlencode(query)}")
    keys = Credentials(*bay.environ[KEYS].split(":"))
    SigV4QueryAuth(keys, "ec2-instance-connect", REGION, expires=60).add_auth(request)
    signed = urlsplit(str(request.url))
    url = f"ws://{urlsplit(twin.url).netloc}{signed.path}?{signed.query}"
    try:
        tunnel: Any = websocket.create_connection(url, host=name, suppress_origin=True, timeout=20)
        tunnel.shutdown()
    except websocket.WebSocketBadStatusException as error:
        said = json.loads(error.resp_body or b"{}")
        raise UserError(f"{said['ErrorCode']}: {said['Message']}") from error


def push_key(client: Client, identity: str) -> None:
    """Let a key open an instance for a minute."""
    asked = {"InstanceId": identity, "InstanceOSUser": "ec2-user", "SSHPublicKey": PUBLIC_KEY}
    assert client.act("send_ssh_public_key", service="ec2-instance-connect", **asked)["Success"]


def everything(bay: Bay, account: Bay) -> None:
    """Do once, without a host, what each statement of the policy is for; `account` is the bay with the account's own keys."""
    client, clock = client_of(bay), bay.clock
    endpoint = make_endpoint(client_of(account), account)
    ec2, ssm = client.raw("ec2"), client.raw("ssm")
    assert search_images(ec2, ssm, ("pytorch",), region=REGION).notes == ()
    bucket = ensure_bucket(client)
    write_kept(client, bucket.name, "runs/exp/log", b"line")
    assert [kept.key for kept in list_kept(client, bucket.name, "runs/")] == ["runs/exp/log"]
    assert read_kept(client, bucket.name, "runs/exp/log") == b"line"
    remove_bucket(client, bucket)
    next(client.pages("describe_spot_price_history", "SpotPriceHistory", InstanceTypes=["c5.large"]), None)
    vpc = client.ask("describe_vpcs")["Vpcs"][0]["VpcId"]
    assert quota_limit(client, "L-1216C47A") is not None
    group = ensure_group(client, "exp", vpc, ["203.0.113.1/32"])
    key = ensure_key(client, "exp", PUBLIC_KEY)
    ensure_placement(client, "exp", "launchbay-exp")
    tags = [{"ResourceType": "launch-template", "Tags": [{"Key": "managed-by", "Value": "launchbay"}]}]
    data = {"InstanceType": "c5.large"}
    client.act("create_launch_template", LaunchTemplateName="exp", LaunchTemplateData=data, TagSpecifications=tags)
    client.act("create_launch_template_version", LaunchTemplateName="exp", LaunchTemplateData=data)
    assert client.ask("describe_launch_template_versions", LaunchTemplateName="exp", Versions=["$Latest"])
    assert remove_template(client, "exp")
    identity = launch_bare(client, bay, SecurityGroupIds=[group], KeyName=key)
    assert client.ask("describe_instance_connect_endpoints")["InstanceConnectEndpoints"]
    push_key(client, identity)
    open_tunnel(bay, endpoint)
    remove_endpoint(client_of(account), account, endpoint)
    baked = bake(
        ec2,
        identity,
        image="tiny",
        digest="0" * 64,
        region=REGION,
        clock=clock,
        reporter=RecordingReporter(),
        poll_s=5.0,
    )
    removed = remove_baked(ec2, baked.id, region=REGION, clock=clock)
    assert (len(removed.snapshots), removed.kept) == (1, {})
    terminate(client, [identity])
    watch(client, [identity], "terminated", clock=clock, poll_s=5.0, timeout_s=600.0)
    remove_placement(client, "exp", clock=clock)
    remove_group(client, "exp", clock=clock)
    remove_key(client, "exp")


PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f ada@laptop"

UNTRIED = {
    "MakeSpotRole": "the twin has no roles of EC2's own",
    "SeePriceLists": "asked by `bay types refresh`, in a region of their own",
    "LaunchOurs": "of network interfaces, which are tried apart",
}
"""Statements that `everything` does not need, and why not."""


def test_everything_that_the_policy_is_for_is_allowed_and_leaves_nothing(bay: Bay) -> None:
    everything(under(bay, least_policy()), bay)
    assert ask_twin(bay.home, "left")["left"] == 0


SAMPLE = {
    "ChangeOurs",
    "GoThroughEndpoints",
    "LaunchOursWithTokens",
    "ReadParameters",
    "RemoveBaked",
    "TagWhatIsMade",
}
"""Statements that are left out one by one in each run of the tests; the others in a campaign."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(item["Sid"], marks=[] if item["Sid"] in SAMPLE else pytest.mark.prove)
        for item in least_policy()["Statement"]
        if item["Sid"] not in UNTRIED
    ],
)
def test_without_one_statement_something_is_refused(bay: Bay, name: str) -> None:
    policy = least_policy()
    kept = [item for item in policy["Statement"] if item["Sid"] != name]
    assert len(kept) == len(policy["Statement"]) - 1
    user = under(bay, {**policy, "Statement": kept})
    if name == "ReadParameters":  # then images are found by their names, and that is said
        client = client_of(user)
        assert "not known" in search_images(client.raw("ec2"), client.raw("ssm"), ("pytorch",), region=REGION).notes[0]
        return
    with pytest.raises(LaunchbayError, match=r"(?i)permission|allow|denied|not authorized|refuse|taken|not yours"):
        everything(user, bay)


def without(action: str) -> dict[str, Any]:
    """Return the least policy less one of the actions of a statement."""
    policy = least_policy()
    (statement,) = [item for item in policy["Statement"] if action in item["Action"]]
    statement["Action"].remove(action)
    return policy


def test_without_a_look_at_quotas_nothing_is_known_of_them(bay: Bay) -> None:
    user = under(bay, without("servicequotas:GetServiceQuota"))
    assert quota_limit(client_of(user), "L-1216C47A") is None


def test_without_a_permission_for_it_no_key_is_pushed(bay: Bay) -> None:
    user = under(bay, without("ec2-instance-connect:SendSSHPublicKey"))
    with pytest.raises(CloudRefusal, match="ec2-instance-connect:SendSSHPublicKey"):
        everything(user, bay)


@pytest.mark.parametrize(
    "changed",
    [
        {"TagSpecifications": []},
        {"MetadataOptions": {"HttpTokens": "optional"}},
        {"MetadataOptions": {}},
        {"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": False}}]},
        {
            "TagSpecifications": [
                {"ResourceType": kind, "Tags": [{"Key": "managed-by", "Value": "launchbay"}]}
                for kind in ("instance", "volume")  # and not the interface
            ]
        },
        {
            "TagSpecifications": [
                {"ResourceType": kind, "Tags": [{"Key": "managed-by", "Value": "somebody"}]}
                for kind in ("instance", "volume", "network-interface")
            ]
        },
    ],
)
def test_what_is_not_ours_or_not_safe_is_not_launched(bay: Bay, changed: dict[str, Any]) -> None:
    client = client_of(under(bay, least_policy()))
    with pytest.raises(CloudRefusal) as caught:
        launch_bare(client, bay, **changed)
    assert caught.value.code == "UnauthorizedOperation"
    assert ask_twin(bay.home, "left")["left"] == 0


@pytest.mark.parametrize("is_named", [True, False])
def test_a_role_is_given_only_where_the_policy_names_it(bay: Bay, is_named: bool) -> None:  # noqa: FBT001
    iam = client_of(bay).raw("iam")
    role = iam.create_role(RoleName="training", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    iam.create_instance_profile(InstanceProfileName="training")
    iam.add_role_to_instance_profile(InstanceProfileName="training", RoleName="training")
    client = client_of(under(bay, least_policy(roles=(role,) if is_named else ())))
    launch: dict[str, Any] = {"IamInstanceProfile": {"Name": "training"}}
    if is_named:
        assert client.ask("get_instance_profile", service="iam", InstanceProfileName="training")
        assert launch_bare(client, bay, **launch)
    else:
        with pytest.raises(CloudRefusal) as caught:
            launch_bare(client, bay, **launch)
        assert f"perform: iam:PassRole on resource: {role}" in caught.value.message


def test_what_is_somebody_elses_is_not_touched(bay: Bay) -> None:
    account = client_of(bay)
    theirs = launch_bare(account, bay, TagSpecifications=[])
    group = account.raw("ec2").create_security_group(GroupName="theirs", Description="d")["GroupId"]
    account.raw("ec2").import_key_pair(KeyName="theirs", PublicKeyMaterial=PUBLIC_KEY.encode())
    account.raw("s3").create_bucket(Bucket="payroll")
    user = client_of(under(bay, least_policy()))
    ec2 = user.raw("ec2")
    rule = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "203.0.113.1/32"}]}]
    ours = [{"Key": "managed-by", "Value": "launchbay"}]
    calls: list[tuple[Callable[..., Any], dict[str, Any]]] = [
        (ec2.terminate_instances, {"InstanceIds": [theirs]}),
        (ec2.stop_instances, {"InstanceIds": [theirs]}),
        (ec2.reboot_instances, {"InstanceIds": [theirs]}),
        (ec2.create_image, {"InstanceId": theirs, "Name": "theirs"}),
        (ec2.create_tags, {"Resources": [theirs], "Tags": ours}),  # to make it ours, and then end it
        (ec2.authorize_security_group_ingress, {"GroupId": group, "IpPermissions": rule}),
        (ec2.delete_security_group, {"GroupId": group}),
        (ec2.delete_key_pair, {"KeyName": "theirs"}),
        (ec2.create_security_group, {"GroupName": "untagged", "Description": "d"}),
    ]
    for call, wanted in calls:
        with pytest.raises(ClientError, match="UnauthorizedOperation"):
            call(**wanted)
    with pytest.raises(ClientError, match="AccessDenied"):
        user.raw("s3").put_object(Bucket="payroll", Key="x", Body=b"")
    assert [row["State"]["Name"] for row in _instances(account)] == ["running"]


def test_the_ways_in_lead_to_what_is_ours_by_ssh_alone(bay: Bay) -> None:
    account, user = client_of(bay), under(bay, least_policy())
    client = client_of(user)
    endpoint = make_endpoint(account, bay)
    push_key(client, launch_bare(client, bay))
    for tags in ([], [{"ResourceType": "instance", "Tags": [{"Key": "managed-by", "Value": "somebody"}]}]):
        with pytest.raises(CloudRefusal) as caught:
            push_key(client, launch_bare(account, bay, TagSpecifications=tags))
        assert caught.value.code == "AccessDeniedException"
        assert "perform: ec2-instance-connect:SendSSHPublicKey on resource" in caught.value.message
    open_tunnel(user, endpoint)
    denied = "AccessDeniedException.* perform: ec2-instance-connect:OpenTunnel on resource"
    with pytest.raises(UserError, match=denied):
        open_tunnel(user, endpoint, 3389)
    for verb, named in (("create", "SubnetId"), ("delete", "InstanceConnectEndpointId")):
        with pytest.raises(CloudRefusal) as caught:
            client.act(f"{verb}_instance_connect_endpoint", **{named: endpoint[named]})
        assert caught.value.code == "UnauthorizedOperation"


def test_where_the_regions_are_named_there_is_a_way_in_there_alone(bay: Bay) -> None:
    endpoint = make_endpoint(client_of(bay), bay)
    user = under(bay, least_policy(regions=(REGION,)))
    push_key(client_of(user), launch_bare(client_of(user), bay))
    open_tunnel(user, endpoint)
    iam = client_of(bay).raw("iam")
    elsewhere = json.dumps(least_policy(regions=("eu-west-1",)))
    iam.put_user_policy(UserName=USER, PolicyName=POLICY, PolicyDocument=elsewhere)
    with pytest.raises(UserError, match="AccessDeniedException"):
        open_tunnel(user, endpoint)
    identity = _instances(client_of(bay))[0]["InstanceId"]
    with pytest.raises(CloudRefusal) as caught:
        push_key(client_of(user), str(identity))
    assert caught.value.code == "AccessDeniedException"


def _instances(client: Client) -> list[Mapping[str, Any]]:
    return [item for group in client.pages("describe_instances", "Reservations") for item in group["Instances"]]


def test_keys_that_are_none_are_an_error(bay: Bay) -> None:
    for wrong in ("AKIA", "AKIA:", ":secret"):
        with pytest.raises(UsageError, match="must be an access key and its secret"):
            open_cloud(replace(bay, environ={**bay.environ, KEYS: wrong}), "twin", REGION)
