"""Up the ladder on the twin: one token a rung, nothing twice, nothing left, whatever goes wrong and wherever it is killed."""

from __future__ import annotations

import base64
import contextlib
import random
from dataclasses import replace
from pathlib import Path

import pytest

from launchbay.errors import Conflict, UserError
from launchbay.lifecycle.climb import Ascent, climb, end_climb
from launchbay.planning.request import build_request
from launchbay.providers.ec2.client import open_client
from launchbay.providers.ec2.instances import find_by_token, launch, list_ours, terminate
from launchbay.providers.ec2.tags import LAUNCH_TAG
from launchbay.store.journal import open_journal
from tests.lifecycle.mountain import (
    ZONES,
    Mountain,
    killed_at,
    killed_at_the_call,
    lame,
    launches_once,
    room,
    silent,
)
from tests.twin_process import TwinProcess

HAZE_S, LONG_HAZE_S = 12.0, 290.0


SOME = pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.prove)], ids=["some", "each"])
"""Killed at one of so many points of a climb, before a call or after it; at each of them, in a campaign."""


@pytest.fixture
def hazy(twin: TwinProcess) -> TwinProcess:
    """Return a twin that does not show a new instance for some seconds, each for as long as it is drawn."""
    twin.ask("reset", visible_after_s=HAZE_S)
    return twin


@pytest.fixture
def mountain(twin: TwinProcess, tmp_path: Path) -> Mountain:
    return Mountain(twin, tmp_path)


def test_the_first_rung_that_has_room_takes_all(mountain: Mountain) -> None:
    for zone, count in zip(ZONES, (0, 2, 3), strict=True):
        mountain.twin.ask("capacity", type="g5.xlarge", zone=zone, count=count)
    found = mountain.go()
    assert found.rung.zone == "us-east-1c"
    assert [row.state for row in found.rows] == ["running"] * 3
    assert [item.rung.zone for item in found.tried] == ["us-east-1a", "us-east-1b"]
    assert "has no room for g5.xlarge" in found.tried[0].why
    assert mountain.twin.ask("calls")["ec2:RunInstances"] == 3  # one a rung, none of them twice
    assert mountain.told[0] == "us-east-1a: 3 × g5.xlarge, on-demand"


def test_a_quota_leaves_only_rungs_against_another(mountain: Mountain) -> None:
    mountain.twin.ask("quota", region="us-east-1", code="L-DB2E81BA", vcpus=4)
    found = mountain.go(mountain.rungs("g5.xlarge", "c5.xlarge"))
    assert found.rung.type == "c5.xlarge"
    assert mountain.twin.ask("calls")["ec2:RunInstances"] == 2


@pytest.mark.parametrize("fault", ["unauthorized", "pending-verification", "expired-credentials"])
def test_what_no_rung_would_mend_ends_it_at_once(mountain: Mountain, fault: str) -> None:
    mountain.twin.ask("fault", name=fault, action="ec2:RunInstances", count=9)
    with pytest.raises(UserError) as caught:
        mountain.go()
    assert caught.value.hint
    assert mountain.twin.ask("calls")["ec2:RunInstances"] == 1
    assert mountain.standing() == []


def test_no_room_anywhere_says_where_it_was_tried_and_leaves_nothing(mountain: Mountain) -> None:
    mountain.twin.ask("capacity", type="g5.xlarge", count=0)
    with pytest.raises(UserError, match=r"us-east-1a has no room.*us-east-1c has no room"):
        mountain.go()
    assert mountain.standing() == []


def test_every_instance_is_hardened_and_tagged(mountain: Mountain) -> None:
    found = mountain.go()
    item = mountain.twin.client("ec2").describe_instances(InstanceIds=[found.rows[0].id])["Reservations"][0][
        "Instances"
    ][0]
    assert item["MetadataOptions"]["HttpTokens"] == "required"
    assert found.rows[0].tags["managed-by"] == "launchbay"
    assert found.rows[0].tags[LAUNCH_TAG].startswith("op-")
    disks = mountain.twin.client("ec2").describe_volumes(VolumeIds=list(found.rows[0].disks))["Volumes"]
    assert all(disk["Encrypted"] and disk["VolumeType"] == "gp3" for disk in disks)


# --- killed -----------------------------------------------------------------------------------------------------------


@SOME
def test_killed_anywhere_and_given_again_it_launches_once(
    twin: TwinProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    whole = Mountain(twin, tmp_path / "whole")
    lame(whole)
    crossings = killed_at(whole, monkeypatch, 0)
    assert crossings >= 16
    for point in range(1, crossings, every):  # after the last one it is over, and the same command is another launch
        twin.ask("reset")
        (tmp_path / str(point)).mkdir()
        mountain = Mountain(twin, tmp_path / str(point))
        lame(mountain)
        killed_at(mountain, monkeypatch, point)
        found = mountain.go()
        assert len(found.rows) == 3, point
        assert sorted(mountain.standing()) == sorted(row.id for row in found.rows), point


@pytest.mark.parametrize("turns", [4, pytest.param(60, marks=pytest.mark.prove)])
def test_killed_twice_and_then_terminated_nothing_is_left(
    twin: TwinProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    chance = random.Random(7)
    for turn in range(turns):
        twin.ask("reset")
        (tmp_path / str(turn)).mkdir()
        mountain = Mountain(twin, tmp_path / str(turn))
        lame(mountain)
        for _ in range(2):
            killed_at(mountain, monkeypatch, chance.randint(1, 20))
        assert len(mountain.standing()) in (0, 3), turn
        terminate(mountain.client, [row.id for row in list_ours(mountain.client, fleet="exp")], clock=mountain.clock)
        twin.ask("advance", seconds=60)
        assert mountain.standing() == [], turn


# --- nobody knows what it made ----------------------------------------------------------------------------------------


@SOME
def test_killed_anywhere_in_a_haze_while_rooms_change_it_launches_once(
    hazy: TwinProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    """The zone that had no room has some when the command is given again, and what was launched is not shown yet."""
    whole = Mountain(hazy, tmp_path / "whole")
    lame(whole)
    crossings = killed_at(whole, monkeypatch, 0)
    for point in range(1, crossings, every):
        hazy.ask("reset")
        mountain = Mountain(hazy, tmp_path / str(point))
        lame(mountain)
        killed_at(mountain, monkeypatch, point)
        room(mountain, "us-east-1a", 100)
        launches_once(mountain, mountain.go())


@SOME
def test_killed_anywhere_in_a_haze_and_ended_nothing_is_left(
    hazy: TwinProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    whole = Mountain(hazy, tmp_path / "whole")
    lame(whole)
    crossings = killed_at(whole, monkeypatch, 0)
    for point in range(3, crossings, every):  # before that the operation is not begun
        hazy.ask("reset")
        mountain = Mountain(hazy, tmp_path / str(point))
        lame(mountain)
        killed_at(mountain, monkeypatch, point)
        stood = set(mountain.standing())
        assert set(mountain.end()) == stood, point
        assert mountain.standing() == [], point


@pytest.mark.parametrize("is_made", [True, False])
def test_another_wish_goes_on_with_what_was_asked_as_it_was_asked(
    hazy: TwinProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_made: bool
) -> None:
    """Killed around the call that launches; then the wish and the ladder are others."""
    mountain = Mountain(hazy, tmp_path)
    made = set(killed_at_the_call(mountain, monkeypatch, is_made=is_made))
    mountain.wish = replace(mountain.wish, ttl_s=7200, type="c5.large", tags={**mountain.wish.tags, "team": "b"})
    found = mountain.go(tuple(reversed(mountain.rungs("c5.large"))))
    launches_once(mountain, found)
    assert made in (set(), {row.id for row in found.rows})
    assert {row.type for row in found.rows} == {"g5.xlarge"}
    assert found.rung.zone == "us-east-1a"
    assert "team" not in found.rows[0].tags


@pytest.fixture
def blind(twin: TwinProcess) -> TwinProcess:
    """Return a twin that shows new instances after minutes only."""
    twin.ask("reset", visible_after_s=LONG_HAZE_S)
    return twin


def test_silence_to_the_end_is_no_proof_and_the_same_again_finds_it(blind: TwinProcess, tmp_path: Path) -> None:
    mountain = Mountain(blind, tmp_path)
    room(mountain, "us-east-1a", 0)
    silent(blind, after=1)
    with pytest.raises(UserError):
        mountain.go()
    stood = set(mountain.standing())
    assert len(stood) == 3
    blind.ask("faults", clear=True)
    room(mountain, "us-east-1a", 100)
    found = mountain.go()
    launches_once(mountain, found)
    assert {row.id for row in found.rows} == stood


@pytest.mark.parametrize("fault", ["unauthorized", "expired-credentials", "pending-verification", "throttling"])
def test_who_may_not_ask_is_no_proof_that_nothing_was_made(blind: TwinProcess, tmp_path: Path, fault: str) -> None:
    """The answer is lost, and the same call is refused at the door from then on: no other rung is asked."""
    mountain = Mountain(blind, tmp_path)
    blind.ask("fault", name="lost-answer", action="ec2:RunInstances")
    blind.ask("fault", name=fault, action="ec2:RunInstances", after=1, count=99)
    with pytest.raises(UserError) as caught:
        mountain.go()
    assert "is not known" in caught.value.what
    assert "the same command again" in caught.value.hint
    stood = set(mountain.standing())
    assert len(stood) == 3
    with pytest.raises(UserError, match="is not known"):
        mountain.go(tuple(reversed(mountain.rungs())))
    blind.ask("faults", clear=True)
    blind.ask("advance", seconds=LONG_HAZE_S)
    found = mountain.go(tuple(reversed(mountain.rungs())))
    launches_once(mountain, found)
    assert {row.id for row in found.rows} == stood


def test_a_rung_that_is_proven_to_have_made_nothing_gives_way(
    mountain: Mountain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before the call in the first zone, which has no room by the time it is asked."""
    killed_at_the_call(mountain, monkeypatch, is_made=False)
    room(mountain, "us-east-1a", 0)
    found = mountain.go()
    launches_once(mountain, found)
    assert found.rung.zone == "us-east-1b"
    assert mountain.twin.ask("calls")["ec2:RunInstances"] == 2


def test_what_is_gone_meanwhile_is_begun_anew(mountain: Mountain, monkeypatch: pytest.MonkeyPatch) -> None:
    stood = killed_at_the_call(mountain, monkeypatch, is_made=True)
    terminate(mountain.client, stood, clock=mountain.clock)
    found = mountain.go()
    launches_once(mountain, found)
    assert found.rung.zone == "us-east-1a"
    assert not set(stood) & {row.id for row in found.rows}


def test_a_part_is_ended_before_another_is_begun(mountain: Mountain, monkeypatch: pytest.MonkeyPatch) -> None:
    stood = killed_at_the_call(mountain, monkeypatch, is_made=True)
    terminate(mountain.client, stood[:1], clock=mountain.clock)
    found = mountain.go()
    launches_once(mountain, found)
    assert not set(stood) & {row.id for row in found.rows}


@pytest.mark.parametrize("seeds", [range(4), pytest.param(range(4, 155), marks=pytest.mark.prove)], ids=["few", "many"])
def test_any_history_ends_in_one_launch(
    hazy: TwinProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seeds: range
) -> None:
    """Killed some times at random while rooms, faults and wishes change; whatever was done, one launch stands."""
    for seed in seeds:
        chance = random.Random(seed)
        hazy.ask("reset")
        mountain = Mountain(hazy, tmp_path / str(seed))
        for _ in range(chance.randint(1, 4)):
            for zone in ZONES:
                room(mountain, zone, chance.choice((0, 2, 3, 100)))
            if chance.random() < 0.5:
                fault = chance.choice(("lost-answer", "truncated-answer", "internal-error", "unavailable"))
                hazy.ask("fault", name=fault, action="ec2:RunInstances", count=chance.randint(1, 6))
            mountain.wish = replace(mountain.wish, ttl_s=chance.choice((3600, 7200)))
            with contextlib.suppress(UserError):
                killed_at(mountain, monkeypatch, chance.randint(1, 30))
                if mountain.is_over():
                    break
            hazy.ask("advance", seconds=chance.choice((0, 3, 60)))
        hazy.ask("faults", clear=True)
        if mountain.is_over():  # it came to its end before it was killed
            assert len(mountain.standing()) == 3, seed
            continue
        room(mountain, chance.choice(ZONES), 100)
        launches_once(mountain, mountain.go())


def test_what_else_carries_its_tag_is_ended(mountain: Mountain, monkeypatch: pytest.MonkeyPatch) -> None:
    """However it came about: a second launch of the same operation, with a token that the journal does not know."""
    for is_made in (True, False):
        mountain.twin.ask("reset")
        fresh = Mountain(mountain.twin, mountain.journal.parent / str(is_made))
        stood = killed_at_the_call(fresh, monkeypatch, is_made=is_made)
        with open_journal(fresh.journal, fresh.clock, lambda _: None) as journal:
            operation = journal.unfinished("launch", "exp")[-1]
        tags = {**fresh.wish.tags, LAUNCH_TAG: operation.id}
        strays = launch(fresh.client, build_request(replace(fresh.wish, count=2, tags=tags)), "t", clock=fresh.clock)
        found = fresh.go()
        launches_once(fresh, found)
        assert not {row.id for row in strays} & {row.id for row in found.rows}
        assert {row.id for row in found.rows} == set(stood) or not is_made


def test_another_region_says_where_it_was_cut_off(mountain: Mountain, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_at_the_call(mountain, monkeypatch, is_made=True)
    west = open_client("us-west-2", endpoint=mountain.twin.url, keys=("twin", "twin"))
    with pytest.raises(Conflict, match="was cut off in us-east-1") as caught:
        mountain.go(client=west)
    assert "--region us-east-1" in caught.value.hint


# --- what the journal holds -------------------------------------------------------------------------------------------

SECRET = b"#!/bin/sh\n# -----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ\n"


def test_the_user_data_is_in_no_file(mountain: Mountain, monkeypatch: pytest.MonkeyPatch) -> None:
    mountain.wish = replace(mountain.wish, user_data=SECRET)
    killed_at_the_call(mountain, monkeypatch, is_made=True)
    mountain.go()
    written = b"".join(path.read_bytes() for path in mountain.journal.parent.rglob("*") if path.is_file())
    assert b"us-east-1a" in written
    for shape in (SECRET, base64.b64encode(SECRET)[:60], b"BEGIN OPENSSH", b"b3BlbnNzaC1rZXktdjEAAAAA"):
        assert shape not in written


def test_the_token_is_that_of_the_whole_request(mountain: Mountain, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same wish with the same bytes is asked again, with nothing lost of it; other bytes are another request."""
    mountain.wish = replace(mountain.wish, user_data=SECRET)
    killed_at_the_call(mountain, monkeypatch, is_made=False)
    found = mountain.go()
    launches_once(mountain, found)
    kept = mountain.twin.client("ec2").describe_instance_attribute(InstanceId=found.rows[0].id, Attribute="userData")
    assert base64.b64decode(kept["UserData"]["Value"]) == SECRET


def test_other_user_data_is_refused_and_says_what_to_do(blind: TwinProcess, tmp_path: Path) -> None:
    mountain = Mountain(blind, tmp_path)
    mountain.wish = replace(mountain.wish, user_data=SECRET)
    silent(blind)
    with pytest.raises(UserError):
        mountain.go()
    blind.ask("faults", clear=True)
    mountain.wish = replace(mountain.wish, user_data=b"#!/bin/sh\n")
    with pytest.raises(Conflict, match="boot with is not as it was") as caught:
        mountain.go()
    assert "bay terminate exp" in caught.value.hint
    assert len(mountain.standing()) == 3
    assert len(mountain.end()) == 3
    assert mountain.standing() == []


def test_only_what_an_operation_launched_is_ended(mountain: Mountain) -> None:
    kept = mountain.go()
    with open_journal(mountain.journal, mountain.clock, lambda _: None) as journal:
        other = journal.begin("launch", "exp", {})
        ascent = Ascent(fleet="exp", wish=mountain.wish, rungs=mountain.rungs())
        found = climb(mountain.client, journal, other, ascent, clock=mountain.clock)
        assert {row.id for row in list_ours(mountain.client, launch=other.id)} == {row.id for row in found.rows}
        assert len(list_ours(mountain.client, fleet="exp")) == 6
        assert set(end_climb(mountain.client, journal, other, clock=mountain.clock)) == {row.id for row in found.rows}
        assert end_climb(mountain.client, journal, other, clock=mountain.clock) == ()
    assert sorted(mountain.standing()) == sorted(row.id for row in kept.rows)
    assert len(find_by_token(mountain.client, kept.rows[0].token)) == 3


def test_many_zones_without_room_are_counted_and_the_hint_has_options(mountain: Mountain) -> None:
    mountain.twin.ask("capacity", type="g5.xlarge", count=0)
    zones = [f"us-east-1{letter}" for letter in "abcdf"]
    rungs = tuple(replace(mountain.rungs()[0], zone=zone) for zone in zones)
    with pytest.raises(UserError) as caught:
        mountain.go(rungs)
    assert caught.value.what == "us-east-1 has no room for g5.xlarge (on-demand): 5 zones tried for 3 at once"
    assert "--sisters, --spot" in caught.value.hint
