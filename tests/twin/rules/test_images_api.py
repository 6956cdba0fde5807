"""Images as DescribeImages shows them, and what those cost that somebody sells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from launchbay.twin.imagedata import list_images

BASE = "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 22.04) *"


def find(ec2: Any, name: str = "*", owners: tuple[str, ...] = ("amazon",), **asked: Any) -> list[Mapping[str, Any]]:
    wanted = [{"Name": "name", "Values": [name]}, *asked.pop("Filters", [])]
    images: list[Mapping[str, Any]] = ec2.describe_images(Owners=list(owners), Filters=wanted, **asked)["Images"]
    return sorted(images, key=lambda image: str(image["CreationDate"]))


def named(text: str) -> Any:
    return next(image for image in list_images() if text in image.name)


def test_a_dlami_is_described_as_real_ones_are(ec2: Any) -> None:
    image = find(ec2, BASE)[-1]
    assert image["Name"] == "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 22.04) 20261009"
    assert (image["OwnerId"], image["ImageOwnerAlias"], image["Public"]) == ("898082745236", "amazon", True)
    assert image["Description"].startswith("Supported EC2 instances: G4dn, G5, G6, ")
    assert (image["RootDeviceName"], image["RootDeviceType"]) == ("/dev/sda1", "ebs")
    (disk,) = image["BlockDeviceMappings"]
    assert disk["Ebs"]["VolumeSize"] == 75
    assert (disk["Ebs"]["VolumeType"], disk["Ebs"]["Iops"], disk["Ebs"]["Encrypted"]) == ("gp3", 3000, False)
    assert (image["EnaSupport"], image["ImdsSupport"], image["BootMode"]) == (True, "v2.0", "uefi-preferred")
    assert (image["PlatformDetails"], image["UsageOperation"]) == ("Linux/UNIX", "RunInstances")
    assert image["CreationDate"][:11] == "2026-10-09T"
    assert image["DeprecationTime"] == image["CreationDate"].replace("2026", "2028")
    assert image["State"] == "available"


def test_who_takes_the_newest_of_a_name_without_its_owner_takes_a_strangers(ec2: Any) -> None:
    wanted = [{"Name": "name", "Values": [BASE]}]
    anyones = sorted(ec2.describe_images(Filters=wanted)["Images"], key=lambda image: str(image["CreationDate"]))
    assert anyones[-1]["OwnerId"] == "210987654321"
    assert "ImageOwnerAlias" not in anyones[-1]
    assert find(ec2, BASE)[-1]["OwnerId"] == "898082745236"


@pytest.mark.parametrize("owner", ["amazon", "898082745236", "aws-marketplace", "099720109477"])
def test_owners_go_by_alias_and_by_account(ec2: Any, owner: str) -> None:
    images = find(ec2, owners=(owner,))
    assert images
    assert all(owner in (image["OwnerId"], image["ImageOwnerAlias"]) for image in images)


def test_deprecated_images_are_shown_when_asked_for(ec2: Any) -> None:
    shown, every = find(ec2, BASE), find(ec2, BASE, IncludeDeprecated=True)
    (old,) = [image for image in every if image not in shown]
    assert old["Name"].endswith("20240912")
    assert ec2.describe_images(ImageIds=[old["ImageId"]])["Images"] == [old]


def test_images_go_out_of_sight_when_their_time_comes(twin: Any, ec2: Any) -> None:
    before = len(find(ec2, BASE))
    twin.ask("advance", seconds=2 * 366 * 86400)
    assert len(find(ec2, BASE)) < before


def test_filters_have_stars_everywhere(ec2: Any) -> None:
    def count(name: str, *values: str) -> int:
        return len(find(ec2, Filters=[{"Name": name, "Values": list(values)}]))

    assert count("creation-date", "2026-10-*") == len(
        [image for image in find(ec2) if image["CreationDate"].startswith("2026-10-")]
    )
    assert 0 < count("architecture", "arm*") < count("architecture", "arm64", "x86_64")
    assert count("description", "*Neuron SDK 2.32.0*") > 0
    assert count("block-device-mapping.volume-size", "105") == 0  # deprecated
    assert count("root-device-name", "/dev/xv?a") > 0
    assert count("is-public", "true") == count("state", "available")
    assert count("tag:none", "*") == 0
    with pytest.raises(ClientError, match="The filter 'colour' is invalid"):
        count("colour", "red")


def test_pages_hold_every_image_once(ec2: Any) -> None:
    pages = list(ec2.get_paginator("describe_images").paginate(Owners=["amazon"], PaginationConfig={"PageSize": 20}))
    ids = [image["ImageId"] for page in pages for image in page["Images"]]
    assert len(pages) > 3
    assert sorted(ids) == sorted(image["ImageId"] for image in find(ec2))


@pytest.mark.parametrize(
    ("ids", "code", "message"),
    [
        (["ami-0123456789abcdef0"], "InvalidAMIID.NotFound", "The image id '[ami-0123456789abcdef0]' does not exist"),
        (
            ["ami-0123456789abcdef0", "ami-12345678"],
            "InvalidAMIID.NotFound",
            "The image ids '[ami-0123456789abcdef0, ami-12345678]' do not exist",
        ),
        (["ami-xyz"], "InvalidAMIID.Malformed", 'Invalid id: "ami-xyz"'),
        (["i-0123456789abcdef0"], "InvalidAMIID.Malformed", 'Invalid id: "i-0123456789abcdef0" (expecting "ami-...")'),
    ],
)
def test_ids_that_are_none(ec2: Any, ids: list[str], code: str, message: str) -> None:
    with pytest.raises(ClientError) as caught:
        ec2.describe_images(ImageIds=ids)
    assert (caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]) == (code, message)


def test_ids_differ_between_regions(twin: Any, ec2: Any) -> None:
    here, there = find(ec2, BASE)[-1], find(twin.client("ec2", "eu-west-1"), BASE)[-1]
    assert here["Name"] == there["Name"]
    assert here["ImageId"] != there["ImageId"]
    with pytest.raises(ClientError, match="does not exist"):
        ec2.describe_images(ImageIds=[there["ImageId"]])


def test_the_accounts_own_images_and_snapshots_are_none_of_these(twin: Any, ec2: Any) -> None:
    assert ec2.describe_images(Owners=["self"])["Images"] == []
    assert ec2.describe_images(ExecutableUsers=["self"])["Images"] == []
    assert ec2.describe_images(ExecutableUsers=["all"], Owners=["amazon"])["Images"]
    assert ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []
    assert ec2.describe_snapshots()["Snapshots"] == []
    snapshot = find(ec2, BASE)[-1]["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    with pytest.raises(ClientError) as caught:
        ec2.describe_snapshots(SnapshotIds=[snapshot])
    assert caught.value.response["Error"]["Code"] == "InvalidSnapshot.NotFound"
    assert ec2.describe_volumes()["Volumes"] == []
    assert twin.ask("left")["left"] == 0


def test_an_image_of_ones_own_is_shown_beside_them(ec2: Any) -> None:
    identity = ec2.register_image(
        Name="mine", Architecture="x86_64", RootDeviceName="/dev/sda1", VirtualizationType="hvm"
    )["ImageId"]
    ec2.create_tags(Resources=[identity], Tags=[{"Key": "run", "Value": "r-17"}])
    (image,) = find(ec2, "mine", ("self",), Filters=[{"Name": "tag:run", "Values": ["r-*"]}])
    assert (image["ImageId"], image["Public"], image["Tags"]) == (identity, False, [{"Key": "run", "Value": "r-17"}])
    assert image["CreationDate"].endswith("Z")
    assert ec2.describe_image_attribute(ImageId=identity, Attribute="launchPermission")["LaunchPermissions"] == []
    ec2.deregister_image(ImageId=identity)
    assert ec2.describe_images(ImageIds=[identity])["Images"] == []


def test_attributes_of_others_images_are_refused(ec2: Any) -> None:
    with pytest.raises(ClientError) as caught:
        ec2.describe_image_attribute(ImageId=find(ec2, BASE)[-1]["ImageId"], Attribute="launchPermission")
    assert caught.value.response["Error"]["Code"] == "AuthFailure"
    with pytest.raises(ClientError) as caught:
        ec2.describe_image_attribute(ImageId="ami-0123456789abcdef0", Attribute="launchPermission")
    assert caught.value.response["Error"]["Code"] == "InvalidAMIID.NotFound"


def test_an_image_of_the_marketplace_costs_by_the_hour(twin: Any, ec2: Any) -> None:
    (sold,) = find(ec2, "example-ml-workbench-4.2*", ("aws-marketplace",))
    assert sold["ProductCodes"][0]["ProductCodeType"] == "marketplace"
    codes = [{"Name": "product-code", "Values": [sold["ProductCodes"][0]["ProductCodeId"]]}]
    assert len(find(ec2, owners=("aws-marketplace",), Filters=codes)) == 2
    free = find(ec2, "example-gpu-stack*", ("aws-marketplace",))[0]
    for image in (sold, free):
        ec2.run_instances(ImageId=image["ImageId"], InstanceType="g5.xlarge", MinCount=1, MaxCount=1)
    twin.ask("advance", seconds=60)
    twin.ask("advance", seconds=3600)
    charged = [line for line in twin.ask("bill")["lines"] if "image" in line["item"]]
    assert [line["item"] for line in charged] == [f"image {sold['ImageId']}"]
