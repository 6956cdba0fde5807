"""Keras 3 models: load, evaluate, predict. The only module here that imports the framework."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Optional, Tuple

from .refused import Refused

__all__ = ["Loaded", "evaluate", "find_unfit", "load", "predict"]

_LOAD_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What Keras raises for a file that it cannot rebuild: it has no error of its own."""


class Loaded(NamedTuple):
    """A model in memory: its input and output shapes without the batch, and what is worth saying about it."""

    model: Any
    inputs: list[tuple[int | None, ...]]
    outputs: list[tuple[int | None, ...]]
    notes: list[str]


def load(path: str, name: str) -> Loaded:
    """Load a `.keras` file in Keras' safe mode, which refuses Python code in the file; `name` stands in errors.

    Blocks for seconds: the framework is imported. A model whose loss or optimiser cannot be rebuilt is loaded
    without them. Raises Refused with Keras' own reason, shortened.
    """
    from keras import saving

    notes = []
    try:
        model = saving.load_model(path, safe_mode=True)
    except _LOAD_ERRORS as error:
        try:
            model = saving.load_model(path, safe_mode=True, compile=False)
        except _LOAD_ERRORS:
            raise Refused("Keras cannot load it: {}".format(_reason(error)), name, _hint(str(error))) from error
        notes.append("its own loss could not be rebuilt: {}".format(_reason(error)))
    return Loaded(model, _shapes(getattr(model, "inputs", None)), _shapes(getattr(model, "outputs", None)), notes)


def predict(loaded: Loaded, rows: list[list[float]], batch_size: int) -> list[list[float]]:
    """Return the model's outputs, flattened to one list of numbers per row."""
    predictions = loaded.model.predict(_inputs(loaded, rows), batch_size=batch_size, verbose=0)
    import numpy as np

    table: list[list[float]] = np.asarray(predictions, dtype="float64").reshape(len(rows), -1).tolist()
    return table


def evaluate(loaded: Loaded, rows: list[list[float]], targets: list[float], batch_size: int) -> float | None:
    """Return the loss that the model was compiled with; None when it was compiled with none, or it is not finite."""
    if not getattr(loaded.model, "compiled", False):
        return None
    import numpy as np

    column = np.asarray(targets, dtype="float32").reshape(-1, 1)
    results = loaded.model.evaluate(_inputs(loaded, rows), column, batch_size=batch_size, verbose=0, return_dict=True)
    loss = float(results["loss"])
    return loss if math.isfinite(loss) else None


def find_unfit(loaded: Loaded, rows: list[list[float]]) -> Optional[Tuple[int, int, str]]:
    """Return the first number that the model's inputs cannot hold, as row, column (from 0) and what they hold instead.

    Whole numbers that are too large for it count, and all others when the model takes whole numbers: NumPy would cut them.
    """
    import numpy as np

    dtype = _dtype(loaded)
    if dtype.startswith("float"):
        return None
    table = np.asarray(rows, dtype="float64")
    with np.errstate(invalid="ignore"):  # what is too large for the type is found just below
        found = np.argwhere(table.astype(dtype).astype("float64") != table)
    return (int(found[0][0]), int(found[0][1]), dtype) if len(found) else None


def _inputs(loaded: Loaded, rows: list[list[float]]) -> Any:
    import numpy as np

    table = np.asarray(rows, dtype="float64").astype(_dtype(loaded))
    return table.reshape(len(rows), *loaded.inputs[0])


def _dtype(loaded: Loaded) -> str:
    dtype = str(loaded.model.inputs[0].dtype)
    return dtype if dtype.startswith(("float", "int", "uint")) else "float32"


def _shapes(tensors: Any) -> list[tuple[int | None, ...]]:
    return [tuple(tensor.shape)[1:] for tensor in tensors or []]


def _reason(error: BaseException) -> str:
    """Return the first sentence of Keras' explanation, which may go on for pages."""
    words = " ".join(str(error).split()) or type(error).__name__
    head = words.split(". ")[0]
    return head if len(head) <= 300 else head[:299] + "\u2026"


def _hint(message: str) -> str:
    if "ambda" in message and "unsafe" in message:
        return "it holds Python code; replace Lambda layers by layers of Keras, or load it yourself if you trust it"
    if "Could not locate" in message:
        return "it uses a class or function of the script that made it; use layers, losses and metrics of Keras"
    return "`bay model show` says which Keras version saved it"
