"""Keras models: `.keras` files of Keras 3, SavedModels and HDF5 files of Keras 2. Imports Keras."""

from __future__ import annotations

import math
from typing import Any

from .loaded import LOAD_ERRORS, Loaded, Sizes, reason
from .refused import Refused

__all__ = ["load"]


def load(path: str, name: str) -> Loaded:
    """Load a model in Keras' safe mode, which refuses Python code in a `.keras` file; `name` stands in errors.

    Blocks for seconds: the framework is imported. A model whose loss or optimiser cannot be rebuilt is loaded
    without them. Raises Refused with Keras' own reason, shortened.
    """
    from keras import saving

    notes = []
    try:
        model = saving.load_model(path, safe_mode=True)
    except LOAD_ERRORS as error:
        try:
            model = saving.load_model(path, safe_mode=True, compile=False)
        except LOAD_ERRORS:
            raise Refused("Keras cannot load it: {}".format(reason(error)), name, _hint(str(error))) from error
        notes.append("its own loss could not be rebuilt: {}".format(reason(error)))
    return Loaded(
        inputs=_shapes(getattr(model, "inputs", None)),
        outputs=_shapes(getattr(model, "outputs", None)),
        dtype=_dtype(model),
        answer=lambda array, batch_size: model.predict(array, batch_size=batch_size, verbose=0),
        loss=(lambda *given: _loss(model, *given)) if getattr(model, "compiled", _is_compiled(model)) else None,
        notes=notes,
    )


def _is_compiled(model: Any) -> bool:
    """Say whether a model of Keras 2 has a loss: there it is no attribute of its own."""
    return bool(getattr(model, "compiled_loss", None))


def _loss(model: Any, array: Any, targets: Any, batch_size: int) -> float | None:
    results = model.evaluate(array, targets, batch_size=batch_size, verbose=0, return_dict=True)
    loss = float(results["loss"])
    return loss if math.isfinite(loss) else None


def _dtype(model: Any) -> str:
    """Return the type of its numbers: a text in Keras 3, an object with a name in Keras 2."""
    given = getattr(model, "inputs", None) or []
    return str(getattr(given[0].dtype, "name", given[0].dtype)) if given else "float32"


def _shapes(tensors: Any) -> list[Sizes]:
    return [tuple(tensor.shape)[1:] for tensor in tensors or []]


def _hint(message: str) -> str:
    if "ambda" in message and "unsafe" in message:
        return "it holds Python code; replace Lambda layers by layers of Keras, or load it yourself if you trust it"
    if "Could not locate" in message:
        return "it uses a class or function of the script that made it; use layers, losses and metrics of Keras"
    return "`bay model show` says which Keras version saved it"
