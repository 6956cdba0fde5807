"""What a file or folder is, told by its content and never by its name; nothing of it is run."""

from __future__ import annotations

import os
import re

from .refused import Refused

TYPE_CHECKING = False  # `typing` would cost a tenth of what a supervisor does
if TYPE_CHECKING:
    from typing import BinaryIO

__all__ = ["FORMATS", "LOADABLE", "SHOWN", "find_format", "find_pair"]

FORMATS = {
    "keras": "a Keras 3 file (.keras)",
    "keras-folder": "an unzipped Keras 3 model",
    "keras-h5": "a Keras model in an HDF5 file (.h5)",
    "hdf5": "an HDF5 file without a model in it: weights, or other data",
    "savedmodel": "a TensorFlow SavedModel",
    "torch": "a PyTorch file (a zip with pickled objects)",
    "torchscript": "a TorchScript program",
    "torch-export": "an exported PyTorch program (.pt2)",
    "pickle": "a pickle: a program that builds objects",
    "onnx": "an ONNX graph",
    "mxnet": "a model of MXNet: a symbol and its parameters",
    "mxnet-params": "parameters of MXNet without the network that they belong to",
    "mxnet-symbol": "a network of MXNet without its parameters",
    "safetensors": "tensors in safetensors form",
    "tflite": "a TensorFlow Lite model",
    "gguf": "a GGUF file",
    "numpy": "NumPy arrays",
}
"""The formats that are told apart, in words."""

LOADABLE = frozenset(["keras", "keras-h5", "savedmodel", "torchscript", "torch-export", "onnx", "mxnet"])
"""What holds a whole model, its program included."""

SHOWN = LOADABLE | {"torch", "mxnet-params"}
"""What can be looked into."""

_MAGIC = (
    (4, b"TFL3", "tflite"),
    (0, b"GGUF", "gguf"),
    (0, b"\x93NUMPY", "numpy"),
    (0, b"\x12\x01\0\0\0\0\0\0", "mxnet-params"),  # kMXAPINDArrayListMagic, 0x112
)
_HDF5 = b"\x89HDF\r\n\x1a\n"
_SYMBOL = re.compile(rb'\s*\{\s*"nodes"\s*:\s*\[\s*\{\s*"op"\s*:')
_HEAD = 1 << 16
"""Bytes at the beginning in which Keras puts the name of the attribute that holds a model (it is written first)."""

# Fields of an ONNX ModelProto (onnx.proto) with their wire types: 0 a number, 2 bytes.
_ONNX = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}
_MOST_FIELDS = 100_000


def find_format(path: str) -> str | None:
    """Return a key of FORMATS, or None for anything else. Reads a few bytes, or a zip's directory.

    Raises OSError when it cannot be read, Refused for a zip that is damaged.
    """
    if os.path.isdir(path):
        return _folder_format(path)
    with open(path, "rb") as file:
        head = file.read(_HEAD)
        if head.startswith(b"PK\x03\x04"):
            return _zip_format(path)
        found = _head_format(head, os.path.getsize(path)) or ("onnx" if _is_onnx(file, head) else None)
    return "mxnet" if found in ("mxnet-params", "mxnet-symbol") and find_pair(path) else found


def find_pair(path: str) -> tuple[str, str] | None:
    """Return the names of the parameters and the symbol of MXNet that a file is one of; None where the other lacks.

    ``net.export("model")`` writes model-symbol.json and model-0000.params. Of several parameters beside a symbol the
    highest number counts.
    """
    folder, name = os.path.split(path)
    stem = re.fullmatch(r"(.+?)(-symbol\.json|-\d{4,}\.params)", name)
    if stem is None:
        return None
    symbol = stem.group(1) + "-symbol.json"
    if name != symbol:
        return (name, symbol) if os.path.isfile(os.path.join(folder, symbol)) else None
    pattern = re.compile(re.escape(stem.group(1)) + r"-(\d{4,})\.params")
    matches = filter(None, map(pattern.fullmatch, os.listdir(folder or ".")))
    found = max(((int(match.group(1)), match.group()) for match in matches), default=None)
    return (found[1], symbol) if found else None


def _folder_format(folder: str) -> str | None:
    if os.path.isfile(os.path.join(folder, "saved_model.pb")):
        return "savedmodel"
    if all(os.path.isfile(os.path.join(folder, name)) for name in ("config.json", "metadata.json", "model.weights.h5")):
        return "keras-folder"
    return None


def _zip_format(path: str) -> str | None:
    import zipfile  # it takes as long to import as all the rest of a supervisor

    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except Exception as error:  # zipfile has no one error for a zip that it does not understand
        reason = " ".join(str(error).split())
        what = "a damaged zip file: {}: {}".format(type(error).__name__, reason[:200])
        raise Refused(what, path, "copy or save it again") from error
    if "config.json" in names and "metadata.json" in names:
        return "keras"
    ends = {name.partition("/")[2] for name in names}
    if "constants.pkl" in ends:
        return "torchscript"
    if "models/model.json" in ends or "serialized_exported_program.json" in names:
        return "torch-export"
    if "data.pkl" in ends:
        return "torch"
    return "numpy" if names and all(name.endswith(".npy") for name in names) else None


def _head_format(head: bytes, size: int) -> str | None:
    if head.startswith(_HDF5):
        return "keras-h5" if b"model_config" in head else "hdf5"
    for offset, magic, found in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return found
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "pickle"
    if head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= size - 8:
        return "safetensors"
    return "mxnet-symbol" if _SYMBOL.match(head) else None


def _is_onnx(file: BinaryIO, head: bytes) -> bool:
    """Say whether the whole file is one ModelProto: only fields that it has, ir_version first, a graph among them.

    Nothing but the fields' headers is read: a graph of gigabytes is stepped over.
    """
    if head[:1] != b"\x08":
        return False
    size = os.fstat(file.fileno()).st_size
    position, fields, seen = 0, set(), 0
    while position < size and seen < _MOST_FIELDS:
        file.seek(position)
        header = file.read(24)
        key, used = _varint(header, 0)
        value, end = _varint(header, used) if used else (0, 0)
        if not end or _ONNX.get(key >> 3) != key & 7:
            return False
        position += end + (value if key & 7 else 0)
        fields.add(key >> 3)
        seen += 1
    return position == size and 7 in fields


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Return a number of protobuf and where it ends; 0 where it does not."""
    value = shift = 0
    for at in range(position, min(len(data), position + 10)):
        value |= (data[at] & 0x7F) << shift
        shift += 7
        if data[at] < 0x80:
            return value, at + 1
    return 0, 0
