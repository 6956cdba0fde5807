from __future__ import annotations

import struct
import xml.etree.ElementTree as ET
from pathlib import Path

import matplotlib as mpl
import pytest

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
