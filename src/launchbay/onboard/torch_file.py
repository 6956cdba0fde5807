"""PyTorch's files as they describe themselves: what torch.save, torch.jit.save and torch.export.save write.

All three are zips. The first two hold a pickle, which is read without running it (`pickled`); the third holds JSON.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from typing import Any, Dict, List, Optional, Tuple

from .described import MOST_ITEMS, Shape, count, described, layer, plain, tensor
from .pickled import Inert, Tensor, read_pickle, walk

__all__ = ["describe_exported", "describe_saved", "describe_script"]

_MOST_MEMBER = 256 << 20  # bytes of a member that is read whole; tensors' values are not
_MOST_MEMBERS = 100_000
_NOT_TRAINED = ("running_mean", "running_var", "num_batches_tracked")
_FLOATS = ("float16", "bfloat16", "float32", "float64")

# torch/_export/serde/schema.py: ScalarType
_DTYPES = {1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64"}
_DTYPES |= {9: "complex32", 10: "complex64", 11: "complex128", 12: "bool", 13: "bfloat16"}

_Named = List[Tuple[Tuple[str, ...], Tensor]]


def describe_saved(path: str) -> dict[str, Any]:
    """Describe what torch.save wrote: the tensors of a state_dict, a checkpoint, or a whole pickled module."""
    with zipfile.ZipFile(path) as archive:
        value, foreign = read_pickle(_read(archive, "data.pkl"))
    named = [(name, item) for name, item in walk(value) if isinstance(item, Tensor)]
    _check_number(named)
    # A checkpoint holds the optimiser's moments beside the model; which are the model's, only the script knows.
    is_state = isinstance(value, dict) and all(isinstance(item, Tensor) for item in value.values())
    own = [item for name, item in named if not name[-1].endswith(_NOT_TRAINED)]
    findings = [{"level": "note", "what": "tensors without a program: it can be looked at, not evaluated", "where": ""}]
    if foreign:
        what = "loading it would call code that it names: {}".format(", ".join(foreign[:5]))
        findings.append({"level": "warning", "what": what, "where": "data.pkl"})
    return described(
        framework="torch",
        tensors=_tensors(named),
        parameters=_sum(own) if is_state else None,
        findings=findings,
    )


def describe_script(path: str) -> dict[str, Any]:
    """Describe a TorchScript program: its modules and their tensors. The shapes of data are not in it."""
    with zipfile.ZipFile(path) as archive:
        value, foreign = read_pickle(_read(archive, "data.pkl"))
        buffers = _buffers(archive)
    kinds: Dict[Tuple[str, ...], str] = {}
    named: _Named = []
    for name, item in walk(value):
        if isinstance(item, Inert):
            kinds[name] = item.kind
        elif isinstance(item, Tensor):
            named.append((name, item))
    _check_number(named)
    own = [(name, item) for name, item in named if name[-1] not in buffers.get(kinds.get(name[:-1], ""), ())]
    layers = []
    for place, kind in kinds.items():
        held = [item for name, item in own if name[:-1] == place]
        if held or not any(other[: len(place)] == place for other in kinds if other != place):
            trained = [item for item in held if item.trained]
            layers.append(
                layer(
                    ".".join(place) or "model",
                    kind.rpartition(".")[2],
                    None,
                    parameters=_sum(held),
                    trainable=_sum(trained),
                )
            )
    findings = [{"level": "warning", "what": "asks for " + name, "where": "data.pkl"} for name in foreign[:5]]
    return described(
        framework="torch",
        layers=layers,
        tensors=_tensors(named),
        parameters=_sum([item for _, item in own]),
        trainable_parameters=_sum([item for _, item in own if item.trained]),
        findings=findings,
    )


def describe_exported(path: str) -> dict[str, Any]:
    """Describe an exported program: its operations, tensors, inputs and outputs."""
    with zipfile.ZipFile(path) as archive:
        program = json.loads(_read(archive, "models/model.json", "serialized_exported_program.json"))
        foreign = _foreign_inside(archive)
    module = program["graph_module"]
    graph, signature = module["graph"], module["signature"]
    values = {name: (_sizes(value), _DTYPES.get(value["dtype"])) for name, value in graph["tensor_values"].items()}
    if max(len(values), len(graph["nodes"])) > MOST_ITEMS:
        raise ValueError("more than {:,} parts".format(MOST_ITEMS))
    tensors, sizes, trained, inputs = [], {}, [], []
    for spec in signature["input_specs"]:
        ((role, body),) = spec.items()
        name = _argument(body["arg"])
        shape, dtype = values.get(name, (None, None))
        if role == "user_input":
            inputs.append(tensor(name, shape, dtype))
        elif role in ("parameter", "buffer"):
            tensors.append(tensor(body[role + "_name"], shape, dtype))
        if role == "parameter":
            sizes[name] = count(shape)
            trained += [name] if graph["tensor_values"][name]["requires_grad"] is True else []
    outputs = [_argument(spec["user_output"]["arg"]) for spec in signature["output_specs"] if "user_output" in spec]
    return described(
        framework="torch",
        framework_version=plain(program["torch_version"]) if program.get("torch_version") else None,
        layers=[_operation(node, values, sizes) for node in graph["nodes"]],
        tensors=tensors,
        parameters=_add(list(sizes.values())),
        trainable_parameters=_add([sizes[name] for name in trained]),
        inputs=inputs,
        outputs=[tensor(name, *values.get(name, (None, None))) for name in outputs],
        findings=[{"level": "warning", "what": "asks for " + name, "where": "data"} for name in foreign[:5]],
    )


def _operation(node: dict[str, Any], values: dict[str, Any], sizes: dict[str, int | None]) -> dict[str, Any]:
    made = [_argument(item) for item in node["outputs"]]
    taken = [_argument(item["arg"]) for item in node["inputs"]]
    shape = values.get(made[0], (None, None))[0] if made else None
    kind = plain(node["target"]).replace("torch.ops.", "")
    own = [sizes[name] for name in taken if name in sizes]
    return layer(made[0] if made else kind, kind, shape, parameters=_add(own))


def _argument(value: Any) -> str:
    """Return the name of an argument that is a tensor; empty for any other."""
    inner = value.get("as_tensor", value) if isinstance(value, dict) else {}
    name = inner.get("name") if isinstance(inner, dict) else None
    return name if isinstance(name, str) else ""


def _sizes(value: dict[str, Any]) -> Shape:
    """Return a shape; a size that is a symbol is open."""
    sizes = [size.get("as_int") for size in value["sizes"]]
    return [size if isinstance(size, int) else None for size in sizes]


# --- the zip ---


def _read(archive: zipfile.ZipFile, *endings: str) -> bytes:
    """Read the member of that name, in whatever folder PyTorch named after the file."""
    members = archive.infolist()
    if len(members) > _MOST_MEMBERS:
        raise ValueError("more than {:,} members".format(_MOST_MEMBERS))
    for info in members:
        if info.filename in endings or info.filename.partition("/")[2] in endings:
            if info.file_size > _MOST_MEMBER:
                raise ValueError("{} of {:,} bytes".format(info.filename[:100], info.file_size))
            return archive.read(info)
    raise ValueError("{} is missing".format(endings[0]))


def _foreign_inside(archive: zipfile.ZipFile) -> list[str]:
    """Return the foreign names in the pickles that an exported program may hold: torch.export.load runs them.

    Weights lie there as bare numbers; sample inputs, and constants of a class, as what torch.save or pickle wrote.
    """
    foreign: set[str] = set()
    for info in archive.infolist():
        if info.file_size > _MOST_MEMBER:
            continue
        with archive.open(info) as member:
            head = member.read(4)
        if head == b"PK\x03\x04":
            with zipfile.ZipFile(io.BytesIO(archive.read(info))) as inner:
                foreign.update(read_pickle(_read(inner, "data.pkl"))[1])
        elif "/data/constants/" in info.filename and head[:1] == b"\x80":
            foreign.update(read_pickle(archive.read(info))[1])
    return sorted(foreign)


def _buffers(archive: zipfile.ZipFile) -> dict[str, tuple[str, ...]]:
    """Return which attributes of which classes are buffers: the program's text lists them for each class."""
    found = {}
    for info in archive.infolist():
        inside = re.fullmatch(r"[^/]+/code/(.+)\.py", info.filename)
        if inside and info.file_size <= 1 << 20:
            module, text = inside.group(1).replace("/", "."), archive.read(info).decode(errors="replace")
            for part in re.split(r"^class ", text, flags=re.MULTILINE)[1:]:
                name = re.match(r"\w+", part)
                listed = re.search(r"^  __buffers__ = \[(.*)\]$", part, re.MULTILINE)
                if name and listed:
                    found["{}.{}".format(module, name.group())] = tuple(re.findall(r'"([^"]*)"', listed.group(1)))
    return found


def _check_number(named: _Named) -> None:
    if len(named) > MOST_ITEMS:
        raise ValueError("more than {:,} tensors".format(MOST_ITEMS))


def _tensors(named: _Named) -> list[dict[str, Any]]:
    return [tensor(".".join(name), list(item.shape), item.dtype) for name, item in named]


def _sum(tensors: list[Tensor]) -> Optional[int]:
    return _add([count(list(item.shape)) for item in tensors])


def _add(sizes: list[int | None]) -> int | None:
    return None if None in sizes else sum(size or 0 for size in sizes)
