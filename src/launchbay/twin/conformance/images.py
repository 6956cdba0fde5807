"""Images: made of an instance, removed with their snapshots, and found."""

from __future__ import annotations

import time

from launchbay.twin.conformance.account import Account
from launchbay.twin.conformance.behaviour import SEEN, VERIFIED, listed

__all__: list[str] = []

_MODEL = "botocore's model of EC2"
_ERRORS = "EC2's list of error codes"


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
