"""A Keras model as its file describes it: layers with shapes and parameters, inputs, outputs, loss, optimiser. Pure."""

from __future__ import annotations

import math
import struct
from typing import Any, Dict, List, NamedTuple, Tuple

from .keras_archive import Weights
from .keras_config import Config, as_dict, as_list, body_of, is_from_keras, layers_of, name_of
from .keras_counts import Counts, count_layers, totals
from .keras_shapes import Shape, as_shape, output_shape

__all__ = ["describe_compile", "describe_model", "find_foreign"]

_Tensor = Tuple[str, int, int]  # layer, call, number of the output: Keras' keras_history
_Shapes = Dict[str, List[Shape]]

_SELF_EVIDENT = frozenset(("name", "dtype", "reduction"))  # in every loss and metric; says nothing about the model


class _Flow(NamedTuple):
    """The shapes in a model: what each layer gives, and what comes in and goes out."""

    layers: _Shapes
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]


def describe_model(model: Config, weights: Weights | None) -> dict[str, Any]:
    """Return layers, parameters, inputs and outputs of a model; null for what the file does not tell.

    `trainable_parameters` is null where a class that is not Keras' own holds variables: it may freeze some in its
    code. A layer that is not found among the weights has null parameters.
    """
    layers = layers_of(model)
    flow = _follow(model, [])
    is_chain = model.get("class_name") == "Sequential"
    counted: list[Counts | None] = [None] * len(layers)
    parameters, trainable = None, None
    if weights is not None:
        counted, whole = count_layers(model, weights)
        parameters, trainable = totals(whole)
    if not parameters and layers and not _is_built(flow):
        counted, parameters, trainable = [None] * len(layers), None, None
    return {
        "layers": [
            _describe_layer(layer, flow.layers.get(name_of(layer), []), counts)
            for layer, counts in zip(layers, counted)
            if not (is_chain and layer.get("class_name") == "InputLayer")  # Keras does not list it either
        ],
        "parameters": parameters,
        "trainable_parameters": trainable,
        "inputs": flow.inputs,
        "outputs": flow.outputs,
    }


def describe_compile(model: Config) -> dict[str, Any]:
    """Return loss, metrics and optimiser (name, settings) that the model was compiled with; null without."""
    compiled = as_dict(model.get("compile_config"))
    optimizer = compiled.get("optimizer")
    shown = None
    if isinstance(optimizer, str):
        shown = {"name": optimizer, "settings": {}}
    elif isinstance(optimizer, dict):
        settings = {key: _plain(value) for key, value in body_of(optimizer).items()}
        kept = {key: value for key, value in settings.items() if value is not None and key != "name"}
        shown = {"name": str(optimizer.get("class_name")), "settings": kept}
    return {"loss": _plain(compiled.get("loss")), "metrics": _plain(compiled.get("metrics")), "optimizer": shown}


def find_foreign(model: Config) -> list[tuple[str, str]]:
    """Return (class, name) of every part whose code is not Keras' own, or lies in the file itself (Lambda)."""
    found = set()
    waiting: list[Any] = [model]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict) and "class_name" in value and "module" in value:
            is_code = value["class_name"] in ("Lambda", "function")
            if is_code or not (is_from_keras(value) or value["module"] == "builtins"):
                config = value.get("config")
                found.add((str(value["class_name"]), config if isinstance(config, str) else name_of(value)))
        waiting.extend(value.values() if isinstance(value, dict) else as_list(value))
    return sorted(found)


def _is_built(flow: _Flow) -> bool:
    """Say whether the model knows its input; one that does not has no variables yet."""
    return bool(flow.inputs) and all(given["shape"] is not None for given in flow.inputs)


def _describe_layer(layer: Config, shapes: list[Shape], counts: Counts | None) -> dict[str, Any]:
    parameters, trainable = totals(counts) if counts is not None else (None, None)
    return {
        "name": name_of(layer),
        "class": str(layer.get("class_name")),
        "activation": _activation(body_of(layer).get("activation")),
        "output_shape": shapes[0] if len(shapes) == 1 else (shapes or None),
        "parameters": parameters,
        "trainable_parameters": trainable,
    }


def _activation(value: Any) -> str | None:
    if isinstance(value, dict):
        value = value.get("config") if isinstance(value.get("config"), str) else value.get("class_name")
    return value if isinstance(value, str) else None


# --- shapes ---


def _follow(model: Config, given: list[Shape]) -> _Flow:
    """Follow the shapes through a model; `given` are those of its inputs where the model itself does not say."""
    if not layers_of(model):
        return _Flow({}, [], [])
    if "output_layers" in body_of(model):
        return _follow_graph(model)
    return _follow_chain(model, given)


def _follow_chain(model: Config, given: list[Shape]) -> _Flow:
    """Follow a Sequential model: what a layer was built for is what the layer before it gives."""
    layers = layers_of(model)
    shape = (given or [None])[0] or as_shape(body_of(model).get("build_input_shape"))
    inputs = [_describe_input(layers[0], shape)]
    flow: _Shapes = {}
    for number, layer in enumerate(layers):
        following = _built_for(layers[number + 1]) if number + 1 < len(layers) else []
        before: list[Shape] = [shape] if shape is not None else _built_for(layer)
        shape = following[0] if len(following) == 1 else (_outputs_of(layer, before) or [None])[0]
        flow[name_of(layer)] = [shape]
    return _Flow(flow, inputs, [{"name": name_of(layers[-1]), "shape": shape}])


def _follow_graph(model: Config) -> _Flow:
    """Follow a Functional model: every tensor that a layer takes stands in the file with its shape and origin."""
    layers = {name_of(layer): layer for layer in layers_of(model)}
    tensors: dict[_Tensor, Shape] = {}
    taken: _Shapes = {}
    for name, layer in layers.items():
        for node in as_list(layer.get("inbound_nodes")):
            incoming = _tensors_in(node)
            tensors.update(incoming)
            taken[name] = list(incoming.values())
    given = _last_outputs(tensors)
    flow: _Shapes = {}
    for name, layer in layers.items():
        flow[name] = given[name] if name in given else _outputs_of(layer, taken.get(name) or _built_for(layer))
    body = body_of(model)
    inputs = [_describe_input(layers.get(name, {}), None) for name, _, _ in _references(body.get("input_layers"))]
    outputs = []
    for key in _references(body.get("output_layers")):
        shapes = flow.get(key[0], [])
        known = tensors.get(key) or (shapes[key[2]] if 0 <= key[2] < len(shapes) else None)
        outputs.append({"name": key[0], "shape": known})
    return _Flow(flow, inputs, outputs)


def _last_outputs(tensors: dict[_Tensor, Shape]) -> _Shapes:
    """Return what each layer gave when it was last called; None for an output that no layer took."""
    newest = {name: call for name, call, _ in sorted(tensors)}
    last: dict[str, dict[int, Shape]] = {}
    for (name, call, number), shape in tensors.items():
        if call == newest[name] and 0 <= number < 100:
            last.setdefault(name, {})[number] = shape
    return {name: [numbers.get(number) for number in range(max(numbers) + 1)] for name, numbers in last.items()}


def _outputs_of(layer: Config, inputs: list[Shape]) -> list[Shape]:
    if layers_of(layer):
        return [output["shape"] for output in _follow(layer, inputs).outputs]
    shape = output_shape(str(layer.get("class_name")), body_of(layer), inputs)
    return [] if shape is None else [shape]


def _built_for(layer: Config) -> list[Shape]:
    """Return the input shapes that a layer was built for."""
    value = as_dict(layer.get("build_config")).get("input_shape")
    one = as_shape(value)
    if one is not None:
        return [one]
    several = [as_shape(item) for item in as_list(value)]
    return several if several and None not in several else []


def _describe_input(layer: Config, shape: Shape) -> dict[str, Any]:
    body = body_of(layer)
    if layer.get("class_name") != "InputLayer":
        return {"name": None, "shape": shape, "dtype": None}
    dtype = body.get("dtype")
    return {
        "name": name_of(layer),
        "shape": output_shape("InputLayer", body, []) or shape,
        "dtype": dtype if isinstance(dtype, str) else None,
    }


def _tensors_in(node: Any) -> dict[_Tensor, Shape]:
    """Return the tensors among a call's arguments, in their order."""
    found: dict[_Tensor, Shape] = {}
    waiting = [node]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
            for key in _references([body_of(value).get("keras_history")]):
                found[key] = as_shape(body_of(value).get("shape"))
        else:
            waiting.extend(reversed(list(value.values()) if isinstance(value, dict) else as_list(value)))
    return found


def _references(value: Any) -> list[_Tensor]:
    """Return the tensors that a list or mapping names; a single one stands without the list around it."""
    items = [value[key] for key in sorted(value)] if isinstance(value, dict) else as_list(value)
    if len(items) == 3 and isinstance(items[0], str):
        items = [items]
    triples = [item for item in items if isinstance(item, list) and len(item) == 3]
    return [(str(a), b, c) for a, b, c in triples if isinstance(b, int) and isinstance(c, int)]


# --- settings ---


def _plain(value: Any) -> Any:
    """Write a serialised object as its name, or as {name, settings} where it has any."""
    if isinstance(value, float):
        return _shortest(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "class_name" not in value:
        return {str(key): _plain(item) for key, item in value.items()}
    inner = value.get("config")
    if isinstance(inner, str):  # a function of Keras or of the script, by its name
        return inner
    settings = {key: _plain(item) for key, item in as_dict(inner).items() if key not in _SELF_EVIDENT}
    name = str(value["class_name"])
    return {"name": name, "settings": settings} if settings else name


def _shortest(value: float) -> float | None:
    """Undo what a 32-bit variable does to a setting: 0.0010000000474974513 was meant as 0.001."""
    if not math.isfinite(value):
        return None  # JSON has no word for it
    try:
        single = struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return value
    short = float("{:.7g}".format(value))
    return short if single == value and struct.unpack("f", struct.pack("f", short))[0] == value else value
