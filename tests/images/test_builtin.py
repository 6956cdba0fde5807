"""Every built-in recipe, built once from nothing but its shipped lock and the package cache."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

from launchbay.api.fleet import execute, terminate
from launchbay.images.image import Image
from launchbay.images.lock import Lock, parse_lock
from launchbay.images.recipe import builtin_names, find_recipe
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.build import ensure_image
from launchbay.lifecycle.images import remove_image
from launchbay.lifecycle.launch import launch_fleet
from launchbay.lifecycle.verify import verify_image
from tools.generate_reference import lock_hash

FRAMEWORKS = {
    "jax": {"jax", "keras"},
    "keras": {"jax", "keras", "tensorflow", "torch"},
    "mxnet": {"mxnet"},
    "pytorch": {"torch"},
    "tensorflow": {"keras", "tensorflow"},
    "tensorflow-2.15": {"keras", "tensorflow"},
}
SINGLE = [name for name in builtin_names() if not find_recipe(name).images]
MEASURED = Path(__file__).parents[2] / "tools" / "measured_images.json"


def shipped(name: str) -> Lock:
    path = resources.files("launchbay.images") / "locks" / f"{name}.py311-linux-x86_64-cpu.txt"
    return parse_lock(path.read_text(encoding="utf-8"), where=name)


@pytest.fixture
def built(request: pytest.FixtureRequest, bay: Bay) -> Iterator[Image]:
    """Return an image built in a home of its own, and remove it: it is gigabytes."""
    image, is_new = ensure_image(bay, request.param, "cpu")
    assert is_new
    yield image
    remove_image(bay, request.param)
    assert not image.folder.exists()


@pytest.mark.all
@pytest.mark.parametrize("built", [pytest.param(name, marks=pytest.mark.image(name)) for name in SINGLE], indirect=True)
def test_a_built_in_recipe_is_built_from_nothing(built: Image, bay: Bay) -> None:
    lock = shipped(built.name)
    assert built.digest == lock.digest
    assert list(bay.home.root.glob("locks-of-recipes/*")) == [], "it was resolved, and not taken as it came"
    assert built.packages == {pin.name: pin.version for pin in lock.pins}
    assert built.frameworks == {name: built.packages[name] for name in FRAMEWORKS[built.name]}
    assert built.first_import_s is not None, "its frameworks were imported"
    assert verify_image(built).problems == []
    launched = launch_fleet(bay, built.name, accelerator="cpu")
    assert launched.identical
    try:
        for command, package in (
            (["tensorboard", "--version"], "tensorboard"),
            (["jupyter", "lab", "--version"], "jupyterlab"),
        ):
            code, output = execute(bay, launched.fleet, command, capture=True)
            assert code == 0, output.decode()
            assert built.packages[package] in output.decode().split()  # TensorBoard also says what it does without
    finally:
        terminate(bay, launched.fleet)


def test_every_built_in_recipe_is_in_the_list_above() -> None:
    assert FRAMEWORKS.keys() == set(SINGLE)


def test_what_was_measured_was_measured_of_these_images() -> None:
    """After new locks: build them, then `.venv/bin/python -m tools.measure_images`, then `make docs`."""
    measured = json.loads(MEASURED.read_text(encoding="utf-8"))
    assert {name: row["lock"] for name, row in measured.items()} == {name: lock_hash(shipped(name)) for name in SINGLE}
