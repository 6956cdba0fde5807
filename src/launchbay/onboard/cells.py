"""The notebook that lies ready in an instance, as text: what is in it runs under the instance's own frameworks."""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` would cost a tenth of what a supervisor does
if TYPE_CHECKING:
    from typing import Any

__all__ = ["notebook"]

_CELLS = (
    (
        "markdown",
        """\
# Start here

This notebook is yours: change it as you like, it is written once and never again. It lists the devices that your
frameworks see, loads the newest model that was trained in this instance or its fleet, and plots it.""",
    ),
    (
        "code",
        """\
import os, sys
from importlib.util import find_spec

if find_spec("tensorflow"):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf
    print("TensorFlow", tf.__version__, [device.name for device in tf.config.list_physical_devices()])
if find_spec("torch"):
    import torch
    cards = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
    print("PyTorch", torch.__version__, ["cpu", *cards])
if find_spec("jax"):
    import jax
    print("JAX", jax.__version__, jax.devices())
if find_spec("mxnet"):
    import mxnet as mx
    print("MXNet", mx.__version__, [mx.cpu(), *(mx.gpu(k) for k in range(mx.context.num_gpus()))])
if find_spec("keras"):
    import keras
    print("Keras", keras.__version__, "on", keras.backend.backend())""",
    ),
    (
        "markdown",
        """\
## The newest model

Of the runs in this instance and its fleet. After another `bay train`, run the cells from here on again.""",
    ),
    (
        "code",
        """\
if "LAUNCHBAY_PROGRAM" not in os.environ:
    raise SystemExit("Open this notebook with `bay notebook`, which says what runs there are.")
sys.path.append(os.environ["LAUNCHBAY_PROGRAM"])  # comes with `bay notebook`: which runs there are, and where
from launchbay_onboard.start import newest_model, read_curves, read_data

newest = newest_model()
print(newest or "No run here has made a model yet. Train one, then run this cell again: bay train "
      + os.environ["LAUNCHBAY_INSTANCE_NAME"] + " train.py --data data")""",
    ),
    (
        "code",
        """\
import numpy as np

def load(path, format):
    \"\"\"Return a function from a table of inputs to predictions, or None where the file alone is no whole model.\"\"\"
    if format in ("keras", "keras-h5", "savedmodel") and find_spec("keras"):
        if format == "savedmodel" and keras.__version__.startswith("3"):
            layer = keras.layers.TFSMLayer(path, call_endpoint="serving_default")
            return lambda inputs: next(iter(layer(inputs).values()))
        model = keras.models.load_model(path)
        model.summary()
        return lambda inputs: model.predict(inputs, verbose=0)
    if format in ("torchscript", "torch-export") and find_spec("torch"):
        is_script = format == "torchscript"
        module = torch.jit.load(path, map_location="cpu").eval() if is_script else torch.export.load(path).module()
        print(module)
        return lambda inputs: module(torch.from_numpy(inputs)).detach().numpy()
    if format == "mxnet" and find_spec("mxnet"):
        symbol = path.rpartition("-")[0] + "-symbol.json"  # what HybridBlock.export writes beside the parameters
        block = mx.gluon.SymbolBlock.imports(symbol, ["data"], path)
        print(block)
        return lambda inputs: block(mx.nd.array(inputs)).asnumpy()
    if format == "onnx" and find_spec("onnxruntime"):
        import onnxruntime
        session = onnxruntime.InferenceSession(path)
        return lambda inputs: session.run(None, {session.get_inputs()[0].name: inputs})[0]
    return None

predict = load(newest.path, newest.format) if newest else None
if newest and predict is None:
    print("Not loaded:", newest, "- weights alone, which need your own code, or a model of another framework.")""",
    ),
    (
        "markdown",
        """\
## How good it is

On the run's own data: `test*.csv` if it had one, else `val*.csv`. The first column is the target.""",
    ),
    (
        "code",
        """\
%matplotlib inline
import matplotlib.pyplot as plt

data = read_data(newest) if predict else None
if data is None:
    print("Nothing to evaluate: no model was loaded, or its run was given no CSV file of numbers.")
else:
    rows = np.array(data.rows, dtype="float32")
    targets, inputs = rows[:, 0], rows[:, 1:]
    predictions = np.asarray(predict(inputs)).reshape(len(targets), -1)[:, 0]
    errors = predictions - targets
    print(data.path, len(targets), "rows")
    print("mse %.4g   mae %.4g   r2 %.4g" % (
        (errors**2).mean(), abs(errors).mean(), 1 - (errors**2).sum() / ((targets - targets.mean()) ** 2).sum()))
    plt.figure(figsize=(5, 5))
    plt.scatter(targets, predictions, s=8)
    ends = [min(targets.min(), predictions.min()), max(targets.max(), predictions.max())]
    plt.plot(ends, ends, color="grey", linewidth=1)
    plt.xlabel("target")
    plt.ylabel("prediction")
    plt.title(newest.run)
    plt.show()""",
    ),
    ("markdown", "## How it was trained"),
    (
        "code",
        """\
curves = read_curves(newest) if newest else {}
if not curves:
    print("No curves: no model yet, or its run wrote no TensorBoard logs.")
else:
    plt.figure(figsize=(7, 4))
    for name, (steps, values) in sorted(curves.items()):
        plt.plot(steps, values, label=name)
    if all(value > 0 for _, values in curves.values() for value in values):
        plt.yscale("log")
    plt.xlabel("step")
    plt.legend(fontsize=8)
    plt.title(newest.run)
    plt.show()""",
    ),
)


def notebook() -> dict[str, Any]:
    """Return the notebook as Jupyter's file format has it (version 4.5); without outputs, nothing of it was run."""
    return {
        "cells": [_cell(number, kind, text) for number, (kind, text) in enumerate(_CELLS)],
        "metadata": {"language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _cell(number: int, kind: str, text: str) -> dict[str, Any]:
    cell = {
        "cell_type": kind,
        "id": "start-{}".format(number),
        "metadata": {},
        "source": text.splitlines(keepends=True),
    }
    return {**cell, "execution_count": None, "outputs": []} if kind == "code" else cell
