"""What a file tells of a model, in the one form that all formats share; what it does not tell is null."""

from __future__ import annotations

import math
from typing import Any, List, Optional

__all__ = ["MOST_ITEMS", "Shape", "count", "described", "layer", "plain", "tensor"]

Shape = Optional[List[Optional[int]]]

MOST_ITEMS = 20_000
"""Layers and tensors that are listed; a file with more is damaged or hostile."""

_MOST_LETTERS = 300


def described(**known: Any) -> dict[str, Any]:
    """Return a description with what is known filled in."""
    unknown = dict.fromkeys(("framework_version", "saved", "parameters", "trainable_parameters", "loss", "optimizer"))
    nothing: dict[str, Any] = {name: [] for name in ("layers", "tensors", "inputs", "outputs", "findings")}
    return {**unknown, **nothing, "metrics": None, **known}


def layer(
    name: object,
    kind: object,
    shape: Shape,
    *,
    parameters: int | None,
    trainable: int | None = None,
    activation: str | None = None,
) -> dict[str, Any]:
    """Describe a layer, a module or an operation."""
    return {
        "name": plain(name),
        "class": plain(kind),
        "activation": activation,
        "output_shape": shape,
        "parameters": parameters,
        "trainable_parameters": trainable,
    }


def tensor(name: object, shape: Shape, dtype: str | None) -> dict[str, Any]:
    """Describe a tensor."""
    return {"name": None if name is None else plain(name), "shape": shape, "dtype": dtype}


def count(shape: Shape) -> int | None:
    """Return how many numbers a tensor holds; None where a size is open or absurd."""
    if shape is None or any(size is None or size < 0 for size in shape):
        return None
    numbers = math.prod(size or 0 for size in shape)
    return numbers if numbers < 1 << 63 else None


def plain(value: object) -> str:
    """Return a name out of a file, shortened: it may be anything."""
    return str(value)[:_MOST_LETTERS]
