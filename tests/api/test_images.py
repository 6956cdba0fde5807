"""Finding an image by what a person types."""

from __future__ import annotations

from pathlib import Path

import pytest

import launchbay
from launchbay.api.images import show_image
from launchbay.errors import NotFound, UsageError
from launchbay.lifecycle.bay import Bay


def test_a_recipe_that_cannot_be_read_is_named_with_its_line(bay: Bay, tmp_path: Path) -> None:
    recipe = tmp_path / "bad.yaml"
    recipe.write_text("description: x\npackages: [\n", encoding="utf-8")
    with pytest.raises(UsageError, match="not valid YAML") as caught:
        show_image(bay, str(recipe))
    assert caught.value.where.startswith(f"{recipe}:3:")


def test_the_nearest_name_is_offered(bay: Bay, tiny: str) -> None:
    assert show_image(bay, "tiny")["name"] == show_image(bay, tiny)["name"] == "tiny"
    with pytest.raises(NotFound, match="named 'tinny'; did you mean tiny"):
        show_image(bay, "tinny")


def test_a_recipe_that_is_not_built_shows_what_its_locks_would_install(bay: Bay) -> None:
    rows = {row.name: row for row in launchbay.list_images(bay)}
    assert [*rows["jax"].frameworks] == ["jax", "keras"]
    assert rows["tensorflow-2.15"].frameworks["keras"].startswith("2.15.")
    several = rows["multi"].frameworks
    assert {"tensorflow", "torch", "jax", "mxnet"} < {*several}
    assert several["keras"] == rows["tensorflow"].frameworks["keras"], "the default environment's"
    assert all(row.built is None for row in rows.values())
