"""A model of Keras 2 as its configuration describes it: layers with shapes, loss and optimiser. Pure.

Keras 2 wrote the same thing into SavedModels and HDF5 files, in other words than Keras 3: `batch_input_shape` for
`batch_shape`, inbound nodes as bare lists, and nothing of the shapes between the layers.
"""

from __future__ import annotations

from typing import Any, Dict, Optional, Tuple

from .described import count, layer, tensor
from .keras_config import Config, as_dict, as_list, body_of, layers_of, name_of
from .keras_layers import describe_compile
from .keras_shapes import Shape, as_shape, output_shape

__all__ = ["Sizes", "describe_keras2", "find_lambdas", "is_trained", "trained_size"]

Sizes = Dict[str, Tuple[Optional[int], Optional[int]]]
"""Parameters of each layer by its name, all and those that are trained."""

_DEEPEST = 60
_NEVER_TRAINED = ("moving_mean", "moving_variance")


def describe_keras2(model: Any, training: Any, sizes: Sizes) -> dict[str, Any]:
    """Return layers, inputs, outputs, loss, metrics and optimiser; null for what the configuration does not tell."""
    model = _plain(model, 0)
    shapes, inputs, outputs = _follow(model, [])
    is_chain = model.get("class_name") == "Sequential"
    compiled = as_dict(_plain(training, 0))
    described = describe_compile({"compile_config": {**compiled, "optimizer": compiled.get("optimizer_config")}})
    if described["optimizer"] and described["optimizer"]["name"].startswith("Custom>"):
        described["optimizer"]["name"] = described["optimizer"]["name"].partition(">")[2]
    return {
        **described,
        "metrics": _metrics(described["metrics"]),
        "layers": [
            _describe_layer(item, shapes.get(name_of(item)), sizes)
            for item in layers_of(model)
            if not (is_chain and item.get("class_name") == "InputLayer")
        ],
        "inputs": inputs,
        "outputs": outputs,
    }


def find_lambdas(model: Any) -> list[str]:
    """Return the names of layers that hold Python code."""
    found = []
    waiting = [model]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict) and value.get("class_name") == "Lambda":
            found.append(name_of(value))
        waiting.extend(value.values() if isinstance(value, dict) else as_list(value))
    return sorted(found)


def is_trained(model: Any) -> dict[str, bool]:
    """Say of each layer whether it is trained at all."""
    return {name_of(item): body_of(item).get("trainable", True) is not False for item in layers_of(as_dict(model))}


def trained_size(shapes: dict[str, list[int]], *, trained: bool) -> Tuple[Optional[int], Optional[int]]:
    """Return how many parameters a layer's variables hold, all and those that are trained."""
    sizes = {name: count(list(shape)) for name, shape in shapes.items()}
    own = [size for name, size in sizes.items() if trained and not name.rpartition("/")[2].startswith(_NEVER_TRAINED)]
    return _sum(list(sizes.values())), _sum(own)


def _sum(sizes: list[Optional[int]]) -> Optional[int]:
    return None if None in sizes else sum(size or 0 for size in sizes)


def _plain(value: Any, depth: int) -> Any:
    """Write tuples as lists, as which an HDF5 file has them and a SavedModel has not."""
    if depth > _DEEPEST:
        raise ValueError("its configuration is nested deeper than any model's")
    if isinstance(value, list):
        return [_plain(item, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("class_name") in ("__tuple__", "TensorShape") and isinstance(value.get("items"), list):
        return [_plain(item, depth + 1) for item in value["items"]]
    return {key: _plain(item, depth + 1) for key, item in value.items()}


def _describe_layer(item: Config, shape: Shape, sizes: Sizes) -> dict[str, Any]:
    parameters, trained = sizes.get(name_of(item), (None, None))
    if item.get("class_name") == "InputLayer":
        parameters, trained = 0, 0
    activation = body_of(item).get("activation")
    if isinstance(activation, dict):
        activation = activation.get("class_name")
    return layer(
        name_of(item),
        item.get("class_name"),
        shape,
        parameters=parameters,
        trainable=trained,
        activation=activation if isinstance(activation, str) else None,
    )


def _metrics(value: Any) -> Any:
    """Take the lists away that Keras 2 puts around metrics, and the wrapper around a function."""
    flat: list[Any] = []
    waiting = as_list(value)[::-1]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting.extend(reversed(item))
        else:
            settings = as_dict(as_dict(item).get("settings"))
            flat.append(settings["fn"] if isinstance(settings.get("fn"), str) else item)
    return flat or None


# --- shapes ---


def _follow(model: Config, given: list[Shape]) -> tuple[dict[str, Shape], list[dict[str, Any]], list[dict[str, Any]]]:
    """Follow the shapes through a model, layer by layer, in the order in which it lists them."""
    layers = layers_of(model)
    body = body_of(model)
    if not layers:
        return {}, [], []
    is_graph = "output_layers" in body
    shapes: dict[str, Shape] = {}
    before: Shape = (given or [None])[0] or as_shape(body.get("build_input_shape"))
    first = before or _own_input(layers[0])
    for item in layers:
        taken = [shapes.get(name) for name in _sources(item)] if is_graph else [before or _own_input(item)]
        before = _output(item, taken)
        shapes[name_of(item)] = before
    if not is_graph:
        named = layers[0] if layers[0].get("class_name") == "InputLayer" else {}
        ins = [tensor(name_of(named) or None, first, _dtype(layers[0]))]
        return shapes, ins, [tensor(name_of(layers[-1]), before, None)]
    known = {name_of(item): item for item in layers}
    ins = [tensor(name, shapes.get(name), _dtype(known.get(name, {}))) for name in _ends(body.get("input_layers"))]
    return shapes, ins, [tensor(name, shapes.get(name), None) for name in _ends(body.get("output_layers"))]


def _output(item: Config, taken: list[Shape]) -> Shape:
    if layers_of(item):
        outputs = _follow(item, taken)[2]
        return outputs[0]["shape"] if len(outputs) == 1 else None
    if item.get("class_name") == "InputLayer":
        return _own_input(item)
    return output_shape(str(item.get("class_name")), body_of(item), taken) if taken else None


def _own_input(item: Config) -> Shape:
    body = body_of(item)
    return as_shape(body.get("batch_input_shape")) or as_shape(body.get("batch_shape"))


def _sources(item: Config) -> list[str]:
    """Return the layers that feed the last call of a layer: [[["name", node, tensor, {...}], ...], ...]."""
    nodes = as_list(item.get("inbound_nodes"))
    last = as_list(nodes[-1]) if nodes else []
    references = [last] if last and isinstance(last[0], str) else last
    return [str(reference[0]) for reference in references if isinstance(reference, list) and reference]


def _ends(value: Any) -> list[str]:
    """Return the layers that a model begins or ends with; a single one stands without the list around it."""
    items = as_list(value)
    if len(items) == 3 and isinstance(items[0], str):
        items = [items]
    return [str(item[0]) for item in items if isinstance(item, list) and item]


def _dtype(item: Config) -> str | None:
    dtype = body_of(item).get("dtype")
    return dtype if isinstance(dtype, str) else None
