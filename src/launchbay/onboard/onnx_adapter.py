"""ONNX graphs, by ONNX Runtime on the CPU. Imports onnxruntime."""

from __future__ import annotations

from typing import Any

from .loaded import Loaded, Sizes, in_batches, reason
from .refused import Refused

__all__ = ["load"]

_DTYPES = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16"}


def load(path: str, name: str) -> Loaded:
    """Load a graph; `name` stands in errors. Raises Refused with ONNX Runtime's own reason."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; what it warns of is the exporter's business
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have nothing in common but their module
        what = "ONNX Runtime cannot load it: {}".format(reason(error))
        raise Refused(what, name, "`bay model show` says what is in it") from error
    given, made = session.get_inputs(), session.get_outputs()
    first: Any = given[0] if given else None

    def ask(array: Any) -> Any:
        try:
            return session.run([made[0].name], {first.name: array})[0]
        except Exception as error:
            raise ValueError(reason(error)) from error

    dtype = _DTYPES.get(first.type, first.type[7:-1]) if first else "float32"
    batch = first.shape[0] if first and first.shape else None
    return Loaded(
        inputs=[_sizes(item) for item in given],
        outputs=[_sizes(item) for item in made],
        dtype=dtype,
        answer=in_batches(ask, batch if isinstance(batch, int) else None),
    )


def _sizes(item: Any) -> Sizes:
    """Return a shape without the batch; a size with a name is open."""
    return tuple(size if isinstance(size, int) else None for size in (item.shape or [None, None])[1:])
