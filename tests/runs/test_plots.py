from __future__ import annotations

import errno
import sys
from pathlib import Path

import pytest

from launchbay.errors import UsageError, UserError
from launchbay.runs.curves import Curves, load_curves
from launchbay.runs.plots import write_plot
from tests.runs.odd import ODD, odd_curves, random_curves

DATA = Path(__file__).parent / "data"


def keras() -> Curves:
    return load_curves({"fit": [DATA / "keras"]})


@pytest.mark.parametrize("name", ODD)
def test_odd_values_break_no_picture(tmp_path: Path, name: str) -> None:
    curves = odd_curves(tmp_path, name)
    for suffix in ("png", "svg", "html"):
        path = tmp_path / f"curves.{suffix}"
        write_plot(curves, path)
        assert path.stat().st_size > 4000


@pytest.mark.parametrize("seed", range(25))
def test_random_values_break_no_page(tmp_path: Path, seed: int) -> None:
    write_plot(random_curves(tmp_path, seed), tmp_path / "curves.html")


@pytest.mark.parametrize("name", ["curves.pdf", "curves", "curves.html.gz", ".png"])
def test_another_suffix_is_refused_naming_the_three(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        write_plot(keras(), tmp_path / name)
    assert ".png, .svg or .html" in caught.value.what
    assert name in caught.value.what
    assert list(tmp_path.iterdir()) == []


def test_a_suffix_may_be_in_capitals_and_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "Curves.HTML"
    write_plot(keras(), path)
    assert path.read_text().startswith("<!doctype html>")
    assert list(path.parent.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_an_error_that_says_where(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"in place of the folder while writing curves\.html") as caught:
        write_plot(keras(), tmp_path / "file" / "curves.html")
    assert caught.value.where == str(tmp_path / "file")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(UserError, match="while writing"):
        write_plot(keras(), tmp_path / "folder.html")
    assert {path.name for path in tmp_path.iterdir()} == {"file", "folder.html"}


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_place_without_permission_names_the_picture_and_not_our_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(path: Path, data: bytes) -> None:
        assert data
        raise OSError(number, "refused", str(path.with_name(f".{path.name}.29537.tmp")))

    monkeypatch.setattr("launchbay.pictures.write_atomic", refuse)
    with pytest.raises(UserError) as caught:
        write_plot(keras(), tmp_path / "x.html")
    assert str(caught.value) == (
        f"no permission while writing x.html ({tmp_path / 'x.html'})\n  Try: another folder for it: -o ~/x.html"
    )


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_without_matplotlib_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError) as caught:
        write_plot(keras(), tmp_path / f"curves.{suffix}")
    assert "pip install 'launchbay[plot]'" in caught.value.hint
    assert list(tmp_path.iterdir()) == []
    write_plot(keras(), tmp_path / "curves.html")  # needs nothing
