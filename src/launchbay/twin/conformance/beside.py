"""What stands beside instances: networks, disks, images, templates, and the services around EC2."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request

from launchbay.twin.conformance.account import TAG, Account
from launchbay.twin.conformance.behaviour import REMEMBERED, SEEN, VERIFIED, listed

__all__: list[str] = []

_MODEL = "botocore's model of EC2"
_ERRORS = "EC2's list of error codes"


def _group(account: Account) -> str:
    vpc = account.ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    identity = account.ec2.create_security_group(GroupName=account.unique("group"), Description=TAG, VpcId=vpc)[
        "GroupId"
    ]
    account.later(lambda: account.ec2.delete_security_group(GroupId=identity))
    return str(identity)


@listed("A security group in use cannot be deleted.", known=SEEN, source=_ERRORS, usd="0.01")
def _group_in_use(account: Account) -> None:
    group = _group(account)
    names = account.launch(SecurityGroupIds=[group])
    with account.refused("DependencyViolation"):
        account.ec2.delete_security_group(GroupId=group)
    account.ec2.terminate_instances(InstanceIds=names)
    account.wait(names, "terminated")


@listed("The same rule twice is refused.", known=SEEN, source=_ERRORS)
def _rule_twice(account: Account) -> None:
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "203.0.113.7/32"}]}
    group = _group(account)
    account.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    with account.refused("InvalidPermission.Duplicate"):
        account.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])


@listed("What is no network is refused in a rule.", known=REMEMBERED, source="issues of other tools")
def _rule_malformed(account: Account) -> None:
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "203.0.113.700/32"}]}
    with account.refused("InvalidParameterValue"):
        account.ec2.authorize_security_group_ingress(GroupId=_group(account), IpPermissions=[rule])


@listed("What is no public key is not imported.", known=SEEN, source=_ERRORS)
def _key_format(account: Account) -> None:
    with account.refused("InvalidKey.Format"):
        account.ec2.import_key_pair(KeyName=account.unique("key"), PublicKeyMaterial=b"no key")


@listed(
    "A disk mapped to the root's name is the root, and no second disk.", known=REMEMBERED, source="memory", usd="0.01"
)
def _root_replaced(account: Account) -> None:
    image = account.image
    root = account.ec2.describe_images(ImageIds=[image])["Images"][0]["RootDeviceName"]
    (name,) = account.launch(ImageId=image, BlockDeviceMappings=[{"DeviceName": root, "Ebs": {"VolumeSize": 35}}])
    account.wait([name], "running")
    disks = account.describe(name)["BlockDeviceMappings"]
    assert [disk["DeviceName"] for disk in disks] == [root], f"{[disk['DeviceName'] for disk in disks]}"


@listed("A disk mapped to another name is added to the root.", known=REMEMBERED, source="memory", usd="0.01")
def _disk_added(account: Account) -> None:
    (name,) = account.launch(BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1}}])
    account.wait([name], "running")
    count = len(account.describe(name)["BlockDeviceMappings"])
    assert count == 2, f"{count} disks"


@listed("A root smaller than its snapshot is refused.", known=SEEN, source="issues of other tools")
def _root_too_small(account: Account) -> None:
    image = account.image
    root = account.ec2.describe_images(ImageIds=[image])["Images"][0]["RootDeviceName"]
    with account.refused("InvalidBlockDeviceMapping"):
        account.launch(ImageId=image, BlockDeviceMappings=[{"DeviceName": root, "Ebs": {"VolumeSize": 1}}])


@listed("Throughput and operations of a gp3 disk are kept.", known=VERIFIED, source=_MODEL, usd="0.01")
def _gp3_kept(account: Account) -> None:
    disk = {"VolumeSize": 10, "VolumeType": "gp3", "Iops": 4000, "Throughput": 200, "Encrypted": True}
    (name,) = account.launch(BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": disk}])
    account.wait([name], "running")
    ids = [item["Ebs"]["VolumeId"] for item in account.describe(name)["BlockDeviceMappings"]]
    found = [item for item in account.ec2.describe_volumes(VolumeIds=ids)["Volumes"] if item["Size"] == 10]
    kept = [(item["VolumeType"], item["Iops"], item["Throughput"], item["Encrypted"]) for item in found]
    assert kept == [("gp3", 4000, 200, True)], f"{kept}"


@listed("A disk goes with its instance, if so asked.", known=VERIFIED, source=_MODEL, usd="0.01")
def _disk_goes(account: Account) -> None:
    disk = {"VolumeSize": 1, "DeleteOnTermination": True}
    (name,) = account.launch(BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": disk}])
    account.wait([name], "running")
    ids = [item["Ebs"]["VolumeId"] for item in account.describe(name)["BlockDeviceMappings"]]
    account.ec2.terminate_instances(InstanceIds=[name])
    account.wait([name], "terminated")
    filters = [{"Name": "volume-id", "Values": ids}]
    assert not account.ec2.describe_volumes(Filters=filters)["Volumes"], "a disk is left"


@listed("A volume's client token makes it once.", known=SEEN, source="EC2's page on idempotency", usd="0.01")
def _volume_token(account: Account) -> None:
    zone = account.ec2.describe_availability_zones()["AvailabilityZones"][0]["ZoneName"]
    token = account.unique()
    made = [account.ec2.create_volume(AvailabilityZone=zone, Size=1, ClientToken=token)["VolumeId"] for _ in range(2)]
    for identity in set(made):
        account.later(lambda identity=identity: account.ec2.delete_volume(VolumeId=identity))  # type: ignore[misc]
    assert made[0] == made[1], "two volumes"


@listed("A disk that is attached is not deleted.", known=SEEN, source=_ERRORS, usd="0.01")
def _volume_in_use(account: Account) -> None:
    (name,) = account.launch()
    account.wait([name], "running")
    volume = account.describe(name)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    with account.refused("VolumeInUse"):
        account.ec2.delete_volume(VolumeId=volume)


@listed("One's own snapshots are one's own.", known=VERIFIED, source=_MODEL)
def _own_snapshots(account: Account) -> None:
    owner = account.client("sts").get_caller_identity()["Account"]
    found = account.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    others = [item["SnapshotId"] for item in found if item["OwnerId"] != owner]
    images = {item["ImageId"] for item in account.ec2.describe_images(Owners=["self"])["Images"]}
    foreign = [
        item for item in found if "ami-" in item["Description"] and not any(i in item["Description"] for i in images)
    ]
    assert not others, f"{len(others)} of others"
    assert not foreign, f"{len(foreign)} of images that are not one's own"


@listed(
    "An image made of an instance takes tags for itself and its snapshots, and a name only once.",
    known=SEEN,
    source=_ERRORS,
    usd="0.05",
)
def _bake(account: Account) -> None:
    (name,) = account.launch()
    account.wait([name], "running")
    called = account.unique("image")
    tags = account.tags("image", "snapshot")
    image = account.ec2.create_image(InstanceId=name, Name=called, NoReboot=True, TagSpecifications=tags)["ImageId"]
    account.later(lambda: account.ec2.deregister_image(ImageId=image, DeleteAssociatedSnapshots=True))
    with account.refused("InvalidAMIName.Duplicate"):
        account.ec2.create_image(InstanceId=name, Name=called, NoReboot=True)
    _wait_for_image(account, image)
    snapshot = account.ec2.describe_images(ImageIds=[image])["Images"][0]["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    with account.refused("InvalidSnapshot.InUse"):
        account.ec2.delete_snapshot(SnapshotId=snapshot)
    assert account.ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["Tags"], "the snapshot has no tags"


@listed("Deregistering an image deletes its snapshots, if so asked.", known=VERIFIED, source=_MODEL, usd="0.05")
def _unbake(account: Account) -> None:
    (name,) = account.launch()
    account.wait([name], "running")
    image = account.ec2.create_image(InstanceId=name, Name=account.unique("image"), NoReboot=True)["ImageId"]
    _wait_for_image(account, image)
    mappings = account.ec2.describe_images(ImageIds=[image])["Images"][0]["BlockDeviceMappings"]
    ids = [item["Ebs"]["SnapshotId"] for item in mappings if "Ebs" in item]
    account.ec2.deregister_image(ImageId=image, DeleteAssociatedSnapshots=True)
    left = account.ec2.describe_snapshots(Filters=[{"Name": "snapshot-id", "Values": ids}])["Snapshots"]
    for item in left:
        account.later(lambda item=item: account.ec2.delete_snapshot(SnapshotId=item["SnapshotId"]))  # type: ignore[misc]
    assert not left, f"{len(left)} left"


def _wait_for_image(account: Account, image: str) -> None:
    end = time.monotonic() + 900
    while account.ec2.describe_images(ImageIds=[image])["Images"][0]["State"] != "available":
        assert time.monotonic() < end, "the image is not available after 15 minutes"
        time.sleep(account.target.poll_s)
        if account.target.admin:
            account.target.tell("advance", seconds=60)


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


@listed("Types are described page by page, and found by patterns.", known=VERIFIED, source=_MODEL)
def _types(account: Account) -> None:
    page = account.ec2.describe_instance_types(MaxResults=5)
    assert len(page["InstanceTypes"]) == 5, f"{len(page['InstanceTypes'])} on a page of 5"
    assert page.get("NextToken"), "no next page"
    offers = account.ec2.describe_instance_type_offerings(Filters=[{"Name": "instance-type", "Values": ["g5.*"]}])
    assert offers["InstanceTypeOfferings"], "no g5"


@listed("What is no type is not described.", known=REMEMBERED, source="issues of other tools")
def _types_unknown(account: Account) -> None:
    with account.refused("InvalidInstanceType"):
        account.ec2.describe_instance_types(InstanceTypes=["zz9.huge"])


@listed(
    "Deep Learning AMIs have parameters, whose images are there and Amazon's.",
    known=SEEN,
    source="AWS's page on DLAMI ids",
)
def _deep_learning_images(account: Account) -> None:
    ssm = account.client("ssm")
    path = "/aws/service/deeplearning/ami/x86_64"
    page = ssm.get_parameters_by_path(Path=path, Recursive=True)
    assert page["Parameters"], "no parameters"
    assert len(page["Parameters"]) <= 10, "more than ten on a page"
    name = next(item["Value"] for item in page["Parameters"] if item["Name"].endswith("ami-id"))
    image = account.ec2.describe_images(ImageIds=[name], Owners=["amazon"])["Images"]
    assert image, "its image is not there"
    assert "Deep Learning" in image[0]["Name"], image[0]["Name"]


@listed("Images are found by patterns in any filter, page by page.", known=VERIFIED, source=_MODEL)
def _images_found(account: Account) -> None:
    filters = [{"Name": "name", "Values": ["Deep Learning*"]}, {"Name": "creation-date", "Values": ["20*"]}]
    page = account.ec2.describe_images(Owners=["amazon"], Filters=filters, MaxResults=5)
    assert 0 < len(page["Images"]) <= 5, f"{len(page['Images'])} on a page of 5"


@listed("The price list knows one on-demand price of a type in a region.", known=SEEN, source="code of public tools")
def _price_list(account: Account) -> None:
    fields = {
        "regionCode": account.target.region,
        "instanceType": "c5.xlarge",
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
    }
    filters = [{"Type": "TERM_MATCH", "Field": key, "Value": value} for key, value in fields.items()]
    pricing = account.client("pricing", region="us-east-1")
    found = pricing.get_products(ServiceCode="AmazonEC2", Filters=filters)["PriceList"]
    terms = [term for item in found for term in json.loads(item)["terms"].get("OnDemand", {}).values()]
    prices = [float(one["pricePerUnit"]["USD"]) for term in terms for one in term["priceDimensions"].values()]
    assert [price for price in prices if price > 0], f"{prices}"


@listed("Savings Plans have rates by type.", known=VERIFIED, source="botocore's model of Savings Plans")
def _savings_plans(account: Account) -> None:
    found = account.client("savingsplans", region="us-east-1").describe_savings_plans_offering_rates(
        savingsPlanTypes=["Compute"],
        products=["EC2"],
        serviceCodes=["AmazonEC2"],
        filters=[
            {"name": "instanceType", "values": ["c5.xlarge"]},
            {"name": "region", "values": [account.target.region]},
        ],
    )["searchResults"]
    assert found, "no rates"
    assert all(float(item["rate"]) > 0 for item in found), "a rate of nothing"


@listed("Quotas of EC2 are told by their codes.", known=SEEN, source="EC2's pages on quotas")
def _quotas(account: Account) -> None:
    quota = account.client("service-quotas").get_service_quota(ServiceCode="ec2", QuotaCode="L-1216C47A")["Quota"]
    assert quota["Value"] > 0, f"{quota['Value']}"
    assert "Standard" in quota["QuotaName"], quota["QuotaName"]


@listed("Instance Connect refuses an instance that does not exist.", known=VERIFIED, source="botocore's model of it")
def _connect_unknown(account: Account) -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    with account.refused("EC2InstanceNotFoundException"):
        account.client("ec2-instance-connect").send_ssh_public_key(
            InstanceId="i-0123456789abcdef0", InstanceOSUser="ec2-user", SSHPublicKey=key
        )


@listed("There are Instance Connect Endpoints.", known=VERIFIED, source=_MODEL)
def _connect_endpoints(account: Account) -> None:
    assert "InstanceConnectEndpoints" in account.ec2.describe_instance_connect_endpoints(), "not described"


@listed(
    "A presigned address works until it expires, and not after.", known=SEEN, source="S3's page on presigned addresses"
)
def _presigned(account: Account) -> None:
    s3 = account.client("s3")
    bucket = account.unique("b").lower()[:63]
    s3.create_bucket(Bucket=bucket)
    account.later(lambda: s3.delete_bucket(Bucket=bucket))
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    account.later(lambda: s3.delete_object(Bucket=bucket, Key="k"))
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"}, ExpiresIn=1)
    with urllib.request.urlopen(url) as answer:  # noqa: S310 - the address is the service's own
        assert answer.read() == b"x", "another content"
    time.sleep(2.1)
    status = 200
    try:
        urllib.request.urlopen(url)  # noqa: S310 - the address is the service's own
    except urllib.error.HTTPError as error:
        status = error.code
    assert status == 403, f"it answers with {status} after it expired"


@listed("A bucket's name that somebody else has is not to be had.", known=SEEN, source="S3's list of error codes")
def _bucket_taken(account: Account) -> None:
    with account.refused("BucketAlreadyExists"):
        account.client("s3").create_bucket(Bucket="test")


@listed("What is not allowed is an UnauthorizedOperation.", known=SEEN, source=_ERRORS)
def _unauthorized(account: Account) -> None:
    iam = account.client("iam")
    name = account.unique("user")[:60]
    iam.create_user(UserName=name)
    account.later(lambda: iam.delete_user(UserName=name))
    made = iam.create_access_key(UserName=name)["AccessKey"]
    account.later(lambda: iam.delete_access_key(UserName=name, AccessKeyId=made["AccessKeyId"]))
    if account.target.keys is None:
        time.sleep(15)  # a new key is not known everywhere at once
        import boto3

        limited = boto3.client(
            "ec2",
            region_name=account.target.region,
            aws_access_key_id=made["AccessKeyId"],
            aws_secret_access_key=made["SecretAccessKey"],
        )
    else:
        limited = account.client("ec2", key=made["AccessKeyId"])
    with account.refused("UnauthorizedOperation"):
        limited.describe_instances()
