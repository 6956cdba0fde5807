"""A fleet on EC2, on the twin's real hosts: planned, launched up to ready, proven identical, ended; killed and given again."""

from __future__ import annotations

import contextlib
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import launchbay
from launchbay.cloud.end import end_cloud, forget_twin, plan_end_cloud
from launchbay.cloud.fleet import CloudFleet, find_fleet, keep_fleet, known_by, list_fleets
from launchbay.cloud.launch import CloudLaunch, launch_cloud
from launchbay.cloud.listing import list_cloud
from launchbay.cloud.plan import CloudPlan, plan_cloud
from launchbay.cloud.power import change_cloud_power
from launchbay.cloud.standing import find_far, open_machine
from launchbay.errors import Conflict, LaunchbayError, UsageError, UserError
from launchbay.files import remove_tree
from launchbay.home import Home
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.twin import ask_twin, start_twin
from launchbay.planning.cloudwish import Volume
from launchbay.planning.controls import failed
from launchbay.providers.ec2.client import Client
from launchbay.providers.ec2.groups import default_vpc, ensure_group, ensure_key, find_groups
from launchbay.providers.ec2.instances import list_ours
from launchbay.store.journal import Journal
from tests.cloud.fleets import asked, client_of, end, left, let_in_from, notes_of
from tests.providers.ec2.test_instances import KEY

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="hosts need bubblewrap")


KEPT: dict[str, Any] = {
    **dict.fromkeys(("type", "market", "image", "digest", "machine_image", "login", "launch", "asked"), "x"),
    "name": "exp",
    "region": "us-east-1",
    "count": 2,
    "created_at": 0.0,
    "ends_at": 1.0,
}


@pytest.fixture
def bay(empty: Bay) -> Bay:
    return empty


def standing(bay: Bay) -> list[str]:
    found: list[str] = ask_twin(bay.home, "left")["instances"]
    return found


def test_three_identical_instances_from_nothing_to_nothing(bay: Bay) -> None:
    plan = plan_cloud(
        bay, asked(bay, type="p3.2xlarge", count=3, disk_gib=130, volumes=(Volume(gib=35, mount="/data"),))
    )
    assert plan.way.networks == ("203.0.113.1/32",)
    assert plan.rungs[0].type == "p3.2xlarge"
    assert plan.short_vcpus == 0
    # 3 x 8 h 5 min x 3.06, 165 GiB at 0.08 for 8 of the 672 hours of a short month each, and addresses
    assert str(plan.worst.usd)[:5] == "74.80"
    launched = launch_cloud(bay, plan)
    assert launched.proof.identical
    assert list(launched.prepared) == ["exp-1", "exp-2", "exp-3"]
    assert {item.digest for item in launched.prepared.values()} == {plan.cargo.digest}
    assert {"plan", "running", "reached", "ready"} <= launched.clock.keys()
    fleet = find_fleet(bay.home, "exp")
    assert fleet == launched.fleet
    # 3.06 and an address; 165 GiB at 0.08 for each of 720 hours
    assert (fleet.usd_per_hour, fleet.disk_usd_per_hour) == ("3.065", "0.0183333333")
    keys = [known_by(bay.home, "exp", row.id) for row in launched.rows.values()]
    assert len(set(keys)) == 3  # each has made a host key of its own
    assert "BEGIN OPENSSH PRIVATE KEY" not in (bay.home.cloud / "exp" / "known_hosts").read_text()
    again = launch_cloud(bay, plan_cloud(bay, plan.asked))
    assert (again.created, again.identical, [*again.rows]) == ((), True, ["exp-1", "exp-2", "exp-3"])
    with pytest.raises(Conflict, match="'exp' stands as something else: 3 × p3"):
        launch_cloud(bay, plan_cloud(bay, replace(plan.asked, disk_gib=140)))
    with pytest.raises(Conflict, match="taken by a fleet on twin in us-east-1"):
        launch_cloud(bay, plan_cloud(bay, replace(plan.asked, region="us-west-2")))
    assert len(standing(bay)) == 3
    assert (let_in_from(bay, "127.0.0.1"), let_in_from(bay, "127.0.0.9")) == (3, 0)
    assert failed(plan.findings) == ()
    ended = end(bay)
    assert ended is not None
    assert ended.names == ["exp-1", "exp-2", "exp-3"]
    assert left(bay) == 0
    assert list_fleets(bay.home) == []
    bill = ask_twin(bay.home, "bill")
    assert bill["running"] == 0
    # EC2 bills from `running` on, and we from the launch: four seconds of 3.065 dollars an hour, three times
    assert 0 <= Decimal(ended.cost_so_far or 0) - Decimal(bill["usd"]) <= Decimal("0.02")
    assert end(bay) == replace(ended, names=[], changed=False, cost_so_far=None)


def test_one_of_a_fleet_goes_and_the_rest_stays(bay: Bay) -> None:
    launched = launch_cloud(bay, plan_cloud(bay, asked(bay, count=2)))
    first = launched.rows["exp-1"].id
    ended = end(bay, "exp-1")
    assert ended is not None
    assert ended.names == ["exp-1"]
    assert find_fleet(bay.home, "exp") is not None
    assert standing(bay) == [launched.rows["exp-2"].id]
    assert [item.name for item in list_cloud(bay)] == ["exp-2"]
    with pytest.raises(Conflict, match="1 of 2 are not running: exp-1 is gone"):
        launch_cloud(bay, plan_cloud(bay, asked(bay, count=2)))
    last = end(bay, "exp-2")
    assert last is not None
    assert last.names == ["exp-2"]
    assert find_fleet(bay.home, "exp") is None
    assert left(bay) == 0
    assert first not in standing(bay)


def test_a_fleet_that_another_machine_launched_is_ended_where_it_is_said_to_be(bay: Bay) -> None:
    launch_cloud(bay, plan_cloud(bay, asked(bay, count=1)))
    shutil.rmtree(bay.home.cloud)
    bay.home.journal.unlink()
    assert plan_end_cloud(bay, "exp") is None
    assert plan_end_cloud(bay, "other", provider="twin", region="us-east-1") is None
    plan = plan_end_cloud(bay, "exp", provider="twin", region="us-east-1")
    assert plan is not None
    assert end_cloud(bay, plan).names == ["exp-1"]
    assert left(bay) == 0


def test_two_machines_that_launch_one_name_leave_each_other_alone(bay: Bay, tmp_path: Path) -> None:
    launch_cloud(bay, plan_cloud(bay, asked(bay, count=1)))
    made = find_groups(client_of(bay), "exp")
    twin = start_twin(bay)
    (tmp_path / "home" / "twin").mkdir(parents=True)
    other = replace(bay, home=Home(tmp_path / "home"))
    (other.home.images).symlink_to(bay.home.images)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("launchbay.lifecycle.cloud.start_twin", lambda _: twin)
        patch.setattr("launchbay.cloud.launch.list_ours", lambda *_, **__: ())  # EC2 does not show it yet
        plan = plan_cloud(other, asked(bay, count=1))
        with pytest.raises(Conflict, match="a key pair launchbay-exp with a public key that is not this fleet's"):
            launch_cloud(other, plan)
        # with a key of one's own there is none of the fleet that says whose the name is
        with pytest.raises(Conflict, match=r"the security group sg-.* of exp is of another launch"):
            launch_cloud(other, replace(plan, wish=replace(plan.wish, key_name="launchbay-exp")))
        ended = end(other)
    assert (ended is not None, find_groups(client_of(bay), "exp")) == (True, made)
    assert launch_cloud(bay, plan_cloud(bay, asked(bay, count=1))).identical
    end(bay)
    assert left(bay) == 0


def test_what_is_left_of_a_launch_from_elsewhere_is_ended_where_it_is_said_to_be(bay: Bay) -> None:
    client = client_of(bay)
    group = ensure_group(client, "exp", default_vpc(client), ["203.0.113.1/32"], launch="op-1")
    ensure_key(client, "exp", KEY, launch="op-1")
    assert plan_end_cloud(bay, "exp") is None
    plan = plan_end_cloud(bay, "exp", provider="twin", region="us-east-1")
    assert plan is not None
    assert (plan.made, plan.needs_consent) == ((f"security group {group}", "key pair launchbay-exp"), True)
    ended = end_cloud(bay, plan)
    assert (ended.names, ended.made, ended.changed) == ([], plan.made, True)
    assert left(bay) == 0


@pytest.mark.parametrize(("wanted", "there"), [("exp-1", "exp"), ("exp", "exp-1")])
def test_a_fleet_is_not_called_like_an_instance_of_another(bay: Bay, wanted: str, there: str) -> None:
    keep_fleet(bay.home, CloudFleet(**{**KEPT, "provider": "twin", "name": there}))
    with pytest.raises(Conflict, match=f"the name 'exp-1' is taken by fleet '{there}'"):
        launch_cloud(bay, plan_cloud(bay, asked(bay, fleet=wanted, count=2)))
    with pytest.raises(Conflict, match="'exp-1' is taken by a fleet on EC2"):
        launchbay.launch(bay, "tiny", name=wanted, count=2)
    assert left(bay) == 0


def test_the_twin_takes_an_image_that_is_built_here_before(bay: Bay) -> None:
    plan = plan_cloud(bay, asked(bay, count=1))
    image = bay.home.images / plan.cargo.digest
    kept = image.readlink()
    image.unlink()
    try:
        assert launch_cloud(bay, plan).identical
        assert (image / "record.json").exists()
    finally:
        remove_tree(image)
        image.symlink_to(kept)
    end(bay)


def test_an_interrupt_says_what_comes_of_what_was_launched(bay: Bay, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    notes_of(bay)
    with monkeypatch.context() as patch:
        patch.setattr("launchbay.cloud.launch.enter", interrupted)
        with pytest.raises(KeyboardInterrupt):
            launch_cloud(bay, plan_cloud(bay, asked(bay, count=2)))
    assert notes_of(bay)[-2:] == ["Ending what was launched of exp ...", "Nothing of this launch of exp is left."]
    assert left(bay) == 0
    with monkeypatch.context() as patch:
        patch.setattr("launchbay.cloud.launch.enter", interrupted)
        patch.setattr("launchbay.cloud.launch.end_launch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            launch_cloud(bay, plan_cloud(bay, asked(bay, count=2)))
    assert "The same command goes on with it, and `bay terminate exp` ends it." in notes_of(bay)[-1]
    end(bay)
    assert left(bay) == 0


def test_stopped_it_costs_its_disks_and_started_it_answers(bay: Bay) -> None:
    launched = launch_cloud(bay, plan_cloud(bay, asked(bay, count=2)))
    stopped = change_cloud_power(bay, "stop", find_far(bay, "exp-2"))
    assert (stopped.state, stopped.changed) == ("stopped", True)
    rows = {item.name: item for item in list_cloud(bay)}
    assert (rows["exp-1"].state, rows["exp-2"].state) == ("running", "stopped")
    with pytest.raises(Conflict, match="exp-2 is stopped"), open_machine(bay, find_far(bay, "exp-2")[0]):
        pass
    assert not change_cloud_power(bay, "stop", find_far(bay, "exp-2")).changed
    ask_twin(bay.home, "advance", seconds=3600)
    costs = {item.name: item.usd or Decimal(0) for item in list_cloud(bay)}
    # an hour of c5.large and its address more, for the one that ran: 0.085 and 0.005
    assert Decimal("0.08") < costs["exp-1"] - costs["exp-2"] < Decimal("0.10")
    assert change_cloud_power(bay, "start", find_far(bay, "exp")).changed
    with open_machine(bay, find_far(bay, "exp-2")[0]) as machine:
        assert machine.call(["ps"])[0]["fleet"] == "exp-2"
    assert known_by(bay.home, "exp", launched.rows["exp-2"].id)
    end(bay)
    assert left(bay) == 0


def test_a_name_of_this_machine_is_not_taken_twice(bay: Bay, monkeypatch: pytest.MonkeyPatch) -> None:
    here = [SimpleNamespace(fleet="exp", name="exp-1")]
    monkeypatch.setattr(type(bay.provider), "observe", lambda _: here)
    with pytest.raises(Conflict, match="taken by a fleet on this machine"):
        launch_cloud(bay, plan_cloud(bay, asked(bay, count=3)))
    assert left(bay) == 0


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
    plan = plan_cloud(bay, asked(bay, count=3))
    assert (plan.quota.quota.code, plan.short_vcpus) == ("L-1216C47A", 4)
    with pytest.raises(UserError):
        launch_cloud(bay, plan)
    assert left(bay) == 0


def test_no_room_anywhere_leaves_nothing(bay: Bay) -> None:
    ask_twin(bay.home, "capacity", type="c5.large", count=0)
    with pytest.raises(UserError, match=r"has no room for c5\.large"):
        launch_cloud(bay, plan_cloud(bay, asked(bay, count=3)))
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


@pytest.mark.parametrize("turns", [2, pytest.param(12, marks=pytest.mark.prove)])
def test_killed_at_random_points_and_given_again_it_stands_once(
    bay: Bay, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    chance = random.Random(5)
    for turn in range(turns):
        plan = plan_cloud(bay, asked(bay, count=2))
        if killed_at(bay, plan, monkeypatch, chance.randint(2, 40)) is None:
            launched = launch_cloud(bay, plan)
            assert launched.proof.identical, turn
        assert len(standing(bay)) == 2, turn
        end(bay)
        assert left(bay) == 0, turn


@pytest.mark.parametrize("turns", [4, pytest.param(24, marks=pytest.mark.prove)])
def test_killed_and_ended_nothing_is_left(bay: Bay, monkeypatch: pytest.MonkeyPatch, turns: int) -> None:
    chance = random.Random(6)
    for turn in range(turns):
        killed_at(bay, plan_cloud(bay, asked(bay, count=2)), monkeypatch, chance.randint(2, 26))
        assert len(standing(bay)) in (0, 2), turn
        end(bay)
        assert (left(bay), len(list_ours(client_of(bay)))) == (0, 0), turn


def test_what_is_kept_of_a_fleet_goes_with_the_twin_that_it_stood_in(bay: Bay) -> None:
    keep_fleet(bay.home, CloudFleet(**{**KEPT, "provider": "twin"}))
    keep_fleet(bay.home, CloudFleet(**{**KEPT, "name": "real", "provider": "ec2"}))
    assert forget_twin(bay) == ["exp"]
    assert [fleet.name for fleet in list_fleets(bay.home)] == ["real"]
    shutil.rmtree(bay.home.cloud)
