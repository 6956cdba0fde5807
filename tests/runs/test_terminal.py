from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from launchbay.errors import UserError
from launchbay.runs.curves import Curves, load_curves
from launchbay.runs.terminal import draw_terminal
from tests.runs.odd import ODD, decay, odd_curves, random_curves
from tests.runs.writing import curves_of

DATA = Path(__file__).parent / "data"
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


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
    assert "and 22 more" in drawing
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


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize(("color", "unicode"), [(True, True), (False, True), (False, False)])
def test_odd_values_break_no_drawing(tmp_path: Path, name: str, *, color: bool, unicode: bool) -> None:
    drawing, _ = split(draw_terminal(odd_curves(tmp_path, name), 80, 24, color=color, unicode=unicode))
    assert len(drawing) == 24


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize(("width", "height"), [(40, 15), (70, 20), (120, 32)])
def test_random_values_break_no_drawing(tmp_path: Path, seed: int, width: int, height: int) -> None:
    drawing, words = split(draw_terminal(random_curves(tmp_path, seed), width, height, color=True))
    assert len(drawing) == height
    assert max(map(len, [*drawing, *words])) <= width


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("count", [500, 50, 30, 1_000_000])
def test_the_axis_ends_with_the_last_step(tmp_path: Path, width: int, count: int) -> None:
    curves = curves_of(tmp_path, run={"loss": decay(30)})
    steps = (*range(0, 29 * (count // 30), count // 30), count - 1)
    scalar = replace(curves.runs["run"].scalars["loss"], steps=steps)
    far = Curves(runs={"run": replace(curves.runs["run"], scalars={"loss": scalar})})
    drawing, _ = split(draw_terminal(far, width, 20, color=False))
    assert drawing[-1].endswith(f" {count:,}")
    assert drawing[-1].split()[0] == "0"


# --- ASCII ---


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_without_unicode_all_is_ascii_and_as_broad(tmp_path: Path, width: int, count: int) -> None:
    runs = {}
    for run in range(count):
        noisy = [value * (1 + index % 7 / 20) for index, value in enumerate(decay(floor=1 + 3 * run))]
        runs[f"läuft{run}"] = {"loss": decay(floor=0.5 + 3 * run), "val_loss": noisy}
    text = draw_terminal(curves_of(tmp_path, **runs), width, 24, color=False, unicode=False)
    drawing, words = split(text)
    assert text.isascii()
    assert "(noise +/-" in text.replace("\n  ", " ")
    assert "l?uft0" in text
    assert len(drawing) == 24
    assert max(map(len, [*drawing, *words])) <= width
    plot = [row for row in drawing if row.strip()[:1] in "0123456789|+"]
    assert all(letter in "".join(plot) for letter in "Aa|+-")


def test_colour_without_unicode_draws_letters_in_colour(tmp_path: Path) -> None:
    text = draw_terminal(curves_of(tmp_path, run={"loss": decay()}), 60, 20, color=True, unicode=False)
    assert text.isascii()
    assert "\x1b[38;5;33mA" in text


def test_without_plotext_the_error_names_another_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotext", None)
    with pytest.raises(UserError) as caught:
        draw_terminal(keras(), 80, 24, color=False)
    assert "bay curves RUN -o curves.html" in caught.value.hint
