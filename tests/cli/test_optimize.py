from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import launchbay
from launchbay.lifecycle.bay import Bay
from tests.cli.conftest import Said

Says = Callable[..., Said]
EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "small-team"
pytestmark = pytest.mark.usefixtures("bay")
TODAY = str(EXAMPLES / "today.yaml")


def test_three_rungs_and_the_steps_from_today(says: Says) -> None:
    said = says("cost", TODAY, "--optimize")
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0] == "today: us-west-2, a month of 720 hours"  # today's bill comes first
    assert "total     659.60 USD a month" in lines
    rungs = {line[:15].strip(): line[15:].split() for line in lines[lines.index("today, at the least:") + 3 :][:3]}
    assert rungs == {
        "same types": ["659.60", "0.00", "659.60", "0", "%"],
        "same capability": ["878.48", "+218.88", "878.48", "0", "%", "dearer", "than", "today"],
        "stated need": ["83.62", "-575.98", "83.62", "0", "%", "the", "cheapest"],
    }
    assert "needs     training: 2 vCPUs, 32 GiB, 1 GPU of 11 GiB, cuda, steady, x86_64" in lines
    assert any(
        line.startswith("lost      m6a.large in us-west-2 for what always stands: $0.29 a month dearer than m5a.large")
        for line in lines
    )
    bars = {line[:14].strip(): line.count("█") for line in lines[lines.index("from today to what is needed:") :]}
    assert (bars["today"], bars["then"]) == (30, 4)
    assert (bars["right-size"], bars["Savings Plan"]) == (0, 0)
    assert bars["split or share"] + bars["spot"] + bars["clean-up"] == 27
    assert "step      Savings Plan: its rates are not known, and what is not known is no saving" in lines


def test_the_same_as_json(says: Says, bay: Bay) -> None:
    said = says("cost", TODAY, "--optimize", "--json")
    assert said.code == 0
    value = said.value
    assert value == launchbay.to_json(launchbay.cheapest_plan(bay, TODAY))
    assert (value["monthly_usd"], value["complete"], value["bound_usd"], value["gap"]) == ("83.62", True, "83.62", 0.0)
    assert (value["best"], value["today"]["monthly_usd"]) == ("stated need", "659.60")
    assert [rung["saves_usd"] for rung in value["alternatives"]] == ["0.00", "-218.88", "575.98"]
    assert value["instances"][1] == {
        "name": "training",
        "type": "g4dn.2xlarge",
        "region": "us-west-2",
        "market": "spot",
        "count": 1,
        "runs": ["training"],
        "hours": "49.552613",
        "usd": "15.7037736443",
        "complete": True,
    }
    reasons = {item["cause"] for item in value["rejected"]}
    assert {"price unknown", "unfit", "dominated", "dearer"} <= reasons
    assert all(item["reason"] for item in value["rejected"])
    fall = value["waterfall"]
    assert (fall["begin_usd"], fall["end_usd"]) == ("659.60", "83.62")
    assert [step["name"] for step in fall["steps"]][-2:] == ["Savings Plan", "clean-up"]


def test_a_plan_that_is_written_is_billed_to_the_same_cent(says: Says, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    said = says("cost", TODAY, "--optimize", "-o", str(plan))
    assert said.out.endswith(f"\nwritten   {plan}\n")
    assert says("cost", str(plan), "--json").value["monthly_usd"] == "83.62"
    against = says("cost", str(plan), "--against", TODAY, "--json").value["against"]
    assert (against["monthly_usd"], against["difference_usd"]) == ("659.60", "-575.98")


@pytest.mark.parametrize("suffix", ["html", "svg", "png"])
def test_pictures(says: Says, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"report.{suffix}"
    said = says("cost", TODAY, "--optimize", "-o", str(path))
    assert said.out.endswith(f"\nwritten   {path}\n")
    assert len(path.read_bytes()) > 50_000
    assert says("cost", TODAY, "-o", str(path)).out.endswith(f"\nwritten   {path}\n")
    path.unlink()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for options in (("--optimize",), ()):
        said = says("cost", TODAY, *options, "-o", str(path))
        assert (said.code, said.out, path.exists()) == (1, "", False)
        assert "pip install 'launchbay[plot]'" in said.err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--seconds", "5"), "--seconds says something about --optimize, which is not there"),
        (("--current",), "--current says something about --optimize, which is not there"),
        (("-o", "plan.yaml"), "a bill can be written as .png, .svg or .html, got 'plan.yaml'"),
        (("--optimize", "--against", TODAY), "--against holds a bill against another, and --optimize looks for one"),
        (("--optimize", "--reconcile", "cur.csv"), "--reconcile holds a bill against another"),
        (("--optimize", "--seconds", "0"), "a search needs more than 0 seconds, got 0"),
        (("--optimize", "--seconds", "nan"), "a search needs more than 0 seconds, got nan"),
        (("--optimize", "-o", "plan.txt"), "a bill can be written as .png, .svg or .html, got 'plan.txt'"),
        (("--optimize", "-o", TODAY), "the plan would replace the workload that it is made for"),
    ],
)
def test_what_does_not_go_together(says: Says, arguments: tuple[str, ...], complaint: str) -> None:
    said = says("cost", TODAY, *arguments)
    assert said.code in (1, 2)
    assert said.out == ""
    assert complaint in said.err
    assert said.err.count("\n  Try: ") == 1


def test_where_it_cannot_be_written(says: Says, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = says("cost", TODAY, "--optimize", "-o", str(tmp_path / "file" / "plan.yaml"))
    assert (said.code, said.out) == (1, "")
    assert "a file stands in place of the folder while writing plan.yaml" in said.err


def test_no_plan_to_write(says: Says, tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text("region: us-west-2\nendpoints: [{name: api}]\n")
    said = says("cost", str(path), "--optimize", "-o", str(tmp_path / "plan.yaml"))
    assert said.code == 1
    assert "there is no plan to write: none of the alternatives could be worked out" in said.err
    said = says("cost", str(path), "--optimize", "-o", str(tmp_path / "plan.html"))
    assert "there is nothing to draw: none of the alternatives could be worked out" in said.err
    said = says("cost", str(path), "--optimize")
    assert said.code == 0
    assert "missing   api does not say its vcpus and memory" in said.out.splitlines()


def test_without_highs_one_error_names_the_extra(says: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "highspy", None)
    said = says("cost", TODAY, "--optimize")
    assert (said.code, said.out) == (1, "")
    assert "launchbay[solver]" in said.err
    assert says("cost", TODAY).code == 0  # a bill needs no solver


def test_needs_of_an_image(says: Says, tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(
        "region: us-west-2\nmonth: 720h\n"
        "endpoints: [{name: api, needs: {vcpus: 2, memory: 8GiB, gpus: 1, image: tensorflow-2.15, disk: 30GiB}}]\n"
    )
    needs = says("cost", str(path), "--optimize", "--json").value["alternatives"][2]["needs"]["api"]
    assert "of CUDA capability" in needs
    path.write_text(path.read_text().replace("tensorflow-2.15", "tensorflow-2.51"))
    said = says("cost", str(path), "--optimize")
    assert said.code == 1
    assert "tensorflow-2.51" in said.err
    assert f"{path}:3" in said.err
