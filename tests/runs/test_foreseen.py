"""The proof of what is foreseen: each script is run by the real packages, and fails, or does not, as was said."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from launchbay.images.image import Image
from launchbay.runs.advice import ADVICE
from launchbay.runs.foresee import foresee, missing_modules
from launchbay.runs.script.reading import read_script

KERAS = """\
import numpy as np
from tensorflow import keras
x = np.zeros((8, 1), "float32")
model = keras.Sequential([keras.layers.Dense(1)])
model.compile("adam", "mse")
model.fit(x, x, verbose=0)
"""
PLAIN = KERAS.replace("from tensorflow import keras", "import keras")
TORCH = "import torch\nmodel = torch.nn.Linear(1, 1)\noptimizer = torch.optim.Adam(model.parameters())\n"
PLATEAU = "torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer"

FAILS = [
    ("keras-save", "tensorflow", f"{KERAS}model.save('model')"),
    ("keras-save", "jax", f"{PLAIN}keras.models.save_model(model, 'model')"),
    ("keras-weights", "tensorflow", f"{KERAS}model.save_weights('weights.h5')"),
    ("keras-load", "tensorflow", f"{KERAS}model.export('old')\nkeras.models.load_model('old')"),
    ("keras-checkpoint", "tensorflow", f"{KERAS}keras.callbacks.ModelCheckpoint('best')"),
    ("keras-checkpoint", "tensorflow", f"{KERAS}keras.callbacks.ModelCheckpoint('best', save_weights_only=True)"),
    ("tensorboard", "jax", f"{PLAIN}model.fit(x, x, callbacks=[keras.callbacks.TensorBoard('logs')])"),
    ("keras-lr", "tensorflow", f"{KERAS}keras.optimizers.Adam(lr=0.1)"),
    ("keras-decay", "tensorflow-2.15", f"{KERAS}keras.optimizers.SGD(learning_rate=0.1, decay=0.1)"),
    ("keras-generator", "tensorflow", f"{KERAS}model.fit_generator(iter([]))"),
    ("keras-3-only", "tensorflow-2.15", f"{PLAIN}keras.ops.sum(x)"),
    ("keras-3-only", "tensorflow-2.15", f"{KERAS}keras.layers.LeakyReLU(negative_slope=0.1)"),
    ("keras-2-only", "tensorflow", f"{KERAS}keras.experimental.LinearModel()"),
    ("keras-2-only", "tensorflow", f"{KERAS}keras.optimizers.legacy.Adam()"),
    ("tensorflow-1", "tensorflow", "import tensorflow as tf\nsession = tf.Session()"),
    ("tensorflow-1", "tensorflow-2.15", "import tensorflow as tf\nx = tf.placeholder(tf.float32)"),
    ("numpy-name", "tensorflow-2.15", "import numpy as np\nx = np.bool"),
    ("numpy-name", "tensorflow", "import numpy as np\nx = np.float_"),
    ("torch-load", "pytorch", f"{TORCH}torch.save(model, 'm.pt')\ntorch.load('m.pt')"),
    ("torch-verbose", "pytorch", f"{TORCH}{PLATEAU}, verbose=True)"),
]
RIGHT = [
    ("tensorflow-2.15", f"{KERAS}model.save('model')\nmodel.save_weights('w')\nkeras.models.load_model('model')"),
    (
        "tensorflow-2.15",
        (
            f"{KERAS}keras.optimizers.Adam(lr=0.1)\nkeras.optimizers.legacy.Adam(decay=0.1)\n"
            "model.fit_generator(iter([(x, x)]), steps_per_epoch=1)\n"
            "model.fit(x, x, callbacks=[keras.callbacks.TensorBoard('l'), keras.callbacks.ModelCheckpoint('best')])"
        ),
    ),
    (
        "tensorflow",
        (
            f"{KERAS}name = 'model'\nmodel.save(name + '.keras')\nmodel.save('m.h5')\nmodel.save('m', zipped=False)\n"
            "model.save_weights('a.weights.h5')\nmodel.export('out')\nkeras.models.load_model('model.keras')\n"
            "keras.ops.sum(x)\nkeras.layers.LeakyReLU(negative_slope=0.1)\nx = np.bool\n"
            "keras.optimizers.Adam(0.1, decay=0.1)"
        ),
    ),
    (
        "tensorflow",
        (
            f"{KERAS}model.fit(x, x, callbacks=[keras.callbacks.TensorBoard('l'), keras.callbacks.ModelCheckpoint('b.keras'),\n"
            "    keras.callbacks.ModelCheckpoint('w.weights.h5', save_weights_only=True)])"
        ),
    ),
    (
        "tensorflow",
        "import tensorflow.compat.v1 as tf\ntf.disable_v2_behavior()\ntf.placeholder(tf.float32)\ntf.Session()",
    ),
    ("jax", f"{PLAIN}model.save('model.keras')\nkeras.callbacks.ModelCheckpoint('best.keras')"),
    (
        "pytorch",
        (
            f"{TORCH}torch.save(model, 'm.pt')\ntorch.load('m.pt', weights_only=False)\n{PLATEAU})\n"
            "torch.save(model.state_dict(), 's.pt')\ntorch.load('s.pt')\ntorch.jit.script(model).save('model')"
        ),
    ),
    ("mxnet", "import numpy as np\nimport mxnet\nx = (np.bool, np.float, np.NaN)"),
]


def run(image: Image, script: Path) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, **image.env, "HOME": str(script.parent), "TF_CPP_MIN_LOG_LEVEL": "3"}
    environ["PYTHONDONTWRITEBYTECODE"] = "1"  # the image is shared, and sealed
    command = [str(image.python_path), script.name]
    return subprocess.run(command, cwd=script.parent, env=environ, capture_output=True, text=True, check=False)


def write(folder: Path, text: str) -> Path:
    path = folder / "train.py"
    path.write_text(f"{text}\nprint('came to its end')\n", encoding="utf-8")
    return path


@pytest.mark.all  # each imports a framework
@pytest.mark.parametrize(
    ("advice", "name", "text"),
    [
        pytest.param(*case, marks=pytest.mark.image(case[1]), id=f"{case[0]}-{case[1]}-{n}")
        for n, case in enumerate(FAILS)
    ],
)
def test_it_fails_as_was_said(
    image_store: Callable[[str], Image], tmp_path: Path, advice: str, name: str, text: str
) -> None:
    image, script = image_store(name), write(tmp_path, text)
    problems = foresee(read_script(script), image.packages, environ=image.env)
    assert [problem.hint for problem in problems if problem.is_sure or advice == "keras-load"] == [ADVICE[advice].hint]
    assert problems[0].line == len(text.splitlines())
    done = run(image, script)
    assert done.returncode == 1
    assert "came to its end" not in done.stdout
    assert re.search(ADVICE[advice].last_words, done.stderr), done.stderr[-1500:]


def test_every_way_of_failing_is_tried() -> None:
    assert {case[0] for case in FAILS} == set(ADVICE)


@pytest.mark.all
@pytest.mark.parametrize(("name", "text"), [pytest.param(*case, marks=pytest.mark.image(case[0])) for case in RIGHT])
def test_what_runs_is_not_called_certain_to_fail(
    image_store: Callable[[str], Image], tmp_path: Path, name: str, text: str
) -> None:
    image, script = image_store(name), write(tmp_path, text)
    read = read_script(script)
    assert missing_modules(read, image.packages) == {}
    assert [problem for problem in foresee(read, image.packages, environ=image.env) if problem.is_sure] == []
    done = run(image, script)
    assert done.returncode == 0, done.stderr[-1500:]
    assert "came to its end" in done.stdout
