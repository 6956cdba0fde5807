"""Public parameters that name images."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from launchbay.catalog.snapshot import load_snapshot
from launchbay.twin.call import Refused
from launchbay.twin.imagedata import named_parameters
from launchbay.twin.rules.parameters import resolve_image
from launchbay.twin.truth import Settings, new_truth
from launchbay.twin.world import World

DLAMI = "/aws/service/deeplearning/ami"
BASE = f"{DLAMI}/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id"


@pytest.fixture
def ssm(twin: Any) -> Any:
    return twin.client("ssm")


@pytest.mark.parametrize(
    ("name", "image"),
    [
        (BASE, "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 22.04) 20261009"),
        (
            f"{DLAMI}/arm64/oss-nvidia-driver-gpu-pytorch-2.12-ubuntu-24.04/latest/ami-id",
            "Deep Learning ARM64 AMI OSS Nvidia Driver GPU PyTorch 2.12 (Ubuntu 24.04) 20261009",
        ),
        (
            "/aws/service/neuron/dlami/multi-framework/ubuntu-24.04/latest/image_id",
            "Deep Learning AMI Neuron (Ubuntu 24.04) 20261008",
        ),
        (
            "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id",
            "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20261013",
        ),
        (
            "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64",
            "al2023-ami-2023.12.20261012.0-kernel-6.1-arm64",
        ),
    ],
)
def test_a_parameter_names_the_newest_image_which_is_there(ssm: Any, ec2: Any, name: str, image: str) -> None:
    parameter = ssm.get_parameter(Name=name)["Parameter"]
    assert (parameter["Name"], parameter["Type"]) == (name, "String")
    assert parameter["ARN"] == f"arn:aws:ssm:us-east-1::parameter{name}"
    (found,) = ec2.describe_images(ImageIds=[parameter["Value"]])["Images"]
    assert found["Name"] == image
    assert found["ImageOwnerAlias"] == "amazon"


def test_versions_of_a_parameter_are_images_before(ssm: Any) -> None:
    newest = ssm.get_parameter(Name=BASE)["Parameter"]
    before = ssm.get_parameter(Name=f"{BASE}:{newest['Version'] - 1}")["Parameter"]
    assert before["Value"] != newest["Value"]
    assert before["LastModifiedDate"] < newest["LastModifiedDate"]
    assert ssm.get_parameter(Name=newest["ARN"])["Parameter"] == newest
    with pytest.raises(ClientError) as caught:
        ssm.get_parameter(Name=f"{BASE}:99")
    assert caught.value.response["Error"]["Code"] == "ParameterVersionNotFound"


def test_what_is_not_published_is_not_found(ssm: Any) -> None:
    with pytest.raises(ClientError) as caught:
        ssm.get_parameter(Name=f"{DLAMI}/x86_64/oss-nvidia-driver-gpu-mxnet-1.9-ubuntu-22.04/latest/ami-id")
    assert caught.value.response["Error"]["Code"] == "ParameterNotFound"


def test_a_path_lists_all_below_it_ten_at_a_time(ssm: Any) -> None:
    pages = list(ssm.get_paginator("get_parameters_by_path").paginate(Path=f"{DLAMI}/x86_64", Recursive=True))
    found = [parameter["Name"] for page in pages for parameter in page["Parameters"]]
    assert all(len(page["Parameters"]) <= 10 for page in pages)
    assert sorted(found) == sorted(name for name in named_parameters() if name.startswith(f"{DLAMI}/x86_64/"))
    assert ssm.get_parameters_by_path(Path=f"{DLAMI}/x86_64")["Parameters"] == []
    direct = ssm.get_parameters_by_path(Path="/aws/service/ami-amazon-linux-latest")["Parameters"]
    assert len(direct) == 6
    with pytest.raises(ClientError) as caught:
        ssm.get_parameters_by_path(Path=DLAMI, Recursive=True, MaxResults=11)
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_others_parameters_are_motos(ssm: Any) -> None:
    ssm.put_parameter(Name="/mine/image", Value="ami-1234", Type="String")
    assert ssm.get_parameter(Name="/mine/image")["Parameter"]["Value"] == "ami-1234"
    several = ssm.get_parameters(Names=[BASE, "/mine/image", "/mine/none", f"{DLAMI}/none"])
    assert [parameter["Name"] for parameter in several["Parameters"]] == [BASE, "/mine/image"]
    assert several["InvalidParameters"] == ["/mine/none", f"{DLAMI}/none"]
    assert ssm.get_parameters(Names=["/mine/image"])["Parameters"][0]["Value"] == "ami-1234"
    assert ssm.get_parameters_by_path(Path="/mine")["Parameters"][0]["Name"] == "/mine/image"


def test_an_image_id_can_be_a_parameter() -> None:
    world = World(new_truth(Settings()), load_snapshot(()), [])
    newest = named_parameters()[BASE][-1]
    assert resolve_image(world, "eu-west-1", f"resolve:ssm:{BASE}") == newest.id("eu-west-1")
    assert resolve_image(world, "eu-west-1", f"resolve:ssm:{BASE}:1") == named_parameters()[BASE][0].id("eu-west-1")
    assert resolve_image(world, "eu-west-1", "ami-12345678") == "ami-12345678"
    with pytest.raises(Refused, match="does not exist"):
        resolve_image(world, "eu-west-1", f"resolve:ssm:{DLAMI}/none")
    with pytest.raises(Refused, match="does not exist"):
        resolve_image(world, "eu-west-1", "resolve:ssm:/mine/none")
