"""Images as they are found on the twin, and what is said where they are not."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from launchbay.errors import NotFound, NotPermitted, UserError
from launchbay.planning.imagesearch import LINUX_PARAMETERS
from launchbay.providers.ec2.images import FoundImages, resolve, search_images
from launchbay.testing import VirtualClock
from tests.providers.ec2.watching import asked_of, limited, refused
from tests.twin.conftest import TwinProcess
from tests.twin.rules.launching import make_image

REGION = "us-east-1"
SINGLE = "/aws/service/deeplearning/ami/x86_64/base-with-single-cuda-ubuntu-24.04/latest/ami-id"


def search(ec2: Any, ssm: Any, query: str = "", **more: Any) -> FoundImages:
    return search_images(ec2, ssm, query.split(), region=REGION, **more)


def names(found: FoundImages) -> list[str]:
    return [image.name for image in found.images]


# --- what is found ---


def test_the_newest_of_amazons_are_found_with_the_parameter_that_names_each(ec2: Any, ssm: Any) -> None:
    found = search(ec2, ssm)
    assert len(found.images) > 40
    assert {image.kind for image in found.images} == {"quick start"}
    by_parameter = {image.parameter: image.name for image in found.images}
    assert by_parameter[SINGLE] == "Deep Learning Base AMI with Single CUDA (Ubuntu 24.04) 20261006"
    assert None not in by_parameter
    assert set(LINUX_PARAMETERS) <= set(by_parameter)
    assert (found.notes, found.nearest) == ((), ())


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("deep learning tensorflow", 2),
        ("TENSORFLOW 2.18 ubuntu", 1),
        ("pytorch 2.13", 2),
        ("p6e-gb200 single", 2),
        ("neuron jax", 1),
        ("canonical arm64 24.04", 1),
        ("898082745236 proprietary", 2),
    ],
)
def test_all_words_have_to_be_there(ec2: Any, ssm: Any, query: str, count: int) -> None:
    found = search(ec2, ssm, query)
    assert len(found.images) == count, names(found)


def test_older_builds_are_shown_when_no_newest_has_the_words(ec2: Any, ssm: Any) -> None:
    found = search(ec2, ssm, "20260717 single 24.04")
    assert names(found) == ["Deep Learning Base AMI with Single CUDA (Ubuntu 24.04) 20260717"]
    assert "older builds" in found.notes[0]


def test_the_accounts_own_images_come_first_and_are_told_apart(ec2: Any, ssm: Any) -> None:
    plain = make_image(ec2, "golden pytorch")
    ours = make_image(ec2, "launchbay/pytorch/x")
    tags = [{"Key": "managed-by", "Value": "launchbay"}, {"Key": "launchbay:digest", "Value": "d" * 64}]
    ec2.create_tags(Resources=[ours], Tags=tags)
    first, second, *rest = search(ec2, ssm, "pytorch").images
    assert [(first.id, first.kind, first.digest), (second.id, second.kind)] == [
        (ours, "ours", "d" * 64),
        (plain, "own"),
    ]
    assert {image.kind for image in rest} == {"quick start"}


# --- whose ---


def test_whose_images_are_asked_for_is_always_said(ec2: Any, ssm: Any) -> None:
    calls = asked_of(ec2)
    for query in ("", "pytorch", "nothing-like-that", "marketplace", "20260717"):
        search(ec2, ssm, query)
    described = [asked for name, asked in calls if name == "DescribeImages"]
    assert len(described) > 10
    assert all(asked.get("Owners") for asked in described)


def test_no_strangers_image_is_shown_unless_asked_for(ec2: Any, ssm: Any) -> None:
    for query in ("", "deep learning pytorch 2.13", "ubuntu", "20261120", "20261121"):
        assert "community" not in {image.kind for image in search(ec2, ssm, query).images}


def test_everybodys_images_come_with_a_warning_and_whose_they_are(ec2: Any, ssm: Any) -> None:
    found = search(ec2, ssm, "pytorch 2.13 ubuntu", all_owners=True)
    theirs = [image for image in found.images if image.kind == "community"]
    assert [(image.owner, image.warning) for image in theirs] == [
        ("345678901234", "named like Amazon's, published by 345678901234")
    ]
    assert any("runs a stranger's system" in note for note in found.notes)
    assert found.images[-1] == theirs[0], "Amazon's come first"


def test_asking_everybody_brings_no_old_builds_of_amazons(ec2: Any, ssm: Any) -> None:
    plain, every = search(ec2, ssm, "single"), search(ec2, ssm, "single", all_owners=True)
    assert [image for image in every.images if image.kind == "quick start"] == list(plain.images)


def test_everybodys_without_words_says_that_it_is_not_everything(ec2: Any, ssm: Any) -> None:
    found = search(ec2, ssm, all_owners=True)
    assert {"quick start", "marketplace", "community"} == {image.kind for image in found.images}
    assert any("give words for the rest" in note for note in found.notes)


def test_an_image_that_was_shared_with_the_account_is_a_strangers_too(ec2: Any, ssm: Any) -> None:
    calls = asked_of(ec2)
    search(ec2, ssm, "golden", all_owners=True)
    assert ["self"] in [asked.get("ExecutableUsers") for _, asked in calls]


def test_the_marketplace_is_asked_when_nobody_else_has_the_words_or_a_word_says_so(ec2: Any, ssm: Any) -> None:
    found = search(ec2, ssm, "ml workbench")
    assert {image.kind for image in found.images} == {"marketplace"}
    assert {image.usd_per_hour for image in found.images} == {None}, "EC2 does not say what it costs"
    assert "the marketplace's do" in found.notes[0]
    assert len(search(ec2, ssm, "marketplace gpu").images) == 1


def test_a_price_that_somebody_knows_is_shown(ec2: Any, ssm: Any) -> None:
    charges = {"9xq2m4k7w1t8r5v3z6n0p2d4a": Decimal("0.05")}
    found = search(ec2, ssm, "ml workbench 4.2", charges=charges)
    assert [image.usd_per_hour for image in found.images] == [Decimal("0.05")]


# --- by id ---


def test_one_by_its_id_old_builds_and_strangers_too(ec2: Any, ssm: Any) -> None:
    old = search(ec2, ssm, "20260717 single 24.04").images[0]
    theirs = search(ec2, ssm, "20261121", all_owners=True).images[0]
    own = make_image(ec2, "mine")
    assert [image.kind for image in (old, theirs)] == ["quick start", "community"]
    for identity, kind in ((old.id, "quick start"), (theirs.id, "community"), (own, "own")):
        (image,) = search(ec2, ssm, identity).images
        assert (image.id, image.kind, bool(image.warning)) == (identity, kind, kind == "community")


@pytest.mark.parametrize(
    "identity", ["ami-0123456789abcdef0", "ami-xyz", "ami-", "AMI-0123456789ABCDEF0", "ami-01234567"]
)
def test_an_id_that_is_nobodys(ec2: Any, ssm: Any, identity: str) -> None:
    with pytest.raises(NotFound, match=r"there is no image|is no id of an image") as caught:
        search(ec2, ssm, identity)
    assert caught.value.where == REGION
    assert caught.value.hint


# --- nothing ---


@pytest.mark.parametrize(("query", "near"), [("pytorhc 2.13", "PyTorch 2.13"), ("tensorflow 99.1", "TensorFlow")])
def test_where_nothing_matches_the_nearest_names_are_told(ec2: Any, ssm: Any, query: str, near: str) -> None:
    found = search(ec2, ssm, query)
    assert found.images == ()
    assert 1 <= len(found.nearest) <= 3
    assert near in found.nearest[0]


def test_what_is_near_nothing(ec2: Any, ssm: Any) -> None:
    found = search(ec2, ssm, "qqqqqqqq")
    assert (found.images, found.nearest) == ((), ())


def test_signs_that_mean_something_to_ec2_mean_themselves(ec2: Any, ssm: Any) -> None:
    assert search(ec2, ssm, "*").images == ()
    assert search(ec2, ssm, "pyt?rch").images == ()


class Empty:
    """An account to which EC2 shows nothing."""

    def describe_images(self, **_: Any) -> dict[str, Any]:
        return {"Images": []}

    def get_parameters_by_path(self, **_: Any) -> dict[str, Any]:
        return {"Parameters": []}

    def get_parameters(self, **_: Any) -> dict[str, Any]:
        return {"Parameters": [], "InvalidParameters": list(LINUX_PARAMETERS)}


def test_an_empty_answer_is_no_error() -> None:
    assert search(Empty(), Empty()) == FoundImages(images=())
    assert search(Empty(), Empty(), "pytorch", all_owners=True).images == ()


# --- refused ---


def test_without_the_permission_for_parameters_images_are_found_by_name(twin: TwinProcess, ec2: Any, ssm: Any) -> None:
    all_of_it = search(ec2, ssm)
    few, none = limited(twin, "ec2", "ssm", allow=["ec2:Describe*"])
    calls = asked_of(few)
    found = search(few, none)
    assert {image.parameter for image in found.images} == {None}
    assert "ssm:GetParametersByPath" in found.notes[0]
    assert {image.id for image in all_of_it.images} <= {image.id for image in found.images}
    assert {image.kind for image in found.images} == {"quick start"}
    assert all(asked.get("Owners") for _, asked in calls)


def test_without_the_permission_for_images_it_is_named(twin: TwinProcess) -> None:
    none, some = limited(twin, "ec2", "ssm", allow=["ssm:*"])
    with pytest.raises(NotPermitted, match="AWS refuses ec2:DescribeImages") as caught:
        search(none, some)
    assert "allow ec2:DescribeImages to these credentials" in caught.value.hint
    assert "types refresh" not in caught.value.hint


@pytest.mark.parametrize("code", ["AuthFailure", "OptInRequired"])
def test_a_region_that_the_account_has_not_enabled(ec2: Any, ssm: Any, code: str) -> None:
    with refused(ec2, "describe_images", code), pytest.raises(UserError, match="does not take these cred") as caught:
        search(ec2, ssm)
    assert "has this region enabled" in caught.value.hint
    assert caught.value.where == REGION


def test_another_refusal_of_parameters_is_not_taken_for_a_missing_permission(ec2: Any, ssm: Any) -> None:
    with (
        refused(ssm, "get_parameters_by_path", "InternalServerError"),
        pytest.raises(UserError, match="InternalServer"),
    ):
        search(ec2, ssm)


# --- resolved ---


def test_a_parameter_is_resolved_to_an_id_with_its_date(ec2: Any, ssm: Any) -> None:
    clock = VirtualClock()
    found = resolve(ssm, ec2, SINGLE, region=REGION, clock=clock)
    assert (found.id, found.at) == (search(ec2, ssm, "single 24.04 x86_64").images[0].id, "2027-01-15T08:00:00+00:00")
    assert (found.version, found.image.system) == (4, "Ubuntu 24.04")


def test_a_companys_own_parameter_may_name_an_image_of_the_account(ec2: Any, ssm: Any) -> None:
    own = make_image(ec2, "golden")
    ssm.put_parameter(Name="/golden", Value=own, Type="String")
    assert resolve(ssm, ec2, "/golden", region=REGION, clock=VirtualClock()).image.kind == "own"


def test_a_parameter_that_names_a_strangers_image_is_refused(ec2: Any, ssm: Any) -> None:
    theirs = search(ec2, ssm, "20261121", all_owners=True).images[0]
    ssm.put_parameter(Name="/golden", Value=theirs.id, Type="String")
    with pytest.raises(NotFound, match="neither Amazon's, the marketplace's nor this account's"):
        resolve(ssm, ec2, "/golden", region=REGION, clock=VirtualClock())


@pytest.mark.parametrize("name", ["/aws/service/deeplearning/ami/x86_64/none/latest/ami-id", "nothing"])
def test_a_parameter_that_is_not_there(ec2: Any, ssm: Any, name: str) -> None:
    with pytest.raises(NotFound, match="there is no parameter"):
        resolve(ssm, ec2, name, region=REGION, clock=VirtualClock())


def test_a_parameter_that_names_no_image(ec2: Any, ssm: Any) -> None:
    ssm.put_parameter(Name="/words", Value="hello", Type="String")
    with pytest.raises(NotFound, match="names no image, but 'hello'"):
        resolve(ssm, ec2, "/words", region=REGION, clock=VirtualClock())


def test_a_parameter_that_may_not_be_read(twin: TwinProcess) -> None:
    few, none = limited(twin, "ec2", "ssm", allow=["ec2:Describe*"])
    with pytest.raises(NotPermitted, match="ssm:GetParameter"):
        resolve(none, few, SINGLE, region=REGION, clock=VirtualClock())
