from __future__ import annotations

import struct
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from launchbay.runs.chart import PALETTE
from launchbay.runs.curves import Curves, load_curves
from launchbay.runs.picture import render_picture
from tests.runs.writing import curves_of

DATA = Path(__file__).parent / "data"
SVG = "{http://www.w3.org/2000/svg}"


def runs(folder: Path, count: int) -> Curves:
    values = [[1 + index + 9 / (1 + step) for step in range(50)] for index in range(count)]
    return curves_of(folder, **{f"run{index}": {"loss": line, "val_loss": line} for index, line in enumerate(values)})


def strokes(svg: bytes) -> list[str]:
    root = ET.fromstring(svg)
    return [style for path in root.iter(f"{SVG}path") if (style := path.get("style")) and "stroke:" in style]


def test_a_png_is_1600_pixels_wide() -> None:
    data = render_picture(load_curves({"fit": [DATA / "keras"]}), "png")
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    assert width == 1600
    assert 800 < height < 1300


@pytest.mark.parametrize("count", [1, 3, 12])
def test_every_run_is_drawn_in_its_colour_training_lighter(tmp_path: Path, count: int) -> None:
    found = strokes(render_picture(runs(tmp_path, count), "svg"))
    for color in PALETTE[:count]:
        assert any(f"stroke: {color}" in style and "stroke-opacity" in style for style in found)
        assert any(f"stroke: {color}" in style and "stroke-opacity" not in style for style in found)
    assert any("stroke-dasharray: 8" in style for style in found) is (count > len(PALETTE))


def test_equal_curves_make_equal_files(tmp_path: Path) -> None:
    for kind in ("png", "svg"):
        assert render_picture(runs(tmp_path, 2), kind) == render_picture(runs(tmp_path, 2), kind)


def test_an_svg_asks_for_nothing_from_elsewhere(tmp_path: Path) -> None:
    root = ET.fromstring(render_picture(runs(tmp_path, 2), "svg"))
    links = [value for node in root.iter() for name, value in node.attrib.items() if name.endswith("href")]
    assert all(link.startswith("#") for link in links)
    assert not list(root.iter(f"{SVG}image"))


def test_the_persons_own_matplotlib_settings_stay_as_they_are(tmp_path: Path) -> None:
    plain = render_picture(runs(tmp_path, 1), "svg")
    with mpl.rc_context({"axes.facecolor": "black", "font.size": 30}):
        assert render_picture(runs(tmp_path, 1), "svg") == plain
        assert mpl.rcParams["axes.facecolor"] == "black"


def test_a_name_is_not_taken_for_a_formula(tmp_path: Path) -> None:
    curves = curves_of(tmp_path, **{"cost$x_{": {"loss": [3.0, 2.0]}, "b" * 200: {"loss": [3.0, 2.0]}})
    assert render_picture(curves, "png")


# --- words ---


def shown(curves: Curves, monkeypatch: pytest.MonkeyPatch) -> tuple[Figure, list[str]]:
    """Draw a picture and keep the figure, with all words in it that lie inside it whole."""
    kept: list[Figure] = []
    save = Figure.savefig

    def keep(figure: Figure, *given: Any, **named: Any) -> None:
        kept.append(figure)
        save(figure, *given, **named)

    monkeypatch.setattr(Figure, "savefig", keep)
    render_picture(curves, "png")
    (figure,) = kept
    edges = figure.bbox
    words = []
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if text.get_text() and text.get_visible():
            box = text.get_window_extent()
            assert edges.x0 <= box.x0, text.get_text()
            assert box.x1 <= edges.x1, text.get_text()
            assert edges.y0 <= box.y0, text.get_text()
            assert box.y1 <= edges.y1, text.get_text()
            words.append(text.get_text())
    return figure, words


LONG = "run-20261123-12151{}-ab0cd"


@pytest.mark.parametrize("count", [1, 2, 3, 8, 50])
@pytest.mark.parametrize("scale", [1e-7, 1.0, 1e5])
def test_all_words_lie_inside_the_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, scale: float
) -> None:
    values = [scale * (2 + 9 / (1 + step)) for step in range(50)]
    _, words = shown(curves_of(tmp_path, **{LONG.format(i): {"val_loss": values} for i in range(count)}), monkeypatch)
    assert "50" in words  # the last tick
    assert "step" in words


def test_many_runs_of_training_alone_are_not_called_validation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = [2 + 9 / (1 + step) for step in range(50)]
    _, words = shown(curves_of(tmp_path, **{f"r{index}": {"loss": values} for index in range(8)}), monkeypatch)
    assert "training" in words
    assert not [word for word in words if "validation" in word or "lighter" in word]


def test_many_runs_say_where_their_sentences_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, words = shown(runs(tmp_path, 8), monkeypatch)
    assert "validation; training lighter" in words
    assert any("`bay curves` without -o" in word for word in words)
    assert "run7 (flat)" in words


def test_a_run_without_a_curve_is_said_to_have_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = [2 + 9 / (1 + step) for step in range(50)]
    many = {f"r{index}": {"loss": values} for index in range(4)}
    _, words = shown(curves_of(tmp_path, **many, other={"accuracy": values}), monkeypatch)
    assert "other (unknown, no curve)" in words
    assert "r3 (falling)" in words


def test_words_begin_at_the_titles_left_edge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure, words = shown(runs(tmp_path, 3), monkeypatch)
    assert {"validation", "training"} <= set(words)
    title = next(text for text in figure.texts if text.get_text().startswith("Learning curves"))
    (legend,) = figure.legends
    assert legend.get_window_extent().x0 == pytest.approx(title.get_window_extent().x0, abs=5)


@pytest.mark.parametrize("count", [2, 8])
def test_what_sets_runs_apart_stands_beside_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    plain = runs(tmp_path, count).runs
    noted = {name: replace(run, note=f"--rate 0.{name[3:]}") for name, run in plain.items()}
    _, words = shown(Curves(runs=noted), monkeypatch)
    assert [word for word in words if "run1" in word and "--rate 0.1" in word]
