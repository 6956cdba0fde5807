"""An ONNX graph as its file describes it, read without onnx and without protobuf (the schema is onnx.proto)."""

from __future__ import annotations

import contextlib
import mmap
import os
from typing import Any, Dict, Iterator, List, NamedTuple

from .described import MOST_ITEMS, Shape, count, described, layer, tensor
from .protobuf import BYTES, VARINT, Data, Field, Malformed, fields, signed, text, varints
from .refused import Refused

__all__ = ["describe_onnx", "external_files"]

_DTYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "string", 9: "bool",
    10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128", 16: "bfloat16",
}  # fmt: skip
_FLOATS = ("float16", "bfloat16", "float32", "float64")
_HINT = "export it again: torch.onnx.export(model, (example,), 'model.onnx')"


class _Tensor(NamedTuple):
    """A tensor, with the file that holds its values where that is another."""

    name: str
    shape: Shape
    dtype: str | None
    outside: str | None


class _Graph(NamedTuple):
    """The parts of a GraphProto that are shown."""

    nodes: List[Dict[str, Any]]
    initializers: List[_Tensor]
    inputs: List[_Tensor]
    outputs: List[_Tensor]
    values: List[_Tensor]


def describe_onnx(path: str) -> dict[str, Any]:
    """Describe a graph: operations, tensors, inputs and outputs. Raises Malformed for what is no ONNX file."""
    with _mapped(path) as data:
        producer, version, span, operators = "", "", (0, 0), []
        for field in fields(data, 0, len(data)):
            if field.number == 2:
                producer = text(data, field)
            elif field.number == 3:
                version = text(data, field)
            elif field.number == 7 and field.wire == BYTES:
                span = field.start, field.end
            elif field.number == 8 and field.wire == BYTES:
                operators.append(_operators(data, field))
        graph = _read_graph(data, *span)
    return _describe(graph, producer, version, operators)


def external_files(path: str) -> list[str]:
    """Return the files beside a graph that hold values of its tensors. Raises Refused for one that lies elsewhere."""
    try:
        with _mapped(path) as data:
            found = set()
            for field in fields(data, 0, len(data)):
                if field.number == 7 and field.wire == BYTES:
                    found |= {item.outside for item in _initializers(data, field.start, field.end) if item.outside}
    except Malformed as error:
        raise Refused("a damaged ONNX file: {}".format(error), path, _HINT) from error
    folder, own = os.path.split(path)
    for name in sorted(found):
        if name == own or os.path.basename(name) != name or name in (".", ".."):
            what = "its weights lie in {!r}, outside of its folder".format(name[:100])
            raise Refused(what, path, "do not load this file")
        if not os.path.isfile(os.path.join(folder, name)):
            raise Refused("its weights lie in {}, which is missing".format(name), path, "copy both files")
    return sorted(found)


@contextlib.contextmanager
def _mapped(path: str) -> Iterator[mmap.mmap]:
    with open(path, "rb") as file:
        if not os.fstat(file.fileno()).st_size:  # an empty file cannot be mapped
            raise Malformed("an empty file")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield data


def _describe(graph: _Graph, producer: str, version: str, operators: list[str]) -> dict[str, Any]:
    shapes = {item.name: item for item in [*graph.values, *graph.outputs, *graph.inputs]}
    sizes = {item.name: count(item.shape) for item in graph.initializers if item.dtype in _FLOATS}
    held = {item.name for item in graph.initializers}
    layers, counted = [], set()
    for number, node in enumerate(graph.nodes):
        own = [name for name in dict.fromkeys(node["inputs"]) if name in sizes and name not in counted]
        counted.update(own)
        known = [sizes[name] for name in own]
        output = shapes.get(node["outputs"][0]) if node["outputs"] else None
        layers.append(
            layer(
                node["name"] or "{}_{}".format(node["kind"], number),
                node["kind"],
                output.shape if output else None,
                parameters=None if None in known else sum(size or 0 for size in known),
            )
        )
    total = None if None in sizes.values() else sum(size or 0 for size in sizes.values())
    return described(
        framework="onnx",
        framework_version=" ".join([producer, version, *operators]).strip() or None,
        layers=layers,
        tensors=[tensor(item.name, item.shape, item.dtype) for item in graph.initializers],
        parameters=total,
        inputs=[tensor(item.name, item.shape, item.dtype) for item in graph.inputs if item.name not in held],
        outputs=[tensor(item.name, item.shape, item.dtype) for item in graph.outputs],
    )


def _operators(data: Data, field: Field) -> str:
    """Read an OperatorSetIdProto: domain = 1, version = 2."""
    domain, version = "", 0
    for inner in fields(data, field.start, field.end):
        if inner.number == 1:
            domain = text(data, inner)
        elif inner.number == 2 and inner.wire == VARINT:
            version = inner.start
    return "{}opset {}".format(domain + " " if domain else "", version)


def _read_graph(data: Data, start: int, end: int) -> _Graph:
    """Read a GraphProto: node = 1, initializer = 5, input = 11, output = 12, value_info = 13."""
    graph = _Graph([], [], [], [], [])
    for field in fields(data, start, end):
        if field.wire != BYTES:
            continue
        if field.number == 1:
            graph.nodes.append(_read_node(data, field))
        elif field.number == 5:
            graph.initializers.append(_read_tensor(data, field))
        elif field.number in (11, 12, 13):
            part = {11: graph.inputs, 12: graph.outputs, 13: graph.values}[field.number]
            part.append(_read_value(data, field))
        if max(len(part) for part in graph) > MOST_ITEMS:
            raise Malformed("more than {:,} parts".format(MOST_ITEMS))
    return graph


def _initializers(data: Data, start: int, end: int) -> Iterator[_Tensor]:
    for field in fields(data, start, end):
        if field.number == 5 and field.wire == BYTES:
            yield _read_tensor(data, field)


def _read_node(data: Data, field: Field) -> dict[str, Any]:
    """Read a NodeProto: input = 1, output = 2, name = 3, op_type = 4."""
    node: dict[str, Any] = {"inputs": [], "outputs": [], "name": "", "kind": ""}
    for inner in fields(data, field.start, field.end):
        if inner.number in (1, 2):
            node["inputs" if inner.number == 1 else "outputs"].append(text(data, inner))
        elif inner.number in (3, 4):
            node["name" if inner.number == 3 else "kind"] = text(data, inner)
    return node


def _read_tensor(data: Data, field: Field) -> _Tensor:
    """Read a TensorProto: dims = 1, data_type = 2, name = 8, external_data = 13; its values are stepped over."""
    sizes: list[int] = []
    kind, name, outside = 0, "", None
    for inner in fields(data, field.start, field.end):
        if inner.number == 1:
            sizes += varints(data, inner)
        elif inner.number == 2 and inner.wire == VARINT:
            kind = inner.start
        elif inner.number == 8:
            name = text(data, inner)
        elif inner.number == 13 and inner.wire == BYTES:
            key, value = _read_pair(data, inner)
            outside = value if key == "location" else outside
    return _Tensor(name, list(sizes), _DTYPES.get(kind), outside)


def _read_pair(data: Data, field: Field) -> tuple[str, str]:
    """Read a StringStringEntryProto: key = 1, value = 2."""
    found = {inner.number: text(data, inner) for inner in fields(data, field.start, field.end)}
    return found.get(1, ""), found.get(2, "")


def _read_value(data: Data, field: Field) -> _Tensor:
    """Read a ValueInfoProto: name = 1, type = 2; of a TypeProto the tensor_type = 1: elem_type = 1, shape = 2."""
    name, kind, shape = "", 0, None
    for inner in fields(data, field.start, field.end):
        if inner.number == 1:
            name = text(data, inner)
        elif inner.number == 2 and inner.wire == BYTES:
            for kinds in fields(data, inner.start, inner.end):
                if kinds.number == 1 and kinds.wire == BYTES:
                    kind, shape = _read_type(data, kinds)
    return _Tensor(name, shape, _DTYPES.get(kind), None)


def _read_type(data: Data, field: Field) -> tuple[int, Shape]:
    kind, shape = 0, None
    for inner in fields(data, field.start, field.end):
        if inner.number == 1 and inner.wire == VARINT:
            kind = inner.start
        elif inner.number == 2 and inner.wire == BYTES:
            shape = [_read_size(data, item) for item in fields(data, inner.start, inner.end) if item.number == 1]
    return kind, shape


def _read_size(data: Data, field: Field) -> int | None:
    """Read a Dimension: dim_value = 1; one with a name (dim_param = 2) is open."""
    if field.wire == BYTES:
        for inner in fields(data, field.start, field.end):
            if inner.number == 1 and inner.wire == VARINT:
                return signed(inner.start)
    return None
