"""Words, the patterns that they become for EC2, and the images that they mean."""

from __future__ import annotations

import fnmatch
from dataclasses import replace

import pytest

from launchbay.planning.imagereading import read_image
from launchbay.planning.imagesearch import (
    AMAZON_GLOBS,
    LINUX_PARAMETERS,
    MARKET_GLOBS,
    is_image_id,
    name_globs,
    nearest_names,
    newest_of_series,
    sort_images,
    that_match,
)
from launchbay.twin.imagedata import named_parameters
from tests.planning.listings import baked, row_of, twin_images


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["pytorch"], "Deep Learning OSS Nvidia Driver AMI GPU PyTorch 2.9"),
        (["deep", "LEARNING"], "a deep learning image"),
        (["LEARNING"], "Deep Learning AMI"),
        (["tensorflow"], "my-tensorflow-image"),
        (["mxnet"], "MXNet something"),
        (["a*b"], "xa*bx"),
    ],
)
def test_what_ec2_is_asked_for_matches_however_it_is_written(words: list[str], name: str) -> None:
    assert any(fnmatch.fnmatchcase(name, glob) for glob in name_globs(words))


def test_a_sign_of_patterns_in_a_word_does_not_ask_for_everything() -> None:
    assert "***" not in name_globs(["*"])
    assert set(name_globs(["*"])) == {"*?*"}
    assert name_globs([]) == MARKET_GLOBS


def test_every_image_of_amazons_in_the_twin_that_has_a_parameter_has_a_name_that_is_asked_for() -> None:
    """Who may not read the parameters finds the same images by these."""
    names = {versions[-1].name for versions in named_parameters().values()}
    missed = [name for name in names if not any(fnmatch.fnmatchcase(name, glob) for glob in AMAZON_GLOBS)]
    assert missed == []
    assert set(LINUX_PARAMETERS) <= set(named_parameters())


def test_words_are_looked_for_in_all_that_is_shown() -> None:
    image = baked()
    for words in (["PYTORCH"], ["dddddd"], ["ours"], ["ubuntu", "24.04"], ["g4dn"], [image.id], []):
        assert that_match([image], words) == [image]
    assert that_match([image], ["pytorch", "jax"]) == []


def test_the_newest_of_each_series_for_each_architecture_and_publisher() -> None:
    newest = newest_of_series(twin_images())
    names = [image.name for image in newest]
    for expected in (
        "Deep Learning Base AMI with Single CUDA (Ubuntu 24.04) 20261006",
        "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 22.04) 20261009",
        "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 22.04) 20261120",  # of a stranger: no newer one of Amazon's
        "al2023-ami-2023.12.20261012.0-kernel-6.1-arm64",
    ):
        assert names.count(expected) == 1
    assert not [name for name in names if "20260717" in name or "2023.9." in name]


def test_the_order_of_a_list_is_ours_first_and_does_not_go_by_what_came_first() -> None:
    own = replace(baked(), id="ami-0owned", kind="own")
    images = [*twin_images(), own, baked(), baked()]
    shown = sort_images(images)
    assert shown == sort_images(reversed(images))
    assert [image.kind for image in shown[:3]] == ["ours", "own", "quick start"]
    assert len(shown) == len(images) - 1, "one that came twice is shown once"
    assert shown[-1].kind == "marketplace"
    single = [
        image.name for image in shown if image.name.startswith("Deep Learning Base AMI with Single CUDA (Ubuntu 24")
    ]
    assert single == sorted(single, reverse=True)


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (["pytorhc", "2.13"], "PyTorch 2.13"),
        (["tensorflow", "9.9"], "TensorFlow"),
        (["nuron"], "Neuron"),
    ],
)
def test_the_nearest_names(words: list[str], first: str) -> None:
    found = nearest_names(words, newest_of_series(image for image in twin_images() if "Version" not in image.name))
    assert first in found[0]
    assert len(found) <= 3


def test_nothing_is_near_to_nothing() -> None:
    assert nearest_names(["qqqq"], twin_images()) == ()
    assert nearest_names(["x"], []) == ()


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("ami-01234567", True), ("ami-0123456789abcdef0", True), ("ami-01234567890", False), ("ami-01234567\n", False)],
)
def test_ids(text: str, is_one: bool) -> None:  # noqa: FBT001
    assert is_image_id(text) is is_one


def test_an_image_without_a_date_is_the_oldest() -> None:
    known = read_image(row_of(ImageId="ami-0aaaaaaa"))
    unknown = read_image(row_of(ImageId="ami-0bbbbbbb", CreationDate=None))
    assert newest_of_series([unknown, known]) == newest_of_series([known, unknown]) == [known]
