"""Pictures of a bill and its alternatives: what is drawn, in each format, and nothing from elsewhere."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from launchbay.catalog.price import Catalogue
from launchbay.cost.bill import make_bill
from launchbay.cost.picture.charts import Charts, charts_of_bill, charts_of_plans
from launchbay.cost.picture.page import render_page
from launchbay.cost.picture.panels import PANELS, draw_all, draw_one, panels_of
from launchbay.cost.saving.cheapest import Cheapest
from tests.cost.saving.world import API, SPOT, TRAINING, alternatives, catalogue, workload

RUNNING: list[dict[str, Any]] = [
    {"name": "gpu", "type": "t4.small", "hours": "always", "runs": ["training", "api"], "disk": "100GiB"},
]
FIELDS: dict[str, Any] = {
    "jobs": [{**TRAINING, **SPOT}],
    "endpoints": [API],
    "instances": RUNNING,
    "spot": {"below_on_demand": "60%", "interrupted_every": "6h"},
}
SVG = "{http://www.w3.org/2000/svg}"


def drawn(folder: Path, known: Catalogue | None = None, **fields: Any) -> tuple[Charts, Cheapest]:
    found = alternatives(folder, known, **fields)
    return charts_of_plans(found, workload(folder, **fields), known or catalogue()), found


def bill_charts(folder: Path, **fields: Any) -> Charts:
    asked = workload(folder, **fields)
    return charts_of_bill(asked, make_bill(asked, catalogue()), catalogue())


def test_a_bill_alone_has_no_steps_and_nothing_to_compare(tmp_path: Path) -> None:
    charts = bill_charts(tmp_path, instances=[{**RUNNING[0], "runs": []}])
    assert list(panels_of(charts)) == ["lines", "months"]
    assert charts.title == "workload: $368.00 a month"


def test_alternatives_have_every_panel(tmp_path: Path) -> None:
    charts, found = drawn(tmp_path, **FIELDS)
    assert list(panels_of(charts)) == list(PANELS)
    named = {name for point in charts.points for name in point.name.split(", ")}
    assert {"today", "same types", "same capability", "stated need"} <= named
    best = found.best
    assert best is not None
    point = next(item for item in charts.points if "stated need" in item.name)
    assert point.usd == best.usd
    assert point.risk.interruptions is not None
    assert point.risk.interruptions > 7  # two runs of 24 hours, one in six
    assert charts.discounts["stated need"][0][1] > charts.discounts["stated need"][-1][1]
    spot, flat = charts.discounts["stated need"], charts.discounts["all on demand"][0][1]
    (way,) = [way for way in best.rejected if way.type == "t4.small" and way.market == "on-demand"][:1]
    assert spot[0][1] > flat > spot[1][1], "spot pays below 97 % of the price on demand, and at no discount it does not"
    assert abs((way.usd_more or 0) - (flat - best.usd)) < Decimal("0.001")


def test_lines_are_the_dearest_first_and_what_is_unknown_is_there(tmp_path: Path) -> None:
    charts = bill_charts(tmp_path, instances=[{"name": "a", "type": "t4.small"}, *RUNNING], **_work())
    known = [bar.usd for bar in charts.lines if bar.usd is not None]
    assert known == sorted(known, reverse=True)
    assert charts.lines[-1].usd is None
    assert charts.title.startswith("workload: at least $")
    assert ">unknown<" in render_page(charts)


def _work() -> Mapping[str, Any]:
    return {"jobs": FIELDS["jobs"], "endpoints": FIELDS["endpoints"]}


def test_many_small_lines_are_one_bar_and_nothing_of_it_is_lost(tmp_path: Path) -> None:
    many = [{"name": f"b{number}", "type": "t4.small", "disk": "10GiB"} for number in range(30)]
    charts = bill_charts(tmp_path, instances=many)
    assert len(charts.lines) == 12
    assert charts.lines[-1].label == "49 smaller ones"
    assert sum((bar.usd or Decimal(0) for bar in charts.lines), Decimal(0)) == charts.bill.usd


@pytest.mark.parametrize("name", PANELS)
def test_equal_values_make_equal_pictures_that_ask_for_nothing(tmp_path: Path, name: str) -> None:
    charts, _ = drawn(tmp_path, **FIELDS)
    data = draw_one(charts, name, "svg")
    assert data == draw_one(charts, name, "svg")
    root = ET.fromstring(data)
    links = [value for node in root.iter() for key, value in node.attrib.items() if key.endswith("href")]
    assert all(link.startswith("#") for link in links)
    assert not list(root.iter(f"{SVG}image"))


def test_all_of_them_in_one_picture(tmp_path: Path) -> None:
    charts, _ = drawn(tmp_path, **FIELDS)
    assert draw_all(charts, "png")[:8] == b"\x89PNG\r\n\x1a\n"
    assert len(ET.fromstring(draw_all(charts, "svg")).findall(f".//{SVG}g[@id]")) > 50


def test_the_page_is_complete_in_itself_and_says_what_each_plan_rests_on(tmp_path: Path) -> None:
    odd = {
        **FIELDS,
        "jobs": [{**TRAINING, **SPOT, "name": "a-b"}],
        "instances": [{**RUNNING[0], "runs": ["a-b", "api"]}],
    }
    charts, found = drawn(tmp_path, **odd)
    page = render_page(charts, found)
    assert not re.search(r"(?:src|href)=\"(?!data:)", page)
    assert "http" not in re.sub(r"data:image/svg\+xml;base64,[^\"]+", "", page).replace("http-equiv", "")
    for name in panels_of(charts):
        assert f'alt="{PANELS[name][0]}"' in page
    for picture in re.findall(r"base64,([^\"]+)", page):
        ET.fromstring(base64.b64decode(picture))
    for rung in found.alternatives:
        assert f"<h2>On {rung.name}" in page
        for line in (*rung.assumptions, *rung.reasons):
            assert line.replace("&", "&amp;").replace("<", "&lt;")[:40] in page
    assert "The bill of the cheapest plan: $" in page
    assert "Today&#x27;s bill" in page
    assert found.waterfall.steps[2].what.replace("'", "&#x27;") in page


def test_names_are_text_and_never_markup(tmp_path: Path) -> None:
    charts = bill_charts(tmp_path, name="<b>x</b>", instances=[{"name": "a", "type": "t4.small", "disk": "10GiB"}])
    page = render_page(charts)
    assert "<b>x</b>" not in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page


def test_a_plan_without_a_bill_of_today_says_why_there_are_no_steps(tmp_path: Path) -> None:
    charts, found = drawn(tmp_path, endpoints=[{**API, "needs": {**API["needs"], "disk": "10GiB"}}])
    assert "waterfall" not in panels_of(charts)
    page = render_page(charts, found)
    assert "what runs today is not said (instances)" in page
    draw_all(charts, "png")


def test_unknown_interruptions_stand_apart(tmp_path: Path) -> None:
    box = [{**RUNNING[0], "runs": ["training"], "market": "spot", "hours": "48h a month"}]
    charts = bill_charts(tmp_path, jobs=[{**TRAINING, **SPOT}], instances=box, spot={"below_on_demand": "60%"})
    assert [point.risk.interruptions for point in charts.points] == [None]
    draw_one(charts, "risk", "svg")
