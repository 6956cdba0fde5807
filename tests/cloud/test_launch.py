"""A fleet on EC2, on the twin's real hosts: planned, launched up to ready, proven identical, ended; killed and given again."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from launchbay.cloud.fleet import find_fleet, known_by, list_fleets
from launchbay.cloud.launch import CloudLaunch, end_cloud, launch_cloud
from launchbay.cloud.plan import CloudAsked, CloudPlan, plan_cloud
from launchbay.errors import Conflict, LaunchbayError, UsageError, UserError
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay, open_bay
from launchbay.lifecycle.cloud import open_cloud
from launchbay.lifecycle.twin import ask_twin, start_twin, stop_twin
from launchbay.planning.cloudwish import Volume
from launchbay.ports import SystemClock
from launchbay.providers.ec2.client import Client
from launchbay.providers.ec2.instances import list_ours
from launchbay.store.journal import Journal, open_journal
from launchbay.testing import RecordingReporter
from tests.conftest import STORE

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="hosts need bubblewrap")


class QuickClock(SystemClock):
    """The system's, but nobody waits long for a twin whose time goes on when it is asked."""

    def sleep(self, seconds: float) -> None:
        time.sleep(min(seconds, 0.2))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, image_store: Callable[[str], Image]) -> Iterator[Bay]:
    """Return a bay with the tiny image in it, and a twin on a virtual clock whose hosts see that image."""
    root = tmp_path_factory.mktemp("cloud")
    root.chmod(0o755)
    environ = {**os.environ, "LAUNCHBAY_HOME": str(root / "home")}
    bay = replace(open_bay(reporter=RecordingReporter(), environ=environ), clock=QuickClock())
    image = image_store("tiny")
    bay.home.images.mkdir(parents=True)
    (bay.home.images / image.digest).symlink_to(image.folder)
    for path in STORE.glob("tiny*"):
        (root / path.name).write_bytes(path.read_bytes())
    start_twin(bay, clock="virtual", seed=1)
    yield bay
    stop_twin(bay, forget=True)


@pytest.fixture
def bay(place: Bay) -> Bay:
    ask_twin(place.home, "reset")
    shutil.rmtree(place.home.cloud, ignore_errors=True)
    place.home.journal.unlink(missing_ok=True)
    return place


def asked(bay: Bay, **changed: Any) -> CloudAsked:
    plain: dict[str, Any] = {
        "image": str(bay.home.root.parent / "tiny.yaml"),
        "fleet": "exp",
        "provider": "twin",
        "region": "us-east-1",
        "type": "c5.large",
        "count": 3,
    }
    return CloudAsked(**{**plain, **changed})


def left(bay: Bay) -> int:
    count: int = ask_twin(bay.home, "left")["left"]
    return count


def standing(bay: Bay) -> list[str]:
    found: list[str] = ask_twin(bay.home, "left")["instances"]
    return found


def end(bay: Bay) -> None:
    client = open_cloud(bay, "twin", "us-east-1")
    with open_journal(bay.home.journal, bay.clock, lambda _: None) as journal:
        operation = journal.begin("end on EC2", "exp", {})
        end_cloud(bay, client, "exp", journal=journal, operation=operation)
        journal.end(operation, "done")
        for open_one in journal.unfinished("launch on EC2", "exp"):
            journal.end(open_one, "terminated")


def test_three_identical_instances_from_nothing_to_nothing(bay: Bay) -> None:
    plan = plan_cloud(bay, asked(bay, type="p3.2xlarge", disk_gib=130, volumes=(Volume(gib=35, mount="/data"),)))
    assert plan.networks == ("203.0.113.1/32",)
    assert plan.rungs[0].type == "p3.2xlarge"
    assert plan.short_vcpus == 0
    # 3 x 8 h x 3.06, 165 GiB at 0.08 for 8 of the 672 hours of a short month each, and addresses
    assert str(plan.worst.usd)[:5] == "74.03"
    launched = launch_cloud(bay, plan)
    assert launched.proof.identical
    assert list(launched.prepared) == ["exp-1", "exp-2", "exp-3"]
    assert {item.digest for item in launched.prepared.values()} == {plan.cargo.digest}
    assert {"plan", "running", "reached", "ready"} <= launched.clock.keys()
    fleet = find_fleet(bay.home, "exp")
    assert fleet == launched.fleet
    assert fleet.usd_per_hour == "3.06"
    keys = [known_by(bay.home, "exp", row.id) for row in launched.climb.rows]
    assert len(set(keys)) == 3  # each has made a host key of its own
    assert "BEGIN OPENSSH PRIVATE KEY" not in (bay.home.cloud / "exp" / "known_hosts").read_text()
    with pytest.raises(Conflict, match="the name 'exp' is taken by a fleet on EC2"):
        launch_cloud(bay, plan)
    assert len(standing(bay)) == 3
    end(bay)
    assert left(bay) == 0
    assert list_fleets(bay.home) == []
    assert ask_twin(bay.home, "bill")["running"] == 0


@pytest.mark.parametrize(
    ("changed", "kind", "says"),
    [
        ({"type": "zz9.huge"}, LaunchbayError, "zz9.huge"),
        ({"count": 0}, UsageError, "count must be 1 to 1000"),
        ({"fleet": "no_such!"}, UsageError, "no_such!"),
        ({"disk_gib": 1}, UsageError, "smaller than the image's snapshot"),
        ({"networks": ("0.0.0.0/0",)}, UsageError, "0.0.0.0/0"),
        ({"networks": ("10.0.0.1/8",)}, UsageError, "10.0.0.0/8"),
        ({"region": "eu-nowhere-9"}, LaunchbayError, "eu-nowhere-9"),
        ({"image": "no-such-recipe"}, LaunchbayError, "no-such-recipe"),
        ({"ttl_s": 5}, UsageError, "60 seconds to 365 days"),
        ({"volumes": (Volume(gib=5, mount="/usr"),)}, UsageError, "would hide"),
    ],
)
def test_what_cannot_be_is_one_error_and_costs_nothing(
    bay: Bay, changed: dict[str, Any], kind: type[LaunchbayError], says: str
) -> None:
    with pytest.raises(kind) as caught:
        plan_cloud(bay, asked(bay, **changed))
    assert says in str(caught.value)
    assert left(bay) == 0


def test_a_quota_that_is_too_small_is_seen_before(bay: Bay) -> None:
    ask_twin(bay.home, "quota", region="us-east-1", code="L-1216C47A", vcpus=2)
    plan = plan_cloud(bay, asked(bay))
    assert (plan.quota, plan.short_vcpus) == ("L-1216C47A", 4)
    with pytest.raises(UserError):
        launch_cloud(bay, plan)
    assert left(bay) == 0


def test_no_room_anywhere_leaves_nothing(bay: Bay) -> None:
    ask_twin(bay.home, "capacity", type="c5.large", count=0)
    with pytest.raises(UserError, match=r"has no room for c5\.large"):
        launch_cloud(bay, plan_cloud(bay, asked(bay)))
    assert left(bay) == 0


class Killed(BaseException):
    """What stands for SIGKILL here: nothing of ours catches it, and nothing is undone."""


def killed_at(bay: Bay, plan: CloudPlan, monkeypatch: pytest.MonkeyPatch, point: int) -> CloudLaunch | None:
    """Launch until the so-manyth call to EC2 or entry of the journal, before or after it; return what came of it."""
    crossings = 0

    def seamed(real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **named: Any) -> Any:
            nonlocal crossings
            crossings += 1
            if crossings == point:
                raise Killed
            result = real(*args, **named)
            crossings += 1
            if crossings == point:
                raise Killed
            return result

        return wrapped

    with monkeypatch.context() as patched, contextlib.suppress(Killed):
        patched.setattr("launchbay.cloud.launch._Launching._undo", lambda *_: None)  # the dead undo nothing
        for owner, name in ((Client, "act"), (Client, "ask"), (Journal, "write")):
            patched.setattr(owner, name, seamed(getattr(owner, name)))
        return launch_cloud(bay, plan)
    return None


def test_killed_at_random_points_and_given_again_it_stands_once(bay: Bay, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(5)
    for turn in range(4):
        plan = plan_cloud(bay, asked(bay, count=2))
        if killed_at(bay, plan, monkeypatch, chance.randint(2, 40)) is None:
            launched = launch_cloud(bay, plan)
            assert launched.proof.identical, turn
        assert len(standing(bay)) == 2, turn
        end(bay)
        assert left(bay) == 0, turn


def test_killed_and_ended_nothing_is_left(bay: Bay, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(6)
    for turn in range(8):
        killed_at(bay, plan_cloud(bay, asked(bay, count=2)), monkeypatch, chance.randint(2, 26))
        assert len(standing(bay)) in (0, 2), turn
        end(bay)
        assert (left(bay), len(list_ours(open_cloud(bay, "twin", "us-east-1")))) == (0, 0), turn


def test_the_key_that_opens_it_is_for_its_owner_alone(bay: Bay) -> None:
    launch_cloud(bay, plan_cloud(bay, asked(bay, count=1)))
    folder = bay.home.cloud / "exp"
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / "key").stat().st_mode & 0o077 == 0
    private = (folder / "key").read_text().splitlines()[2]
    sent = b"".join(path.read_bytes() for path in Path(bay.home.root).glob("state.db*"))
    assert private.encode() not in sent
    assert private.encode() not in (bay.home.twin / "state.pickle").read_bytes()
    end(bay)
