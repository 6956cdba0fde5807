"""A fleet of two on the twin moves to another image: all of it, or none, and also when it is killed."""

from __future__ import annotations

import contextlib
import random
import shutil
from collections.abc import Callable
from typing import Any

import pytest

import launchbay
from launchbay.cloud.fleet import find_fleet
from launchbay.cloud.standing import find_one_far, open_machine
from launchbay.cloud.update import FarUpdate
from launchbay.errors import Conflict, LaunchbayError, NotFound, UsageError
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.store.journal import Journal, open_journal
from tests.cloud.fleets import exec_there, recipe_of, row_of

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="hosts need bubblewrap")

NAMES = ("exp-1", "exp-2")


@pytest.fixture(scope="module")
def bay(standing: Bay) -> Bay:
    return standing


@pytest.fixture(scope="module")
def digests(image_store: Callable[[str], Image]) -> dict[str, str]:
    return {name: image_store(name).digest for name in ("tiny", "older")}


def update(bay: Bay, name: str) -> FarUpdate:
    updated = launchbay.update(bay, "exp", recipe_of(bay, name))
    assert isinstance(updated, FarUpdate)
    return updated


def stands_on(bay: Bay) -> set[str]:
    """Return what the instances themselves say that they stand on."""
    return {item["digest"] for item in launchbay.verify(bay, "exp").fingerprints}


def said_of(bay: Bay) -> set[str]:
    """Return what the tags and the record say."""
    fleet = find_fleet(bay.home, "exp")
    assert fleet is not None
    return {fleet.digest, *(row_of(bay, name).tags["launchbay:digest"] for name in NAMES)}


def unfinished(bay: Bay) -> int:
    with open_journal(bay.home.journal, bay.clock, lambda _: None) as journal:
        return len(journal.unfinished("update on EC2"))


def test_all_move_and_their_files_stay(bay: Bay, digests: dict[str, str]) -> None:
    exec_there(bay, "exp-2", "sh", "-c", "echo mine > notes.txt; echo own > ~/own.txt")
    updated = update(bay, "older")
    assert list(updated.updated) == list(NAMES)
    assert updated.identical
    assert stands_on(bay) == said_of(bay) == {digests["older"]}
    exec_there(bay, "exp-2", "sh", "-c", "grep -q mine notes.txt && grep -q own ~/own.txt")
    shown = launchbay.to_json(updated)
    assert shown["image"]["digest"] == digests["older"]
    assert [item["name"] for item in shown["instances"]] == list(NAMES)
    assert {"fleet", "updated", "identical", "replayed", "kept", "clock", "built_now"} <= shown.keys()
    assert unfinished(bay) == 0
    assert list(update(bay, "older").updated) == []  # the same again


def test_where_one_cannot_move_none_does(bay: Bay, digests: dict[str, str]) -> None:
    before = stands_on(bay)
    far = find_one_far(bay, "exp-2")
    assert far is not None
    with open_machine(bay, far) as machine:
        assert machine.installed is not None
        busy = f"{machine.installed.command} exec exp-2 -- sleep 600 >/dev/null 2>&1 </dev/null & echo $!"
        machine.transport.run(["sh", "-c", busy])
        wait = "for i in $(seq 100); do pgrep -f '[s]leep 600' && exit 0; sleep 0.1; done; exit 1"
        assert machine.transport.run(["sh", "-c", wait]).code == 0
        with pytest.raises(Conflict, match=r"something runs in exp-2\s") as caught:
            update(bay, "tiny")
        assert "bay notebook exp-2 --stop" in caught.value.hint
        machine.transport.run(["pkill", "-f", "sleep 600"])
    assert stands_on(bay) == said_of(bay) == before == {digests["older"]}
    assert unfinished(bay) == 0


@pytest.mark.parametrize(("name", "image", "kind"), [("exp-1", "tiny", UsageError), ("exp", "no-such-image", NotFound)])
def test_what_cannot_be_moved_is_refused(bay: Bay, name: str, image: str, kind: type[LaunchbayError]) -> None:
    with pytest.raises(kind):
        launchbay.update(bay, name, recipe_of(bay, image))
    assert unfinished(bay) == 0


class Killed(BaseException):
    """What stands for SIGKILL here: nothing of ours catches it, and nothing is undone."""


@pytest.mark.parametrize("turns", [2, pytest.param(16, marks=pytest.mark.prove)])
def test_killed_anywhere_and_given_again_it_ends_in_the_same_place(
    bay: Bay, digests: dict[str, str], monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    chance, images = random.Random(7), ["tiny", "older"]
    for turn in range(turns):
        wanted, crossings, point = images[turn % 2], 0, chance.randint(1, 8)
        real = Journal.write

        def write(*args: Any, real: Callable[..., None] = real, point: int = point, **named: Any) -> None:
            nonlocal crossings
            crossings += 1
            if crossings == point:
                raise Killed
            real(*args, **named)

        with monkeypatch.context() as patched, contextlib.suppress(Killed):
            patched.setattr("launchbay.cloud.update._Updating._back", lambda *_: None)  # the dead undo nothing
            patched.setattr(Journal, "write", write)
            update(bay, wanted)
        update(bay, wanted)
        assert stands_on(bay) == said_of(bay) == {digests[wanted]}, (turn, point)
        assert unfinished(bay) == 0
