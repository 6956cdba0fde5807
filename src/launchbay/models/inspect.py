"""What a model is: its format by its content, the hash it is known by, and a card of what it holds."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from launchbay.errors import NotFound, UsageError, UserError
from launchbay.models.card import Finding, Layer, ModelCard, Optimizer, Shape, Tensor
from launchbay.onboard.formats import FORMATS, LOADABLE, SHOWN, find_format
from launchbay.onboard.modelfiles import find_files, hash_model
from launchbay.onboard.refused import Refused

__all__ = ["Ask", "detect_format", "find_hash", "require_loadable", "show_model"]

Ask = Callable[[str, Mapping[str, object]], Mapping[str, Any]]
"""How onboard code is asked: command and request to result. Raises UserError with what it refused."""

_INSTEAD = {
    "keras-folder": "zip it again, or model.save('model.keras') in the script",
    "hdf5": "model.save('model.keras') in the script; weights alone do not say what to do with them",
    "torch": (
        "in the script: torch.jit.save(torch.jit.script(model), 'model.pt'), or "
        "torch.export.save(torch.export.export(model, (example,)), 'model.pt2')"
    ),
    "pickle": "torch.jit.save(torch.jit.script(model), 'model.pt') in the script, or model.save('model.keras')",
    "mxnet-params": "in the script: net.hybridize(), one call, and net.export('model'), which writes both files",
    "mxnet-symbol": "put its parameters beside it: net.export('model') writes model-symbol.json and model-0000.params",
}
_OTHERWISE = "model.save('model.keras') in the script, torch.jit.save, torch.export.save, an ONNX file, net.export"
_NO_PROGRAM = ("torch", "hdf5", "mxnet-params", "safetensors")


def show_model(path: Path, *, ask: Ask) -> ModelCard:
    """Describe a model without loading it. Blocks for the start of one Python; imports no framework.

    Raises NotFound, or UserError when it is of another format, damaged or hostile.
    """
    found = detect_format(path)
    if found not in SHOWN:
        raise _unfit(path, found, "a model that can be shown")
    return _read_card(ask("inspect", {"model": str(path), "format": found}))


def require_loadable(path: Path) -> str:
    """Return a model's format. Raises UserError unless it holds a program that can be loaded; says what it is instead."""
    found = detect_format(path)
    if found in LOADABLE:
        return found
    raise _unfit(path, found, "a model with its program")


def detect_format(path: Path) -> str | None:
    """Say what a file or folder is by its content, never by its name: a key of FORMATS, or None.

    Reads a few bytes, or a zip's directory; runs nothing. Raises NotFound, or UserError when it cannot be read.
    """
    try:
        if not path.exists():
            raise NotFound("there is no such file", where=str(path), hint="`bay runs`; a run stands for its best model")
        if not path.is_dir() and not path.is_file():
            raise UsageError("not a regular file", where=str(path), hint="the path of a model file")
        return find_format(str(path))
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except Refused as refusal:
        raise UserError(refusal.what, where=refusal.where, hint=refusal.hint) from refusal


def find_hash(path: Path, found: str | None) -> str:
    """Return the sha256 that a model of that format is known by: a file's own, or one over all files that belong to it.

    Raises UserError when they cannot be read, or some lie elsewhere.
    """
    try:
        return hash_model(find_files(os.fspath(path), found))
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except Refused as refusal:
        raise UserError(refusal.what, where=refusal.where, hint=refusal.hint) from refusal


def _unfit(path: Path, found: str | None, expected: str) -> UserError:
    got = "a folder that holds none" if path.is_dir() else "a file of no model format we know"
    what = f"expected {expected}, got {FORMATS[found] if found else got}"
    if found in _NO_PROGRAM:
        what += ": nothing in it says how to compute with them"
    return UserError(what, where=str(path), hint=_INSTEAD.get(found or "", _OTHERWISE))


def _read_card(answer: Mapping[str, Any]) -> ModelCard:
    optimizer = answer["optimizer"]
    return ModelCard(
        format=answer["format"],
        framework=answer["framework"],
        framework_version=answer["framework_version"],
        saved=answer["saved"],
        sha256=answer["sha256"],
        bytes=answer["bytes"],
        parameters=answer["parameters"],
        trainable_parameters=answer["trainable_parameters"],
        layers=tuple(_read_layer(layer) for layer in answer["layers"]),
        tensors=tuple(_read_tensor(tensor) for tensor in answer["tensors"]),
        inputs=tuple(_read_tensor(tensor) for tensor in answer["inputs"]),
        outputs=tuple(_read_tensor(tensor) for tensor in answer["outputs"]),
        loss=None if answer["loss"] is None else _words(answer["loss"]),
        metrics=tuple(_words(metric) for metric in _listed(answer["metrics"])),
        optimizer=Optimizer(name=optimizer["name"], settings=optimizer["settings"]) if optimizer else None,
        safe=answer["safe"],
        findings=tuple(Finding(**finding) for finding in answer["findings"]),
    )


def _read_layer(answer: Mapping[str, Any]) -> Layer:
    return Layer(
        name=answer["name"],
        kind=answer["class"],
        output_shape=_read_shape(answer["output_shape"]),
        parameters=answer["parameters"],
        trainable_parameters=answer["trainable_parameters"],
        activation=answer["activation"],
    )


def _read_tensor(answer: Mapping[str, Any]) -> Tensor:
    return Tensor(name=answer["name"], shape=_read_shape(answer["shape"]), dtype=answer.get("dtype"))


def _read_shape(answer: Sequence[Any] | None) -> Shape | None:
    """Read a shape; a list of shapes (a layer with several outputs) is none."""
    if answer is None or any(isinstance(size, list) for size in answer):
        return None
    return tuple(answer)


def _listed(value: object) -> Sequence[object]:
    if value is None:
        return ()
    return value if isinstance(value, list) else (value,)


def _words(value: object) -> str:
    """Write a loss or metric in one line: a name, a name with settings, or one for each output."""
    if isinstance(value, Mapping):
        if set(value) == {"name", "settings"} and isinstance(value["settings"], Mapping):
            settings = ", ".join(f"{name}={setting}" for name, setting in value["settings"].items())
            return f"{value['name']}({settings})"
        return ", ".join(f"{name}: {_words(item)}" for name, item in value.items())
    if isinstance(value, list):
        return ", ".join(_words(item) for item in value)
    return str(value)
