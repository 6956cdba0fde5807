"""The commands on saved models: `inspect` looks at a file, `evaluate` and `predict` load it.

Requests and results are JSON objects. ``model`` and ``data`` are paths on this machine; ``sha256`` is what the file
must be: it is copied while it is hashed, and the copy is loaded, so that nobody can exchange it in between.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
import stat
import tempfile
from typing import Any, BinaryIO, Dict, Iterator

from . import keras_adapter
from .keras_archive import read_archive
from .keras_layers import describe_compile, describe_model, find_foreign
from .refused import Refused
from .table import Table, find_column, read_table, split

__all__ = ["evaluate", "inspect", "predict"]

_CHUNK = 1 << 20
_FIT_HINT = (
    "a table feeds models that take one row of numbers; evaluate others with a script: `bay train ... evaluate.py`"
)


def inspect(request: dict[str, Any]) -> dict[str, Any]:
    """Describe a `.keras` file without loading it and without a framework. Request: ``model``.

    Result: format, framework, framework_version, saved, sha256, bytes, layers[], parameters, trainable_parameters,
    inputs[], outputs[], loss, metrics, optimizer, safe (null: not scanned), findings[]. What the file does not
    tell is null.
    """
    path = str(request["model"])
    with _opened(path) as file:
        sha256, size = _hash(file)
        archive = read_archive(file, path)
    try:
        described = {**describe_model(archive.config, archive.weights), **describe_compile(archive.config)}
        foreign = find_foreign(archive.config)
    except RecursionError as error:
        raise Refused("its configuration is nested deeper than any model's", path, "do not load this file") from error
    findings = [{"level": "note", "what": note, "where": "model.weights.h5"} for note in archive.notes]
    for kind, name in foreign:
        findings.append({"level": "warning", "what": "needs code that is not Keras' own: " + kind, "where": name})
    version, saved = archive.metadata.get("keras_version"), archive.metadata.get("date_saved")
    return {
        "format": "keras",
        "framework": "keras",
        "framework_version": version if isinstance(version, str) else None,
        "saved": saved if isinstance(saved, str) else None,
        "sha256": sha256,
        "bytes": size,
        "safe": None,
        "findings": findings,
        **described,
    }


def evaluate(request: dict[str, Any]) -> dict[str, Any]:
    """Compare predictions with targets. Request: ``model``, ``sha256``, ``data``, ``target``, ``batch_size``.

    Result: rows, loss, mse, rmse, mae, r2, notes[]. `loss` is the model's own, null when it was compiled without; the
    others are worked out in double precision (see `_metrics`).
    """
    table = read_table(str(request["data"]))
    inputs, targets = split(table, request.get("target", "first"))
    batch_size = _batch_size(request)
    with _verified(request) as copy:
        loaded = keras_adapter.load(copy, str(request["model"]))
        _check_width(_width(loaded, str(request["model"])), len(inputs[0]), table)
        _check_one_output(loaded, str(request["model"]))
        _check_fit(loaded, inputs, table, request.get("target", "first"))
        predictions = [row[0] for row in _answers(loaded, inputs, batch_size, str(request["model"]))]
        loss = keras_adapter.evaluate(loaded, inputs, targets, batch_size)
    return {"rows": len(targets), "loss": loss, **_metrics(targets, predictions), "notes": loaded.notes}


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
    with _verified(request) as copy:
        loaded = keras_adapter.load(copy, str(request["model"]))
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
        "notes": notes + loaded.notes,
    }


def _answers(loaded: keras_adapter.Loaded, inputs: list[list[float]], batch_size: int, path: str) -> list[list[float]]:
    """Return the model's answers, all of them finite: a metric of NaN says nothing, and JSON has no word for it."""
    answers = keras_adapter.predict(loaded, inputs, batch_size)
    for number, row in enumerate(answers):
        if not all(map(math.isfinite, row)):
            shown = ", ".join(map(str, row[:5]))
            what = "the model answers {} to {}".format(shown, inputs[number][:5])
            raise Refused(what, path, "its training diverged; look at the curves of its run")
    return answers


# --- files ---


@contextlib.contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    try:
        # Not to be held up by a pipe that nobody writes to. An error while it is used is none of opening it.
        file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))  # noqa: SIM115
    except OSError as error:
        raise Refused("cannot be read: {}".format(error.strerror), path, "check the path") from error
    with file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise Refused("not a regular file", path, "the path of a .keras file")
        yield file


def _hash(file: BinaryIO, copy: BinaryIO | None = None) -> tuple[str, int]:
    """Hash an open file from here to its end, copying on the way; return (sha256, bytes)."""
    digest, size = hashlib.sha256(), 0
    for chunk in iter(lambda: file.read(_CHUNK), b""):
        digest.update(chunk)
        size += len(chunk)
        if copy is not None:
            copy.write(chunk)
    return digest.hexdigest(), size


@contextlib.contextmanager
def _verified(request: dict[str, Any]) -> Iterator[str]:
    """Copy the model into a private folder; yield the copy's path if it is the file that was expected."""
    path, expected = str(request["model"]), str(request["sha256"])
    with tempfile.TemporaryDirectory(prefix="bay-model-") as folder:
        copy = os.path.join(folder, "model.keras")
        try:
            with _opened(path) as file, open(copy, "xb") as target:
                found, _ = _hash(file, target)
        except OSError as error:
            what = "cannot be copied for loading: {}".format(error.strerror)
            raise Refused(what, path, "free some space in " + tempfile.gettempdir()) from error
        if found != expected:
            what = "the file has changed: expected sha256 {}, got {}".format(expected[:16], found[:16])
            raise Refused(what, path, "only a file that a run recorded is loaded; run the training again")
        yield copy


# --- shapes ---


def _width(loaded: keras_adapter.Loaded, path: str) -> int:
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


def _check_fit(
    loaded: keras_adapter.Loaded, inputs: list[list[float]], table: Table, target: Any, first: int = 0
) -> None:
    """Refuse a number that would reach the model as another one; `target` is the column that inputs lack, or None."""
    unfit = keras_adapter.find_unfit(loaded, inputs)
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


def _check_one_output(loaded: keras_adapter.Loaded, path: str) -> None:
    sizes = [math.prod(size or 1 for size in shape) for shape in loaded.outputs]
    if sizes != [1]:
        what = "the model gives {} numbers per row, a target is one".format(" and ".join(map(str, sizes)) or "unknown")
        raise Refused(what, path, "`bay predict` shows what it gives")


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
