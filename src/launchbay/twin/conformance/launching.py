"""What a launch does: tokens, counts, names, quotas, and what of the request is kept."""

from __future__ import annotations

from launchbay.twin.conformance.account import TAG, Account
from launchbay.twin.conformance.behaviour import REMEMBERED, SEEN, VERIFIED, listed

__all__: list[str] = []

_IDEMPOTENCY = "EC2's page on idempotency"
_ERRORS = "EC2's list of error codes"
_MODEL = "botocore's model of EC2"


@listed("The same client token launches once.", known=SEEN, source=_IDEMPOTENCY, usd="0.01")
def _token_repeats(account: Account) -> None:
    token = account.unique()
    first, again = account.launch(ClientToken=token), account.launch(ClientToken=token)
    assert first == again, f"two launches: {first} and {again}"


@listed("A client token with other parameters is refused.", known=SEEN, source=_IDEMPOTENCY, usd="0.01")
def _token_mismatch(account: Account) -> None:
    token, image = account.unique(), account.image
    account.launch(ClientToken=token, ImageId=image)
    with account.refused("IdempotentParameterMismatch"):
        account.launch(ClientToken=token, ImageId=image, InstanceType="t3.micro")


@listed(
    "With a zone in the request, a client token holds in that zone only.", known=SEEN, source=_IDEMPOTENCY, usd="0.02"
)
def _token_zonal(account: Account) -> None:
    token, image = account.unique(), account.image
    offers = account.ec2.describe_instance_type_offerings(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": ["t3.nano"]}]
    )["InstanceTypeOfferings"]
    zones = sorted(item["Location"] for item in offers)[:2]
    assert len(zones) == 2, "the region has fewer than two zones with t3.nano"
    launched = [
        account.launch(ClientToken=token, ImageId=image, Placement={"AvailabilityZone": zone})[0]
        for zone in (*zones, zones[0])
    ]
    assert launched[0] == launched[2], "the same zone launched twice"
    assert launched[0] != launched[1], "another zone did not launch"


@listed("Instances are found by the client token that launched them.", known=VERIFIED, source=_MODEL, usd="0.01")
def _token_filter(account: Account) -> None:
    token = account.unique()
    (name,) = account.launch(ClientToken=token)
    found = account.ec2.describe_instances(Filters=[{"Name": "client-token", "Values": [token]}])["Reservations"]
    assert [item["InstanceId"] for group in found for item in group["Instances"]] == [name], "not found"
    none = account.ec2.describe_instances(Filters=[{"Name": "client-token", "Values": [token + "x"]}])["Reservations"]
    assert not none, "another token finds it too"


@listed("A launch gets as many as it can up to MaxCount.", known=VERIFIED, source=_MODEL, usd="0.02")
def _counts(account: Account) -> None:
    launched = account.launch(least=1, count=2)
    assert len(launched) == 2, f"{len(launched)} launched"


@listed("MinCount above MaxCount is refused.", known=REMEMBERED, source="memory of its error")
def _counts_crossed(account: Account) -> None:
    with account.refused("InvalidParameterCombination", "InvalidParameterValue"):
        account.launch(least=3, count=2)


@listed(
    "Where there is room for some between MinCount and MaxCount, those are launched.",
    known=VERIFIED,
    source=_MODEL,
    is_for_all=False,
)
def _counts_partial(account: Account) -> None:
    zone = f"{account.target.region}a"
    account.target.tell("capacity", type="t3.nano", zone=zone, count=3)
    launched = account.launch(least=1, count=5, Placement={"AvailabilityZone": zone})
    assert len(launched) == 3, f"{len(launched)} launched"
    with account.refused("InsufficientInstanceCapacity"):
        account.launch(Placement={"AvailabilityZone": zone})


@listed(
    "Want of room is a server's error (5xx), which SDKs try again on their own.",
    known=REMEMBERED,
    source="its place in EC2's list of server errors is seen, its status is remembered",
    is_for_all=False,
)
def _capacity_status(account: Account) -> None:
    from botocore.exceptions import ClientError

    account.target.tell("capacity", type="t3.nano", count=0)
    try:
        account.launch()
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        assert status >= 500, f"status {status}"
    else:
        raise AssertionError("launched without room")


@listed("An unknown instance type is refused.", known=REMEMBERED, source="issues of other tools")
def _unknown_type(account: Account) -> None:
    with account.refused("InvalidParameterValue", "InvalidInstanceType"):
        account.launch(InstanceType="zz9.huge")


@listed("An image that does not exist is refused.", known=SEEN, source=_ERRORS)
def _unknown_image(account: Account) -> None:
    with account.refused("InvalidAMIID.NotFound"):
        account.launch(ImageId="ami-0123456789abcdef0")


@listed("What is no image id is refused as that.", known=SEEN, source=_ERRORS)
def _malformed_image(account: Account) -> None:
    with account.refused("InvalidAMIID.Malformed"):
        account.launch(ImageId="ami-xyz")


@listed("An image of another architecture than the type is refused.", known=REMEMBERED, source="issues of other tools")
def _architecture(account: Account) -> None:
    with account.refused("InvalidParameterValue", "Unsupported"):
        account.launch(InstanceType="t4g.nano")


@listed("An unknown key pair is refused.", known=SEEN, source=_ERRORS)
def _unknown_key(account: Account) -> None:
    with account.refused("InvalidKeyPair.NotFound"):
        account.launch(KeyName=account.unique("key"))


@listed(
    "An instance profile that does not exist is an invalid parameter.", known=REMEMBERED, source="issues of other tools"
)
def _unknown_profile(account: Account) -> None:
    with account.refused("InvalidParameterValue"):
        account.launch(IamInstanceProfile={"Name": account.unique("profile")})


@listed("More vCPUs than the quota allows are refused.", known=SEEN, source="EC2's pages on quotas")
def _quota(account: Account) -> None:
    with account.refused("VcpuLimitExceeded", "InstanceLimitExceeded"):
        account.launch(count=100, InstanceType="p5.48xlarge")


@listed("The spot market has a quota of its own.", known=SEEN, source="EC2's pages on quotas")
def _quota_spot(account: Account) -> None:
    with account.refused("MaxSpotInstanceCountExceeded"):
        account.launch(count=100, InstanceType="p5.48xlarge", InstanceMarketOptions={"MarketType": "spot"})


@listed("A dry run says so, and launches nothing.", known=SEEN, source=_ERRORS)
def _dry_run(account: Account) -> None:
    with account.refused("DryRunOperation"):
        account.launch(DryRun=True)


@listed(
    "A dry run of a type that does not exist is refused, or would have succeeded.", known=REMEMBERED, source="memory"
)
def _dry_run_names(account: Account) -> None:
    with account.refused("DryRunOperation", "InvalidParameterValue", "InvalidInstanceType"):
        account.launch(DryRun=True, InstanceType="zz9.huge")


@listed(
    "Tags of the request are on instance, disk and interface from the start.", known=VERIFIED, source=_MODEL, usd="0.01"
)
def _tags_on_create(account: Account) -> None:
    kinds = ("instance", "volume", "network-interface")
    (name,) = account.launch(TagSpecifications=account.tags(*kinds))
    item = account.describe(name)
    ids = [name, item["NetworkInterfaces"][0]["NetworkInterfaceId"], item["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]]
    found = account.ec2.describe_tags(
        Filters=[{"Name": "resource-id", "Values": ids}, {"Name": "key", "Values": [TAG]}]
    )
    tagged = {item["ResourceId"] for item in found["Tags"]}
    assert tagged == set(ids), f"without tags: {sorted(set(ids) - tagged)}"


@listed("Metadata options of the request are kept.", known=VERIFIED, source=_MODEL, usd="0.01")
def _metadata_options(account: Account) -> None:
    (name,) = account.launch(MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 1})
    options = account.describe(name)["MetadataOptions"]
    assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 1), f"{options}"


@listed("Without a public address asked for, an instance has none.", known=VERIFIED, source=_MODEL, usd="0.01")
def _no_public_address(account: Account) -> None:
    (name,) = account.launch(NetworkInterfaces=[{"DeviceIndex": 0, "AssociatePublicIpAddress": False}])
    assert not account.describe(name).get("PublicIpAddress"), "it has one"


@listed("A public address does not go with several interfaces.", known=VERIFIED, source=_MODEL)
def _public_address_alone(account: Account) -> None:
    two = [{"DeviceIndex": 0, "AssociatePublicIpAddress": True}, {"DeviceIndex": 1}]
    with account.refused("InvalidParameterCombination"):
        account.launch(NetworkInterfaces=two)


@listed(
    "A launch template's metadata options, market and shutdown behaviour hold.",
    known=VERIFIED,
    source=_MODEL,
    usd="0.01",
)
def _template_kept(account: Account) -> None:
    data = {
        "ImageId": account.image,
        "InstanceType": "t3.nano",
        "MetadataOptions": {"HttpTokens": "required"},
        "InstanceInitiatedShutdownBehavior": "terminate",
        "InstanceMarketOptions": {"MarketType": "spot"},
    }
    made = account.ec2.create_launch_template(LaunchTemplateName=account.unique("template"), LaunchTemplateData=data)
    identity = made["LaunchTemplate"]["LaunchTemplateId"]
    account.later(lambda: account.ec2.delete_launch_template(LaunchTemplateId=identity))
    (name,) = account.launch(LaunchTemplate={"LaunchTemplateId": identity}, InstanceType=None)
    item = account.describe(name)
    attribute = account.ec2.describe_instance_attribute(InstanceId=name, Attribute="instanceInitiatedShutdownBehavior")
    kept = (
        item["InstanceType"],
        item["MetadataOptions"]["HttpTokens"],
        item.get("InstanceLifecycle"),
        attribute["InstanceInitiatedShutdownBehavior"]["Value"],
    )
    assert kept == ("t3.nano", "required", "spot", "terminate"), f"{kept}"


@listed("A launch template's name is taken once.", known=SEEN, source=_ERRORS)
def _template_twice(account: Account) -> None:
    called = account.unique("template")
    made = account.ec2.create_launch_template(LaunchTemplateName=called, LaunchTemplateData={"InstanceType": "t3.nano"})
    identity = made["LaunchTemplate"]["LaunchTemplateId"]
    account.later(lambda: account.ec2.delete_launch_template(LaunchTemplateId=identity))
    with account.refused("InvalidLaunchTemplateName.AlreadyExistsException"):
        account.ec2.create_launch_template(LaunchTemplateName=called, LaunchTemplateData={"InstanceType": "t3.nano"})


@listed("There are placement groups, and a launch into an unknown one is refused.", known=SEEN, source=_ERRORS)
def _placement_group(account: Account) -> None:
    called = account.unique("group")
    account.ec2.create_placement_group(GroupName=called, Strategy="cluster")
    account.later(lambda: account.ec2.delete_placement_group(GroupName=called))
    found = account.ec2.describe_placement_groups(GroupNames=[called])["PlacementGroups"]
    assert [item["Strategy"] for item in found] == ["cluster"], f"{found}"
    with account.refused("InvalidPlacementGroup.Unknown"):
        account.launch(InstanceType="c5.large", Placement={"GroupName": called + "x"})
