"""The tables of what is known of Amazon's images, and how they are looked up."""

from __future__ import annotations

import re
from datetime import date

import pytest

from launchbay.planning.imagefacts import FRAMEWORK_ENDS, NOTES, OS_ENDS, find_note, series_of, support_end
from launchbay.twin.imagedata import support_ends
from tests.planning.listings import twin_images

SERIES = "Deep Learning Base AMI with Single CUDA (Ubuntu 22.04)"


def test_every_note_is_a_series_with_a_driver_and_a_source() -> None:
    for note in NOTES:
        assert series_of(note.series) == note.series
        assert re.fullmatch(r"\d{3}(\.\d+){0,2}", note.driver)
        assert note.source == "remembered" or note.source.startswith("https://docs.aws.amazon.com/dlami/")
        assert note.is_floor == (note.source == "remembered")


def test_drivers_of_a_series_only_go_up() -> None:
    for series in {note.series for note in NOTES}:
        mine = sorted((note for note in NOTES if note.series == series), key=lambda note: note.built)
        drivers = [[int(part) for part in note.driver.split(".")] for note in mine]
        assert drivers == sorted(drivers), series


def test_every_end_has_a_source_and_a_day_on_which_it_was_read() -> None:
    for policy in [*FRAMEWORK_ENDS.values(), *OS_ENDS.values()]:
        assert policy.source == "remembered" or policy.source.startswith("https://")
        assert policy.read >= date(2026, 11, 27)


def test_no_end_is_another_than_the_twins() -> None:
    """The twin has a table of its own: two that disagree are a slip in one."""
    known = 0
    for image in twin_images():
        theirs = support_ends(image.name)
        if image.kind == "quick start" and image.support_ends and theirs:
            assert image.support_ends == theirs, image.name
            known += 1
    assert known > 20


@pytest.mark.parametrize(
    ("name", "series"),
    [
        (f"{SERIES} 20261006", SERIES),
        ("Deep Learning AMI (Ubuntu 18.04) Version 62.0", "Deep Learning AMI (Ubuntu 18.04)"),
        ("ubuntu-noble-24.04-amd64-server-20261013.1", "ubuntu-noble-24.04-amd64-server"),
        ("Deep Learning OSS AMI GPU PyTorch 2.12 (Ubuntu 24.04)", "Deep Learning OSS AMI GPU PyTorch 2.12 (Ubuntu 24.04)"),
    ],
)  # fmt: skip
def test_the_series(name: str, series: str) -> None:
    assert series_of(name) == series


@pytest.mark.parametrize(
    ("name", "made", "driver", "is_floor", "cuda"),
    [
        (f"{SERIES} 20260102", None, "580.105.08", False, "13.0"),
        (f"{SERIES} 20260103", None, "580.105.08", True, None),
        (f"{SERIES} 20260723", None, "580.105.08", True, None),
        (f"{SERIES} 20260724", None, "595.71.05", False, "13.2"),
        (f"{SERIES} 20991231", None, "595.71.05", True, None),
        (f"{SERIES} 71.6", date(2026, 1, 2), "580.105.08", False, "13.0"),
    ],
)
def test_a_build_has_its_own_note_or_the_least_of_an_earlier_one(
    name: str,
    made: date | None,
    driver: str,
    is_floor: bool,  # noqa: FBT001
    cuda: str | None,
) -> None:
    note = find_note(name, made)
    assert note is not None
    assert (note.driver, note.is_floor, note.cuda) == (driver, is_floor, cuda)


@pytest.mark.parametrize(
    ("name", "made"),
    [(f"{SERIES} 20260101", None), (f"{SERIES} 20259999", None), ("another 20260724", None), (SERIES, None)],
)
def test_before_the_first_note_nothing_is_known(name: str, made: date | None) -> None:
    assert find_note(name, made) is None


@pytest.mark.parametrize(
    ("system", "frameworks", "more", "end"),
    [
        ("Ubuntu 24.04", {"pytorch": "2.9"}, False, (date(2026, 10, 15), True)),
        ("Ubuntu 24.04", {"pytorch": "2.99"}, False, (date(2029, 4, 30), False)),
        ("Ubuntu 24.04", {}, False, (date(2029, 4, 30), True)),
        ("Ubuntu 24.04", {}, True, (date(2029, 4, 30), False)),
        ("Ubuntu 30.04", {}, False, (None, False)),
        (None, {}, False, (None, False)),
        (None, {"pytorch": "2.9"}, False, (date(2026, 10, 15), False)),
    ],
)
def test_the_end_of_a_whole_is_known_when_that_of_each_part_is(
    system: str | None,
    frameworks: dict[str, str],
    more: bool,  # noqa: FBT001
    end: tuple[date | None, bool],
) -> None:
    assert support_end(system, frameworks, has_more=more) == end
