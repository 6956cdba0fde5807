"""Small model files made by hand, without the frameworks that write such files."""

from __future__ import annotations

import io
import json
import pickle
import struct
import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import pytest


def varint(value: int) -> bytes:
    """Encode a number as protobuf does."""
    value &= (1 << 64) - 1
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def message(*fields: tuple[int, int | str | bytes]) -> bytes:
    """Encode a message of numbers, texts and messages."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def onnx(*, outside: str = "") -> bytes:
    """Return a graph: one MatMul of x (n, 3) with w (3, 1)."""
    external = [(13, message((1, "location"), (2, outside))), (14, 1)] if outside else [(9, bytes(12))]
    open_size = message((1, message((2, "n"))))

    def value(name: str, last: int) -> bytes:
        return message((1, name), (2, message((1, message((1, 1), (2, open_size + message((1, message((1, last))))))))))

    graph = message(
        (1, message((1, "x"), (1, "w"), (2, "y"), (3, "first"), (4, "MatMul"))),
        (2, "graph"),
        (5, message((1, 3), (1, 1), (2, 1), (8, "w"), *external)),
        (11, value("x", 3)),
        (12, value("y", 1)),
    )
    return message((1, 8), (2, "maker"), (3, "1.0"), (7, graph), (8, message((1, ""), (2, 17))))


def savedmodel(folder: Path) -> Path:
    """Write a SavedModel of Keras 2: one Dense layer of three inputs."""
    shape = message((2, message((1, -1))), (2, message((1, 3))))
    signature = message(
        (1, message((1, "x"), (2, message((1, "x:0"), (2, 1), (3, shape))))),
        (2, message((1, "dense"), (2, message((1, "y:0"), (2, 1), (3, message((3, 1))))))),
    )

    def variable(name: str, *sizes: int) -> bytes:
        return message(
            (7, message((1, 1), (2, message(*((2, message((1, size))) for size in sizes))), (3, 1), (6, name)))
        )

    def refers(**children: int) -> bytes:
        return message(*((1, message((1, number), (2, name))) for name, number in children.items()))

    listed = {"0": 3, "1": 4}
    objects = [
        refers(variables=2, trainable_variables=2, layer=1),
        refers(variables=2, trainable_variables=2),
        refers(**listed),
        variable("dense/kernel", 3, 1),
        variable("dense/bias", 1),
    ]
    graph = message(
        (1, message((5, "2.15.1"))),
        (5, message((1, "serving_default"), (2, signature))),
        (7, message(*((1, item) for item in objects))),
    )
    dense = {"class_name": "Dense", "config": {"name": "dense", "units": 1, "activation": "linear"}}
    given = {"class_name": "InputLayer", "config": {"name": "x", "batch_input_shape": [None, 3], "dtype": "float32"}}
    root = {
        "name": "m",
        "class_name": "Sequential",
        "config": {"name": "m", "layers": [given, dense]},
        "training_config": {"loss": "mse", "optimizer_config": {"class_name": "Custom>Adam", "config": {}}},
    }
    metadata = message(
        (1, message((2, 0), (5, json.dumps(root)))), (1, message((2, 1), (5, json.dumps({"name": "dense"}))))
    )
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(message((1, 1), (2, graph)))
    (folder / "keras_metadata.pb").write_bytes(metadata)
    (folder / "variables" / "variables.index").write_bytes(b"index")
    return folder


def parameters(**shapes: tuple[int, ...]) -> bytes:
    """Return what MXNet writes for arrays of float32."""
    out = struct.pack("<QQQ", 0x112, 0, len(shapes))
    for shape in shapes.values():
        out += struct.pack(f"<Iii{len(shape)}q", 0xF993FAC9, 0, len(shape), *shape) + struct.pack("<iii", 1, 0, 0)
        size = 4
        for length in shape:
            size *= length
        out += bytes(size)
    out += struct.pack("<Q", len(shapes))
    return out + b"".join(struct.pack("<Q", len(name)) + name.encode() for name in shapes)


SYMBOL = {
    "nodes": [
        {"op": "null", "name": "data", "inputs": []},
        {"op": "null", "name": "w", "inputs": []},
        {"op": "FullyConnected", "name": "fc", "inputs": [[0, 0, 0], [1, 0, 0]]},
    ],
    "heads": [[2, 0, 0]],
    "attrs": {"mxnet_version": ["int", 10901]},
}


class _Stored:
    """Stands for the values of a tensor, which lie elsewhere in the file."""


class _Pickler(pickle.Pickler):
    def persistent_id(self, value: Any) -> Any:
        return ("storage", sys.modules["torch"].FloatStorage, "0", "cpu", 3) if isinstance(value, _Stored) else None


def torch_pickle(monkeypatch: pytest.MonkeyPatch, name: str = "weight", *, extra: object = None) -> bytes:
    """Return the pickle of a state_dict with one tensor of (1, 3), as torch.save writes it."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def _rebuild_tensor_v2(*given: object) -> object:
        return given

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    vars(utils)["_rebuild_tensor_v2"] = _rebuild_tensor_v2
    vars(torch)["FloatStorage"] = type("FloatStorage", (), {"__module__": "torch"})
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)

    class Tensor:
        def __reduce__(self) -> Any:
            return _rebuild_tensor_v2, (_Stored(), 0, (1, 3), (3, 1), False, {})

    buffer = io.BytesIO()
    _Pickler(buffer, protocol=2).dump({name: Tensor()} | ({} if extra is None else {"extra": extra}))
    return buffer.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    """Return a zip of stored members, as PyTorch writes it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def exported(sample: bytes = b"N.") -> bytes:
    """Return an exported program: x (n, 3) times w (3, 1); `sample` is the pickle of its sample inputs."""

    def meta(*sizes: int) -> dict[str, Any]:
        shape = [{"as_int": size} if size else {"as_expr": {"expr_str": "s0"}} for size in sizes]
        return {"dtype": 7, "sizes": shape, "requires_grad": True}

    def argument(name: str) -> dict[str, Any]:
        return {"as_tensor": {"name": name}}

    node = {
        "target": "torch.ops.aten.mm.default",
        "inputs": [{"name": "a", "arg": argument("x")}, {"name": "b", "arg": argument("p_w")}],
        "outputs": [argument("mm")],
    }
    program = {
        "torch_version": "2.13.0",
        "graph_module": {
            "graph": {"nodes": [node], "tensor_values": {"p_w": meta(3, 1), "x": meta(0, 3), "mm": meta(0, 1)}},
            "signature": {
                "input_specs": [
                    {"parameter": {"arg": {"name": "p_w"}, "parameter_name": "w"}},
                    {"user_input": {"arg": argument("x")}},
                ],
                "output_specs": [{"user_output": {"arg": argument("mm")}}],
            },
        },
    }
    inner = zipped({"archive/data.pkl": sample})
    return zipped({"m/models/model.json": json.dumps(program).encode(), "m/data/sample_inputs/model.pt": inner})
