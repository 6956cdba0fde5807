"""The twin's clock: forward only, due things each at its moment, kept over a restart."""

from __future__ import annotations

import pickle
import time
from datetime import UTC, datetime, timedelta

import pytest

from launchbay.twin.clock import TwinClock

START = datetime(2026, 11, 27, tzinfo=UTC)


def virtual() -> TwinClock:
    return TwinClock(is_virtual=True, begin=START)


def test_a_virtual_clock_stands_until_time_is_let_pass() -> None:
    clock = virtual()
    time.sleep(0.01)
    assert clock.now() == START
    clock.advance(90)
    assert clock.now() == START + timedelta(seconds=90)
    with pytest.raises(ValueError, match="time goes forward only"):
        clock.advance(-1)


def test_a_real_clock_goes_by_itself() -> None:
    clock = TwinClock(is_virtual=False, begin=START)
    time.sleep(0.01)
    assert clock.now() > START


def test_what_is_due_happens_in_order_and_at_its_moment() -> None:
    clock = virtual()
    for seconds, name in ((30, "late"), (10, "soon"), (10, "after"), (99, "never")):
        clock.plan("state", name, seconds=seconds)
    clock.advance(60)
    seen = []
    while (due := clock.pop()) is not None:
        seen.append((due.resource, clock.now() - START))
        clock.release()
    assert seen == [("soon", timedelta(seconds=10)), ("after", timedelta(seconds=10)), ("late", timedelta(seconds=30))]
    assert [due.resource for due in clock.waiting] == ["never"]


def test_what_is_planned_while_something_happens_counts_from_that_moment() -> None:
    clock = virtual()
    clock.plan("a", "x", seconds=10)
    clock.advance(100)
    assert clock.pop()
    assert clock.plan("b", "x", seconds=5).at == START + timedelta(seconds=15)


def test_what_is_struck_out_does_not_happen() -> None:
    clock = virtual()
    clock.plan("state", "x", seconds=1)
    clock.plan("notice", "x", seconds=1)
    clock.plan("state", "y", seconds=1)
    clock.cancel("x", "state")
    assert [(due.kind, due.resource) for due in clock.waiting] == [("notice", "x"), ("state", "y")]
    clock.cancel("x")
    assert [due.resource for due in clock.waiting] == ["y"]


@pytest.mark.parametrize("is_virtual", [True, False])
def test_no_time_passes_while_it_is_put_away(is_virtual: bool) -> None:  # noqa: FBT001 - a column
    clock = TwinClock(is_virtual=is_virtual, begin=START)
    clock.advance(50)
    clock.plan("state", "x", seconds=5)
    held = pickle.dumps(clock)
    time.sleep(0.05)
    again = pickle.loads(held)
    assert timedelta(seconds=50) <= again.now() - START < timedelta(seconds=50.04)
    assert [due.resource for due in again.waiting] == ["x"]
    assert again.plan("state", "y", seconds=1).number > again.waiting[0].number - 1


def test_what_was_set_aside_is_still_to_come_and_is_due_at_its_moment() -> None:
    clock = virtual()
    clock.plan("state", "x", seconds=1)
    clock.plan("state", "y", seconds=2)
    clock.advance(60)
    for _ in range(2):
        due = clock.pop()
        assert due
        clock.set_aside(due)
        clock.release()
    assert clock.pop() is None
    again = pickle.loads(pickle.dumps(clock))
    assert [due.resource for due in clock.waiting] == [due.resource for due in again.waiting] == ["x", "y"]
    clock.cancel("y")
    assert [due.resource for due in clock.aside] == ["x"]
    clock.try_again()
    due = clock.pop()
    assert due
    assert (due.resource, clock.now() - START) == ("x", timedelta(seconds=1))


def test_a_real_clock_says_when_the_next_thing_is_due() -> None:
    clock = TwinClock(is_virtual=False, begin=START)
    assert clock.until_next() is None
    clock.plan("state", "late", seconds=50)
    clock.plan("state", "soon", seconds=5)
    seconds = clock.until_next()
    assert seconds
    assert 4 < seconds <= 5
    clock.advance(10)
    assert clock.until_next() == 0
    still = virtual()
    still.plan("state", "x", seconds=5)
    assert still.until_next() is None  # nothing comes by itself there
