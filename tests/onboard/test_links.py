"""The links that TensorBoard is shown: event files of the runs that are meant, and nothing else."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from launchbay.onboard.links import Links
from launchbay.onboard.process import identify


def make_run(runs: Path, name: str, *, over: bool = True, **record: Any) -> Path:
    folder = runs / name
    (folder / "work" / "logs" / "train").mkdir(parents=True)
    (folder / "work" / "logs" / "train" / "events.out.tfevents.1").write_bytes(b"")
    (folder / "work" / "logs" / "embedding.ckpt-1").write_bytes(b"x" * 1000)
    (folder / "record.json").write_text(json.dumps({"args": [], **record}), encoding="utf-8")
    (folder / "process.json").write_text(json.dumps(identify(os.getpid())), encoding="utf-8")
    if over:
        (folder / "result.json").write_text("{}", encoding="utf-8")
    return folder


def shown(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink()}


@pytest.fixture
def links(tmp_path: Path) -> Links:
    (tmp_path / "shown").mkdir()
    return Links(str(tmp_path / "shown"), str(tmp_path / "runs"))


def test_event_files_and_nothing_else(links: Links, tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", "run-1")
    (run / "work" / "data").symlink_to(tmp_path)
    links.refresh({})
    assert shown(tmp_path / "shown") == {"run-1/logs/train/events.out.tfevents.1"}
    assert (tmp_path / "shown/run-1/logs/train/events.out.tfevents.1").resolve().is_relative_to(run)


def test_no_runs_yet(links: Links, tmp_path: Path) -> None:
    links.refresh({})
    assert shown(tmp_path / "shown") == set()


def test_a_name_says_the_arguments(links: Links, tmp_path: Path) -> None:
    make_run(tmp_path / "runs", "run-1", args=["--data", "a/b", "--rate", "0.1\n"])
    make_run(tmp_path / "runs", "run-2", args=["x" * 500])
    links.refresh({})
    first, second = sorted(path.name for path in (tmp_path / "shown").iterdir())
    assert first == "run-1 --data a_b --rate 0.1_"
    assert second == "run-2 " + "x" * 59 + "…"


@pytest.mark.parametrize(
    ("selection", "meant"),
    [
        ({}, {"run-1", "run-2", "run-3"}),
        ({"runs": ["run-2"]}, {"run-2"}),
        ({"instance_ids": ["i-1"]}, {"run-1"}),
        ({"instances": ["exp-2"]}, {"run-2"}),
        ({"fleets": ["exp"]}, {"run-1", "run-2"}),
        ({"runs": ["run-3"], "instances": ["exp-1"]}, {"run-1", "run-3"}),
        ({"runs": ["run-9"]}, set()),
    ],
)
def test_what_is_meant(links: Links, tmp_path: Path, selection: dict[str, Any], meant: set[str]) -> None:
    make_run(tmp_path / "runs", "run-1", instance="exp-1", instance_id="i-1", fleet="exp")
    make_run(tmp_path / "runs", "run-2", instance="exp-2", instance_id="i-2", fleet="exp")
    make_run(tmp_path / "runs", "run-3", instance="other-1", instance_id="i-3", fleet="other")
    links.refresh(selection)
    assert {path.name for path in (tmp_path / "shown").iterdir()} == meant


def test_another_selection_takes_away_what_is_not_meant_any_more(links: Links, tmp_path: Path) -> None:
    first = make_run(tmp_path / "runs", "run-1")
    make_run(tmp_path / "runs", "run-2")
    links.refresh({})
    links.refresh({"runs": ["run-2"]})
    assert {path.name for path in (tmp_path / "shown").iterdir()} == {"run-2"}
    assert (first / "work/logs/train/events.out.tfevents.1").exists()


def test_runs_and_files_that_come_later(links: Links, tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", "run-1", over=False)
    links.refresh({})
    make_run(tmp_path / "runs", "run-2")
    (run / "work" / "events.out.tfevents.2").write_bytes(b"")
    links.refresh({})
    assert shown(tmp_path / "shown") == {
        "run-1/events.out.tfevents.2",
        "run-1/logs/train/events.out.tfevents.1",
        "run-2/logs/train/events.out.tfevents.1",
    }


def test_a_run_that_is_over_is_not_looked_through_again(links: Links, tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", "run-1")
    gone = make_run(tmp_path / "runs", "run-2", over=False)
    (gone / "process.json").write_text(json.dumps({"pid": 1, "start": -1, "boot": "another"}), encoding="utf-8")
    links.refresh({})
    for folder in (run, gone):  # the second lost its supervisor, and so is over too
        (folder / "work" / "events.out.tfevents.2").write_bytes(b"")
    links.refresh({})
    assert len(shown(tmp_path / "shown")) == 2


def test_what_is_no_run_is_not_shown(links: Links, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for name, text in (("run-1", "{"), ("run-2", "[]")):
        make_run(runs, name)
        (runs / name / "record.json").write_text(text, encoding="utf-8")
    (runs / "file").write_text("", encoding="utf-8")
    (runs / "empty").mkdir()
    make_run(runs, "run-3")
    links.refresh({})
    assert {path.name for path in (tmp_path / "shown").iterdir()} == {"run-3"}
