"""The images that the twin has: what they say, how their ids follow, and what the newest is."""

from __future__ import annotations

import re
from datetime import date

import pytest

from launchbay.twin.imagedata import list_images, named_parameters, support_ends


def test_ids_follow_from_region_and_name_and_are_all_different() -> None:
    images = list_images()
    ids = [image.id(region) for image in images for region in ("us-east-1", "eu-west-1")]
    assert len(ids) == len(set(ids)) > 250
    assert all(re.fullmatch(r"ami-[0-9a-f]{17}", identity) for identity in ids)
    assert images[0].id("us-east-1") == images[0].id("us-east-1") != images[0].id("eu-west-1")
    assert images[0].snapshot_id("us-east-1").startswith("snap-0")


def test_every_parameter_names_the_newest_of_one_architecture() -> None:
    for name, versions in named_parameters().items():
        assert [image.created for image in versions] == sorted(image.created for image in versions)
        assert len({image.architecture for image in versions}) == 1
        arch = {"x86_64": ("x86_64", "amd64"), "arm64": ("arm64",)}[versions[0].architecture]
        assert any(word in name for word in arch) or name.startswith("/aws/service/neuron/")
        assert {image.alias for image in versions} == {"amazon"}


def test_parameters_of_dlamis_are_their_names_without_some_words() -> None:
    prefix = "/aws/service/deeplearning/ami/"
    for name, versions in named_parameters().items():
        if name.startswith(prefix):
            text = re.sub(r"\b(Deep|Learning|AMI|ARM64)\b|Version [\d.]+|\d{8}|[()]", "", versions[-1].name)
            expected = "-".join(text.lower().split())
            arch = versions[-1].architecture
            if "Amazon Linux 2)" in versions[-1].name and "Base" not in versions[-1].name:
                expected = f"multi-framework-{expected}"
            assert name == f"{prefix}{arch}/{expected}/latest/ami-id"


def test_dlamis_say_which_types_they_are_for() -> None:
    for image in list_images():
        if image.owner == "898082745236" and "Ubuntu 18.04" not in image.name:
            assert "Supported EC2 instances: " in image.description


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("Deep Learning OSS Nvidia Driver AMI GPU PyTorch 2.7 (Ubuntu 22.04) 20260422", date(2026, 4, 23)),
        ("Deep Learning OSS Nvidia Driver AMI GPU PyTorch 2.13 (Ubuntu 24.04) 20261003", date(2029, 4, 30)),
        ("Deep Learning OSS Nvidia Driver AMI GPU TensorFlow 2.18 (Amazon Linux 2023) 20251020", date(2025, 10, 24)),
        ("Deep Learning OSS Nvidia Driver AMI (Amazon Linux 2) Version 78.2", date(2026, 6, 30)),
        ("Deep Learning AMI (Ubuntu 18.04) Version 64.2", None),
    ],
)
def test_support_ends_with_the_framework_or_the_system(name: str, ends: date | None) -> None:
    assert support_ends(name) == ends
