from __future__ import annotations

from decimal import Decimal

import pytest

from launchbay.errors import UsageError
from launchbay.units import count_of, format_bytes, format_duration, format_number, format_usd, parse_duration


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_951, "1.0 MB"),
        (545_900_000, "545.9 MB"),
        (999_960_000, "1.0 GB"),
        (1_800_000_000, "1.8 GB"),
        (2_500_000_000_000, "2.50 TB"),
        (1_234_000_000_000_000, "1234.00 TB"),
    ],
)
def test_bytes_are_written_in_decimal_units(count: int, text: str) -> None:
    assert format_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0351, "35 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (2.54, "2.5 s"),
        (99.94, "99.9 s"),
        (99.96, "1m 40s"),
        (185, "3m 05s"),
        (3599.6, "1h 00m"),
        (2 * 3600 + 14 * 60, "2h 14m"),
        (47 * 3600 + 3599, "47h 59m"),
        (48 * 3600, "2d 0h"),
        (100 * 3600, "4d 4h"),
    ],
)
def test_durations_are_written_in_the_two_units_that_matter(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("15m", 900), ("1.5h", 5400), ("2d", 172_800), ("250ms", 0.25), (" 8h ", 28_800)],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "h", "-5m", "5 m", "5x", "1h30m", "1e3", ".5h", "5.h", "inf", "nan", "5m\n5"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError, match="90s, 15m, 8h or 2d, got"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "0.00"),
        ("0.005", "0.01"),
        ("2.675", "2.68"),
        ("-0.005", "-0.01"),
        ("1234.5", "1234.50"),
        ("0.004", "0.00"),
    ],
)
def test_half_a_cent_is_rounded_away_from_zero(amount: str, text: str) -> None:
    assert format_usd(Decimal(amount)) == text


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [(0, "row", "0 rows"), (1, "row", "1 row"), (3, "instance", "3 instances"), (2, "process", "2 processes")],
)
def test_a_count_has_its_plural(count: int, noun: str, text: str) -> None:
    assert count_of(count, noun) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.63, "2.6300"),
        (-0.5, "-0.5000"),
        (1234567.0, "1234567.0000"),
        (5.2295905e59, "5.2296e+59"),
        (-2e7, "-2.0000e+07"),
        (0.0, "0.0000"),
        (0.0012, "0.0012"),
        (-3.2e-6, "-3.2000e-06"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
    ],
)
def test_a_number_can_be_read(value: float, text: str) -> None:
    assert format_number(value) == text
