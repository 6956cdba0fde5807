from __future__ import annotations

import json
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from launchbay.runs.axis import step_axis
from launchbay.runs.chart import loss_chart
from launchbay.runs.curves import Curves, load_curves
from launchbay.runs.page import render_page
from launchbay.runs.svg import Frame, color_class, draw_svg
from tests.runs.writing import curves_of

DATA = Path(__file__).parent / "data"
VOID = {"meta", "br"}


class Reader(HTMLParser):
    """Collects what a page asks for, says and nests."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: dict[str, list[str]] = {}
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.words.setdefault(self.open[-1], []).append(data)

    def blocks(self) -> list[Any]:
        return [json.loads(text) for text in self.words["script"] if text.startswith("{")]


def page(folder: Path, **runs: dict[str, list[float]]) -> str:
    return render_page(curves_of(folder, **{name: dict(scalars) for name, scalars in runs.items()}))


def test_the_page_is_complete_in_itself() -> None:
    text = render_page(load_curves({"fit": [DATA / "keras"]}))
    read = Reader(text)
    assert read.open == []
    assert not {"link", "img", "iframe", "object", "embed"} & {tag for tag, _ in read.tags}
    assert not [value for _, attrs in read.tags for name, value in attrs.items() if name in ("src", "href")]
    assert "url(" not in text
    assert "@import" not in text
    addresses = set(re.findall(r"https?://[^\s\"')]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg"}  # the name of SVG, not an address that is asked
    policy = next(attrs["content"] for _, attrs in read.tags if attrs.get("http-equiv"))
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def test_it_says_what_each_run_shows_and_lists_last_and_best_values(tmp_path: Path) -> None:
    curves = curves_of(
        tmp_path,
        one={"loss": [3.0, 2.0, 1.0], "val_loss": [4.0, 2.5, 2.75]},
        two={"loss": [30.0, math.nan]},
    )
    read = Reader(render_page(curves))
    for run in curves.runs.values():
        assert run.diagnosis.sentence in read.words["p"]
        assert f"Rule: {run.diagnosis.rule}." in read.words["p"]
    assert read.words["title"][0] == "Learning curves of 2 runs"
    assert read.words["td"][:8] == ["3", "1", "1", "2", "3", "2.75", "2.5", "1"]
    assert read.words["td"][8:] == ["2", "NaN", "30", "0", "none"]


def test_the_script_gets_the_values_under_the_pointer(tmp_path: Path) -> None:
    read = Reader(page(tmp_path, run={"loss": [3.0, math.nan, 1.0], "val_loss": [4.0, 2.5, math.inf]}))
    (block,) = read.blocks()
    assert [(line["name"], line["steps"], line["values"]) for line in block["lines"]] == [
        ("run training", [0, 2], [3.0, 1.0]),
        ("run validation", [0, 1], [4.0, 2.5]),
    ]


def test_long_curves_are_thinned(tmp_path: Path) -> None:
    text = page(tmp_path, run={"loss": [1 + (index % 97) / 97 for index in range(20_000)]})
    assert len(text) < 150_000


def test_names_are_words_not_markup(tmp_path: Path) -> None:
    name = "</script><script>alert(1)</script>&"
    curves = curves_of(tmp_path, run={"loss": [2.0, 1.0], "a</script><b>&\x1b": [1.0, 2.0]})
    text = render_page(type(curves)(runs={name: curves.runs["run"]}))
    read = Reader(text)
    assert "alert(1)" not in "".join(read.words["script"][-1:])
    assert sum(tag == "script" for tag, _ in read.tags) == 3  # two charts and the page's own
    assert any(name in word for word in read.words["h2"])
    assert "\x1b" not in text


def test_other_metrics_have_charts_but_a_constant_has_none(tmp_path: Path) -> None:
    run = {"loss": [2.0, 1.0], "accuracy": [0.5, 0.9], "learning_rate": [0.1, 0.1]}
    read = Reader(page(tmp_path, run=run))
    assert read.words["b"] == ["loss", "accuracy"]


def test_the_scale_can_be_switched_only_where_there_are_two(tmp_path: Path) -> None:
    assert "linear</button>" in page(tmp_path, run={"loss": [200.0, 1.0]})
    assert "linear</button>" not in page(tmp_path, run={"loss": [200.0, 0.0]})


def test_damaged_places_are_listed(tmp_path: Path) -> None:
    curves_of(tmp_path, run={"loss": [2.0, 1.0]})
    path = next((tmp_path / "run").iterdir())
    path.write_bytes(path.read_bytes() + b"\x05" * 30)
    read = Reader(render_page(load_curves({"run": [tmp_path / "run"]})))
    assert any("damaged at byte" in word for word in read.words["li"])


def test_light_and_dark(tmp_path: Path) -> None:
    text = page(tmp_path, run={"loss": [2.0, 1.0]})
    assert "color-scheme: light dark" in text
    assert "@media (prefers-color-scheme: dark)" in text


# --- the chart ---


def drawn(folder: Path, **runs: dict[str, list[float]]) -> ET.Element:
    chart = loss_chart(curves_of(folder, **{name: dict(scalars) for name, scalars in runs.items()}))
    return ET.fromstring(draw_svg(Frame(chart=chart, width=1080, height=440), has_words=True))


def numbers(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path)]


def test_a_line_goes_through_its_points(tmp_path: Path) -> None:
    root = drawn(tmp_path, run={"loss": [4.0, 3.0, 2.0]})
    (line,) = [node for node in root.iter("path") if "line" in node.get("class", "")]
    points = numbers(line.get("d", ""))
    assert [x for x, _ in points] == [64, 564, 1064]
    assert points[0][1] < points[1][1] < points[2][1]
    assert points[1][1] == pytest.approx((points[0][1] + points[2][1]) / 2, abs=0.1)


def test_gaps_and_lone_points(tmp_path: Path) -> None:
    root = drawn(tmp_path, run={"loss": [4.0, math.nan, 2.0, 3.0]})
    (line,) = [node for node in root.iter("path") if "line" in node.get("class", "")]
    assert line.get("d", "").count("M") == 2
    assert len(numbers(line.get("d", ""))) == 4  # the lone one twice: a dot


def test_the_best_value_is_written_beside_its_point(tmp_path: Path) -> None:
    root = drawn(tmp_path, run={"loss": [4.0, 3.0, 2.0], "val_loss": [4.0, 2.5, 3.0]})
    assert [node.text for node in root.iter("text") if "best" in node.get("class", "")] == ["best 2.5 at 1"]


def test_nothing_finite_is_said(tmp_path: Path) -> None:
    root = drawn(tmp_path, run={"loss": [math.nan] * 3})
    assert "no finite value to draw" in [node.text for node in root.iter("text")]


def test_colours_come_again_dashed() -> None:
    assert [color_class(index) for index in (0, 7, 8)] == ["c0", "c7", "c0 again"]


def test_the_legend_names_only_what_is_drawn(tmp_path: Path) -> None:
    text = page(tmp_path, a={"loss": [3.0, 2.0]}, lost={"loss": [math.nan] * 2}, b={"loss": [2.0, 1.0]})
    read = Reader(text)
    keys = [(attrs["data-key"], attrs["class"]) for tag, attrs in read.tags if tag == "button" and "data-key" in attrs]
    assert keys == [("0", "c0"), ("2", "c2")]
    lines = {attrs["data-line"]: attrs["class"] for tag, attrs in read.tags if "data-line" in attrs}
    assert "c2" in (lines["2"] or "")  # the key hides the line of its own number


def test_the_last_step_has_a_label_inside_the_drawing(tmp_path: Path) -> None:
    chart = loss_chart(curves_of(tmp_path, run={"loss": [3.0, 2.0]}))
    far = replace(chart, x=step_axis([0, 1_000_000]))
    root = ET.fromstring(draw_svg(Frame(chart=far, width=560, height=280), has_words=True))
    (node,) = [node for node in root.iter("text") if node.text == "1,000,000"]
    assert "end" in node.get("class", "")
    assert float(node.get("x", "")) < 560


def test_what_sets_runs_apart_stands_in_cards_legend_and_table(tmp_path: Path) -> None:
    plain = curves_of(tmp_path, a={"loss": [3.0, 2.0], "val_loss": [3.0, 2.0]}, b={"loss": [2.0, 1.0]}).runs
    curves = Curves(runs={name: replace(run, note=f"--name '<{name}>'") for name, run in plain.items()})
    read = Reader(render_page(curves))
    notes = [word for word in read.words["small"] if word.startswith("--name")]
    assert sorted(notes) == ["--name '<a>'"] * 3 + ["--name '<b>'"] * 3
