from __future__ import annotations

import os
import random
import re
from pathlib import Path

import pytest

from launchbay.errors import UsageError
from launchbay.home import Home, find_home, new_id, new_ids, random_letters


def test_everything_lies_below_the_home(tmp_path: Path) -> None:
    home = Home(tmp_path)
    places = [home.images, home.instances, home.runs, home.tmp, home.trash, home.journal, home.onboard, home.lock("a")]
    assert all(tmp_path in place.parents for place in places)
    assert len(set(places)) == len(places)
    assert list(tmp_path.iterdir()) == []  # asking makes nothing


def test_what_is_thrown_away_can_be_renamed_there(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert home.tmp in home.trash.parents  # one file system: a rename is one step


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"LAUNCHBAY_HOME": "/data/bay", "XDG_DATA_HOME": "/x", "HOME": "/home/ada"}, "/data/bay"),
        ({"LAUNCHBAY_HOME": "", "XDG_DATA_HOME": "/x", "HOME": "/home/ada"}, "/x/launchbay"),
        ({"XDG_DATA_HOME": "", "HOME": "/home/ada"}, "/home/ada/.local/share/launchbay"),
    ],
)
def test_the_home_is_chosen_by_precedence(environ: dict[str, str], expected: str) -> None:
    assert find_home(environ).root == Path(expected)


def test_a_relative_home_is_from_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_home({"LAUNCHBAY_HOME": "bay"}).root == tmp_path / "bay"


def test_a_tilde_is_the_persons_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_home({"LAUNCHBAY_HOME": "~/bay"}).root == tmp_path / "bay"
    assert find_home({}).root == tmp_path / ".local/share/launchbay"


def test_ids_sort_by_time_to_the_millisecond() -> None:
    times = [1_800_000_000 + step * 0.001 for step in range(3000)]
    ids = [new_id("i", now) for now in times]
    assert [name[:-3] for name in ids] == sorted(name[:-3] for name in ids)
    assert len({name[:-3] for name in ids}) == len(ids)


def test_an_id_says_when_it_was_made() -> None:
    assert re.fullmatch(r"op-20270115-080000-00[0-9a-z]{3}", new_id("op", 1_800_000_000.0))


def test_ids_of_one_instant_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "urandom", random.Random(1).randbytes)  # chance itself would exceed the bound now and then
    assert len({new_id("i", 1_800_000_000.0) for _ in range(500)}) > 490


def test_a_thousand_ids_drawn_at_once_are_a_thousand() -> None:
    assert len(set(new_ids("i", 1_800_000_000.25, 1000))) == 1000


def test_letters_can_be_read_aloud() -> None:
    letters = random_letters(2000)
    assert set(letters) == set("0123456789abcdefghjkmnpqrstvwxyz")  # no i, l, o, u


def test_the_home_of_the_tests_is_not_the_persons(home: Home) -> None:
    assert os.environ["LAUNCHBAY_HOME"] == str(home.root)


@pytest.mark.parametrize("name", ["with space", "tab\there"])
def test_a_home_that_pip_could_not_use_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="without spaces"):
        find_home({"LAUNCHBAY_HOME": str(tmp_path / name)})


def test_a_home_at_which_a_search_path_would_be_split_is_refused(tmp_path: Path) -> None:
    """The instance's `pip` would not be found there, and the machine's would answer."""
    with pytest.raises(UsageError, match="without ':'"):
        find_home({"LAUNCHBAY_HOME": str(tmp_path / "a:b")})


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    with pytest.raises(UsageError, match="must be a folder"):
        find_home({"LAUNCHBAY_HOME": str(tmp_path / "home")})
