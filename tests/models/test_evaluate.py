from __future__ import annotations

import math
from pathlib import Path

import pytest

from launchbay.errors import NotFound, UsageError, UserError
from launchbay.files import sha256_file
from launchbay.models.card import Evaluation, Predictions
from launchbay.models.evaluate import evaluate_model, predict_model
from launchbay.models.inspect import Ask

pytestmark = pytest.mark.image("tensorflow")

# The model "line" answers 2 x + 1, so 3, 5 and 7 to these; the errors are -1, 1 and 2.
TABLE = "y,x\n4,1\n4,2\n5,3\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "test.csv"
    path.write_text(TABLE, encoding="utf-8")
    return path


def evaluate(model: Path, data: Path, ask: Ask, target: str = "first") -> Evaluation:
    return evaluate_model(model, sha256_file(model), data, target=target, ask=ask)


def predict(model: Path, data: Path, ask: Ask, rows: str | None = None) -> Predictions:
    return predict_model(model, sha256_file(model), data, rows=rows, ask=ask)


def test_metrics_are_those_one_works_out_by_hand(saved: Path, data: Path, ask_once: Ask) -> None:
    found = evaluate(saved / "line.keras", data, ask_once)
    assert found.rows == 3
    assert found.mse == pytest.approx(6 / 3)
    assert found.rmse == pytest.approx(math.sqrt(2))
    assert found.mae == pytest.approx(4 / 3)
    assert found.r2 == pytest.approx(1 - 6 / (2 / 3))
    assert found.loss == pytest.approx(4 / 3)  # its own loss is the mean absolute error
    assert found.notes == ()


def test_an_hdf5_file_is_the_same_model(saved: Path, data: Path, ask: Ask) -> None:
    found = evaluate(saved / "line.h5", data, ask)
    assert found.mse == pytest.approx(2)
    # Keras 3 does not find every loss again that it wrote into such a file, and says so.
    assert bool(found.notes) == (found.loss is None)


def test_r2_of_equal_targets_is_unknown(saved: Path, data: Path, ask: Ask) -> None:
    data.write_text("4,1\n4,2\n", encoding="utf-8")
    assert evaluate(saved / "line.keras", data, ask).r2 is None


def test_the_target_may_stand_anywhere(saved: Path, data: Path, ask: Ask) -> None:
    data.write_text("x,y\n1,4\n2,4\n3,5\n", encoding="utf-8")
    for target in ("last", "y", "1"):
        assert evaluate(saved / "line.keras", data, ask, target=target).mse == pytest.approx(2)


def test_a_model_without_a_loss_has_none(saved: Path, data: Path, ask: Ask) -> None:
    assert evaluate(saved / "plain.keras", data, ask).loss is None


def test_a_loss_that_cannot_be_rebuilt_is_said(saved: Path, data: Path, ask: Ask) -> None:
    found = evaluate(saved / "own-loss.keras", data, ask)
    assert found.loss is None
    assert "own_loss" in found.notes[0]


def test_inputs_of_any_fixed_shape_are_filled_from_a_row(saved: Path, data: Path, ask: Ask) -> None:
    data.write_text("1,1,2,3,4\n2,5,6,7,8\n", encoding="utf-8")
    assert evaluate(saved / "image.keras", data, ask).rows == 2


def test_predicts_a_slice_beside_the_targets(saved: Path, data: Path, ask: Ask) -> None:
    found = predict(saved / "line.keras", data, ask, rows="1:3")
    assert (found.first_row, found.predictions, found.targets) == (1, (5.0, 7.0), (4.0, 5.0))
    assert found.notes == ()


def test_predicts_all_rows_of_a_table_without_targets(saved: Path, data: Path, ask: Ask) -> None:
    data.write_text("1\n2\n", encoding="utf-8")
    found = predict(saved / "line.keras", data, ask)
    assert (found.predictions, found.targets) == ((3.0, 5.0), None)


def test_a_slice_beyond_the_table_is_cut_and_said(saved: Path, data: Path, ask: Ask) -> None:
    found = predict(saved / "line.keras", data, ask, rows="-2:99")
    assert (found.first_row, len(found.predictions)) == (1, 2)
    assert found.notes == ("rows -2:99 asked, the table has 3: 1:3 taken",)


def test_several_outputs_are_several_numbers(saved: Path, data: Path, ask: Ask) -> None:
    rows = predict(saved / "pair.keras", data, ask).predictions
    assert all(isinstance(row, tuple) and len(row) == 2 for row in rows)


@pytest.mark.parametrize(
    "case",
    [
        ("line", "4,1,9\n", "the model takes 1 input columns; the table has 2"),
        ("pair", TABLE, "the model gives 2 numbers per row, a target is one"),
        ("functional", TABLE, "the model takes 2 inputs; a table can feed one"),
        ("open", TABLE, "inputs of open shape (any)"),
        ("diverged", TABLE, "the model answers nan to [1.0]"),
        ("lambda", TABLE, "Keras cannot load it"),
        ("own-layer", TABLE, "Keras cannot load it"),
        ("line", "y,x\n4,1\n4,two\n", "column 2 ('x') holds 'two'"),
    ],
)
def test_refuses_what_does_not_fit(case: tuple[str, str, str], saved: Path, data: Path, ask: Ask) -> None:
    model, table, says = case
    data.write_text(table, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        evaluate(saved / f"{model}.keras", data, ask)
    assert says in caught.value.what
    assert caught.value.where
    assert caught.value.hint
    assert len(caught.value.what) < 400


@pytest.mark.parametrize(
    "case",
    [
        ("1,2,3\n1.5,2,3\n1.5,2,3.5\n", "first", 3, "column 3 holds 3.5"),
        ("a,y,b\n1,1.5,2\n1.9,1.5,2\n", "y", 3, "column 1 ('a') holds 1.9"),
        ("1,256,3\n", "first", 1, "column 2 holds 256.0"),
        ("1,2,-1\n", "first", 1, "column 3 holds -1.0"),
    ],
)
def test_a_number_that_a_model_of_whole_numbers_would_cut_is_refused(
    case: tuple[str, str, int, str], saved: Path, data: Path, ask: Ask
) -> None:
    table, target, line, says = case
    data.write_text(table, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        evaluate(saved / "whole.keras", data, ask, target=target)
    assert caught.value.what == f"{says}, and the model takes whole numbers (uint8)"
    assert caught.value.where == f"{data}:{line}"
    with pytest.raises(UserError, match="takes whole numbers") as caught:
        predict_model(
            saved / "whole.keras", sha256_file(saved / "whole.keras"), data, target=target, rows="-1:", ask=ask
        )
    assert caught.value.where == f"{data}:{line}"


def test_whole_numbers_reach_a_model_of_them(saved: Path, data: Path, ask: Ask) -> None:
    data.write_text("1.5,2,255\n", encoding="utf-8")
    assert evaluate(saved / "whole.keras", data, ask).rows == 1
    data.write_text("2,255\n1.5,1\n", encoding="utf-8")
    assert len(predict(saved / "whole.keras", data, ask, rows="0:1").predictions) == 1


def test_refuses_a_table_that_is_too_wide_to_predict_from(saved: Path, data: Path, ask: Ask) -> None:
    data.write_text("4,1,9\n", encoding="utf-8")
    with pytest.raises(UserError, match="takes 1 input columns, or 2 with the target; the table has 3"):
        predict(saved / "line.keras", data, ask)


def test_loads_only_the_file_that_was_meant(saved: Path, data: Path, ask: Ask) -> None:
    for verb in (evaluate_model, predict_model):
        with pytest.raises(UserError, match="the file has changed: expected sha256 0000"):
            verb(saved / "line.keras", "0" * 64, data, ask=ask)


def test_asks_nobody_about_what_can_be_seen_from_here(saved: Path, data: Path) -> None:
    def nobody(command: str, request: object) -> dict[str, object]:
        raise AssertionError((command, request))

    with pytest.raises(NotFound, match="no such CSV file"):
        evaluate_model(saved / "line.keras", "", data.with_name("none.csv"), ask=nobody)
    with pytest.raises(UserError, match="expected a model with its program"):
        evaluate_model(data, "", data, ask=nobody)
    with pytest.raises(UsageError, match="batch size must be 1 or more, got 0"):
        evaluate_model(saved / "line.keras", "", data, batch_size=0, ask=nobody)
