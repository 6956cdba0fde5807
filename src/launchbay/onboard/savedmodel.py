"""A TensorFlow SavedModel as its files describe it, read without TensorFlow and without protobuf.

`saved_model.pb` holds signatures (what goes in and out) and objects, variables among them with shape and type; Keras 2
adds `keras_metadata.pb`, with the configuration of every layer. The schemas are saved_model.proto, meta_graph.proto,
saved_object_graph.proto (tensorflow/core/protobuf) and saved_metadata.proto (keras/protobuf).
"""

from __future__ import annotations

import json
import os
from typing import Any, Dict, List, NamedTuple, Optional

from .described import MOST_ITEMS, Shape, count, described, tensor
from .keras2 import describe_keras2, find_lambdas
from .keras_config import as_dict
from .protobuf import BYTES, VARINT, Field, Malformed, fields, signed, text, varints

__all__ = ["METADATA", "describe_savedmodel"]

METADATA = "keras_metadata.pb"
"""The file in which Keras 2 describes its layers."""

_MOST_GRAPH = 512 << 20  # bytes; variables' values lie elsewhere
_DTYPES = {
    1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 7: "string", 8: "complex64",
    9: "int64", 10: "bool", 14: "bfloat16", 17: "uint16", 18: "complex128", 19: "float16", 22: "uint32", 23: "uint64",
}  # fmt: skip
_SIGNATURE = "serving_default"


_Signature = Dict[str, List[Dict[str, Any]]]
"""The tensors of a signature: "inputs" and "outputs"."""


class _Variable(NamedTuple):
    name: str
    shape: Shape
    dtype: Optional[str]
    trained: bool


class _Object(NamedTuple):
    """An object of the graph: what it refers to by which name, and the variable that it is, if it is one."""

    children: Dict[str, int]
    variable: Optional[_Variable]


class _Graph(NamedTuple):
    """The parts of a MetaGraphDef that are shown."""

    version: List[str]
    signatures: Dict[str, _Signature]
    objects: List[_Object]


def describe_savedmodel(folder: str) -> dict[str, Any]:
    """Describe a SavedModel: signature, variables, and layers where Keras 2 wrote them. Raises ValueError when damaged."""
    graph = _read_graph(_read(os.path.join(folder, "saved_model.pb")))
    nothing: _Signature = {"inputs": [], "outputs": []}
    given = graph.signatures.get(_SIGNATURE) or next(iter(graph.signatures.values()), nothing)
    owned = _below(graph, 0, "variables") or _all_of(graph)
    sizes = [count(variable.shape) for variable in owned]
    trained = [count(variable.shape) for variable in owned if variable.trained]
    card = described(
        framework="tensorflow",
        framework_version=graph.version[0] if graph.version else None,
        tensors=[tensor(variable.name, variable.shape, variable.dtype) for variable in owned],
        parameters=_sum(sizes),
        trainable_parameters=_sum(trained),
        inputs=given["inputs"],
        outputs=given["outputs"],
    )
    path = os.path.join(folder, METADATA)
    if not os.path.isfile(path):
        return card
    nodes = _read_metadata(_read(path))
    root = as_dict(nodes.get(0))
    layers = {name: _sizes(graph, number) for number, item in nodes.items() if (name := item.get("name"))}
    known = describe_keras2(_model_of(root), root.get("training_config"), layers)
    warnings = [
        {"level": "warning", "what": "holds Python code: Lambda", "where": name}
        for name in find_lambdas(list(nodes.values()))
    ]
    kept = {name: value for name, value in known.items() if name not in ("inputs", "outputs") or not card[name]}
    return {**card, **kept, "findings": warnings}


def _model_of(root: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of a whole model; a subclassed one has none."""
    return {"class_name": root.get("class_name"), "config": as_dict(root.get("config"))}


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        data = file.read(_MOST_GRAPH + 1)
    if len(data) > _MOST_GRAPH:
        raise ValueError("{} of more than {:,} bytes".format(os.path.basename(path), _MOST_GRAPH))
    return data


# --- saved_model.pb ---


def _read_graph(data: bytes) -> _Graph:
    """Read a SavedModel's first meta_graphs = 2: meta_info_def = 1, signature_def = 5, object_graph_def = 7."""
    graph = _Graph([], {}, [])
    spans = [field for field in fields(data, 0, len(data)) if field.number == 2 and field.wire == BYTES]
    if not spans:
        raise Malformed("it holds no graph")
    for field in fields(data, spans[0].start, spans[0].end):
        if field.wire != BYTES:
            continue
        if field.number == 1:  # MetaInfoDef: tensorflow_version = 5
            graph.version.extend(text(data, item) for item in _inner(data, field) if item.number == 5)
        elif field.number == 5:
            _read_signature(data, field, graph)
        elif field.number == 7:  # SavedObjectGraph: nodes = 1
            for item in _inner(data, field):
                if item.number == 1:
                    graph.objects.append(_read_object(data, item))
                if len(graph.objects) > 20 * MOST_ITEMS:
                    raise Malformed("more than {:,} objects".format(20 * MOST_ITEMS))
    return graph


def _inner(data: bytes, field: Field) -> list[Field]:
    return list(fields(data, field.start, field.end)) if field.wire == BYTES else []


def _read_signature(data: bytes, field: Field, graph: _Graph) -> None:
    """Read an entry of the map: key = 1, value = 2, a SignatureDef: inputs = 1, outputs = 2."""
    key = ""
    found: _Signature = {"inputs": [], "outputs": []}
    for item in _inner(data, field):
        if item.number == 1:
            key = text(data, item)
        elif item.number == 2:
            for part in _inner(data, item):
                if part.number in (1, 2):
                    found["inputs" if part.number == 1 else "outputs"].append(_read_argument(data, part))
    if not key.startswith("__"):  # one of TensorFlow's own, such as __saved_model_init_op
        graph.signatures[key] = {
            name: sorted(items, key=lambda item: str(item["name"])) for name, items in found.items()
        }


def _read_argument(data: bytes, field: Field) -> dict[str, Any]:
    """Read an entry of the map: key = 1, value = 2, a TensorInfo: dtype = 2, tensor_shape = 3."""
    name, dtype, shape = "", 0, None
    for item in _inner(data, field):
        if item.number == 1:
            name = text(data, item)
        elif item.number == 2:
            for part in _inner(data, item):
                if part.number == 2 and part.wire == VARINT:
                    dtype = part.start
                elif part.number == 3:
                    shape = _read_shape(data, part)
    return tensor(name, shape, _DTYPES.get(dtype))


def _read_shape(data: bytes, field: Field) -> Shape:
    """Read a TensorShapeProto: dim = 2 (size = 1, -1 for an open one), unknown_rank = 3."""
    sizes: list[int | None] = []
    for item in _inner(data, field):
        if item.number == 3 and item.wire == VARINT and item.start:
            return None
        if item.number == 2:
            size = next((signed(part.start) for part in _inner(data, item) if part.number == 1), 0)
            sizes.append(size if size >= 0 else None)
    return sizes


def _read_object(data: bytes, field: Field) -> _Object:
    """Read a SavedObject: children = 1 (node_id = 1, local_name = 2), variable = 7."""
    children, variable = {}, None
    for item in _inner(data, field):
        if item.number == 1:
            found = {part.number: part for part in _inner(data, item)}
            if 2 in found:
                number = found[1].start if 1 in found and found[1].wire == VARINT else 0
                children[text(data, found[2])] = number
        elif item.number == 7:
            variable = _read_variable(data, item)
    return _Object(children, variable)


def _read_variable(data: bytes, field: Field) -> _Variable:
    """Read a SavedVariable: dtype = 1, shape = 2, trainable = 3, name = 6."""
    shape: Shape = []
    name, dtype, trained = "", 0, False
    for item in _inner(data, field):
        if item.number == 6:
            name = text(data, item)
        elif item.number == 2 and item.wire == BYTES:
            shape = _read_shape(data, item) or []
        elif item.number == 1 and item.wire == VARINT:
            dtype = item.start
        elif item.number == 3:
            trained = bool(varints(data, item)[-1:] > [0])
    return _Variable(name, shape, _DTYPES.get(dtype), trained)


def _below(graph: _Graph, number: int, name: str) -> list[_Variable]:
    """Return the variables in a list that an object keeps under a name, in its order."""
    if not 0 <= number < len(graph.objects):
        return []
    listed = graph.objects[number].children.get(name, -1)
    if not 0 <= listed < len(graph.objects):
        return []
    members = graph.objects[listed].children
    inside = [members[key] for key in sorted(members, key=lambda key: (len(key), key)) if key.isdecimal()]
    found = [graph.objects[item].variable for item in inside if item < len(graph.objects)]
    return [variable for variable in found if variable is not None]


def _all_of(graph: _Graph) -> list[_Variable]:
    """Return all variables, those of an optimiser too: nothing tells them apart where no list names the model's."""
    return [item.variable for item in graph.objects if item.variable is not None]


def _sizes(graph: _Graph, number: int) -> tuple[int | None, int | None]:
    variables = _below(graph, number, "variables")
    trained = [count(variable.shape) for variable in _below(graph, number, "trainable_variables")]
    return _sum([count(variable.shape) for variable in variables]), _sum(trained)


def _sum(sizes: list[int | None]) -> int | None:
    return None if None in sizes else sum(size or 0 for size in sizes)


# --- keras_metadata.pb ---


def _read_metadata(data: bytes) -> dict[int, dict[str, Any]]:
    """Read a SavedMetadata: nodes = 1, each with node_id = 2 and metadata = 5 (JSON). Layers by number."""
    found: dict[int, dict[str, Any]] = {}
    for field in fields(data, 0, len(data)):
        if field.number == 1 and field.wire == BYTES:
            inner = {item.number: item for item in _inner(data, field)}
            number = inner[2].start if 2 in inner and inner[2].wire == VARINT else 0
            if 5 in inner and len(found) < MOST_ITEMS:
                found[number] = as_dict(json.loads(text(data, inner[5])))
    return found
