"""What is asked to bake an image: a name that is the token, and tags that find it again."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from launchbay.errors import UsageError
from launchbay.planning.imagebake import bake_name, bake_request, bake_tags
from launchbay.planning.imagereading import read_image
from tests.planning.listings import DIGEST, row_of

INSTANCE = "i-0123456789abcdef0"


def test_the_name_follows_from_what_is_baked() -> None:
    assert bake_name("pytorch", DIGEST, INSTANCE) == f"launchbay/pytorch/dddddddddddd/{INSTANCE}"
    assert bake_name("pytorch", "e" * 64, INSTANCE) != bake_name("pytorch", DIGEST, INSTANCE)
    assert bake_name("pytorch", DIGEST, "i-01234567") != bake_name("pytorch", DIGEST, INSTANCE)


@pytest.mark.parametrize("image", ["x" * 300, "tensorflow-2.15", "my image", "naïve:ünï+code", "", "a\nb\x00"])
def test_a_name_is_one_that_ec2_takes(image: str) -> None:
    name = bake_name(image, DIGEST, INSTANCE)
    assert re.fullmatch(r"[A-Za-z0-9()\[\] ./'@_-]{3,128}", name)
    assert name.endswith(f"/{DIGEST[:12]}/{INSTANCE}"), "what makes it unique is never cut"


@pytest.mark.parametrize(
    ("digest", "instance"),
    [("", INSTANCE), ("d" * 63, INSTANCE), (f"{'d' * 64}\n", INSTANCE), (DIGEST, "i-1"), (DIGEST, f"{INSTANCE}\n")],
)
def test_what_is_none_is_refused(digest: str, instance: str) -> None:
    with pytest.raises(UsageError, match="must"):
        bake_name("pytorch", digest, instance)


def test_the_tags_say_what_is_known_of_the_base_and_nothing_that_is_not() -> None:
    assert bake_tags("pytorch", DIGEST) == {
        "launchbay:digest": DIGEST,
        "launchbay:image": "pytorch",
        "managed-by": "launchbay",
    }
    base = read_image(row_of(Name="Deep Learning Base AMI with Single CUDA (Ubuntu 24.04) 20261006"))
    tags = bake_tags("pytorch", DIGEST, base)
    assert (tags["launchbay:driver-floor"], tags["launchbay:base"]) == ("595.71.05", base.id)
    assert not {"launchbay:driver", "launchbay:cuda", "launchbay:has-driver", "launchbay:neuron"} & set(tags)


@pytest.mark.parametrize(
    "field", ["driver", "driver_floor", "system", "families", "is_neuron", "cuda", "python", "login"]
)
@pytest.mark.parametrize(
    "name",
    [
        "Deep Learning Base AMI with Single CUDA (Ubuntu 22.04) 20260102",
        "Deep Learning Base AMI with Single CUDA (Ubuntu 22.04) 20261006",
        "Deep Learning Base Neuron AMI (Ubuntu 24.04) 20261008",
        "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20261013",
    ],
)
def test_what_is_read_of_a_baked_image_is_what_was_known_of_its_base(name: str, field: str) -> None:
    base = read_image(row_of(Name=name))
    tags = [{"Key": key, "Value": value} for key, value in bake_tags("pytorch", DIGEST, base).items()]
    found = read_image(row_of(Name="launchbay/x", ImageOwnerAlias=None, OwnerId="1", Tags=tags), is_own=True)
    assert (found.kind, found.digest) == ("ours", DIGEST)
    assert getattr(found, field) == getattr(base, field)


def test_a_value_too_long_for_a_tag_is_left_out_and_not_cut() -> None:
    base = replace(read_image(row_of()), families=tuple(f"family{number}" for number in range(60)))
    assert "launchbay:families" not in bake_tags("pytorch", DIGEST, base)


def test_the_request_tags_image_and_snapshots_alike() -> None:
    request = bake_request(INSTANCE, image="pytorch", digest=DIGEST, tags={"team": "vision", "managed-by": "somebody"})
    image, snapshot = request["TagSpecifications"]
    assert (image["ResourceType"], snapshot["ResourceType"]) == ("image", "snapshot")
    assert image["Tags"] == snapshot["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in image["Tags"]} == {
        **bake_tags("pytorch", DIGEST),
        "team": "vision",
    }
    assert (request["NoReboot"], request["InstanceId"]) == (False, INSTANCE)


def test_more_tags_than_ec2_takes() -> None:
    tags: dict[str, Any] = {f"tag-{number}": "x" for number in range(48)}
    with pytest.raises(UsageError, match="50 tags, got 51"):
        bake_request(INSTANCE, image="pytorch", digest=DIGEST, tags=tags)
