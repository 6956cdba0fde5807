"""What instances cost: summed over what stood in their places, and never 0 for want of knowing."""

from __future__ import annotations

import os
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from launchbay.files import write_json
from launchbay.home import Home
from launchbay.planning.fleet import Instance
from launchbay.store.spent import (
    Elsewhere,
    Spent,
    add_up,
    find_elsewhere,
    note_spent,
    read_spent,
    spent_now,
    write_elsewhere,
)
from tests.cli.texts.values import instance

THERE = Elsewhere(type="m5.xlarge", region="us-east-1", usd_per_hour="0.192", as_of="2025-03-02", source="somebody")
BEFORE = ("type", "region", "usd_per_hour", "as_of", "source")
HOUR = 3600.0


def standing(number: int, folder: Path, *, usd: str | None = "1.20", since: float = 0.0) -> Instance:
    """Return an instance that has been up since then, priced at its launch."""
    root = folder / str(number)
    root.mkdir(exist_ok=True)
    return replace(instance(number), root=root, usd_per_hour=usd, ran_s=0.0, up_since=since)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_an_hour_costs_its_price_and_a_start_a_minute_at_least(tmp_path: Path) -> None:
    one = standing(1, tmp_path)
    assert spent_now(one, 2.5 * HOUR).usd == Decimal("3.00")
    assert spent_now(one, 1.0).usd == Decimal("0.02")  # EC2 bills a minute at least
    assert spent_now(one, -5.0).usd == Decimal("0.02")  # a clock that was set back earns nothing


def test_the_time_that_it_was_stopped_is_free(tmp_path: Path) -> None:
    one = replace(standing(1, tmp_path), ran_s=HOUR, up_since=None, state="stopped")
    assert spent_now(one, 100 * HOUR).usd == Decimal("1.2")
    again = replace(one, state="running", up_since=10 * HOUR)
    assert spent_now(again, 11 * HOUR).usd == Decimal("2.4")


def test_what_is_not_known_is_not_zero(tmp_path: Path) -> None:
    assert spent_now(standing(1, tmp_path, usd=None), HOUR).usd is None
    old = replace(standing(1, tmp_path), ran_s=None, up_since=None)  # of before time was counted
    assert spent_now(old, HOUR).usd is None
    assert spent_now(replace(old, usd_per_hour="0.00"), HOUR).usd == 0
    assert add_up([Decimal(1), None]) is None
    assert add_up([]) is None
    assert add_up([Decimal("0.004"), Decimal("0.004")]) == "0.01"  # rounded once


def test_what_stood_in_its_place_before_counts_too(home: Home, tmp_path: Path) -> None:
    first, second = standing(1, tmp_path), standing(2, tmp_path)
    note_spent(home, "exp", [second], staying=[first], now=HOUR)
    again = replace(standing(2, tmp_path, usd="2.40", since=HOUR), id="i-new")
    spent = [
        *read_spent(home, "exp", [first, again]),
        *(spent_now(item, 2 * HOUR) for item in (first, again)),
    ]
    assert [(item.name, item.usd) for item in spent] == [
        ("exp-2", Decimal("1.2")),
        ("exp-1", Decimal("2.4")),
        ("exp-2", Decimal("2.4")),
    ]
    total = note_spent(home, "exp", [first, again], staying=[], now=2 * HOUR)
    assert add_up(item.usd for item in total) == "6.00"


def test_a_fleet_that_was_terminated_whole_begins_anew(home: Home, tmp_path: Path) -> None:
    one = standing(1, tmp_path)
    note_spent(home, "exp", [one], staying=[], now=HOUR)
    assert read_spent(home, "exp", []) == []
    later = replace(one, id="i-later", up_since=2 * HOUR)
    assert read_spent(home, "exp", [later]) == []
    assert add_up(item.usd for item in note_spent(home, "exp", [later], staying=[], now=3 * HOUR)) == "1.20"
    assert len((home.spent / "exp.jsonl").read_text(encoding="utf-8").splitlines()) == 1  # it does not grow
    note_spent(home, "other", [one], staying=[later], now=HOUR)
    assert read_spent(home, "exp", []) == []


def test_killed_between_the_note_and_the_end_nothing_counts_twice(home: Home, tmp_path: Path) -> None:
    one, two = standing(1, tmp_path), standing(2, tmp_path)
    note_spent(home, "exp", [one], staying=[two], now=HOUR)
    assert read_spent(home, "exp", [one, two]) == []  # it stands after all
    note_spent(home, "exp", [one], staying=[two], now=2 * HOUR)
    assert [item.usd for item in read_spent(home, "exp", [two])] == [Decimal("2.4")]
    note_spent(home, "exp", [two], staying=[], now=2 * HOUR)
    assert [item.name for item in read_spent(home, "exp", [two])] == ["exp-1"]  # it stands: so does the life


def test_killed_while_all_of_a_fleet_ends_what_went_before_the_kill_counts_still(home: Home, tmp_path: Path) -> None:
    three = [standing(number, tmp_path) for number in (1, 2, 3)]
    note_spent(home, "exp", three, staying=[], now=HOUR)  # and two were deleted, when it was killed
    assert [item.name for item in read_spent(home, "exp", three[2:])] == ["exp-1", "exp-2"]
    assert add_up(item.usd for item in note_spent(home, "exp", three[2:], staying=[], now=2 * HOUR)) == "4.80"
    assert read_spent(home, "exp", []) == []


def test_what_was_launched_in_the_place_of_what_a_kill_had_left_out_goes_on(home: Home, tmp_path: Path) -> None:
    three = [standing(number, tmp_path) for number in (1, 2, 3)]
    note_spent(home, "exp", three, staying=[], now=HOUR)
    again = [replace(standing(number, tmp_path, since=HOUR), id=f"i-again-{number}") for number in (1, 2)]
    total = note_spent(home, "exp", three[2:], staying=again, now=2 * HOUR)
    assert [item.name for item in total] == ["exp-1", "exp-2", "exp-3"]
    total = note_spent(home, "exp", again, staying=[], now=2 * HOUR)
    assert add_up(item.usd for item in total) == "7.20"
    assert read_spent(home, "exp", []) == []


@pytest.mark.parametrize(
    "damage", ["{", "[]", '{"id": 3}', '{"id": "i", "name": "n", "usd_per_hour": "abc", "ends": []}', "\udcff"]
)
def test_of_a_damaged_line_the_amount_is_not_known_and_it_stays(home: Home, tmp_path: Path, damage: str) -> None:
    two = standing(2, tmp_path)
    note_spent(home, "exp", [standing(1, tmp_path)], staying=[two], now=HOUR)
    path = home.spent / "exp.jsonl"
    path.write_bytes(path.read_bytes() + damage.encode(errors="surrogateescape") + b"\n")
    assert [item.usd for item in read_spent(home, "exp", [two])] == [Decimal("1.2"), None]
    three = standing(3, tmp_path)
    assert add_up(item.usd for item in note_spent(home, "exp", [three], staying=[two], now=HOUR)) is None
    assert add_up(item.usd for item in read_spent(home, "exp", [two])) is None
    note_spent(home, "exp", [two], staying=[], now=HOUR)
    assert read_spent(home, "exp", []) == []  # with its fleet it is over


def test_a_file_that_cannot_be_read_is_not_nothing(home: Home) -> None:
    (home.spent / "exp.jsonl").mkdir(parents=True)
    assert [item.usd for item in read_spent(home, "exp", [])] == [None]


def test_what_cannot_be_written_is_said(home: Home, tmp_path: Path) -> None:
    home.root.mkdir()
    home.spent.write_text("a file in the place of the folder", encoding="utf-8")
    with pytest.raises(OSError, match=r"exp|spent"):
        note_spent(home, "exp", [standing(1, tmp_path)], staying=[], now=HOUR)


def test_what_the_same_would_cost_is_kept_as_of_its_launch(home: Home, tmp_path: Path) -> None:
    one = standing(1, tmp_path, usd="0.00")
    assert find_elsewhere(one.root) is None
    write_elsewhere(one.root, THERE)
    found = spent_now(one, 2 * HOUR)
    assert (found.usd, found.usd_elsewhere) == (Decimal(0), Decimal("0.384"))
    note_spent(home, "exp", [one], staying=[standing(2, tmp_path)], now=2 * HOUR)
    assert read_spent(home, "exp", []) == [replace(found, up_s=2 * HOUR)]
    write_json(one.root / "elsewhere.json", {name: getattr(THERE, name) for name in BEFORE})
    assert find_elsewhere(one.root) == THERE  # of before it said how many GPUs, and whether the price has changed
    more = replace(THERE, is_stale=True, gpus=8, gpus_here=1)
    write_elsewhere(one.root, more)
    note_spent(home, "exp", [one], staying=[standing(2, tmp_path)], now=2 * HOUR)
    assert find_elsewhere(one.root) == more == read_spent(home, "exp", [])[0].elsewhere
    os.truncate(one.root / "elsewhere.json", 5)
    assert find_elsewhere(one.root) is None
    assert Spent(id="i", name="n", up_s=1.0, usd_per_hour=None, elsewhere=None).usd_elsewhere is None
