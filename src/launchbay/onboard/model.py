"""The commands on saved models that load them: `evaluate` and `predict`. Looking at a file is `inspecting`.

Requests and results are JSON objects. ``model`` and ``data`` are paths on this machine; ``sha256`` is what the model
must be: its files are copied while they are hashed, and the copy is loaded, so that nobody can exchange them in between.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import re
from typing import Any, Dict, Iterator

from .formats import FORMATS
from .loaded import Loaded, find_unfit
from .loaded import evaluate as own_loss
from .loaded import predict as ask_model
from .opened import verified
from .refused import Refused
from .table import Table, find_column, read_table, split

__all__ = ["ADAPTERS", "evaluate", "predict"]

_FIT_HINT = (
    "a table feeds models that take one row of numbers; evaluate others with a script: `bay train ... evaluate.py`"
)


def evaluate(request: dict[str, Any]) -> dict[str, Any]:
    """Compare predictions with targets. Request: ``model``, ``sha256``, ``data``, ``target``, ``batch_size``.

    Result: rows, loss, mse, rmse, mae, r2, notes[]. `loss` is the model's own, null when it was compiled without; the
    others are worked out in double precision (see `_metrics`).
    """
    table = read_table(str(request["data"]))
    inputs, targets = split(table, request.get("target", "first"))
    batch_size = _batch_size(request)
    with _loaded(request) as loaded:
        _check_width(_width(loaded, str(request["model"])), len(inputs[0]), table)
        _check_one_output(loaded, str(request["model"]))
        _check_fit(loaded, inputs, table, request.get("target", "first"))
        answers = _answers(loaded, inputs, batch_size, str(request["model"]))
        if len(answers[0]) != 1:  # what the file says of its outputs may be open, or not true
            raise _not_one(str(len(answers[0])), str(request["model"]))
        loss = own_loss(loaded, inputs, targets, batch_size)
    predictions = [row[0] for row in answers]
    return {"rows": len(targets), "loss": loss, **_metrics(targets, predictions), "notes": list(loaded.notes)}


def predict(request: dict[str, Any]) -> dict[str, Any]:
    """Predict rows of a table. Request: ``model``, ``sha256``, ``data``, ``target``, ``batch_size``, ``rows``.

    ``rows`` is a slice without a step, such as "0:5" or "-10:"; empty or null means all. Result: rows ([start,
    stop]), predictions[] (a number per row, or a list of numbers where the model gives several), targets[] (null
    when the table holds inputs only), notes[].
    """
    asked = _parse_rows(request.get("rows"))
    table = read_table(str(request["data"]))
    start, stop, notes = _clip(asked, len(table.rows), str(request["data"]))
    batch_size = _batch_size(request)
    with _loaded(request) as loaded:
        width = _width(loaded, str(request["model"]))
        inputs, targets = table.rows, None
        if table.width == width + 1:
            inputs, targets = split(table, request.get("target", "first"))
        _check_width(width, len(inputs[0]), table, or_target=True)
        without = request.get("target", "first") if targets is not None else None
        _check_fit(loaded, inputs[start:stop], table, without, first=start)
        answers = _answers(loaded, inputs[start:stop], batch_size, str(request["model"]))
    return {
        "rows": [start, stop],
        "predictions": [row[0] if len(row) == 1 else row for row in answers],
        "targets": targets[start:stop] if targets is not None else None,
        "notes": [*notes, *loaded.notes],
    }


def _answers(loaded: Loaded, inputs: list[list[float]], batch_size: int, path: str) -> list[list[float]]:
    """Return the model's answers, all of them finite: a metric of NaN says nothing, and JSON has no word for it."""
    answers = ask_model(loaded, inputs, batch_size, path)
    for number, row in enumerate(answers):
        if not all(map(math.isfinite, row)):
            shown = ", ".join(map(str, row[:5]))
            what = "the model answers {} to {}".format(shown, inputs[number][:5])
            raise Refused(what, path, "its training diverged; look at the curves of its run")
    return answers


# --- formats ---


@contextlib.contextmanager
def _loaded(request: dict[str, Any]) -> Iterator[Loaded]:
    """Copy and hash the model, and load the copy with the adapter of its format."""
    path = str(request["model"])
    with verified(path, str(request["sha256"])) as (copy, kind):
        if kind not in ADAPTERS:
            raise Refused("cannot be loaded: {}".format(FORMATS[kind]), path, "one of: " + ", ".join(sorted(ADAPTERS)))
        module, function = ADAPTERS[kind]
        yield getattr(importlib.import_module("." + module, __package__), function)(copy, path)


ADAPTERS = {
    "keras": ("keras_adapter", "load"),
    "keras-h5": ("keras_adapter", "load"),
    "savedmodel": ("savedmodel_adapter", "load"),
    "torchscript": ("torch_adapter", "load_script"),
    "torch-export": ("torch_adapter", "load_exported"),
    "onnx": ("onnx_adapter", "load"),
    "mxnet": ("mxnet_adapter", "load"),
}
"""Which function loads a format. Each module imports its framework, and only when it loads."""


# --- shapes ---


def _width(loaded: Loaded, path: str) -> int:
    """Return how many numbers the model takes per row."""
    if len(loaded.inputs) != 1:
        raise Refused("the model takes {} inputs; a table can feed one".format(len(loaded.inputs)), path, _FIT_HINT)
    sizes = [size for size in loaded.inputs[0] if size is not None]
    if len(sizes) < len(loaded.inputs[0]):
        shown = ", ".join("any" if size is None else str(size) for size in loaded.inputs[0])
        raise Refused("the model takes inputs of open shape ({})".format(shown), path, _FIT_HINT)
    return math.prod(sizes)


def _check_width(width: int, got: int, table: Table, *, or_target: bool = False) -> None:
    if got != width:
        more = ", or {} with the target".format(width + 1) if or_target else ""
        what = "the model takes {} input columns{}; the table has {}".format(width, more, got)
        raise Refused(what, table.path + ":1", "check --target and the columns of the table")


def _check_fit(loaded: Loaded, inputs: list[list[float]], table: Table, target: Any, first: int = 0) -> None:
    """Refuse a number that would reach the model as another one; `target` is the column that inputs lack, or None."""
    unfit = find_unfit(loaded, inputs)
    if unfit is None:
        return
    row, index, dtype = unfit
    column = index + (target is not None and index >= find_column(table, target))
    name = " ({!r})".format(table.columns[column]) if table.columns else ""
    what = "column {}{} holds {}, and the model takes whole numbers ({})".format(
        column + 1, name, inputs[row][index], dtype
    )
    where = "{}:{}".format(table.path, table.first_line + first + row)
    raise Refused(what, where, "the table that the model was trained on, prepared in the same way")


def _check_one_output(loaded: Loaded, path: str) -> None:
    sizes = [math.prod(size or 1 for size in shape) for shape in loaded.outputs]
    if sizes != [1]:
        raise _not_one(" and ".join(map(str, sizes)) or "unknown", path)


def _not_one(given: str, path: str) -> Refused:
    what = "the model gives {} numbers per row, a target is one".format(given)
    return Refused(what, path, "`bay predict` shows what it gives")


# --- rows ---


def _parse_rows(text: object) -> slice:
    """Read ``a:b``, with both ends optional and negative ones counted from the end."""
    match = re.fullmatch(r"\s*(-?\d{0,18})\s*:\s*(-?\d{0,18})\s*", str(text or ":"))
    if match is None or "-" in match.groups():
        raise Refused("rows must be a slice such as 0:5, got {!r}".format(text), "--rows", "--rows 0:5")
    start, stop = (int(end) if end else None for end in match.groups())
    return slice(start, stop)


def _clip(asked: slice, count: int, path: str) -> tuple[int, int, list[str]]:
    """Return (start, stop, notes) inside the table; a slice that reaches beyond it is cut, and that is said."""
    start, stop, _ = asked.indices(count)
    ends = [end for end in (asked.start, asked.stop) if end is not None]
    shown = "{}:{}".format(*("" if end is None else end for end in (asked.start, asked.stop)))
    if stop <= start:
        what = "rows {} of a table with {} rows are none".format(shown, count)
        raise Refused(what, path, "--rows 0:{}".format(min(5, count)))
    if any(end > count or end < -count for end in ends):
        return start, stop, ["rows {} asked, the table has {}: {}:{} taken".format(shown, count, start, stop)]
    return start, stop, []


def _batch_size(request: Dict[str, Any]) -> int:
    size = request.get("batch_size") or 128
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise Refused("batch size must be 1 or more, got {!r}".format(size), "--batch-size", "--batch-size 128")
    return size


# --- metrics ---


def _metrics(targets: list[float], predictions: list[float]) -> dict[str, float | None]:
    """Work out the errors of n predictions p against targets t, summed exactly (math.fsum).

    mse = sum((p - t)^2) / n, rmse = sqrt(mse), mae = sum(|p - t|) / n, and the coefficient of determination
    r2 = 1 - sum((p - t)^2) / sum((t - mean(t))^2), null where all targets are equal.
    """
    count = len(targets)
    errors = [prediction - target for prediction, target in zip(predictions, targets)]
    squares = math.fsum(error * error for error in errors)
    mean = math.fsum(targets) / count
    spread = math.fsum((target - mean) ** 2 for target in targets)
    is_constant = min(targets) == max(targets)
    return {
        "mse": squares / count,
        "rmse": math.sqrt(squares / count),
        "mae": math.fsum(abs(error) for error in errors) / count,
        "r2": None if is_constant else 1 - squares / spread,
    }
