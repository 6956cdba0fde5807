from __future__ import annotations

from decimal import Decimal

import pytest

from launchbay.errors import UsageError
from launchbay.spec.cron import CYCLE_HOURS, parse_cron

DAYS = 146_097  # in the 400 years after which the calendar repeats itself


@pytest.mark.parametrize(
    ("line", "runs"),
    [
        ("* * * * *", DAYS * 1440),
        ("*/15 * * * *", DAYS * 96),
        ("0 2 * * *", DAYS),
        ("0 2 * * 1-5", 104_355),  # 5 of every 7 days: the cycle is a whole number of weeks
        ("0 2 * * mon-fri", 104_355),
        ("0 2 * * 0", 20_871),
        ("0 2 * * 7", 20_871),
        ("0 2 * * 5-7", 3 * 20_871),
        ("0 2 * * SUN,0,7", 20_871),
        ("0 0 1 * *", 4800),
        ("0 0 31 * *", 2800),
        ("0 0 29 2 *", 97),  # leap years
        ("0 0 30 feb,apr *", 400),
        ("0 0 13 * 5", 4800 + 20_871 - 688),  # either: the thirteenth, or a Friday; 688 are both
        ("0 0 */2 * 5", 10_642),  # a star restricts nothing, so both must hold
        ("0 0 1-7 * *", 7 * 4800),
        ("10-50/20 9-17 * * *", DAYS * 27),
        ("5/20 0 * * *", DAYS * 3),
        ("@daily", DAYS),
        ("@weekly", 20_871),
        ("@yearly", 400),
    ],
)
def test_a_line_fires_as_often_as_the_calendar_says(line: str, runs: int) -> None:
    assert parse_cron(line).runs_in_cycle() == runs


def test_the_cycle_is_counted_day_by_day() -> None:
    from datetime import date, timedelta

    first = date(2000, 1, 1)
    days = [first + timedelta(days=number) for number in range(DAYS)]
    fridays = [day for day in days if day.isoweekday() == 5]
    assert sum(day.day == 13 for day in fridays) == 688
    assert sum(day.day % 2 == 1 for day in fridays) == 10_642
    assert (days[-1] + timedelta(days=1), CYCLE_HOURS) == (date(2400, 1, 1), DAYS * 24)


def test_a_month_gets_its_part_of_the_average() -> None:
    daily = parse_cron("0 2 * * *")
    assert daily.runs_in(Decimal(720)) == 30
    assert daily.runs_in(Decimal(744)) == 31
    assert round(parse_cron("0 2 * * 1-5").runs_in(Decimal(720)), 6) == Decimal("21.428571")
    assert round(parse_cron("0 0 1 * *").runs_in(Decimal("730.485")), 6) == 1


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("0 0 30 2 *", "never fires"),
        ("0 0 31 4,6,9,11 *", "never fires"),
        ("0 2 * *", "has five fields"),
        ("0 0 2 * * *", "has five fields"),
        ("", "has five fields"),
        ("@reboot", "has five fields"),
        ("60 2 * * *", "the minute of the cron line '60 2 [*] [*] [*]' must be 0 to 59, got '60'"),
        ("0 24 * * *", "the hour .* must be 0 to 23"),
        ("0 2 0 * *", "the day of the month .* must be 1 to 31"),
        ("0 2 * 13 *", "the month .* must be 1 to 12"),
        ("0 2 * * 8", "the day of the week .* must be 0 to 7"),
        ("0 2 * * fry", "the day of the week .* must be 0 to 7, got 'fry'"),
        ("0 2 * * L", "the day of the week"),
        ("0 2 ? * 1", "the day of the month .* must be numbers, ranges and steps"),
        ("0 2 * * 5#3", "the day of the week .* must be numbers"),
        ("*/0 * * * *", "steps of 1 or more"),
        ("30-10 * * * *", "counts up"),
        ("-5 * * * *", "must be numbers"),
        ("1,,2 * * * *", "must be numbers"),
        ("٣ * * * *", "must be 0 to 59"),
    ],
)
def test_a_line_that_is_none_is_refused(line: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        parse_cron(line, where="w.yaml:9")
    assert caught.value.where == "w.yaml:9"
    assert caught.value.hint
