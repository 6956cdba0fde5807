from __future__ import annotations

import dataclasses
import json
import math
import shutil
from pathlib import Path

import pytest

from launchbay.errors import UserError
from launchbay.jsonable import to_json
from launchbay.runs.curves import load_curves
from tests.runs.writing import curves_of, event, record, simple, write

DATA = Path(__file__).parent / "data"


def test_a_keras_run() -> None:
    run = load_curves({"fit": [DATA / "keras"]}).runs["fit"]
    assert run.loss is not None
    assert (run.loss.training, run.loss.validation) == ("train/epoch_loss", "validation/epoch_loss")
    assert [pair.metric for pair in run.pairs] == ["loss", "learning_rate", "mae"]
    assert "validation/evaluation_loss_vs_iterations" in run.scalars
    training = run.find(run.loss.training)
    assert training is not None
    assert training.steps == tuple(range(16))
    assert run.diagnosis.verdict == "falling"
    assert run.warnings == ()


def test_a_torch_run_whose_validation_is_rarer_than_its_training() -> None:
    run = load_curves({"torch": [DATA / "torch"]}).runs["torch"]
    assert run.loss is not None
    assert (run.loss.training, run.loss.validation) == ("Loss/train", "Loss/val")
    assert run.diagnosis.best_step == 350
    assert run.diagnosis.best_value == pytest.approx(0.25 + 2 / 36)
    assert "the validation loss has fewer than 12 finite points" in run.diagnosis.sentence


@pytest.mark.parametrize(
    "logdirs",
    [["keras"], ["keras/train", "keras/validation"], ["keras/validation", "keras", "keras/train"]],
)
def test_the_folder_or_its_parts_give_the_same(logdirs: list[str]) -> None:
    found = load_curves({"fit": [DATA / logdir for logdir in logdirs]})
    assert found == load_curves({"fit": [DATA / "keras"]})


def test_half_a_run_keeps_its_role() -> None:
    run = load_curves({"half": [DATA / "keras" / "validation"]}).runs["half"]
    assert run.loss is not None
    assert (run.loss.training, run.loss.validation) == (None, "validation/epoch_loss")


def test_several_runs_keep_the_order_asked_for() -> None:
    found = load_curves({"z": [DATA / "torch"], "a": [DATA / "keras"]})
    assert list(found.runs) == ["z", "a"]


def test_a_log_folder_with_several_experiments_has_an_entry_for_each(tmp_path: Path) -> None:
    for name in ("a", "b"):
        shutil.copytree(DATA / "torch", tmp_path / name)
    assert list(load_curves({"both": [tmp_path]}).runs) == ["both/a", "both/b"]


def test_json_has_null_where_there_is_no_number(tmp_path: Path) -> None:
    losses = [1.0, math.nan, math.inf, -math.inf, 0.5]
    found = curves_of(tmp_path, run={"loss": losses, "val_loss": [1.0] * 5})
    value = to_json(found)
    text = json.dumps(value, allow_nan=False)
    run = json.loads(text)["runs"]["run"]
    assert run["scalars"]["loss"] == {"steps": [0, 1, 2, 3, 4], "values": [1.0, None, None, None, 0.5]}
    assert run["loss"] == {"metric": "loss", "training": "loss", "validation": "val_loss"}
    assert run["diagnosis"]["verdict"] == "short"
    assert run["diagnosis"]["since_step"] is None
    assert run["warnings"] == []


def test_the_values_are_plain_and_frozen() -> None:
    found = load_curves({"fit": [DATA / "keras"]})
    plain = dataclasses.asdict(found)
    assert plain["runs"]["fit"]["scalars"]["train/epoch_loss"]["steps"] == tuple(range(16))
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.runs["fit"].diagnosis.verdict = "flat"  # type: ignore[misc]


def test_damage_is_told_and_what_is_good_is_kept(tmp_path: Path) -> None:
    good = [record(event(step, simple("loss", 1.0))) for step in range(3)]
    path = write(tmp_path / "tfevents", [*good, b"\x07" * 30])
    run = load_curves({"run": [tmp_path]}).runs["run"]
    assert run.scalars["loss"].steps == (0, 1, 2)
    (warning,) = run.warnings
    assert str(path) in warning
    assert "byte" in warning


def test_no_event_file_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load_curves({"good": [DATA / "torch"], "quiet": [tmp_path]})
    assert "quiet wrote no TensorBoard event file" in caught.value.what
    assert caught.value.where == str(tmp_path)
    assert "keras.callbacks.TensorBoard" in caught.value.hint
    assert "bay init" in caught.value.hint
    with pytest.raises(UserError, match="wrote no TensorBoard event file"):
        load_curves({"nothing": []})


def test_event_files_without_a_scalar_are_an_error_that_names_the_damage(tmp_path: Path) -> None:
    write(tmp_path / "empty" / "tfevents", [])
    with pytest.raises(UserError, match="hold no scalar"):
        load_curves({"run": [tmp_path / "empty"]})
    page = tmp_path / "page" / "events.out.tfevents.1"
    page.parent.mkdir()
    page.write_text("<!doctype html><title>Not found</title>")
    with pytest.raises(UserError, match=r"hold no scalar: .*tfevents.1: damaged at byte 0"):
        load_curves({"run": [page.parent]})


def test_scalars_without_a_loss_are_no_error(tmp_path: Path) -> None:
    run = curves_of(tmp_path, run={"accuracy": [0.5, 0.9]}).runs["run"]
    assert run.loss is None
    assert run.diagnosis.verdict == "unknown"
    assert run.diagnosis.best_value is None
