"""Which curves are read: of the runs or folders that are named, or of the newest run that has any."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import launchbay
from launchbay.errors import NotFound, UsageError, UserError
from launchbay.lifecycle.bay import Bay
from launchbay.testing.reporter import RecordingReporter
from tests.runs.writing import curves_of

FALLING = {"loss": [3.0, 2.0, 1.0]}


def made(
    bay: Bay, name: str, *, args: list[str] | None = None, script: str = "/s/train.py", curves: bool = True
) -> str:
    """Write a run that is over, with curves or without."""
    folder = bay.home.runs / name
    (folder / "work").mkdir(parents=True)
    record: dict[str, object] = {
        "instance": "exp-1", "fleet": "exp", "image": "tiny", "digest": "0" * 64, "script": script,
        "args": args or [], "data": None, "data_files": {}, "created_at": 0.0,
    }  # fmt: skip
    (folder / "record.json").write_text(json.dumps(record), encoding="utf-8")
    if curves:
        curves_of(folder / "work", logs=FALLING)
    result = {"state": "done", "exit_code": 0, "artifacts": [], "logdirs": ["logs"] if curves else []}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return name


def told(bay: Bay) -> tuple[Bay, RecordingReporter]:
    reporter = RecordingReporter()
    return replace(bay, reporter=reporter), reporter


def test_without_a_name_it_is_the_newest_run(bay: Bay) -> None:
    made(bay, "run-20260101-000000-aaaaa")
    name = made(bay, "run-20260102-000000-bbbbb")
    bay, reporter = told(bay)
    assert list(launchbay.curves(bay, []).runs) == [name]
    assert reporter.notes == []


def test_newer_runs_without_curves_are_passed_over_and_named(bay: Bay) -> None:
    name = made(bay, "run-20260101-000000-aaaaa")
    made(bay, "run-20260102-000000-bbbbb", curves=False)
    newest = made(bay, "run-20260103-000000-ccccc", curves=False)
    bay, reporter = told(bay)
    assert list(launchbay.curves(bay, []).runs) == [name]
    assert reporter.notes == [f"{newest} has no curves; these are of {name}, the newest run that has"]


def test_a_run_without_curves_that_is_named_is_an_error(bay: Bay) -> None:
    made(bay, "run-20260101-000000-aaaaa")
    newest = made(bay, "run-20260102-000000-bbbbb", curves=False)
    with pytest.raises(UserError, match=f"{newest} wrote no TensorBoard event file"):
        launchbay.curves(bay, ["latest"])


def test_where_no_run_has_curves_the_error_names_the_newest(bay: Bay) -> None:
    newest = made(bay, "run-20260102-000000-bbbbb", curves=False)
    with pytest.raises(UserError, match=f"{newest} wrote no TensorBoard event file"):
        launchbay.curves(bay, [])


def test_where_there_is_no_run_the_error_says_so(bay: Bay) -> None:
    with pytest.raises(NotFound):
        launchbay.curves(bay, [])


def test_a_folder_without_event_files_is_called_a_folder(bay: Bay, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(UserError, match="no TensorBoard event file in this folder") as caught:
        launchbay.curves(bay, [str(tmp_path / "data")])
    assert caught.value.where == str(tmp_path / "data")
    assert "run" not in caught.value.what


def test_a_suffix_that_cannot_be_written_is_refused_before_anything_is_read(bay: Bay) -> None:
    with pytest.raises(UsageError, match=r"\.png, \.svg or \.html, got 'c\.jpg'"):
        launchbay.curves(bay, ["no-such-run"], output="c.jpg")


def test_runs_are_told_apart_by_the_arguments_that_differ(bay: Bay) -> None:
    first = made(bay, "run-20260101-000000-aaaaa", args=["--epochs", "5", "--learning-rate", "0.003"])
    second = made(bay, "run-20260102-000000-bbbbb", args=["--epochs", "5", "--learning-rate", "0.01"])
    both = launchbay.curves(bay, [first, second])
    assert [run.note for run in both.runs.values()] == ["--learning-rate 0.003", "--learning-rate 0.01"]
    assert "--learning-rate 0.003" in launchbay.draw_curves(both, width=100, height=24, color=False)
    (alone,) = launchbay.curves(bay, [first]).runs.values()
    assert alone.note == ""


def test_a_folder_beside_runs_has_no_arguments(bay: Bay, tmp_path: Path) -> None:
    first = made(bay, "run-20260101-000000-aaaaa", args=["--epochs", "5"])
    second = made(bay, "run-20260102-000000-bbbbb", args=["--epochs", "6"])
    curves_of(tmp_path, logs=FALLING)
    found = launchbay.curves(bay, [str(tmp_path / "logs"), first, second])
    assert [run.note for run in found.runs.values()] == ["", "--epochs 5", "--epochs 6"]


@pytest.fixture
def lost(bay: Bay) -> Path:
    """Return the folder of a run that is lost, having logged a loss."""
    folder = bay.home.runs / made(bay, "run-20260101-000000-aaaaa")
    (folder / "result.json").unlink()
    return folder


def test_a_lost_run_has_the_curves_that_it_wrote(bay: Bay, lost: Path) -> None:
    assert launchbay.curves(bay, ["latest"]).runs[lost.name].scalars["loss"].values == (3.0, 2.0, 1.0)
    assert list(launchbay.curves(bay, []).runs) == [lost.name]


def test_of_a_run_whose_supervisor_died_taking_stock_all_is_read(bay: Bay, lost: Path) -> None:
    result = {"state": "done", "exit_code": 0, "taking_stock": True}
    (lost / "result.json").write_text(json.dumps(result), encoding="utf-8")
    assert list(launchbay.curves(bay, ["latest"]).runs) == [lost.name]


def test_of_a_run_that_is_over_only_what_it_logged_itself_is_read(bay: Bay, lost: Path) -> None:
    result = {"state": "done", "exit_code": 0, "artifacts": [], "logdirs": []}
    (lost / "result.json").write_text(json.dumps(result), encoding="utf-8")
    with pytest.raises(UserError, match="wrote no TensorBoard event file"):
        launchbay.curves(bay, ["latest"])
