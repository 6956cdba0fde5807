"""What is read of an image, and what is not guessed."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from launchbay.errors import UsageError
from launchbay.jsonable import to_json
from launchbay.planning.cloudimage import to_ami, to_launch
from launchbay.planning.cloudwish import ImageDisk
from launchbay.planning.imagereading import read_image
from tests.planning.listings import DIGEST, baked, row_of, twin_images

PYTORCH = "Deep Learning OSS Nvidia Driver AMI GPU PyTorch"
STRANGER = {"OwnerId": "111122223333", "ImageOwnerAlias": None}


def test_an_image_of_amazons() -> None:
    image = read_image(row_of(), "/aws/service/deeplearning/x")
    assert (image.kind, image.owner, image.system, image.login) == (
        "quick start",
        "898082745236",
        "Ubuntu 24.04",
        "ubuntu",
    )
    assert (image.driver, image.driver_floor, image.cuda) == ("595.71.05", "595.71.05", "13.2")
    assert image.facts_from is not None
    assert image.facts_from.endswith("gpubasesinglecuda-ul2404-2026-07-17.html")
    assert image.families == ("g4dn", "g5", "p5")
    assert (image.support_ends, image.ends_by) == (date(2029, 4, 30), date(2029, 4, 30))
    assert (image.root_gib, image.root_device, image.snapshots) == (60, "/dev/sda1", ("snap-0a",))
    assert (image.usd_per_hour, image.warning, image.python) == (Decimal(0), "", None)


def test_a_build_that_no_note_was_read_of_has_a_least_driver_and_no_cuda() -> None:
    image = read_image(row_of(Name="Deep Learning Base AMI with Single CUDA (Ubuntu 22.04) 20261006"))
    assert (image.driver, image.driver_floor, image.cuda, image.python) == (None, "595.71.05", None, "3.10")
    assert to_ami(image).driver == "595.71.05"


@pytest.mark.parametrize(
    ("changed", "field", "value"),
    [
        ({"Name": f"{PYTORCH} 2.9 (Ubuntu 24.04) 20260317"}, "frameworks", {"pytorch": "2.9"}),
        ({"Name": f"{PYTORCH} 2.8 (Ubuntu 24.04) 20260302"}, "cuda", "12.9"),
        ({"Name": f"{PYTORCH} 2.8 (Ubuntu 24.04) 20260302"}, "support_ends", date(2026, 8, 6)),
        ({"Name": f"{PYTORCH} 2.12 (Ubuntu 24.04) 20260822"}, "support_ends", None),
        ({"Name": f"{PYTORCH} 2.12 (Ubuntu 24.04) 20260822"}, "ends_by", date(2029, 4, 30)),
        ({"Name": f"{PYTORCH} 2.12 (Ubuntu 24.04) 20260822"}, "cuda", None),
        ({"Name": "Deep Learning AMI Neuron (Ubuntu 24.04) 20261008"}, "support_ends", None),
        ({"Name": "Deep Learning AMI Neuron (Ubuntu 24.04) 20261008"}, "driver", ""),
        ({"Name": "Deep Learning AMI Neuron (Ubuntu 24.04) 20261008"}, "is_neuron", True),
        ({"Name": "Deep Learning AMI (Ubuntu 18.04) Version 62.0", "Description": "MXNet-1.9, TensorFlow-2.7, PyTorch-1.10"},
         "frameworks", {"mxnet": "1.9", "tensorflow": "2.7", "pytorch": "1.10"}),
        ({"Name": "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20261013"}, "driver", ""),
        ({"Name": "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20261013"}, "system", "Ubuntu 24.04"),
        ({"Name": "al2023-ami-2023.12.20261012.0-kernel-6.1-x86_64"}, "login", "ec2-user"),
        # an image of Amazon's that has a driver, and does not say which
        ({"Name": "amzn2-ami-ecs-gpu-hvm-2.0.20261001-x86_64-ebs"}, "driver", None),
        ({"Name": "al2023-ami-ecs-gpu-hvm-2023.0.20261001"}, "driver", None),
        ({"Name": "Deep Learning Base AMI with Single CUDA (Ubuntu 24.04) 20269999"}, "driver_floor", "595.71.05"),
        ({"Name": "Windows_Server-2025-English"}, "system", None),
        ({"Name": "Windows_Server-2025-English"}, "login", None),
        ({"Name": "Deep Learning Base AMI with Single CUDA (Ubuntu 26.04) 20261006"}, "ends_by", None),
        ({"CreationDate": None}, "created", None),
        ({"CreationDate": "yesterday"}, "created", None),
        ({"BlockDeviceMappings": None}, "root_gib", None),
        ({"BlockDeviceMappings": [{"DeviceName": "/dev/sdb", "VirtualName": "ephemeral0"}]}, "root_gib", None),
        ({"RootDeviceName": "/dev/xvda"}, "root_gib", None),
        ({"PlatformDetails": "Red Hat Enterprise Linux"}, "usd_per_hour", None),
        ({"PlatformDetails": None}, "usd_per_hour", None),
        ({"ProductCodes": [{"ProductCodeId": "x"}]}, "usd_per_hour", None),
        ({"ImageOwnerAlias": "aws-marketplace", "OwnerId": "679593333241"}, "kind", "marketplace"),
        ({"ImageOwnerAlias": None}, "kind", "quick start"),
        ({"ImageOwnerAlias": "amazon", "OwnerId": "1"}, "kind", "quick start"),
        (STRANGER, "kind", "community"),
    ],
)  # fmt: skip
def test_what_is_read(changed: dict[str, Any], field: str, value: object) -> None:
    assert getattr(read_image(row_of(**changed)), field) == value


def test_a_charge_is_what_somebody_knows() -> None:
    row = row_of(ProductCodes=[{"ProductCodeId": "x"}], ImageOwnerAlias="aws-marketplace")
    assert read_image(row, charge=Decimal("0.05")).usd_per_hour == Decimal("0.05")
    assert read_image(row).product_codes == ("x",)


# --- strangers ---


@pytest.mark.parametrize(
    ("name", "publisher"),
    [
        ("Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 22.04) 20261120", "Amazon"),
        ("deep  learning  base", "Amazon"),
        ("Ｄeep Learning Base", "Amazon"),
        ("Deep_Learning_AMI", "Amazon"),
        ("AWS Deep Learning AMI", "Amazon"),
        ("al2023-ami-2023.12.20261012.0-kernel-6.1-x86_64", "Amazon"),
        ("ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20261121", "Canonical"),
        ("my-training-image", None),
    ],
)
def test_a_stranger_with_somebody_elses_name_says_so(name: str, publisher: str | None) -> None:
    image = read_image(row_of(Name=name, **STRANGER))
    assert image.kind == "community"
    assert image.lookalike_of == publisher
    expected = (
        f"named like {publisher}'s, published by 111122223333"
        if publisher
        else "published by 111122223333, whom nobody"
    )
    assert image.warning.startswith(expected)


def test_of_a_strangers_image_nothing_is_believed() -> None:
    image = read_image(row_of(**STRANGER))
    assert (image.driver, image.driver_floor, image.cuda, image.families) == (None, None, None, ())
    assert (image.system, image.login, image.support_ends, image.ends_by) == (None, None, None, None)


def test_tags_of_ours_on_a_strangers_image_make_it_none_of_ours() -> None:
    ours = row_of(
        **STRANGER, Tags=[{"Key": "managed-by", "Value": "launchbay"}, {"Key": "launchbay:digest", "Value": DIGEST}]
    )
    image = read_image(ours)
    assert (image.kind, image.digest) == ("community", None)
    assert read_image(ours, is_own=True).kind == "ours"


@pytest.mark.parametrize("key", ["managed-by", "launchbay:digest"])
def test_one_tag_alone_is_not_ours(key: str) -> None:
    image = read_image(row_of(**STRANGER, Tags=[{"Key": key, "Value": "launchbay"}]), is_own=True)
    assert (image.kind, image.digest) == ("own", None)


def test_no_published_image_of_the_twin_is_taken_for_somebody_elses() -> None:
    images = twin_images()
    assert {image.kind for image in images} == {"quick start", "marketplace", "community"}
    assert not [image.name for image in images if image.kind == "quick start" and image.warning]
    assert all(image.lookalike_of for image in images if image.kind == "community")


# --- baked, shown, launched ---


def test_a_baked_image_tells_what_was_known_below_it() -> None:
    image = baked()
    assert (image.kind, image.digest, image.system, image.driver_floor) == ("ours", DIGEST, "Ubuntu 24.04", "595.71.05")
    assert (image.families, image.login, image.driver) == (("g4dn", "g5", "p5"), "ubuntu", None)


def test_what_json_shows() -> None:
    shown = to_json(read_image(row_of()))
    assert shown["size_bytes"] == 60 * 1024**3
    assert (shown["usd_per_hour"], shown["support_ends"], shown["python"]) == ("0", "2029-04-30", None)
    assert (shown["types"], shown["warning"], shown["digest"]) == (["g4dn", "g5", "p5"], None, None)
    needed = {"name", "kind", "frameworks", "python", "digest", "size_bytes", "built", "support_ends", "id", "owner"}
    assert needed | {"cuda", "driver", "types", "usd_per_hour"} <= set(shown)


def test_what_a_launch_needs() -> None:
    more = {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 40}}
    image = read_image(row_of(BlockDeviceMappings=[more, *row_of()["BlockDeviceMappings"]]))
    launch = to_launch(image)
    assert launch.root == ImageDisk(device="/dev/sda1", snapshot_gib=60)
    assert launch.others == (ImageDisk(device="/dev/sdf", snapshot_gib=40),)
    with pytest.raises(UsageError, match="no root disk"):
        to_launch(read_image(row_of(RootDeviceName=None)))


@pytest.mark.parametrize("row", [{}, {"ImageId": ""}, {"ImageId": 5, "Name": "x"}])
def test_a_row_that_is_no_image(row: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="must have an ImageId"):
        read_image(row)


@pytest.mark.parametrize(("day", "ended"), [(date(2029, 4, 30), False), (date(2029, 5, 1), True)])
def test_the_last_day_of_support_is_still_supported(day: date, ended: bool) -> None:  # noqa: FBT001
    assert read_image(row_of()).has_ended(day) is ended
