"""Where a name stands, and what is said where it does not stand there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from launchbay.api.place import check_place
from launchbay.cloud.fleet import CloudFleet, keep_fleet
from launchbay.errors import NotFound
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from tests.providers.specs import make_instances

KEPT: dict[str, Any] = {
    **dict.fromkeys(("type", "market", "image", "digest", "machine_image", "login", "launch", "asked"), "x"),
    "name": "far",
    "provider": "twin",
    "region": "us-east-1",
    "count": 2,
    "created_at": 0.0,
    "ends_at": 1.0,
}


def hint_of(bay: Bay, name: str, provider: str) -> str:
    with pytest.raises(NotFound, match=f"there is no '{name}' on {provider}") as caught:
        check_place(bay, name, provider)
    return caught.value.hint


def test_another_place_is_named_only_where_something_is_called_so(bay: Bay, with_image: Callable[[str], Image]) -> None:
    check_place(bay, "exp", "local")
    assert hint_of(bay, "exp", "twin") == "`bay ps` shows what there is"
    make_instances(bay, with_image("tiny"), 2)
    for name in ("exp", "exp-2"):
        assert hint_of(bay, name, "twin") == "what on this machine is called so is meant without --provider"
    assert hint_of(bay, "exp-3", "ec2") == "`bay ps` shows what there is"
    keep_fleet(bay.home, CloudFleet(**KEPT))
    check_place(bay, "far-2", "twin")
    assert hint_of(bay, "far", "local") == "what on twin is called so is meant without --provider"
