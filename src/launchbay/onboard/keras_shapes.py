"""The output shapes of Keras layers, worked out from their configuration; None where that is not certain.

A shape is a list of sizes, null for one that is open (the batch, a sequence of any length).
"""

from __future__ import annotations

import math
import re
from typing import Any, Callable, Dict, List, Optional

__all__ = ["Shape", "as_shape", "output_shape"]

Shape = Optional[List[Optional[int]]]


def as_shape(value: Any) -> Shape:
    """Return `value` if it is a shape, else None."""
    if isinstance(value, list) and value and all(size is None or _is_size(size) for size in value):
        return value
    return None


def output_shape(kind: str, config: dict[str, Any], inputs: list[Shape]) -> Shape:
    """Return the shape that a layer of class `kind` makes of its inputs, or None when it is not known.

    `inputs` has one shape per input tensor. The rules are those of each layer's compute_output_shape in Keras 3.
    """
    if kind == "InputLayer":
        return as_shape(config.get("batch_shape")) or as_shape(config.get("batch_input_shape"))
    first = inputs[0] if inputs else None
    if first is None or kind in _SAME:
        return first
    try:
        if kind in _MERGING:
            return _merged(inputs)
        if kind == "Concatenate":
            return _concatenated(config, inputs)
        rule = _RULES.get(kind)
        return as_shape(rule(config, first)) if rule else as_shape(_by_name(kind, config, first))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None  # a configuration that does not fit its class: nothing is certain


_SAME = frozenset(
    [
        "Activation",
        "ActivityRegularization",
        "AlphaDropout",
        "BatchNormalization",
        "Dropout",
        "ELU",
        "GaussianDropout",
        "GaussianNoise",
        "GroupNormalization",
        "Identity",
        "LayerNormalization",
        "LeakyReLU",
        "Masking",
        "Normalization",
        "PReLU",
        "RMSNormalization",
        "ReLU",
        "Rescaling",
        "Softmax",
        "SpatialDropout1D",
        "SpatialDropout2D",
        "SpatialDropout3D",
        "UnitNormalization",
        "MultiHeadAttention",
        "GroupedQueryAttention",
        "GroupQueryAttention",
    ]
)
_MERGING = frozenset(["Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract"])


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _product(sizes: list[int | None]) -> int | None:
    return None if None in sizes else math.prod(size for size in sizes if size is not None)


def _merged(inputs: list[Shape]) -> Shape:
    """Return the common shape; broadcasting is left out because it is rare."""
    return inputs[0] if inputs and all(shape == inputs[0] for shape in inputs) else None


def _concatenated(config: dict[str, Any], inputs: list[Shape]) -> Shape:
    shapes = [shape for shape in inputs if shape is not None]
    axis = config.get("axis", -1)
    if not shapes or len(shapes) < len(inputs) or not all(-len(s) <= axis < len(s) for s in shapes):
        return None
    result = list(shapes[0])
    sizes = [shape[axis] for shape in shapes]
    result[axis] = None if None in sizes else sum(size for size in sizes if size is not None)
    return result


def _reshape(config: dict[str, Any], shape: list[int | None]) -> Shape:
    target = list(config["target_shape"])
    total = _product(shape[1:])
    if -1 in target:
        rest = math.prod(size for size in target if size != -1)
        target[target.index(-1)] = None if total is None else total // rest
    return [shape[0], *target]


def _recurrent(config: dict[str, Any], shape: list[int | None]) -> Shape:
    if config.get("return_state"):
        return None
    units = config["units"]
    return [shape[0], shape[1], units] if config.get("return_sequences") else [shape[0], units]


def _bidirectional(config: dict[str, Any], shape: list[int | None]) -> Shape:
    inner = config["layer"]
    one_way = output_shape(inner["class_name"], inner["config"], [shape])
    if one_way is None or config.get("merge_mode") is None:
        return None
    width = one_way[-1]
    return [*one_way[:-1], 2 * width] if config["merge_mode"] == "concat" and width is not None else one_way


def _time_distributed(config: dict[str, Any], shape: list[int | None]) -> Shape:
    inner = config["layer"]
    step = output_shape(inner["class_name"], inner["config"], [[shape[0], *shape[2:]]])
    return None if step is None else [step[0], shape[1], *step[1:]]


def _wrapped(config: dict[str, Any], shape: list[int | None]) -> Shape:
    inner = config["layer"]
    return output_shape(inner["class_name"], inner["config"], [shape])


_RULES: Dict[str, Callable[[Dict[str, Any], List[Optional[int]]], Shape]] = {
    "Bidirectional": _bidirectional,
    "Dense": lambda config, shape: [*shape[:-1], config["units"]],
    "Embedding": lambda config, shape: [*shape, config["output_dim"]],
    "Flatten": lambda _, shape: [shape[0], _product(shape[1:])],
    "GRU": _recurrent,
    "LSTM": _recurrent,
    "Permute": lambda config, shape: [shape[0], *(shape[axis] for axis in config["dims"])],
    "RepeatVector": lambda config, shape: [shape[0], config["n"], shape[1]],
    "Reshape": _reshape,
    "SimpleRNN": _recurrent,
    "SpectralNormalization": _wrapped,
    "TimeDistributed": _time_distributed,
}


def _by_name(kind: str, config: dict[str, Any], shape: list[int | None]) -> Shape:
    """Work out layers that exist for one, two and three dimensions: Conv2D, MaxPooling1D, ZeroPadding3D, ..."""
    match = re.fullmatch(r"(\w+?)([123])D(Transpose)?", kind)
    if match is None or len(shape) != int(match[2]) + 2:
        return None
    family = match[1] + (match[3] or "")
    is_last = config.get("data_format", "channels_last") != "channels_first"
    space = shape[1:-1] if is_last else shape[2:]
    channels = shape[-1] if is_last else shape[1]
    if family.startswith("Global") and family.endswith("Pooling"):
        kept = [1] * len(space) if config.get("keepdims") else []
        return [shape[0], *kept, channels] if is_last else [shape[0], channels, *kept]
    channels = _channels(family, config, channels)
    sizes = [_along(family, config, axis, size) for axis, size in enumerate(space)]
    if -1 in sizes:
        return None
    return [shape[0], *sizes, channels] if is_last else [shape[0], channels, *sizes]


def _channels(family: str, config: dict[str, Any], channels: int | None) -> int | None:
    if family in ("Conv", "SeparableConv", "ConvTranspose"):
        filters: int = config["filters"]
        return filters
    if family == "DepthwiseConv" and channels is not None:
        multiplier: int = config["depth_multiplier"]
        return channels * multiplier
    return channels


def _along(family: str, config: dict[str, Any], axis: int, size: int | None) -> int | None:
    """Return one dimension after the layer, None if open, -1 for a layer that is not known here."""
    if family in ("ZeroPadding", "Cropping", "UpSampling"):
        return _resized(family, config, axis, size)
    if family in ("MaxPooling", "AveragePooling"):
        window, dilation = _at(config["pool_size"], axis), 1
        stride = _at(config["strides"] if config.get("strides") is not None else config["pool_size"], axis)
    elif family == "ConvTranspose":
        return _widened(config, axis, size)
    elif family in ("Conv", "SeparableConv", "DepthwiseConv"):
        window, dilation = _at(config["kernel_size"], axis), _at(config["dilation_rate"], axis)
        stride = _at(config["strides"], axis)
    else:
        return -1
    if size is None:
        return None
    if config["padding"] in ("same", "causal"):
        return -(-size // stride)
    return (size - dilation * (window - 1) - 1) // stride + 1


def _widened(config: dict[str, Any], axis: int, size: int | None) -> int | None:
    if size is None:
        return None
    if config.get("output_padding") is not None:
        return -1
    window = (_at(config["kernel_size"], axis) - 1) * _at(config["dilation_rate"], axis) + 1
    stride = _at(config["strides"], axis)
    return size * stride + (max(window - stride, 0) if config["padding"] == "valid" else 0)


def _resized(family: str, config: dict[str, Any], axis: int, size: int | None) -> int | None:
    if size is None:
        return None
    if family == "UpSampling":
        return size * _at(config["size"], axis)
    amount = config["padding" if family == "ZeroPadding" else "cropping"]
    sides = amount[axis] if isinstance(amount[axis], (list, tuple)) else (amount if len(amount) == 2 else None)
    if sides is None:
        return -1
    change: int = sides[0] + sides[1]
    return size + change if family == "ZeroPadding" else size - change


def _at(value: Any, axis: int) -> int:
    """Return a setting that is one number for all dimensions, or one for each."""
    number: int = value[axis] if isinstance(value, (list, tuple)) else value
    return number
