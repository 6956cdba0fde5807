"""What an image needs of an instance type: read from recipes and builds, without a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from launchbay.errors import NotFound
from launchbay.images.image import Image
from launchbay.images.lock import current_target
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.needs import _needs_of_build, find_needs


@pytest.mark.parametrize(
    ("image", "capability"),
    [("tensorflow", "6.0"), ("pytorch", "7.5"), ("jax", "5.2"), ("keras", "7.5"), ("mxnet", ""), ("multi", "7.5")],
)
def test_a_built_in_recipe(bay: Bay, image: str, capability: str) -> None:
    needs = find_needs(bay, image)
    assert (needs.image, needs.capability, needs.runs_on_cpu) == (image, capability, True)
    assert needs.architectures == ("x86_64",)


def test_a_recipe_of_ones_own_is_for_what_it_is_locked_for(bay: Bay, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("packages: [six]\naccelerators: [cuda12]\n", encoding="utf-8")
    machine = current_target("3.11").platform.partition("-")[2]
    here = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}[machine]
    needs = find_needs(bay, str(path))
    assert (needs.architectures, needs.capability, needs.runs_on_cpu) == ((here,), "5.0", False)
    for name in ("mine.py311-linux-aarch64-cuda12.lock", "mine.py311-linux-x86_64-cpu.lock", "mine.py311-x.lock"):
        (tmp_path / name).touch()
    assert find_needs(bay, str(path)).architectures == ("arm64", "x86_64")


@pytest.mark.image("tiny")
def test_an_image_by_its_digest(bay: Bay, with_image: Callable[[str], Image]) -> None:
    image = with_image("tiny")
    needs = find_needs(bay, image.digest[:12])
    assert (needs.image, needs.capability, needs.runs_on_cpu) == ("tiny", "", True)


@pytest.mark.image("tiny")
def test_a_build_for_cuda_runs_on_no_cpu(with_image: Callable[[str], Image]) -> None:
    built = replace(with_image("tiny"), accelerator="cuda13", platform="linux-aarch64")
    needs = _needs_of_build(built)
    assert (needs.architectures, needs.capability, needs.runs_on_cpu) == (("arm64",), "7.5", False)


def test_what_nothing_answers_to(bay: Bay) -> None:
    with pytest.raises(NotFound, match="did you mean tensorflow"):
        find_needs(bay, "tensorflw")
