"""PyTorch programs: TorchScript (`torch.jit.save`) and exported ones (`torch.export.save`). Imports PyTorch."""

from __future__ import annotations

from typing import Any, Callable

from .loaded import LOAD_ERRORS, Loaded, Sizes, in_batches, probe_width, reason
from .refused import Refused

__all__ = ["load_exported", "load_script"]


def load_script(path: str, name: str) -> Loaded:
    """Load a TorchScript program on the CPU, as it is after training; `name` stands in errors."""
    import torch

    try:
        module = torch.jit.load(path, map_location="cpu").eval()
    except LOAD_ERRORS as error:
        raise _refused(error, name) from error
    held = list(module.parameters())
    ask = _asking(module, held[0].dtype if held and held[0].is_floating_point() else torch.float32)
    inputs, outputs = probe_width(ask, [tuple(item.shape) for item in held])
    return Loaded(inputs, outputs, "float32", in_batches(ask))


def load_exported(path: str, name: str) -> Loaded:
    """Load an exported program; `name` stands in errors. One exported for a fixed batch is asked in such batches."""
    import torch

    try:
        program = _on_the_cpu(torch.export.load(path))
        ask = _asking(program.module())
        nodes = {node.name: node for node in program.graph.nodes}
        given = [nodes[item].meta["val"] for item in program.graph_signature.user_inputs]
        made = [nodes[item].meta["val"] for item in program.graph_signature.user_outputs]
    except LOAD_ERRORS as error:
        raise _refused(error, name) from error
    batch = given[0].shape[0] if given and len(given[0].shape) else None
    dtype = str(given[0].dtype).rpartition(".")[2] if given else "float32"
    fixed = batch if isinstance(batch, int) else None
    return Loaded([_sizes(item) for item in given], [_sizes(item) for item in made], dtype, in_batches(ask, fixed))


def _asking(module: Any, dtype: Any = None) -> Callable[[Any], Any]:
    import torch

    def ask(array: Any) -> Any:
        with torch.no_grad():
            return module(torch.from_numpy(array).to(dtype)).to(torch.float64).numpy()

    return ask


def _on_the_cpu(program: Any) -> Any:
    """Return a program that may have been exported on a GPU as one for the CPU: its devices are written into it."""
    from torch.export.passes import move_to_device_pass

    return move_to_device_pass(program, "cpu")


def _sizes(tensor: Any) -> Sizes:
    return tuple(size if isinstance(size, int) else None for size in tensor.shape[1:])


def _refused(error: BaseException, name: str) -> Refused:
    hint = "`bay model show` says what is in it"
    if "compiled with CUDA" in str(error):  # PyTorch for the CPU reads no program that was exported on a GPU
        hint = (
            "it was exported on a GPU: save torch.export.passes.move_to_device_pass(program, 'cpu') there, or "
            "TorchScript, which loads anywhere"
        )
    return Refused("PyTorch cannot load it: {}".format(reason(error)), name, hint)
