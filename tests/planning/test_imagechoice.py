"""Which image a launch begins with, over what the twin offers."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from launchbay.catalog.snapshot import load_snapshot
from launchbay.errors import UsageError
from launchbay.planning.cloudimage import ListedImage
from launchbay.planning.fit import ImageNeeds
from launchbay.planning.imagechoice import ImageChoice, choose_image, parameters_for, reasons_of, role_of, take_image
from launchbay.planning.imagereading import read_image
from launchbay.twin.imagedata import named_parameters
from tests.planning.listings import DIGEST, baked, listings, row_of

TODAY = date(2026, 11, 27)
TYPES = load_snapshot(["us-west-2", "us-east-1"]).types
CPU, ARM = ImageNeeds(), ImageNeeds(architecture="arm64")
CUDA13 = ImageNeeds(accelerator="cuda13", capability=(7, 5), driver="580")
CUDA12 = ImageNeeds(accelerator="cuda12", capability=(5, 0), driver="525")
PYTORCH = "Deep Learning OSS Nvidia Driver AMI GPU PyTorch"
SINGLE = "Deep Learning Base AMI with Single CUDA"


def choose(needs: ImageNeeds, name: str, images: list[ListedImage] | None = None, **more: Any) -> ImageChoice:
    return choose_image(needs, TYPES[name], listings() if images is None else images, today=TODAY, **more)


def why(choice: ImageChoice, identity: str) -> tuple[str, ...]:
    (found,) = (item.reasons for item in choice.rejected if item.image.id == identity)
    return found


@pytest.mark.parametrize(
    ("needs", "name", "more", "role", "chosen"),
    [
        (CUDA13, "g5.xlarge", {}, "single", f"{SINGLE} (Ubuntu 24.04) 20261006"),
        (CUDA13, "g4dn.xlarge", {}, "single", f"{SINGLE} (Ubuntu 24.04) 20261006"),
        (CUDA13, "p5.48xlarge", {}, "single", f"{SINGLE} (Ubuntu 24.04) 20261006"),
        (CUDA12, "g5.xlarge", {"system": "Ubuntu 22"}, "single", f"{SINGLE} (Ubuntu 22.04) 20261006"),
        (CUDA13, "g5.xlarge", {"system": "amazon linux"}, "single", f"{SINGLE} (Amazon Linux 2023) 20261006"),
        # V100 needs NVIDIA's own driver; of the two such bases Amazon Linux 2 was kept up longer, and Ubuntu is preferred
        (CUDA12, "p3.2xlarge", {}, "proprietary",
         "Deep Learning Base Proprietary Nvidia Driver GPU AMI (Ubuntu 20.04) 20250530"),
        (CUDA12, "p3.2xlarge", {"system": "Amazon Linux 2"}, "proprietary",
         "Deep Learning Base Proprietary Nvidia Driver AMI (Amazon Linux 2) Version 68.4"),
        (CPU, "m5.large", {}, "plain", "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20261013"),
        (CPU, "g5.xlarge", {}, "plain", "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20261013"),
        (ARM, "m7g.large", {}, "plain", "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-arm64-server-20261013"),
        (CPU, "m5.large", {"system": "Amazon Linux"}, "plain", "al2023-ami-2023.12.20261012.0-kernel-6.1-x86_64"),
        (CPU, "trn1.2xlarge", {}, "neuron base", "Deep Learning Base Neuron AMI (Ubuntu 24.04) 20261008"),
        (CPU, "inf2.xlarge", {"framework": "jax"}, "neuron", "Deep Learning AMI Neuron JAX 0.10 (Ubuntu 24.04) 20261008"),
        (CPU, "inf1.xlarge", {}, "neuron", "Deep Learning AMI Neuron (Ubuntu 22.04) 20250520"),
        (CUDA13, "g5.xlarge", {"framework": "pytorch"}, "framework",
         f"{PYTORCH} 2.12 (Ubuntu 24.04) 20261007"),
        (CUDA13, "g5.xlarge", {"framework": "PyTorch 2.9"}, "framework",
         f"{PYTORCH} 2.9 (Ubuntu 24.04) 20261014"),
        (CUDA13, "g5.xlarge", {"framework": "mxnet"}, "single", f"{SINGLE} (Ubuntu 24.04) 20261006"),
        (replace(CUDA13, architecture="arm64"), "g5g.xlarge", {}, "single",
         "Deep Learning ARM64 Base AMI with Single CUDA (Ubuntu 22.04) 20261006"),
    ],
)  # fmt: skip
def test_what_is_chosen(needs: ImageNeeds, name: str, more: dict[str, Any], role: str, chosen: str) -> None:
    choice = choose(needs, name, **more)
    assert (choice.role, choice.chosen and choice.chosen.name, choice.chosen and choice.chosen.kind) == (
        role,
        chosen,
        "quick start",
    )


@pytest.mark.parametrize(
    ("needs", "name"),
    [(CUDA12, "p2.xlarge"), (CUDA13, "g4ad.xlarge"), (CUDA13, "m5.large"), (CUDA13, "p3.2xlarge"), (ARM, "m5.large")],
)
def test_where_nothing_fits_every_image_says_why(needs: ImageNeeds, name: str) -> None:
    choice = choose(needs, name)
    assert choice.chosen is None
    assert len(choice.rejected) == len(listings())
    assert all(item.reasons for item in choice.rejected)


def test_the_choice_does_not_go_by_the_order() -> None:
    forth, back = choose(CUDA13, "g5.xlarge"), choose(CUDA13, "g5.xlarge", list(reversed(listings())))
    assert forth == back
    assert forth.others


# --- baked ---


def test_an_image_baked_of_the_same_lock_comes_before_all() -> None:
    ours = baked()
    choice = choose(CUDA13, "g5.xlarge", listings(ours), digest=DIGEST, framework="pytorch")
    assert (choice.chosen, choice.role) == (ours, "baked")


@pytest.mark.parametrize("digest", ["e" * 64, None])
def test_one_of_another_lock_never(digest: str | None) -> None:
    ours = baked()
    choice = choose_image(CUDA13, TYPES["g5.xlarge"], listings(ours), today=TODAY, digest=digest)
    assert choice.role == "single"
    assert why(choice, ours.id) == (f"{ours.id} is baked of another lock: dddddddddddd",)


def test_the_newer_of_two_that_are_baked() -> None:
    old, new = baked(), baked(ImageId="ami-0abced2", CreationDate="2026-11-02T00:00:00.000Z")
    for images in ([old, new], [new, old]):
        assert choose(CUDA13, "g5.xlarge", images, digest=DIGEST).chosen == new


def test_what_was_baked_without_a_driver_runs_on_no_gpu() -> None:
    ours = baked()
    bare = replace(ours, driver="", driver_floor=None)
    choice = choose(CUDA13, "g5.xlarge", [bare], digest=DIGEST)
    assert choice.chosen is None
    assert why(choice, ours.id) == (f"the image needs an NVIDIA driver, and {ours.id} has none",)


def test_one_that_is_still_pending_waits() -> None:
    ours = baked(State="pending")
    assert why(choose(CUDA13, "g5.xlarge", [ours], digest=DIGEST), ours.id) == (f"{ours.id} is pending",)


# --- whom we choose from ---


def test_no_strangers_image_is_chosen_however_new_and_well_named() -> None:
    theirs = [image for image in listings() if image.kind == "community"]
    assert len(theirs) == 3
    for image in theirs:
        needs, name = (CPU, "m5.large") if image.name.startswith("ubuntu") else (CUDA13, "g5.xlarge")
        choice = choose(needs, name, [image])
        assert choice.chosen is None
        assert why(choice, image.id) == (f"{image.id} is {image.warning}: by its id only",)
        assert f"published by {image.owner}" in image.warning


def test_nothing_that_costs_by_the_hour_is_chosen() -> None:
    sold = [image for image in listings() if image.kind == "marketplace"]
    (reason,) = why(choose(CPU, "m5.large", sold), sold[0].id)
    assert reason.endswith("is of the marketplace, and costs what is not known an hour besides: by its id only")
    priced = replace(sold[0], usd_per_hour=Decimal("0.05"))
    assert "costs $0.05 an hour" in why(choose(CPU, "m5.large", [priced]), priced.id)[0]
    red_hat = read_image(row_of(PlatformDetails="Red Hat Enterprise Linux"))
    assert "how much is not known" in why(choose(CUDA13, "g5.xlarge", [red_hat]), red_hat.id)[0]


def test_an_image_of_the_account_that_is_not_baked_by_us_is_named_by_its_id() -> None:
    own = read_image(row_of(OwnerId="123456789012", ImageOwnerAlias=None), is_own=True)
    assert why(choose(CUDA13, "g5.xlarge", [own]), own.id)[0].endswith("what is in it is not known: by its id only")


# --- reasons ---


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"DeprecationTime": "2026-11-27T00:00:00.000Z"}, "is deprecated by who published it"),
        ({"State": "pending"}, "is pending"),
        ({"BlockDeviceMappings": []}, "the root disk of"),
        ({"Name": "Deep Learning Base AMI with Single CUDA (Ubuntu 24.04) 20250829"}, "and that of ami-0123456789abcdef0 is not"),
        ({"Name": "Deep Learning Base AMI with Single CUDA (Ubuntu 22.04) 20260102", "Architecture": "arm64"}, "is for arm64"),
        ({"Description": "Supported EC2 instances: P5"}, "supports p5, and g5.xlarge is none of them"),
        ({"Name": f"{PYTORCH} 2.9 (Ubuntu 24.04) 20260317"}, "has pytorch 2.9, and is used when"),
        ({"Name": "another of Amazon's"}, "is of no kind that is known here, and g5.xlarge takes a base with a single CUDA"),
    ],
)  # fmt: skip
def test_why_one_will_not_do(changed: dict[str, object], reason: str) -> None:
    image = read_image(row_of(**changed))
    choice = choose(CUDA13, "g5.xlarge", [image])
    assert choice.chosen is None
    assert any(reason in item for item in why(choice, image.id)), why(choice, image.id)


def test_an_open_driver_is_not_taken_for_a_gpu_before_turing_where_no_families_are_listed() -> None:
    image = read_image(row_of(Description="", Name="Deep Learning Base AMI with Single CUDA (Ubuntu 22.04) 20260102"))
    choice = choose(CUDA12, "p3.2xlarge", [image])
    assert why(choice, image.id) == (
        f"{image.id} has NVIDIA's open driver, which wants compute capability 7.5, and p3.2xlarge's V100 has less",
    )
    assert choose(CUDA12, "g4dn.xlarge", [image]).chosen == image


def test_what_has_to_be_said_of_a_choice() -> None:
    ended, old = choose(CUDA12, "p3.2xlarge", system="Amazon Linux 2").warnings
    assert ended.endswith("(Amazon Linux 2) is patched no more since 2026-06-30")
    assert old.endswith("is taken to be 535 or newer: remembered")
    (floor,) = choose(CUDA13, "g5.xlarge").warnings
    assert "is taken to be 595.71.05 or newer: https://docs.aws.amazon.com/dlami/" in floor
    assert "no Deep Learning AMI that fits has mxnet" in choose(CUDA13, "g5.xlarge", framework="mxnet").warnings[0]
    assert choose(CPU, "m5.large").warnings == ()


def test_one_that_is_kept_up_comes_before_one_that_is_not() -> None:
    ended = read_image(
        row_of(ImageId="ami-0aaaaaaa", Name=f"{SINGLE} (Ubuntu 20.04) 20261120", CreationDate="2026-11-20T00:00:00Z")
    )
    ended = replace(ended, driver_floor="595.71.05")
    kept = read_image(row_of(Name=f"{SINGLE} (Amazon Linux 2023) 20260918"))  # no Ubuntu, and older
    assert ended.has_ended(TODAY)
    assert choose(CUDA13, "g5.xlarge", [ended, kept]).chosen == kept
    assert choose(CUDA13, "g5.xlarge", [ended]).chosen == ended


@pytest.mark.parametrize("text", ["", "pytorch; rm", "2.9", "pytorch 2.9 2"])
def test_what_is_no_framework_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="a framework must look like"):
        choose(CUDA13, "g5.xlarge", framework=text)


def test_a_version_is_not_taken_for_one_that_begins_alike() -> None:
    image = read_image(row_of(Name=f"{PYTORCH} 2.12 (Ubuntu 24.04) 20260822"))
    assert choose(CUDA13, "g5.xlarge", [image], framework="pytorch 2.1").chosen is None
    assert choose(CUDA13, "g5.xlarge", [image], framework="pytorch-2.12").chosen == image


def test_the_roles() -> None:
    roles = {role_of(image) for image in listings(baked())}
    assert roles == {"baked", "framework", "neuron base", "neuron", "proprietary", "single", "base", "plain", ""}


# --- what is asked for first, and what a person names ---


@pytest.mark.parametrize(
    ("needs", "name"),
    [
        (CUDA13, "g5.xlarge"),
        (CUDA12, "p3.2xlarge"),
        (CPU, "m5.large"),
        (ARM, "m7g.large"),
        (CPU, "trn1.2xlarge"),
        (CPU, "inf1.xlarge"),
        (replace(CUDA13, architecture="arm64"), "g5g.xlarge"),
    ],
)
def test_the_few_that_are_asked_for_first_have_the_one_that_is_chosen_of_all(needs: ImageNeeds, name: str) -> None:
    parameters = parameters_for(needs, TYPES[name])
    assert 1 <= len(parameters) <= 10
    named = [named_parameters()[parameter][-1].name for parameter in parameters]
    few = [image for image in listings() if image.name in named]
    assert len(few) == len(named)
    assert choose(needs, name, few).chosen == choose(needs, name).chosen


def by_hand(needs: ImageNeeds, name: str, image: ListedImage) -> tuple[str, ...]:
    return take_image(needs, TYPES[name], image, today=TODAY)


def test_an_image_that_a_person_names_is_taken_whoever_made_it() -> None:
    (single,) = [image for image in listings() if image.name == f"{SINGLE} (Ubuntu 24.04) 20261006"]
    own = replace(single, kind="own", driver=None, driver_floor=None, families=(), description="")
    assert any("which NVIDIA driver" in said for said in by_hand(CUDA13, "g5.xlarge", own))
    stranger = replace(single, kind="community", owner="210987654321")
    assert any("whom nobody vouches for" in said for said in by_hand(CUDA13, "g5.xlarge", stranger))


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"driver": "470.1", "driver_floor": None}, "needs NVIDIA driver 580 or newer"),
        ({"driver": ""}, "needs an NVIDIA driver, and .* has none"),
        ({"architecture": "arm64"}, "is for arm64, and g5.xlarge is x86_64"),
        ({"state": "pending"}, "is pending"),
        ({"families": ("p5",)}, "g5.xlarge is none of them"),
    ],
)
def test_one_that_cannot_run_is_refused(changed: dict[str, Any], why: str) -> None:
    (single,) = [image for image in listings() if image.name == f"{SINGLE} (Ubuntu 24.04) 20261006"]
    with pytest.raises(UsageError, match=why):
        by_hand(CUDA13, "g5.xlarge", replace(single, **changed))


@pytest.mark.parametrize(
    ("needs", "name", "reason"),
    [
        (replace(CUDA12, capability=(6, 0)), "p2.xlarge",
         "the image needs compute capability 6.0, and p2.xlarge's K80 has 3.7"),
        (CPU, "mac1.metal", "the image is for x86_64, and mac1.metal is x86_64_mac"),
        (CUDA13, "m5.large", "the image is locked for cuda13, and m5.large has no GPU"),
    ],
)  # fmt: skip
def test_what_no_image_would_mend_is_said_alone(needs: ImageNeeds, name: str, reason: str) -> None:
    assert reasons_of(choose(needs, name)) == (reason,)


def test_else_what_the_nearest_lack_and_three_at_most() -> None:
    shown = listings()
    assert len(reasons_of(choose(CPU, "m5.large", shown, system="BeOS"))) == 3
    (stranger,) = (
        item for item in shown if item.name == "Deep Learning Base AMI with Single CUDA (Ubuntu 24.04) 20261006"
    )
    strange = [replace(stranger, kind="own")]
    assert "by its id only" in reasons_of(choose(CUDA13, "g5.xlarge", strange))[0]
    assert reasons_of(ImageChoice(chosen=None)) == ()
