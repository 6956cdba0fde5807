"""What ends and what stays: launches that are given up, names that mean something elsewhere, records that cannot be read."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import launchbay
from launchbay.cloud.fleet import CloudFleet, keep_fleet
from launchbay.cloud.launch import launch_cloud
from launchbay.cloud.listing import list_cloud
from launchbay.cloud.plan import plan_cloud
from launchbay.cloud.standing import find_one_far
from launchbay.errors import NotFound, StateError, UsageError, UserError
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.twin import ask_twin
from launchbay.planning.cloudwish import Volume
from launchbay.store.journal import open_journal
from tests.cloud.fleets import asked, end, left, notes_of

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="hosts need bubblewrap")

KEPT: dict[str, Any] = {
    **dict.fromkeys(("type", "market", "image", "digest", "machine_image", "login", "launch", "asked"), "x"),
    "name": "exp",
    "provider": "twin",
    "region": "us-east-1",
    "count": 2,
    "created_at": 0.0,
    "ends_at": 1.0,
}


@pytest.fixture
def bay(empty: Bay) -> Bay:
    return empty


def test_a_launch_that_fails_leaves_no_disk_either(bay: Bay, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise UserError("the image cannot be built")

    monkeypatch.setattr("launchbay.cloud.launch.prepare", broken)
    plan = plan_cloud(bay, asked(bay, count=1, volumes=(Volume(gib=5, mount="/data", is_kept=True),)))
    with pytest.raises(UserError, match="cannot be built"):
        launch_cloud(bay, plan)
    assert ask_twin(bay.home, "left")["left"] == 0
    assert ask_twin(bay.home, "bill")["running"] == 0


def test_a_disk_that_was_to_be_kept_is_named_each_time_with_its_price(bay: Bay) -> None:
    launch_cloud(bay, plan_cloud(bay, asked(bay, count=1, volumes=(Volume(gib=5, mount="/data", is_kept=True),))))
    for _ in range(2):
        ended = end(bay)
        assert ended is not None
        (still,) = ended.still_costs
        assert (still["gib"], still["usd_per_month"], ended.usd_per_day) == (5, "0.40", "0.01")
    assert left(bay) == 1


@pytest.mark.parametrize(
    "elsewhere", [{"provider": "ec2"}, {"provider": "local"}, {"provider": "twin", "region": "eu-west-1"}]
)
def test_nothing_ends_that_is_elsewhere_than_somebody_says(bay: Bay, elsewhere: dict[str, str]) -> None:
    keep_fleet(bay.home, CloudFleet(**KEPT))
    with pytest.raises(NotFound, match="'exp' is on twin in us-east-1, and not where you say"):
        launchbay.terminate_plan(bay, "exp", **elsewhere)
    assert not launchbay.terminate_plan(bay, "exp", provider="twin", region="us-east-1").needs_consent


@pytest.mark.parametrize(("count", "hint"), [(2, "exp-1 or exp-2"), (3, "exp-1 to exp-3")])
def test_where_one_is_needed_those_of_the_fleet_are_named(bay: Bay, count: int, hint: str) -> None:
    keep_fleet(bay.home, CloudFleet(**{**KEPT, "count": count}))
    with pytest.raises(UsageError, match=f"exp is a fleet of {count} instances") as caught:
        find_one_far(bay, "exp")
    assert caught.value.hint == f"one of them: {hint}"


def test_a_launch_that_was_cut_off_is_told_by_ps(bay: Bay) -> None:
    keep_fleet(bay.home, CloudFleet(**{**KEPT, "name": "other"}))
    with open_journal(bay.home.journal, bay.clock, lambda _: None) as journal:
        journal.begin("launch on EC2", "exp", {"provider": "twin", "region": "us-east-1"})
    list_cloud(bay)
    assert any("a launch of exp on twin in us-east-1 was cut off" in note for note in notes_of(bay))


def test_what_cannot_be_read_is_told_and_can_be_ended(bay: Bay) -> None:
    launch_cloud(bay, plan_cloud(bay, asked(bay, count=1)))
    (bay.home.cloud / "exp" / "fleet.json").write_text("{")
    list_cloud(bay)
    assert any(note.startswith("exp may stand, and cost") for note in notes_of(bay))
    with pytest.raises(StateError):
        launchbay.terminate_plan(bay, "exp")
    plan = launchbay.terminate_plan(bay, "exp", provider="twin", region="us-east-1")
    assert launchbay.terminate(bay, "exp", plan).names == ["exp-1"]
    assert left(bay) == 0
    assert not (bay.home.cloud / "exp").exists()


def test_what_nobody_could_come_in_to_is_not_launched(bay: Bay, tmp_path: Path) -> None:
    key = tmp_path / "mine"
    with pytest.raises(UsageError, match=f"there is no file {key}"):
        plan_cloud(bay, asked(bay, key_name="mine", identity_file=str(key)))
    key.write_text("private")
    with pytest.raises(UsageError, match=rf"there is no file {key}\.pub"):
        plan_cloud(bay, asked(bay, key_name="mine", identity_file=str(key)))


def test_an_image_for_another_processor_is_not_launched(bay: Bay) -> None:
    with pytest.raises(UserError, match=r"is locked for linux-x86_64 here, and g5g\.xlarge is linux-aarch64"):
        plan_cloud(bay, asked(bay, type="g5g.xlarge"))
