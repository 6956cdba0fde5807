"""How good a model is and what it predicts: asked of onboard code, which loads the file in its own process."""

from __future__ import annotations

from pathlib import Path

from launchbay.errors import NotFound, UsageError
from launchbay.models.card import Evaluation, Predictions
from launchbay.models.inspect import Ask, require_loadable

__all__ = ["BATCH_SIZE", "evaluate_model", "predict_model"]

BATCH_SIZE = 128
"""Rows that go through the model at once, unless somebody says otherwise."""


def evaluate_model(
    path: Path, sha256: str, data: Path, *, target: str = "first", batch_size: int = BATCH_SIZE, ask: Ask
) -> Evaluation:
    """Compare a model's predictions with the targets in a CSV file. Blocks for seconds: the framework is loaded.

    The model is loaded only if its sha256 is the one given; that it may be is the caller's to prove. `target` is
    "first", "last", a column's name or its index from 0. Raises UserError for data or a model that does not fit, with
    file and line.
    """
    answer = ask("evaluate", _request(path, sha256, data, target, batch_size))
    return Evaluation(
        rows=answer["rows"],
        loss=answer["loss"],
        mse=answer["mse"],
        rmse=answer["rmse"],
        mae=answer["mae"],
        r2=answer["r2"],
        notes=tuple(answer["notes"]),
    )


def predict_model(
    path: Path,
    sha256: str,
    data: Path,
    *,
    rows: str | None = None,
    target: str = "first",
    batch_size: int = BATCH_SIZE,
    ask: Ask,
) -> Predictions:
    """Return a model's predictions for rows of a CSV file, which holds its inputs, with or without the target.

    `rows` is a slice such as "0:5" or "-10:"; None means all. One that reaches beyond the table is cut, and a note
    says so. Otherwise as `evaluate_model`.
    """
    answer = ask("predict", {**_request(path, sha256, data, target, batch_size), "rows": rows})
    return Predictions(
        first_row=answer["rows"][0],
        predictions=tuple(tuple(row) if isinstance(row, list) else row for row in answer["predictions"]),
        targets=None if answer["targets"] is None else tuple(answer["targets"]),
        notes=tuple(answer["notes"]),
    )


def _request(path: Path, sha256: str, data: Path, target: str, batch_size: int) -> dict[str, object]:
    if batch_size < 1:
        raise UsageError(f"batch size must be 1 or more, got {batch_size}", hint=f"--batch-size {BATCH_SIZE}")
    if not data.is_file():
        raise NotFound("there is no such CSV file", where=str(data), hint="--data data/test.csv")
    require_loadable(path)
    return {
        "model": str(path.absolute()),
        "sha256": sha256,
        "data": str(data.absolute()),
        "target": target,
        "batch_size": batch_size,
    }
