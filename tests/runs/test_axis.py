from __future__ import annotations

import itertools
import random

import pytest

from launchbay.runs.axis import step_axis, value_axis


@pytest.mark.parametrize(
    ("first", "last", "labels"),
    [
        (0, 499, ["0", "100", "200", "300", "400", "500"]),
        (0, 49, ["0", "10", "20", "30", "40", "50"]),
        (0, 29, ["0", "5", "10", "15", "20", "25", "30"]),
        (1, 30, ["0", "5", "10", "15", "20", "25", "30"]),
        (0, 409, ["0", "100", "200", "300", "409"]),
        (0, 470, ["0", "100", "200", "300", "400", "470"]),
        (0, 9, ["0", "2", "4", "6", "8", "9"]),
        (1, 10, ["1", "2", "4", "6", "8", "10"]),
        (0, 1, ["0", "1"]),
        (7, 7, ["7"]),
        (20_000_000, 20_000_100, ["20,000,000", "20,000,020", "20,000,040", "20,000,060", "20,000,080", "20,000,100"]),
    ],
)
def test_steps_begin_and_end_with_a_tick(first: int, last: int, labels: list[str]) -> None:
    assert [label for _, label in step_axis([first, last]).ticks] == labels


def test_any_steps_have_ticks_at_both_ends_with_room_between_them() -> None:
    chance = random.Random(4)
    for _ in range(500):
        first = chance.choice([0, 1, chance.randrange(10**6)])
        last = first + chance.randrange(1, 10 ** chance.randrange(1, 8))
        axis = step_axis([float(first), float(last)])
        places = [axis.place(value) for value, _ in axis.ticks]
        assert (places[0], places[-1]) == (0, 1)
        assert min(right - left for left, right in itertools.pairwise(places)) > 1 / 15
        assert axis.low <= first
        assert axis.high >= last
        assert axis.place(first) <= 0.06
        assert axis.place(last) >= 0.94
        assert len({label for _, label in axis.ticks}) == len(axis.ticks)


def test_no_steps_and_no_values_have_no_ticks() -> None:
    assert step_axis([]).ticks == ()
    assert value_axis([], strong=[], is_log=None).ticks == ()
