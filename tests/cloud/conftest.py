"""One twin with real hosts for all tests of launches, and one fleet on it for those that only work with a fleet."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest

from launchbay.cloud.launch import launch_cloud
from launchbay.cloud.plan import plan_cloud
from launchbay.cloud.standing import observe_fleets
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.twin import ask_twin
from tests.cloud.fleets import asked, lend_place


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory, image_store: Callable[[str], Image]) -> Iterator[Bay]:
    """Return a bay with two small images in it, and a twin whose hosts see them; what is in it is left by other tests."""
    with lend_place(tmp_path_factory.mktemp("cloud"), image_store("tiny"), image_store("older")) as bay:
        yield bay


def begin_anew(place: Bay) -> Bay:
    """Let nothing be launched, and nothing be known of a launch."""
    ask_twin(place.home, "reset")
    shutil.rmtree(place.home.cloud, ignore_errors=True)
    place.home.journal.unlink(missing_ok=True)
    return place


@pytest.fixture
def empty(place: Bay) -> Bay:
    """Return that bay, with nothing launched."""
    return begin_anew(place)


@pytest.fixture(scope="module")
def standing(place: Bay) -> Bay:
    """Return that bay with a fleet ``exp`` of two that stands: launched anew where one of it is gone."""
    rows = observe_fleets(place)
    if [name for name, row in rows.items() if row.state == "running"] != ["exp-1", "exp-2"]:
        begin_anew(place)
        launch_cloud(place, plan_cloud(place, asked(place, type="p3.2xlarge", count=2)))
    return place
