"""MXNet models that Gluon exported: a symbol and its parameters. Imports MXNet."""

from __future__ import annotations

import json
import os
import re
from typing import Any

from .loaded import LOAD_ERRORS, Loaded, in_batches, probe_width, reason
from .refused import Refused

__all__ = ["load"]


def load(path: str, name: str) -> Loaded:
    """Load the parameters at `path` into the symbol beside them; `name` stands in errors."""
    import mxnet

    symbol = re.sub(r"-\d{4,}\.params\Z", "-symbol.json", path)
    if symbol == path or not os.path.exists(symbol):
        what = "parameters without the network that they belong to"
        raise Refused(what, name, "net.hybridize() and net.export('model') in the script write both")
    try:
        held = {key.partition(":")[2] or key: array for key, array in mxnet.nd.load(path).items()}
        with open(symbol, "rb") as file:
            nodes = json.load(file)["nodes"]
        given = [node["name"] for node in nodes if node["op"] == "null" and node["name"] not in held]
        block = mxnet.gluon.SymbolBlock.imports(symbol, given, path, ctx=mxnet.cpu())
    except (*LOAD_ERRORS, mxnet.base.MXNetError) as error:
        raise Refused("MXNet cannot load it: {}".format(reason(error)), name, "copy or save it again") from error
    if len(given) != 1:
        return Loaded([(None,)] * len(given), [(None,)], "float32", in_batches(lambda array: array))

    def ask(array: Any) -> Any:
        try:
            made = block(mxnet.nd.array(array, dtype="float32"))
        except mxnet.base.MXNetError as error:
            raise ValueError(reason(error)) from error
        return (made[0] if isinstance(made, (list, tuple)) else made).asnumpy()

    # In the order of the network: a file lists them in any.
    shapes = [held[node["name"]].shape for node in nodes if node["name"] in held]
    inputs, outputs = probe_width(ask, shapes)
    return Loaded(inputs, outputs, "float32", in_batches(ask))
