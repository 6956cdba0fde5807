from __future__ import annotations

import math
import random
import re
import sys
from pathlib import Path

import pytest

from launchbay.errors import UsageError, UserError
from launchbay.runs.curves import Curves, load_curves
from launchbay.runs.plots import draw_terminal, write_plot
from tests.runs.writing import curves_of

DATA = Path(__file__).parent / "data"
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def decay(count: int = 200, floor: float = 0.1) -> list[float]:
    return [floor + 10 * math.exp(-index / 20) for index in range(count)]


def keras() -> Curves:
    return load_curves({"fit": [DATA / "keras"]})


def split(text: str) -> tuple[list[str], list[str]]:
    """Part the drawing from the words below it."""
    drawing, _, words = ESCAPE.sub("", text).partition("\n\n")
    return drawing.splitlines(), words.splitlines()


@pytest.mark.parametrize("color", [True, False])
@pytest.mark.parametrize(("width", "height"), [(40, 10), (80, 24), (137, 41)])
def test_the_drawing_has_the_size_asked_for(width: int, height: int, *, color: bool) -> None:
    drawing, words = split(draw_terminal(keras(), width, height, color=color))
    assert len(drawing) == height
    assert max(map(len, drawing)) == width
    assert max(map(len, words)) <= width


def test_a_terminal_that_is_too_small_gets_the_least_drawing() -> None:
    drawing, _ = split(draw_terminal(keras(), 3, 2, color=False))
    assert (len(drawing), max(map(len, drawing))) == (10, 40)


def test_colour_only_where_it_is_wanted() -> None:
    assert "\x1b" not in draw_terminal(keras(), 80, 24, color=False)
    assert "\x1b[38;5;33m" in draw_terminal(keras(), 80, 24, color=True)


def test_drawing_again_gives_the_same(tmp_path: Path) -> None:
    first = draw_terminal(keras(), 80, 24, color=True)
    draw_terminal(curves_of(tmp_path, other={"loss": decay()}), 60, 20, color=False)
    assert draw_terminal(keras(), 80, 24, color=True) == first


def test_the_legend_and_the_words_say_what_is_seen(tmp_path: Path) -> None:
    curves = curves_of(tmp_path, night={"loss": decay(), "val_loss": decay(floor=0.5)})
    drawing, words = split(draw_terminal(curves, 100, 24, color=False))
    assert drawing[0] == "loss, log scale, by step"
    assert drawing[1] == "night  ━━ validation 0.5, best 0.5 at 199  ·· training 0.1"
    assert words[0] == curves.runs["night"].diagnosis.sentence
    assert words[1].startswith("  Rule: flat: ")


def test_the_curve_falls_from_the_upper_left_to_the_lower_right(tmp_path: Path) -> None:
    curves = curves_of(tmp_path, run={"loss": decay()})
    drawing, _ = split(draw_terminal(curves, 80, 24, color=False))
    rows = [row[6:] for row in drawing[2:-2]]
    braille = [[index for index, char in enumerate(row) if "\u2800" < char <= "\u28ff"] for row in rows]
    first = next(row for row, found in enumerate(braille) if 0 in found)
    last = max(row for row, found in enumerate(braille) if found)
    assert first < 4
    assert last > len(rows) - 7
    assert max(braille[last]) > 65


def test_runs_without_colour_are_told_apart_by_letters(tmp_path: Path) -> None:
    curves = curves_of(
        tmp_path,
        one={"loss": decay(), "val_loss": decay(floor=0.2)},
        two={"loss": decay(floor=3), "val_loss": decay(floor=4)},
    )
    drawing, words = split(draw_terminal(curves, 80, 24, color=False))
    assert drawing[1].startswith("one  A validation")
    assert drawing[2].startswith("two  B validation")
    assert all(letter in "".join(drawing[3:]) for letter in "AaBb")
    assert [word[:4] for word in words if ":" in word and not word.startswith(" ")] == ["one:", "two:"]


def test_many_runs_leave_room_for_the_curves(tmp_path: Path) -> None:
    curves = curves_of(tmp_path, **{f"run{index:02}": {"loss": decay()} for index in range(30)})
    drawing, _ = split(draw_terminal(curves, 80, 24, color=False))
    assert len(drawing) == 24
    assert "and 23 more" in drawing
    assert sum("┼" in row or "│" in row for row in drawing) > 10


def test_a_folders_name_cannot_command_the_terminal(tmp_path: Path) -> None:
    curves = curves_of(tmp_path, **{"evil\x1b]0;owned\x07": {"loss": decay()}, "b": {"loss": decay()}})
    text = draw_terminal(curves, 80, 24, color=True)
    assert "\x07" not in text
    assert "\x1b" not in ESCAPE.sub("", text)


def test_what_was_damaged_is_said(tmp_path: Path) -> None:
    curves_of(tmp_path, run={"loss": decay()})
    path = next((tmp_path / "run").iterdir())
    path.write_bytes(path.read_bytes() + b"\x05" * 30)
    _, words = split(draw_terminal(load_curves({"run": [tmp_path / "run"]}), 200, 24, color=False))
    assert any(f"Warning: {path}: damaged at byte" in word for word in words)


ODD: dict[str, list[float]] = {
    "one point": [2.0],
    "constant": [2.0] * 30,
    "zero": [0.0] * 30,
    "nothing finite": [math.nan, math.inf, -math.inf],
    "gaps": [math.nan if index % 3 else 1.0 + index for index in range(60)],
    "infinite": [1.0, math.inf, 2.0, -math.inf, 3.0],
    "huge": [10.0**power for power in range(-38, 39)],
    "both signs": [index - 50.0 for index in range(100)],
    "tiny": [1e-38 * (index + 1) for index in range(50)],
    "then nan": [*decay(50), math.nan, math.nan],
}


@pytest.mark.parametrize("name", ODD)
def test_odd_values_break_no_picture(tmp_path: Path, name: str) -> None:
    curves = curves_of(tmp_path, odd={"loss": ODD[name], "val_loss": ODD[name]}, good={"loss": decay()})
    for color in (True, False):
        drawing, _ = split(draw_terminal(curves, 80, 24, color=color))
        assert len(drawing) == 24
    for suffix in ("png", "svg", "html"):
        path = tmp_path / f"curves.{suffix}"
        write_plot(curves, path)
        assert path.stat().st_size > 4000


@pytest.mark.parametrize("seed", range(25))
def test_random_values_break_no_picture(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)

    def series() -> list[float]:
        scale = 10.0 ** chance.randrange(-30, 30)
        strange = [math.nan, math.inf, -math.inf, 0.0, -1.0, 1e30, 1e-30]
        return [
            chance.choice(strange) if chance.random() < 0.1 else scale * chance.expovariate(1)
            for _ in range(chance.randrange(1, 80))
        ]

    runs = {f"run{index}": {"loss": series(), "val_loss": series()} for index in range(chance.randrange(1, 6))}
    curves = curves_of(tmp_path, **runs)
    assert len(split(draw_terminal(curves, 70, 20, color=True))[0]) == 20
    write_plot(curves, tmp_path / "curves.html")


# --- files ---


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
    with pytest.raises(UserError, match="while writing"):
        write_plot(keras(), tmp_path / "file" / "curves.html")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(UserError, match="while writing"):
        write_plot(keras(), tmp_path / "folder.html")
    assert {path.name for path in tmp_path.iterdir()} == {"file", "folder.html"}


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


def test_without_plotext_the_error_names_another_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotext", None)
    with pytest.raises(UserError) as caught:
        draw_terminal(keras(), 80, 24, color=False)
    assert "bay curves RUN -o curves.html" in caught.value.hint
