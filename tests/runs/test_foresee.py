"""What will fail is said before; what is right, or may be, is not called wrong. See test_foreseen.py for the proof."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from launchbay.runs.foresee import Problem, foresee, missing_modules
from launchbay.runs.script.reading import read_script
from tests.runs.running import Project

KERAS_3 = {"keras": "3.15.1", "tensorflow": "2.21.0", "tensorboard": "2.21.0", "numpy": "2.4.6"}
KERAS_2 = {"keras": "2.15.0", "tensorflow": "2.15.1", "tensorboard": "2.15.2", "numpy": "1.26.4"}
MODEL = "import tensorflow as tf\nfrom tensorflow import keras\nmodel = keras.Sequential()\n"


def problems(
    project: Project, text: str, packages: Mapping[str, str], environ: Mapping[str, str] | None = None
) -> Sequence[Problem]:
    return foresee(read_script(project({"train.py": text})), packages, environ=environ or {})


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("model.save('model')", "model.save('model') fails under Keras 3, and the model is lost"),
        ("model.save(filepath='out/model')", "the model is lost"),
        ("model.save('model', save_format='tf')", "the model is lost"),
        ("model.save('model.H5')", "the model is lost"),
        ("keras.models.save_model(model, 'model')", "the model is lost"),
        ("model.save_weights('weights')", "the weights are lost"),
        ("model.save_weights('weights.h5')", "the weights are lost"),
        ("keras.callbacks.ModelCheckpoint('ckpt/{epoch}')", "fails under Keras 3"),
        ("keras.callbacks.ModelCheckpoint('w.h5', save_weights_only=True)", "fails under Keras 3"),
        ("keras.optimizers.Adam(lr=0.1)", "fails under Keras 3"),
        ("model.fit_generator(None)", "Keras 3 does not have it"),
        ("keras.experimental.LinearModel()", "Keras 3 does not have it"),
        ("keras.optimizers.legacy.Adam()", "Keras 3 does not have it"),
    ],
)
def test_what_keras_2_could(project: Project, line: str, said: str) -> None:
    (problem,) = problems(project, f"{MODEL}{line}\n", KERAS_3)
    assert problem.is_sure
    assert said in problem.what
    assert (problem.file, problem.line, problem.image) == ("train.py", 4, "tensorflow-2.15")
    assert problems(project, f"{MODEL}{line}\n", KERAS_2) == ()


@pytest.mark.parametrize(
    "line",
    [
        "model.save('model.keras')",
        "model.save('model.h5')",
        "model.save(f'{model}.keras')",
        "model.save(f'{model}')",
        "model.save('model', zipped=False)",
        "model.save('hf://me/model')",
        "model.save(*['model'])",
        "model.save(model.name)",
        "model.export('model')",
        "tf.saved_model.save(model, 'model')",
        "model.save_weights('model.weights.h5')",
        "model.save_weights(f'{model}.h5')",
        "keras.models.load_model('model.keras')",
        "keras.callbacks.ModelCheckpoint('best.keras', save_weights_only=False)",
        "keras.callbacks.ModelCheckpoint('best.weights.h5', save_weights_only=True)",
        "keras.callbacks.ModelCheckpoint('best', save_weights_only=model)",
        "keras.callbacks.TensorBoard('logs')",
        "keras.optimizers.Adam(learning_rate=0.1)",
        "keras.layers.LeakyReLU(negative_slope=0.1)",
        "keras.ops.sum(1)",
        "import numpy as np\nnp.bool, np.float32, np.inf, np.save('model', 1)",
        "tf.compat.v1.Session",
    ],
)
def test_what_is_right_under_keras_3(project: Project, line: str) -> None:
    assert problems(project, f"{MODEL}{line}\n", KERAS_3) == ()


@pytest.mark.parametrize(
    "line",
    [
        "from other import build\nnet = build()\nnet.save('model')",
        "def end(model):\n    model.save('model')\nend(model)",
        "keras.models.load_model('model')",
        "import sys\nif sys.argv: model.save('model')",
    ],
)
def test_a_doubt_is_only_a_note(project: Project, line: str) -> None:
    (problem,) = problems(project, f"{MODEL}{line}\n", KERAS_3)
    assert not problem.is_sure


def test_what_keras_3_alone_can(project: Project) -> None:
    for line in ("keras.ops.sum(1)", "keras.layers.LeakyReLU(negative_slope=0.1)"):
        assert [item.is_sure for item in problems(project, f"{MODEL}{line}\n", KERAS_2)] == [True]
    (problem,) = problems(project, f"{MODEL}keras.optimizers.Adam(decay=0.1)\n", KERAS_2)
    assert "since Keras 2.11" in problem.what


def test_legacy_keras_saves_as_keras_2_did(project: Project) -> None:
    text = f"{MODEL}model.save('model')\n"
    legacy = {**KERAS_3, "tf-keras": "2.21.0"}
    assert problems(project, text, legacy, {"TF_USE_LEGACY_KERAS": "1"}) == ()
    assert problems(project, f"import os\nos.environ['TF_USE_LEGACY_KERAS'] = '1'\n{text}", legacy) == ()
    assert problems(project, text, legacy, {"TF_USE_LEGACY_KERAS": "0"}) != ()


def test_the_tensorboard_callback_needs_tensorflow(project: Project) -> None:
    text = "import keras\nkeras.callbacks.TensorBoard('logs')\n"
    jax = {"keras": "3.15.1", "jax": "0.10.2", "tensorboard": "2.21.0"}
    (problem,) = problems(project, text, jax)
    assert problem.is_sure
    assert "fails at the first epoch: it needs tensorflow" in problem.what
    assert problems(project, text, {**jax, "tensorflow-cpu": "2.21.0"}) == ()


@pytest.mark.parametrize(
    ("name", "version", "is_gone"),
    [
        *(("bool", "1.23.5", False), ("bool", "1.26.4", True), ("bool", "2.4.6", False)),
        *(("float", "1.23.5", False), ("float", "1.26.4", True), ("float", "2.4.6", True)),
        *(("NaN", "1.26.4", False), ("NaN", "2.4.6", True), ("nan", "2.4.6", False)),
    ],
)
def test_names_that_numpy_took_away(project: Project, name: str, version: str, is_gone: bool) -> None:  # noqa: FBT001
    found = problems(project, f"import numpy as np\nx = np.{name}\n", {"numpy": version})
    assert bool(found) is is_gone


def test_a_whole_pytorch_model_is_not_loaded_again(project: Project) -> None:
    text = "import torch\nmodel = torch.nn.Linear(1, 1)\ntorch.save({0}, 'm.pt')\ntorch.load('m.pt'{1})\n"
    torch = {"torch": "2.13.0+cpu"}
    assert [item.is_sure for item in problems(project, text.format("model", ""), torch)] == [True]
    assert problems(project, text.format("model", ", weights_only=False"), torch) == ()
    assert problems(project, text.format("model.state_dict()", ""), torch) == ()


def test_one_line_is_told_once(project: Project) -> None:
    text = f"{MODEL}import numpy as np\nx = (np.NaN, np.NaN)\n"
    assert len(problems(project, text, KERAS_3)) == 1


def test_modules_are_found_under_their_packages_names(project: Project) -> None:
    text = "import yaml, PIL, sklearn, IPython, google.protobuf, tensorboardX, tensorflow\n"
    packages = dict.fromkeys(("pyyaml", "pillow", "ipython", "protobuf", "tensorboardx", "tensorflow-cpu"), "1")
    assert list(missing_modules(read_script(project({"train.py": text})), packages)) == ["sklearn"]
