"""What a launch on EC2 can be asked for, and what it would be: planned on the twin, which is asked and not changed."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from launchbay.cloud.asked import CloudAsked
from launchbay.cloud.plan import CloudPlan, check_launchable, plan_cloud
from launchbay.cloud.saved import check_still_true, plan_from_json, plan_to_json
from launchbay.errors import LaunchbayError, NotFound, UsageError, UserError
from launchbay.jsonable import to_json
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.cloud import open_cloud
from launchbay.lifecycle.twin import ask_twin
from launchbay.planning.cloudwish import Volume
from launchbay.planning.request import build_request
from launchbay.providers.ec2.client import Client
from launchbay.providers.ec2.images import search_images
from launchbay.providers.ec2.templates import export_template, read_template, remove_template
from tests.cloud.fleets import asked, recipe_of
from tests.providers.ec2.test_instances import KEY

NO_IMAGE = "ami-0123456789abcdef0"


@pytest.fixture
def bay(empty: Bay, monkeypatch: pytest.MonkeyPatch) -> Bay:
    """Return the bay with an empty twin. A way to it is opened once for all tests: boto3 takes a second for that."""
    monkeypatch.setattr("launchbay.cloud.plan.open_cloud", lambda _, *where: way(empty, *where))
    return empty


WAYS: dict[tuple[str, str], Client] = {}


def way(place: Bay, provider: str, region: str) -> Client:
    key = (str(place.home.root), region)
    return WAYS.get(key) or WAYS.setdefault(key, open_cloud(place, provider, region))


def plan(bay: Bay, **changed: Any) -> CloudPlan:
    return plan_cloud(bay, asked(bay, **changed))


def ec2(bay: Bay) -> Any:
    return way(bay, "twin", "us-east-1").raw("ec2")


def iam(bay: Bay) -> Any:
    return way(bay, "twin", "us-east-1").raw("iam")


def give_profile(bay: Bay, name: str) -> None:
    """Make an instance profile with a role in it, both of that name."""
    iam(bay).create_instance_profile(InstanceProfileName=name)
    iam(bay).create_role(RoleName=name, AssumeRolePolicyDocument="{}")
    iam(bay).add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)


def image_of(bay: Bay, *words: str) -> str:
    client = way(bay, "twin", "us-east-1")
    return search_images(client.raw("ec2"), client.raw("ssm"), words, region="us-east-1").images[0].id


# --- what is asked for ---


def test_nothing_but_a_type_is_a_whole_launch(bay: Bay) -> None:
    found = plan(bay, count=2)
    assert found.worst.lines[0].quantity == 2 * (
        8 + Decimal(1) / 12
    )  # the lease, a boot before it, a shutdown after it
    assert (found.type.name, found.role, found.makes_group, found.makes_placement) == ("c5.large", "plain", True, False)
    assert found.way.networks == ("203.0.113.1/32",)
    assert (found.wish.rate, found.wish.public_address, found.lease_s) == (None, True, 28_800)
    assert "VolumeInitializationRate" not in json.dumps(build_request(found.wish)["BlockDeviceMappings"])
    assert found.worst.usd is not None
    assert found.usd_per_hour == Decimal("0.17")
    assert {item.outcome for item in found.findings} == {"passed", "accepted", "advised"}


def test_a_plan_asks_few_questions_and_changes_nothing(bay: Bay) -> None:
    before = ask_twin(bay.home, "calls")
    plan(bay, type="p3.2xlarge", count=2)
    after = ask_twin(bay.home, "calls")
    grown = {name: count - before.get(name, 0) for name, count in after.items() if count > before.get(name, 0)}
    assert grown == {
        "ec2:DescribeImages": 1,
        "ec2:DescribeInstanceConnectEndpoints": 1,
        "ec2:DescribeInstanceTypeOfferings": 1,
        "ec2:DescribeInstances": 1,
        "ec2:DescribeSubnets": 1,
        "service-quotas:GetServiceQuota": 1,
    } | {"ec2:DescribeImages": 2, "ssm:GetParameters": 1}
    assert ask_twin(bay.home, "left")["left"] == 0


def test_a_zone_is_the_only_one(bay: Bay) -> None:
    zones = [rung.zone for rung in plan(bay).rungs]
    assert len(zones) > 1
    assert [rung.zone for rung in plan(bay, zone=zones[-1]).rungs] == [zones[-1]]
    with pytest.raises(UserError, match="is not offered where it is asked for: us-east-1z") as caught:
        plan(bay, zone="us-east-1z")
    assert zones[0] in caught.value.hint


def test_a_company_has_its_own_subnet_groups_profile_key_and_tags(bay: Bay, tmp_path: Path) -> None:
    client = ec2(bay)
    vpc = client.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = client.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24", AvailabilityZone="us-east-1b")["Subnet"][
        "SubnetId"
    ]
    group = client.create_security_group(GroupName="lab", Description="lab", VpcId=vpc)["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
    client.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    for name in ("ada.pem", "ada.pem.pub"):
        (tmp_path / name).write_text("a key")
    own: dict[str, Any] = {"profile": "lab", "key_name": "ada", "identity_file": str(tmp_path / "ada.pem")}
    with pytest.raises(NotFound, match="no instance profile 'lab' in the account"):
        plan(bay, **own)
    give_profile(bay, "lab")
    with pytest.raises(NotFound, match="no key pair 'ada'"):
        plan(bay, **own)
    client.import_key_pair(KeyName="ada", PublicKeyMaterial=KEY.encode())
    found = plan(bay, subnet=subnet, groups=(group,), tags={"team": "vision"}, **own)
    assert "instances may do what lab of lab may" in found.notes
    assert not found.makes_group
    assert (found.vpc, found.way.networks) == (vpc, ("10.0.0.0/8",))
    assert {rung.zone for rung in found.rungs} == {"us-east-1b"}
    request = build_request(found.wish)
    (interface,) = request["NetworkInterfaces"]
    assert (interface["SubnetId"], interface["Groups"], interface["AssociatePublicIpAddress"]) == (
        subnet,
        [group],
        False,
    )
    assert (request["IamInstanceProfile"], request["KeyName"]) == ({"Name": "lab"}, "ada")
    assert {"Key": "team", "Value": "vision"} in request["TagSpecifications"][0]["Tags"]
    with pytest.raises(UserError, match="is in the network"):
        plan(bay, groups=(group,))  # the default network, and a group of another
    with pytest.raises(UserError, match="there is no security group sg-0123456789abcdef0"):
        plan(bay, subnet=subnet, groups=("sg-0123456789abcdef0",))


def test_a_group_that_lets_in_everybody_is_refused_unless_that_is_forced(bay: Bay) -> None:
    client = ec2(bay)
    vpc = plan(bay).vpc
    group = client.create_security_group(GroupName="wide", Description="wide", VpcId=vpc)["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    client.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    with pytest.raises(UserError, match=r"EC2\.13: everybody reaches port 22"):
        plan(bay, groups=(group,))
    assert plan(bay, groups=(group,), is_open_to_anyone=True).way.networks == ("0.0.0.0/0",)


def test_a_network_that_is_named_may_come_in_and_everybody_has_to_be_forced(bay: Bay) -> None:
    assert plan(bay, networks=("198.51.100.0/24",)).way.networks == ("198.51.100.0/24",)
    assert plan(bay, networks=("0.0.0.0/0",), is_open_to_anyone=True).way.networks == ("0.0.0.0/0",)


def test_efa_takes_a_placement_group_and_every_card(bay: Bay) -> None:
    one = plan(bay, type="c5n.18xlarge", efa=True)
    assert (one.makes_placement, one.wish.efa_cards, one.wish.public_address) == (True, (0,), True)
    assert build_request(one.wish)["Placement"]["GroupName"] == "launchbay-exp"
    four = plan(bay, type="p4d.24xlarge", efa=True)
    kinds = [item.get("InterfaceType") for item in build_request(four.wish)["NetworkInterfaces"]]
    assert kinds == ["efa", "efa-only", "efa-only", "efa-only"]
    assert any("no public address" in note for note in four.notes)


def test_a_neuron_type_gets_a_neuron_image(bay: Bay) -> None:
    found = plan(bay, type="inf2.xlarge")
    assert (found.image.is_neuron, found.role) == (True, "neuron base")
    assert any("runs on the processor" in note for note in found.notes)


def test_an_image_by_its_id(bay: Bay) -> None:
    own = ec2(bay)
    ubuntu = image_of(bay, "ubuntu", "22.04", "amd64")
    assert plan(bay, machine_image=ubuntu).image.id == ubuntu
    assert plan(bay, machine_image=ubuntu).role == "by hand"
    golden = own.register_image(Name="golden", Architecture="x86_64", RootDeviceName="/dev/sda1",
        BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 20}}])["ImageId"]  # fmt: skip
    assert plan(bay, machine_image=golden).image.id == golden


def test_a_rate_is_asked_for_priced_as_unknown_and_in_the_request(bay: Bay) -> None:
    found = plan(bay, rate=300)
    (disk,) = build_request(found.wish)["BlockDeviceMappings"]
    assert disk["Ebs"]["VolumeInitializationRate"] == 300
    assert found.worst.usd is None
    assert any("volume-initialization" in why for why in found.worst.unknown)
    without = plan(bay).worst.usd
    assert without is not None
    assert abs(found.worst.at_least_usd - without) < Decimal("0.000001")


def test_a_budget_ends_the_lease_before_it_is_used_up(bay: Bay) -> None:
    whole = plan(bay, count=3)
    assert whole.worst.usd is not None
    half = plan(bay, count=3, budget=(whole.worst.usd / 2).quantize(Decimal("0.01")))
    assert half.worst.usd is not None
    assert half.worst.usd <= half.asked.budget  # type: ignore[operator]
    assert 14_150 < half.lease_s < 14_350  # half of eight hours and of what is billed around them, without the latter
    assert {"Key": "launchbay:ttl-s", "Value": str(half.lease_s)} in build_request(half.wish)["TagSpecifications"][0][
        "Tags"
    ]
    assert plan(bay, budget=Decimal(99)).lease_s == 28_800
    with pytest.raises(UsageError, match="used up by a boot, a minute and a shutdown"):
        plan(bay, count=3, budget=Decimal("0.0001"))
    with pytest.raises(UsageError, match="nobody knows how long"):
        plan(bay, budget=Decimal(5), rate=300)


def test_the_dearest_sister_is_the_worst_case(bay: Bay) -> None:
    alone, sisters = plan(bay, type="p3.2xlarge"), plan(bay, type="p3.2xlarge", with_sisters=True)
    assert {rung.type for rung in sisters.rungs} > {"p3.2xlarge"}
    assert alone.worst.usd is not None
    assert sisters.worst.usd is not None
    assert sisters.worst.usd > alone.worst.usd
    assert max(rung.usd_per_hour or 0 for rung in sisters.rungs) * 8 < sisters.worst.usd


@pytest.mark.parametrize(
    ("changed", "kind", "says", "hint"),
    [
        ({"type": "c5.larg"}, NotFound, "no instance type named 'c5.larg'", ""),
        ({"type": ""}, UsageError, "nobody says which instance type", "--type"),
        ({"region": "us-esat-1"}, LaunchbayError, "us-esat-1", ""),
        ({"efa": True}, UsageError, "c5.large has no EFA", "bay types"),
        ({"machine_image": NO_IMAGE}, NotFound, f"there is no image {NO_IMAGE}", ""),
        ({"machine_image": "golden"}, UsageError, "must look like ami-", "bay images --provider twin --region us-"),
        ({"subnet": "subnet-0123456789abcdef0"}, NotFound, "there is no subnet", "describe-subnets"),
        ({"disk_gib": 2}, UsageError, "smaller than the image's snapshot of 8 GiB", "--disk 8GiB"),
        ({"tags": {"launchbay:fleet": "x"}}, UsageError, "given by Launchbay itself", ""),
        ({"tags": {"aws:x": "x"}}, UsageError, "tags beginning with aws:", ""),
        ({"key_name": "ada"}, UsageError, "has two halves", "--identity-file"),
        ({"groups": ("sg-0123456789abcdef0",), "networks": ("10.0.0.1",)}, UsageError, "is said twice", ""),
        ({"template": "no-such"}, NotFound, "there is no launch template no-such", ""),
        ({"template": "a b"}, UsageError, "a launch template must look like", ""),
        ({"rate": 42}, UsageError, "disks are filled at 100 to 300 MiB/s", ""),
        ({"type": "u-12tb1.112xlarge", "is_spot": True}, LaunchbayError, "u-12tb1.112xlarge", ""),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_error(
    bay: Bay, changed: dict[str, Any], kind: type[LaunchbayError], says: str, hint: str
) -> None:
    with pytest.raises(kind) as caught:
        plan(bay, **changed)
    assert says in str(caught.value)
    assert hint in caught.value.hint
    assert ask_twin(bay.home, "left")["left"] == 0


def test_a_type_that_is_nearly_one_is_offered(bay: Bay) -> None:
    with pytest.raises(NotFound, match=r"c5\.large"):
        plan(bay, type="c5.larg")


def test_an_image_for_another_machine_is_refused(bay: Bay) -> None:
    arm = image_of(bay, "ubuntu", "24.04", "arm64")
    with pytest.raises(UsageError, match=r"is for arm64, and c5\.large is x86_64"):
        plan(bay, machine_image=arm)
    with pytest.raises(UsageError, match="only a Neuron AMI drives"):
        plan(bay, type="inf2.xlarge", machine_image=image_of(bay, "ubuntu", "24.04", "amd64"))


def test_more_than_the_quota_has_is_said_with_what_to_do(bay: Bay) -> None:
    ask_twin(bay.home, "quota", region="us-east-1", code="L-1216C47A", vcpus=2)
    found = plan(bay, count=3)
    assert (found.quota.limit, found.quota.used, found.quota.needed, found.short_vcpus) == (2, 0, 6, 4)
    with pytest.raises(UserError) as caught:
        check_launchable(found)
    assert "L-1216C47A (Running On-Demand Standard" in caught.value.what
    assert "allows 2 vCPUs in us-east-1, 0 are in use, and this needs 6, 4 more" in caught.value.what
    assert (
        "aws service-quotas request-service-quota-increase --service-code ec2 --quota-code L-1216C47A "
        "--desired-value 6 --region us-east-1"
    ) in caught.value.hint
    check_launchable(plan(bay, count=1))


# --- launch templates ---


def template(bay: Bay, name: str = "lab", **data: Any) -> str:
    made = ec2(bay).create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
    return str(made["LaunchTemplate"]["LaunchTemplateId"])


def test_a_template_lies_under_what_is_asked_for_and_over_our_defaults(bay: Bay) -> None:
    give_profile(bay, "lab")
    give_profile(bay, "other")
    identity = template(
        bay,
        InstanceType="c5.xlarge",
        Monitoring={"Enabled": True},
        MetadataOptions={"HttpProtocolIpv6": "enabled"},
        IamInstanceProfile={"Name": "lab"},
        BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 50, "Iops": 4000, "KmsKeyId": "alias/lab"}}],
        TagSpecifications=[{"ResourceType": "instance",
                            "Tags": [{"Key": "team", "Value": "vision"}, {"Key": "a", "Value": "b"}]}],
        UserData=base64.b64encode(b"#!/bin/sh\ntouch /lab\n").decode(),
    )  # fmt: skip
    found = plan(bay, type="", template="lab", tags={"team": "audio"})
    request = build_request(found.wish)
    assert (found.type.name, request["Monitoring"], found.template and found.template.shown) == (
        "c5.xlarge",
        {"Enabled": True},
        f"lab ({identity}) version 1",
    )
    assert request["MetadataOptions"] == {
        "HttpTokens": "required",
        "HttpPutResponseHopLimit": 1,
        "HttpEndpoint": "enabled",
        "InstanceMetadataTags": "disabled",
        "HttpProtocolIpv6": "enabled",
    }
    (disk,) = request["BlockDeviceMappings"]
    assert {key: disk["Ebs"].get(key) for key in ("VolumeSize", "Iops", "KmsKeyId", "Encrypted")} == {
        "VolumeSize": 50, "Iops": 4000, "KmsKeyId": "alias/lab", "Encrypted": True
    }  # fmt: skip
    assert request["UserData"] == b"#!/bin/sh\ntouch /lab\n"
    tags = {tag["Key"]: tag["Value"] for tag in request["TagSpecifications"][0]["Tags"]}
    assert (tags["team"], tags["a"], tags["launchbay:template"]) == ("audio", "b", f"{identity}:1")
    assert "LaunchTemplate" not in request
    over = plan(bay, type="c5.large", template=f"{identity}:1", disk_gib=60, profile="other")
    assert (over.type.name, over.wish.root_gib, over.wish.profile) == ("c5.large", 60, "other")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"MetadataOptions": {"HttpTokens": "optional"}}, "EC2.8: the metadata service answers without a token"),
        ({"MetadataOptions": {"HttpPutResponseHopLimit": 2}}, "over 2 hops"),
        ({"BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"Encrypted": False}}]}, "EC2.3"),
        ({"BlockDeviceMappings": [{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 9}}]}, "adds the disk /dev/sdf"),
        ({"BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeType": "gp2"}}]}, "wants gp2"),
        ({"InstanceInitiatedShutdownBehavior": "stop"}, "its lease could not end it"),
        ({"DisableApiTermination": True}, "protects instances"),
        ({"UserData": base64.b64encode(b"AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY").decode()},
         "ec2_instance_secrets_user_data"),
    ],
)  # fmt: skip
def test_a_template_that_breaks_a_control_is_refused(bay: Bay, data: dict[str, Any], says: str) -> None:
    template(bay, **data)
    with pytest.raises(UserError) as caught:
        plan(bay, template="lab")
    assert says in str(caught.value)


def test_a_launch_is_exported_and_launched_from(bay: Bay) -> None:
    found = plan(bay, disk_gib=60, tags={"team": "vision"}, volumes=(Volume(gib=35, mount="/data"),))
    client = way(bay, "twin", "us-east-1")
    made = export_template(client, found.wish, "mine")
    assert (made.version, export_template(client, found.wish, "mine").version) == (1, 1)
    newer = export_template(client, replace(found.wish, root_gib=70), "mine")
    assert (newer.id, newer.version) == (made.id, 2)
    again = plan(bay, type="", template="mine:2", volumes=(Volume(gib=35, mount="/data"),))
    assert (again.type.name, again.image.id, again.wish.root_gib, again.wish.tags["team"]) == (
        "c5.large",
        found.image.id,
        70,
        "vision",
    )
    row = client.raw("ec2").describe_launch_template_versions(LaunchTemplateId=made.id, Versions=["1"])
    data = json.dumps(to_json(row["LaunchTemplateVersions"][0]["LaunchTemplateData"]))
    assert "sg-0000" not in data
    assert "launchbay:ttl-s" not in data
    client.raw("ec2").run_instances(
        MinCount=1, MaxCount=1, LaunchTemplate={"LaunchTemplateId": made.id, "Version": "2"}
    )
    assert remove_template(client, "mine")
    assert not remove_template(client, "mine")


def test_a_template_of_somebody_else_is_left_alone(bay: Bay) -> None:
    template(bay, InstanceType="c5.large")
    client = way(bay, "twin", "us-east-1")
    for act in (lambda: export_template(client, plan(bay).wish, "lab"), lambda: remove_template(client, "lab")):
        with pytest.raises(LaunchbayError, match="not of Launchbay's making"):
            act()
    assert read_template(client, "lab").version == 1


# --- saved ---


def test_a_plan_is_written_read_and_still_true(bay: Bay) -> None:
    wanted = asked(
        bay,
        count=2,
        budget=Decimal("99.5"),
        volumes=(Volume(gib=35, mount="/data"),),
        tags={"team": "vision"},
        networks=("198.51.100.0/24",),
        zone="us-east-1a",
    )
    first = plan_cloud(bay, wanted)
    saved = plan_from_json(json.loads(json.dumps(plan_to_json(first))))
    assert saved.asked == wanted
    assert check_still_true(saved, plan_cloud(bay, saved.asked)) == []


def test_a_plan_is_applied_in_any_folder(bay: Bay, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Path(recipe_of(bay, "tiny"))
    monkeypatch.chdir(whole.parent)
    assert plan_to_json(plan(bay, image="./tiny.yaml"))["asked"]["image"] == str(whole)
    assert plan_to_json(plan(bay, image="tiny.yaml"))["asked"]["image"] == str(whole)


def test_every_field_that_is_asked_for_is_kept(bay: Bay) -> None:
    kept = plan_to_json(plan(bay))["asked"]
    assert set(kept) == {field.name for field in fields(CloudAsked)}


def test_what_moved_is_said(bay: Bay) -> None:
    first = plan(bay, count=2)
    saved = plan_from_json(plan_to_json(first))
    seen = saved.seen

    def moved(**changed: Any) -> list[str]:
        return check_still_true(replace(saved, seen=replace(seen, **changed)), first)

    zone, name, market, _ = seen.rungs[0]
    assert moved(machine_image="ami-0aaaaaaaaaaaaaaaa") == [
        f"the machine image is another: ami-0aaaaaaaaaaaaaaaa then, {first.image.id} now"
    ]
    assert "is another" in moved(digest="e" * 64)[0]
    assert moved(rungs=((zone, name, market, "0.09"), *seen.rungs[1:])) == [
        f"{zone} {name} {market} was 0.09 USD an hour, and is 0.085"
    ]
    assert moved(rungs=seen.rungs[1:]) == [f"{zone} {name} {market} was not offered"]
    assert moved(rungs=seen.rungs[::-1]) == ["the zones are tried in another order"]
    assert moved(way="eice-1, one-time key") == ["the way in was eice-1, one-time key, and is address, injected key"]
    assert moved(networks=()) == ["who may come in was nobody, and is 203.0.113.1/32"]
    assert moved(networks=("198.51.100.7/32",)) == ["who may come in was 198.51.100.7/32, and is 203.0.113.1/32"]
    assert "the worst case was 1.00 USD" in moved(worst_usd="1")[0]
    assert moved(prices={**seen.prices, next(iter(seen.prices)): "9"})[0].startswith("the price of c5.large on-demand")
    assert "the network was vpc-1" in moved(vpc="vpc-1")[0]
    assert "something else is asked for" in check_still_true(replace(saved, asked=asked(bay)), first)[0]
    ask_twin(bay.home, "quota", region="us-east-1", code="L-1216C47A", vcpus=2)
    assert any("the quota L-1216C47A was" in item for item in check_still_true(saved, plan(bay, count=2)))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda _: [], "is no plan of a launch"),
        (lambda value: {**value, "kind": "other"}, "is no plan of a launch"),
        (lambda value: {**value, "schema": 2}, "this plan is laid out as 2"),
        (lambda value: {**value, "asked": {**value["asked"], "count": "2"}}, "count must be a whole number"),
        (lambda value: {**value, "asked": {**value["asked"], "sudo": 1}}, "nobody knows sudo"),
        (lambda value: {**value, "seen": None}, "in seen it is no object"),
        (lambda value: {**value, "seen": {**value["seen"], "quota": []}}, "quota must be a quota"),
    ],
)
def test_a_damaged_plan_is_refused(bay: Bay, change: Callable[[Any], Any], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        plan_from_json(change(plan_to_json(plan(bay))), where="plan.json")
    assert says in str(caught.value)
