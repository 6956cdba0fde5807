"""Finding an image by what a person types."""

from __future__ import annotations

from pathlib import Path

import pytest

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
