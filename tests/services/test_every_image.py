"""The notebook that lies ready, top to bottom, in every image, over a model that was trained there."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import launchbay
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay, connect, python_of
from launchbay.planning.fleet import Instance
from tests.runs.running import make_instance

KERAS_2 = """
import numpy as np, tensorflow as tf
rows = np.loadtxt("data/train.csv", delimiter=",", skiprows=1, dtype="float32")
model = tf.keras.Sequential([tf.keras.layers.Dense(8, activation="relu"), tf.keras.layers.Dense(1)])
model.compile("adam", "mse")
model.fit(rows[:, 1:], rows[:, 0], epochs=5, validation_split=0.2, callbacks=[tf.keras.callbacks.TensorBoard("logs")])
model.save("model")
"""
TORCH = """
import numpy as np, torch
from torch.utils.tensorboard import SummaryWriter
rows = torch.from_numpy(np.loadtxt("data/train.csv", delimiter=",", skiprows=1, dtype="float32"))
model = torch.nn.Sequential(torch.nn.Linear(rows.shape[1] - 1, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
optimizer = torch.optim.Adam(model.parameters(), 1e-2)
with SummaryWriter("logs") as writer:
    for step in range(20):
        loss = ((model(rows[:, 1:]) - rows[:, :1]) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        writer.add_scalar("Loss/train", loss.item(), step)
torch.jit.script(model).save("model.pt")
"""
GLUON = """
import mxnet as mx, numpy as np
from mxnet import autograd, gluon
from tensorboardX import SummaryWriter
rows = mx.nd.array(np.loadtxt("data/train.csv", delimiter=",", skiprows=1, dtype="float32"))
net = gluon.nn.HybridSequential()
net.add(gluon.nn.Dense(8, activation="relu"), gluon.nn.Dense(1))
net.initialize()
net.hybridize()
trainer = gluon.Trainer(net.collect_params(), "adam", {"learning_rate": 1e-2})
with SummaryWriter("logs") as writer:
    for step in range(20):
        with autograd.record():
            loss = ((net(rows[:, 1:]) - rows[:, :1]) ** 2).mean()
        loss.backward()
        trainer.step(1)
        writer.add_scalar("loss", float(loss.asscalar()), step)
net.export("model")
"""
EXECUTE = "python -m nbconvert --to notebook --execute --output out.ipynb start.ipynb"


def images(framework: str, *, all_: bool = False) -> Any:
    return pytest.param(framework, marks=[pytest.mark.image(framework), *([pytest.mark.all] if all_ else [])])


def train(bay: Bay, instance: Instance, project: Path, script: str | None) -> None:
    launchbay.init(project)
    args = ["--epochs", "5"]
    if script is not None:
        (project / "train.py").write_text(script, encoding="utf-8")
        args = []
    run = launchbay.train(bay, instance.name, project / "train.py", data=project / "data", args=args)
    assert run.state == "done", run.log.read_text(encoding="utf-8")


def execute(bay: Bay, instance: Instance) -> list[dict[str, Any]]:
    """Let the notebook be laid ready, run it from top to bottom, return what its cells gave out."""
    service = launchbay.notebook(bay, instance.name)
    assert service.pid is not None
    program = Path(f"/proc/{service.pid}/environ").read_bytes().decode().split("\0")
    own = [item for item in program if item.startswith(("LAUNCHBAY_FLEET", "LAUNCHBAY_PROGRAM", "LAUNCHBAY_RUNS"))]
    assert len(own) == 3
    launchbay.end_notebook(bay, instance.name)
    folder = instance.root / "work"
    done = connect(bay, instance).run(["env", *own, python_of(bay, instance), *EXECUTE.split()[1:]], timeout=300)
    assert done.code == 0, done.stderr.decode()
    cells = json.loads((folder / "out.ipynb").read_text(encoding="utf-8"))["cells"]
    assert all(cell.get("execution_count") for cell in cells if cell["cell_type"] == "code")
    return [output for cell in cells for output in cell.get("outputs", [])]


@pytest.mark.parametrize(
    "image",
    [
        images("tensorflow", all_=True),
        images("tensorflow-2.15"),
        images("jax"),
        images("keras"),
        images("pytorch"),
        images("mxnet"),
    ],
)
def test_the_newest_model_is_loaded_evaluated_and_plotted(
    bay: Bay, with_image: Callable[[str], Image], image: str, tmp_path: Path
) -> None:
    instance = make_instance(bay, with_image(image))
    script = {"tensorflow-2.15": KERAS_2, "pytorch": TORCH, "mxnet": GLUON}.get(image)
    train(bay, instance, tmp_path / "project", script)
    outputs = execute(bay, instance)
    said = "".join("".join(output.get("text", [])) for output in outputs)
    framework = {"jax": "JAX", "pytorch": "PyTorch", "mxnet": "MXNet"}.get(image, "TensorFlow")
    assert f"{framework} " in said
    assert "r2 " in said
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2


@pytest.mark.all
def test_without_a_model_it_says_what_to_do(bay: Bay, with_image: Callable[[str], Image]) -> None:
    instance = make_instance(bay, with_image("tensorflow"))
    outputs = execute(bay, instance)
    said = "".join("".join(output.get("text", [])) for output in outputs)
    assert f"bay train {instance.name} train.py" in said
    assert os.environ["LAUNCHBAY_HOME"] not in said
    assert not any("image/png" in output.get("data", {}) for output in outputs)
