"""A Keras model in an HDF5 file (`model.save("model.h5")`), described without Keras."""

from __future__ import annotations

import importlib
import importlib.util
import json
from typing import Any, BinaryIO

from .described import described, plain
from .keras2 import describe_keras2, find_lambdas, is_trained, trained_size
from .keras_archive import walk_hdf5
from .keras_config import as_dict
from .refused import Refused

__all__ = ["describe_h5"]

_MOST_JSON = 64 << 20  # bytes; as much as the configuration of a .keras file may take


def describe_h5(stream: BinaryIO, name: str) -> dict[str, Any]:
    """Describe an open HDF5 file that holds a Keras model. It may be hostile: only within `confined`."""
    if importlib.util.find_spec("h5py") is None:
        raise Refused("reading it needs h5py, which is not in this image", name, "bay image build tensorflow-2.15")
    h5py = importlib.import_module("h5py")
    with h5py.File(stream, "r") as file:
        shapes = _layer_shapes(h5py, file, name)
        model, training = _attribute(file, "model_config"), _attribute(file, "training_config")
        version = file.attrs.get("keras_version")
    trained = is_trained(model)
    sizes = {layer: trained_size(held, trained=trained.get(layer, True)) for layer, held in shapes.items()}
    known = [size for size, _ in sizes.values()]
    lambdas = find_lambdas(model)
    return described(
        framework="keras",
        framework_version=plain(version) if isinstance(version, str) else None,
        parameters=None if None in known else sum(size or 0 for size in known),
        trainable_parameters=None if None in known else sum(size or 0 for _, size in sizes.values()),
        findings=[{"level": "warning", "what": "holds Python code: Lambda", "where": layer} for layer in lambdas],
        **describe_keras2(model, training, sizes),
    )


def _attribute(file: Any, name: str) -> dict[str, Any]:
    value = file.attrs.get(name)
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if not isinstance(value, str):
        return {}
    if len(value) > _MOST_JSON:
        raise ValueError("{:,} bytes of configuration are more than any model needs".format(len(value)))
    return as_dict(json.loads(value))


def _layer_shapes(h5py: Any, file: Any, name: str) -> dict[str, dict[str, list[int]]]:
    """Return the shapes of variables by layer: model_weights/LAYER/..., the variables below in whatever depth."""
    found: dict[str, dict[str, list[int]]] = {}
    for path, item in walk_hdf5(h5py, file, name):
        root, _, rest = path.partition("/")
        layer, _, variable = rest.partition("/")
        if root == "model_weights" and layer:
            held = found.setdefault(layer, {})
            if isinstance(item, h5py.Dataset):
                held[variable] = [int(size) for size in item.shape]
    return found
