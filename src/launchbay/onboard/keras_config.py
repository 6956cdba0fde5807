"""Reading a Keras configuration, which is whatever somebody wrote: ask for parts, get empty ones where they do not fit."""

from __future__ import annotations

from typing import Any, Dict

__all__ = [
    "Config",
    "as_dict",
    "as_list",
    "body_of",
    "is_from_keras",
    "is_trainable",
    "layers_of",
    "name_of",
]

Config = Dict[str, Any]
"""A serialised Keras object: module, class_name, config, and more."""


def as_dict(value: Any) -> dict[str, Any]:
    """Return `value` if it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """Return `value` if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def body_of(thing: Config) -> dict[str, Any]:
    """Return the settings of a serialised object."""
    return as_dict(thing.get("config"))


def name_of(layer: Config) -> str:
    """Return a layer's name."""
    return str(body_of(layer).get("name") or layer.get("name") or "")


def is_trainable(layer: Config) -> bool:
    """Say whether the layer is not frozen."""
    return body_of(layer).get("trainable", True) is not False


def is_from_keras(layer: Config) -> bool:
    """Say whether Keras itself brings the layer's class, so that loading it needs nobody else's code."""
    module = str(layer.get("module"))
    return module == "keras" or module.startswith("keras.")


def layers_of(model: Config) -> list[Config]:
    """Return the layers of a model, without the bare operations (``x * 2``) between them; empty for a plain layer."""
    found = [item for item in as_list(body_of(model).get("layers")) if isinstance(item, dict)]
    return [item for item in found if not str(item.get("module")).startswith("keras.src.ops")]
