"""TensorFlow SavedModels: with Keras where Keras 2 made it and is here, else by their serving signature."""

from __future__ import annotations

import os
from typing import Any

from . import keras_adapter
from .loaded import LOAD_ERRORS, Loaded, Sizes, in_batches, reason
from .refused import Refused
from .savedmodel import METADATA

__all__ = ["load"]

_SIGNATURE = "serving_default"


def load(path: str, name: str) -> Loaded:
    """Load a SavedModel; `name` stands in errors. Blocks for seconds. Raises Refused with TensorFlow's own reason.

    Loading and calling it runs what is in its graph, which may read and write files.
    """
    import keras

    if os.path.exists(os.path.join(path, METADATA)) and keras.__version__.startswith("2."):
        return keras_adapter.load(path, name)
    import tensorflow as tf

    try:
        model = tf.saved_model.load(path)
    except LOAD_ERRORS as error:
        raise Refused("TensorFlow cannot load it: {}".format(reason(error)), name, "copy or save it again") from error
    if _SIGNATURE not in model.signatures:
        found = ", ".join(sorted(model.signatures)) or "none"
        what = "it has no signature {}, by which it could be called; it has {}".format(_SIGNATURE, found)
        raise Refused(what, name, "model.export('model') in the script writes one")
    signature = model.signatures[_SIGNATURE]
    given = sorted(signature.structured_input_signature[1].items())
    first: Any = given[0] if given else None
    made = sorted(signature.structured_outputs.items())

    def ask(array: Any) -> Any:
        # The model itself must stay: a signature alone does not keep its variables.
        answers = model.signatures[_SIGNATURE](**{first[0]: tf.constant(array)})
        return answers[made[0][0]].numpy()

    return Loaded(
        inputs=[_sizes(item) for _, item in given],
        outputs=[_sizes(item) for _, item in made],
        dtype=first[1].dtype.name if first else "float32",
        answer=in_batches(ask, first[1].shape[0] if first and first[1].shape.rank else None),
    )


def _sizes(item: Any) -> Sizes:
    return tuple(item.shape.as_list()[1:]) if item.shape.rank is not None else (None,)
