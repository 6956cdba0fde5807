"""What a model file is: its format by its content, and a card of what it holds."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from launchbay.errors import NotFound, UserError
from launchbay.models.card import Finding, Layer, ModelCard, Optimizer, Shape, Tensor

__all__ = ["FORMATS", "Ask", "detect_format", "require_keras", "show_model"]

Ask = Callable[[str, Mapping[str, object]], Mapping[str, Any]]
"""How onboard code is asked: command and request to result. Raises UserError with what it refused."""

FORMATS: dict[str, str] = {
    "keras": "a Keras 3 file (.keras)",
    "keras-folder": "an unzipped Keras 3 model",
    "hdf5": "an HDF5 file, as Keras 2 saves models (.h5)",
    "savedmodel": "a TensorFlow SavedModel",
    "torch": "a PyTorch file (a zip with pickled objects)",
    "torchscript": "a TorchScript program",
    "pickle": "a pickle: a program that builds objects",
    "onnx": "an ONNX graph",
    "safetensors": "tensors in safetensors form",
    "tflite": "a TensorFlow Lite model",
    "gguf": "a GGUF file",
    "mxnet": "parameters of MXNet",
    "numpy": "NumPy arrays",
}
"""The formats that are told apart by content, in words."""

_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89HDF\r\n\x1a\n", "hdf5"),
    (4, b"TFL3", "tflite"),
    (0, b"GGUF", "gguf"),
    (0, b"\x93NUMPY", "numpy"),
    (0, b"\x12\x01\0\0\0\0\0\0", "mxnet"),  # kMXAPINDArrayListMagic, 0x112
)


def show_model(path: Path, *, ask: Ask) -> ModelCard:
    """Describe a model file without loading it. Blocks for the start of one Python; imports no framework.

    Raises NotFound, or UserError when the file is of another format, damaged or hostile.
    """
    require_keras(path)
    return _read_card(ask("inspect", {"model": str(path)}))


def require_keras(path: Path) -> None:
    """Raise UserError unless the file is a `.keras` by its content; say what it is instead."""
    found = detect_format(path)
    if found != "keras":
        raise UserError(
            f"expected a Keras 3 file (.keras), got {FORMATS.get(found or '', 'a file of no model format we know')}",
            where=str(path),
            hint="model.save('model.keras') in the script; other formats are not supported yet",
        )


def detect_format(path: Path) -> str | None:
    """Say what a file or folder is by its content, never by its name: a key of FORMATS, or None.

    Reads a few bytes, or a zip's directory; runs nothing. Raises NotFound, or UserError when it cannot be read.
    """
    try:
        if path.is_dir():
            return _folder_format(path)
        if not path.exists():
            raise NotFound(
                "there is no such file",
                where=str(path),
                hint="`bay runs`; a run stands for its best model",
            )
        if not path.is_file():
            raise UserError("not a regular file", where=str(path))
        with path.open("rb") as file:
            head = file.read(512)
        return _zip_format(path) if head.startswith(b"PK\x03\x04") else _head_format(head, path.stat().st_size)
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(path)) from error


def _folder_format(folder: Path) -> str | None:
    if (folder / "saved_model.pb").is_file():
        return "savedmodel"
    if all((folder / name).is_file() for name in ("config.json", "metadata.json", "model.weights.h5")):
        return "keras-folder"
    return None


def _zip_format(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise UserError(f"a damaged zip file: {error}", where=str(path), hint="copy or save it again") from error
    if "config.json" in names and "metadata.json" in names:
        return "keras"
    if any(name.endswith("constants.pkl") for name in names):
        return "torchscript"
    if any(name.endswith("data.pkl") for name in names):
        return "torch"
    return "numpy" if names and all(name.endswith(".npy") for name in names) else None


def _head_format(head: bytes, size: int) -> str | None:
    for offset, magic, found in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return found
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "pickle"
    if head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= size - 8:
        return "safetensors"
    # ModelProto begins with field 1 (ir_version, a small number) and goes on with field 2, 7 or 8 (onnx.proto).
    if head[:1] == b"\x08" and 1 <= (head[1:2] or b"\0")[0] <= 20 and head[2:3] in (b"\x12", b"\x3a", b"\x42"):
        return "onnx"
    return None


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
