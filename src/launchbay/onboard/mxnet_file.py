"""A model of MXNet as its files describe it: a symbol (JSON) and the names, shapes and types of its parameters."""

from __future__ import annotations

import json
import os
import struct
from typing import Any, BinaryIO, NamedTuple

from .described import MOST_ITEMS, Shape, count, described, layer, tensor
from .modelfiles import ModelFiles

__all__ = ["describe_mxnet", "read_parameters"]

_LIST_MAGIC = 0x112
_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
_DTYPES = {0: "float32", 1: "float64", 2: "float16", 3: "uint8", 4: "int32", 5: "int8", 6: "int64", 7: "bool"}
_SIZES = {0: 4, 1: 8, 2: 2, 3: 1, 4: 4, 5: 1, 6: 8, 7: 1}
_MOST_AXES = 32
_MOST_SYMBOL = 64 << 20  # bytes; a network with a thousand layers takes about one megabyte
_NOT_TRAINED = ("running_mean", "running_var", "moving_mean", "moving_var")


class _Array(NamedTuple):
    """An array of a .params file, without its values."""

    name: str
    shape: Shape
    dtype: str | None


def describe_mxnet(files: ModelFiles) -> dict[str, Any]:
    """Describe parameters, and the network where its symbol lies beside them. Raises ValueError when damaged."""
    with open(os.path.join(files.folder, files.main), "rb") as file:
        arrays = read_parameters(file)
    # "aux:" marks what is not trained; save_parameters() does not tell.
    names = {array.name.partition(":")[2] or array.name: array for array in arrays}
    trained = [name for name in names if not names[name].name.startswith("aux:") and not name.endswith(_NOT_TRAINED)]
    sizes = {name: count(array.shape) for name, array in names.items()}
    symbols = [name for name in files.names if name != files.main]
    network = _describe_symbol(os.path.join(files.folder, symbols[0]), names) if symbols else {}
    note = {"level": "note", "what": "parameters without a network: it can be looked at, not evaluated", "where": ""}
    return described(
        framework="mxnet",
        findings=[] if symbols else [note],
        tensors=[tensor(name, array.shape, array.dtype) for name, array in names.items()],
        parameters=_sum(list(sizes.values())),
        trainable_parameters=_sum([sizes[name] for name in trained]),
        **network,
    )


def read_parameters(file: BinaryIO) -> list[_Array]:
    """Read the header of every array of a .params file, stepping over the values (NDArray::Load in ndarray.cc)."""
    size = os.fstat(file.fileno()).st_size
    magic, _, number = struct.unpack("<QQQ", _take(file, 24))
    if magic != _LIST_MAGIC or number > MOST_ITEMS:
        raise ValueError("not a list of at most {:,} arrays".format(MOST_ITEMS))
    arrays = [_read_array(file, size) for _ in range(number)]
    (named,) = struct.unpack("<Q", _take(file, 8))
    if named not in (0, number):
        raise ValueError("{} arrays with {} names".format(number, named))
    names = [_read_name(file) for _ in range(named)] or [str(index) for index in range(number)]
    return [_Array(name, shape, dtype) for name, (shape, dtype) in zip(names, arrays)]


def _read_array(file: BinaryIO, size: int) -> tuple[Shape, str | None]:
    (magic,) = struct.unpack("<I", _take(file, 4))
    if magic not in (_V1, _V2, _V3):
        raise ValueError("an array of an unknown version")
    if magic != _V1:
        (storage,) = struct.unpack("<i", _take(file, 4))
        if storage != 0:
            raise ValueError("a sparse array, which is not supported")
    (axes,) = struct.unpack("<i", _take(file, 4))
    if not 0 <= axes <= _MOST_AXES:
        raise ValueError("an array of {} axes".format(axes))
    shape = list(struct.unpack("<{}q".format(axes), _take(file, 8 * axes)))
    if not axes and magic != _V3:  # an array that was never given a value ends here
        return None, None
    _, _, kind = struct.unpack("<iii", _take(file, 12))  # device, its number, type
    numbers = count(list(shape))
    if numbers is None or kind not in _SIZES or file.tell() + numbers * _SIZES[kind] > size:
        raise ValueError("an array of shape {} that the file does not hold".format(tuple(shape)))
    file.seek(numbers * _SIZES[kind], os.SEEK_CUR)
    return list(shape), _DTYPES[kind]


def _read_name(file: BinaryIO) -> str:
    (length,) = struct.unpack("<Q", _take(file, 8))
    if length > 1 << 16:
        raise ValueError("a name of {:,} bytes".format(length))
    return _take(file, length).decode(errors="replace")


def _take(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise ValueError("it ends too early")
    return data


def _describe_symbol(path: str, arrays: dict[str, _Array]) -> dict[str, Any]:
    """Describe a network: its operations, what goes in and what comes out. Shapes of data are not in a symbol."""
    if os.path.getsize(path) > _MOST_SYMBOL:
        raise ValueError("a symbol of more than {:,} bytes".format(_MOST_SYMBOL))
    with open(path, "rb") as file:
        symbol = json.load(file)
    nodes = [{"name": str(node["name"]), "op": str(node["op"]), "inputs": node["inputs"]} for node in symbol["nodes"]]
    if len(nodes) > MOST_ITEMS:
        raise ValueError("more than {:,} nodes".format(MOST_ITEMS))
    layers = []
    for node in nodes:
        if node["op"] != "null":
            taken = [nodes[item[0]]["name"] for item in node["inputs"]]
            sizes = [count(arrays[name].shape) for name in taken if name in arrays]
            layers.append(layer(node["name"], node["op"], None, parameters=_sum(sizes)))
    heads = [nodes[head[0]]["name"] for head in symbol["heads"]]
    given = [node["name"] for node in nodes if node["op"] == "null" and node["name"] not in arrays]
    return {
        "framework_version": _version(symbol),
        "layers": layers,
        "inputs": [tensor(name, None, None) for name in given],
        "outputs": [tensor(name, None, None) for name in heads],
    }


def _version(symbol: dict[str, Any]) -> str | None:
    """Read MXNET_VERSION, a number such as 10901 for 1.9.1."""
    found = symbol.get("attrs", {}).get("mxnet_version")
    if not isinstance(found, list) or len(found) != 2 or not isinstance(found[1], int):
        return None
    return "{}.{}.{}".format(found[1] // 10000, found[1] // 100 % 100, found[1] % 100)


def _sum(sizes: list[int | None]) -> int | None:
    return None if None in sizes else sum(size or 0 for size in sizes)
