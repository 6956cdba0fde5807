"""Read the pickle in a PyTorch file for its tensors without running it.

A pickle is a program: it names functions and calls them. Here every name that it asks for is answered with something of
ours. The few that build tensors note shape and type, and all others are inert: they take any call, keep what they
are given, and are listed. Nothing of the file or of a framework is ever imported.
"""

from __future__ import annotations

import collections
import io
import pickle
from typing import Any, BinaryIO, Dict, Iterator, List, NamedTuple, Tuple

from .described import MOST_ITEMS, plain

__all__ = ["Inert", "Tensor", "read_pickle", "walk"]

_STORAGES = {
    "FloatStorage": "float32", "DoubleStorage": "float64", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
    "ByteStorage": "uint8", "BoolStorage": "bool", "ComplexFloatStorage": "complex64",
}  # fmt: skip
_DEEPEST = 40
_MOST_GLOBALS = 1000
_PLAIN = frozenset(["torch.Size", "torch.device", "torch.serialization._get_layout", "__builtin__.set", "builtins.set"])
"""What PyTorch's own files ask for beside tensors: no reason for a warning."""


class Tensor(NamedTuple):
    """What a pickle tells of a tensor; `trained` says whether it has a gradient, None where that is not told."""

    shape: List[int]
    dtype: str | None
    trained: bool | None


class Inert:
    """An object of a class that is not built: it takes whatever it is given and does nothing."""

    kind = ""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        """Take an item of a mapping."""

    def append(self, item: Any) -> None:
        """Take an item of a list."""

    def extend(self, items: Any) -> None:
        """Take several."""

    def add(self, item: Any) -> None:
        """Take an item of a set."""


def read_pickle(data: bytes) -> tuple[Any, list[str]]:
    """Return what a pickle describes, and the foreign names that loading it would call on.

    A hostile one may raise anything, need much memory or never end: only within `confined`.
    """
    reader = _Reader(io.BytesIO(data))
    return reader.load(), sorted(reader.foreign)


def walk(value: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the tensors in what `read_pickle` returns, and the objects of foreign classes, each with its path."""
    waiting: List[Tuple[Tuple[str, ...], Any]] = [((), value)]
    seen: set[int] = set()
    while waiting:
        path, item = waiting.pop()
        if isinstance(item, Tensor):
            yield path, item
            continue
        if not isinstance(item, (Inert, dict, list, tuple)) or id(item) in seen or len(path) > _DEEPEST:
            continue
        seen.add(id(item))
        if len(seen) > 10 * MOST_ITEMS:
            raise ValueError("more than {:,} objects".format(10 * MOST_ITEMS))
        if isinstance(item, Inert):
            yield path, item
        waiting.extend(reversed(list(_parts(path, item))))


def _parts(path: tuple[str, ...], item: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(item, Inert):
        item = item.state if isinstance(item.state, (dict, Inert)) else {}
    if isinstance(item, dict):
        # Modules keep their parts in these: they are no step of a name.
        for key, value in item.items():
            yield (path if key in ("_modules", "_parameters", "_buffers") else (*path, plain(key))), value
    elif isinstance(item, (list, tuple)):
        for number, value in enumerate(item):
            yield (*path, str(number)), value


class _Reader(pickle.Unpickler):
    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream, encoding="utf-8")
        self.foreign: set[str] = set()
        self.classes: Dict[str, Any] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Answer a name with something of ours; this is the one way from a pickle to code."""
        full = "{}.{}".format(module, name)
        if full == "collections.OrderedDict":
            return collections.OrderedDict
        if module == "torch._utils" and name in _BUILDERS:
            return _BUILDERS[name]
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if full not in self.classes:
            if len(self.classes) >= _MOST_GLOBALS:
                raise ValueError("it asks for more than {:,} names".format(_MOST_GLOBALS))
            self.classes[full] = type("Inert", (Inert,), {"kind": plain(full)})
        if full not in _PLAIN and not module.startswith("__torch__"):
            self.foreign.add(plain(full))
        return self.classes[full]

    def persistent_load(self, pid: Any) -> Any:
        """Return the type of a storage: ("storage", type, key, device, numbers)."""
        kind = pid[1] if isinstance(pid, tuple) and len(pid) == 5 else None
        return kind if isinstance(kind, str) else None


def _rebuild_tensor(storage: Any, _offset: Any, size: Any, _stride: Any, trained: Any = None, *_: Any) -> Tensor:
    shape = [int(length) for length in size]
    return Tensor(shape, storage if isinstance(storage, str) else None, trained if isinstance(trained, bool) else None)


def _rebuild_parameter(data: Any, trained: Any = None, *_: Any) -> Any:
    return data._replace(trained=bool(trained)) if isinstance(data, Tensor) else None


_BUILDERS = {
    "_rebuild_tensor": _rebuild_tensor,
    "_rebuild_tensor_v2": _rebuild_tensor,
    "_rebuild_parameter": _rebuild_parameter,
    "_rebuild_parameter_with_state": _rebuild_parameter,
}
