from __future__ import annotations

import pytest

from launchbay.catalog.ranges import Range, parse_range
from launchbay.errors import UsageError


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("4", 4, 4),
        ("4+", 4, None),
        ("2..8", 2, 8),
        ("..8", None, 8),
        ("0", 0, 0),
        ("0.5", 0.45, 0.55),
        ("22.35", 22.345, 22.355),
        ("22.35+", 22.345, None),
        ("..22.35", None, 22.355),
        (" 4 ", 4, 4),
        ("4..4", 4, 4),
    ],
)
def test_how_many(text: str, low: float | None, high: float | None) -> None:
    assert parse_range(text, where="--gpus") == Range(low=low, high=high)


@pytest.mark.parametrize("text", ["16GiB+", "16 GiB+", "16GB+", "16G+", "16+", "16gb+", "16 gib+"])
def test_memory_may_have_its_unit_and_is_gib(text: str) -> None:
    assert parse_range(text, where="--memory", unit="GiB") == Range(low=16)


def test_both_ends_may_have_a_unit() -> None:
    assert parse_range("16GiB..64GiB", where="--memory", unit="GiB") == Range(low=16, high=64)


@pytest.mark.parametrize(
    "text", ["", "x", "4-8", "-4", "4..", "..", "4++", "+4", "4,8", "1e3", "4MB", "4 8", "nan", "٤"]
)
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--gpus must look like 4, 4\+, 2\.\.8 or \.\.8, got"):
        parse_range(text, where="--gpus")


def test_disks_are_in_gb_and_gib_is_not_taken_for_it() -> None:
    assert parse_range("100gb+", where="--local-disk", unit="GB") == Range(low=100)
    with pytest.raises(UsageError, match=r"--local-disk is in GB, got '100GiB\.\.200'\n  Try: 1 GiB is 1\.074 GB"):
        parse_range("100GiB..200", where="--local-disk", unit="GB")


@pytest.mark.parametrize("text", ["0.5", "1..2.5", "..0.5", "1.5+"])
def test_what_can_only_be_whole_is(text: str) -> None:
    with pytest.raises(UsageError, match=r"--gpus must be whole, got .*\n  Try: a share counts as one"):
        parse_range(text, where="--gpus", whole="a share counts as one")


def test_what_was_probably_meant_is_offered() -> None:
    with pytest.raises(UsageError, match=r"Try: --gpus 0\+"):
        parse_range("0..", where="--gpus")
    with pytest.raises(UsageError, match=r"must begin below its end, got '8\.\.2'\n  Try: --gpus 2\.\.8"):
        parse_range("8..2", where="--gpus")


def test_a_unit_where_there_is_none_is_refused() -> None:
    with pytest.raises(UsageError):
        parse_range("4GiB", where="--vcpus")


def test_slack_is_for_the_lower_end_alone() -> None:
    asked = Range(low=24, high=24)
    assert asked.holds(22.352, slack=0.07)
    assert not asked.holds(22.352)
    assert not asked.holds(22.3, slack=0.07)
    assert not asked.holds(24.1, slack=0.07)
