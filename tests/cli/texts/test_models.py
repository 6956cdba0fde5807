"""Models as text."""

from __future__ import annotations

from dataclasses import replace

from launchbay.cli.texts.models import evaluation_text, model_text, predictions_text
from launchbay.models.card import Evaluation, Finding, Layer, Optimizer, Predictions, Tensor
from tests.cli.texts.values import CARD


def test_a_model_of_which_nothing_is_known() -> None:
    lines = model_text(CARD).splitlines()
    assert lines == ["parameters  unknown", "format      keras", "framework   keras", "sha256      ab"]


def test_a_model_of_tensors_alone() -> None:
    weights = (Tensor(name="0.weight", shape=(1, 3), dtype="float32"), Tensor(name=None, shape=None))
    lines = model_text(replace(CARD, tensors=weights, framework_version="2.13.0")).splitlines()
    assert lines[0].split() == ["TENSOR", "SHAPE", "TYPE"]
    assert lines[1].split() == ["0.weight", "(1,", "3)", "float32"]
    assert lines[2].split() == ["-", "unknown", "-"]
    assert "framework   keras 2.13.0" in lines


def test_what_a_model_takes_and_gives() -> None:
    given = (Tensor(name="x", shape=(None, 3), dtype="float32"), Tensor(name="y", shape=None))
    lines = model_text(replace(CARD, inputs=given, outputs=given[1:])).splitlines()
    assert lines[:3] == ["input       x (None, 3) float32", "input       y unknown", "output      y unknown"]


def test_a_model() -> None:
    layers = (
        Layer(name="dense", kind="Dense", output_shape=(None, 64), parameters=1280, trainable_parameters=1280),
        Layer(name="own", kind="Own", output_shape=None, parameters=None, trainable_parameters=None),
    )
    card = replace(
        CARD,
        layers=layers,
        parameters=1280,
        trainable_parameters=0,
        loss="mse",
        optimizer=Optimizer(name="adam", settings={"learning_rate": 0.001, "amsgrad": False}),
        findings=(Finding(level="warning", what="a Lambda layer", where="own"),),
    )
    lines = model_text(card).splitlines()
    assert lines[1].split() == ["dense", "Dense", "(None,", "64)", "1,280"]
    assert lines[2].split() == ["own", "Own", "unknown", "-"]
    assert lines[4:] == [
        "parameters  1,280",
        "trainable   0",
        "loss        mse",
        "optimizer   adam(learning_rate=0.001)",
        "format      keras",
        "framework   keras",
        "sha256      ab",
        "finding     a Lambda layer (own)",
    ]


def test_an_evaluation() -> None:
    result = Evaluation(rows=200, loss=None, mse=0.25, rmse=0.5, mae=0.4, r2=None, notes=("all targets are equal",))
    assert evaluation_text(result).splitlines() == [
        "200 rows",
        "  mse    0.2500",
        "  rmse   0.5000",
        "  mae    0.4000",
        "  r2     unknown",
        "  loss   unknown",
        "  note   all targets are equal",
    ]


def test_a_model_that_is_far_off_can_still_be_read() -> None:
    result = Evaluation(rows=1, loss=None, mse=5.2295905e59, rmse=7.2e29, mae=1.0, r2=-1e58, notes=())
    lines = evaluation_text(result).splitlines()
    assert lines[:3] == ["1 row", "  mse    5.2296e+59", "  rmse   7.2000e+29"]


def test_predictions() -> None:
    beside = Predictions(first_row=9, predictions=(0.5, 1.25), targets=(0.0, 2.0))
    assert predictions_text(beside).splitlines() == [
        "ROW  PREDICTION  TARGET",
        "  9      0.5000  0.0000",
        " 10      1.2500  2.0000",
    ]
    alone = Predictions(first_row=0, predictions=((0.5, 0.25),), targets=None, notes=("no header",))
    assert predictions_text(alone).splitlines() == [
        "ROW      PREDICTION",
        "  0  0.5000, 0.2500",
        "note  no header",
    ]
