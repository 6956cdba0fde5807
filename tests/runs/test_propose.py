"""Which image a script is given, and why."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from launchbay.api.proposal import propose_image
from launchbay.errors import NotFound, UsageError, WillFail
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.runs.propose import Proposal
from tests.runs.running import Project, make_instance


@pytest.fixture
def proposed(bay: Bay, project: Project) -> Callable[[str], Proposal]:
    """Return a function that proposes an image for a script."""
    return lambda text: propose_image(bay, project({"train.py": text}))


Proposed = Callable[[str], Proposal]
TF = "import tensorflow as tf\nmodel = tf.keras.Sequential()\n"


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("import torch\n", "pytorch"),
        ("import mxnet as mx\n", "mxnet"),
        ("from mxnet import gluon\nimport tensorboardX\n", "mxnet"),
        ("import jax, jax.numpy as jnp\n", "jax"),
        ("import keras\n", "tensorflow"),
        ("import tensorflow as tf\n", "tensorflow"),
        ("import torch, tensorflow\n", "keras"),
        ("import os\nos.environ['KERAS_BACKEND'] = 'jax'\nimport keras\n", "jax"),
        ("import os\nos.environ['KERAS_BACKEND'] = 'torch'\nimport keras\n", "keras"),
        ("import keras\nkeras.callbacks.TensorBoard('logs')\n", "tensorflow"),
        (f"{TF}model.save('model')\n", "tensorflow-2.15"),
        (f"{TF}model.save('model.keras')\n", "tensorflow"),
        (f"{TF}tf.keras.models.load_model('model')\n", "tensorflow-2.15"),
        (f"{TF}tf.keras.optimizers.Adam(lr=0.01)\n", "tensorflow-2.15"),
        (f"{TF}def end(net):\n    net.save('model')\nend(model)\n", "tensorflow-2.15"),
        (
            "import tensorflow as tf\nfrom tensorflow.keras.layers.experimental import preprocessing\n",
            "tensorflow-2.15",
        ),
        ("import numpy as np\nx = np.float\nimport tensorboard\n", "mxnet"),
        ("import onnxscript\n", "pytorch"),
    ],
)
def test_the_image_that_fits_best(proposed: Proposed, text: str, image: str) -> None:
    assert proposed(text).image == image


def test_what_decided_is_said(proposed: Proposed) -> None:
    assert proposed(f"{TF}name = 'model'\nmodel.save(name)\n").why == (
        "train.py imports tensorflow; train.py:4  model.save(name) fails under Keras 3, and the model is lost"
        " (in tensorflow and keras)"
    )
    assert proposed("import torch\n").why == "train.py imports torch"
    assert proposed("print(1)\n").why == "train.py needs no framework"


def test_an_image_that_is_built_goes_before_one_that_is_not(
    bay: Bay, project: Project, with_image: Callable[[str], Image]
) -> None:
    script = project({"train.py": "import pandas\n"})
    assert not any(choice.built for choice in propose_image(bay, script).choices)
    with_image("tensorflow")
    proposal = propose_image(bay, script)
    assert (proposal.image, proposal.best.built) == ("tensorflow", True)


def test_a_name_that_is_taken_is_not_proposed(bay: Bay, project: Project, with_image: Callable[[str], Image]) -> None:
    script = project({"train.py": "import torch\n"})
    assert propose_image(bay, script).name == "train"
    taken = make_instance(bay, with_image("tiny"))
    path = script.rename(script.with_name(f"{taken.fleet}.py"))
    assert propose_image(bay, path).name == f"{taken.fleet}2"


def test_a_module_that_no_image_has(proposed: Proposed) -> None:
    with pytest.raises(NotFound, match=r"no image has polars, which .* imports; pytorch comes nearest") as caught:
        proposed("import torch\nimport polars\n")
    assert caught.value.where == "train.py:2"
    assert "bay launch pytorch --name train && bay exec train -- pip install polars" in caught.value.hint
    assert "`extends: pytorch` and `packages: [polars]`" in caught.value.hint


def test_a_module_that_nobody_knows_is_not_offered_to_pip(proposed: Proposed) -> None:
    with pytest.raises(NotFound, match="no image has my_utils") as caught:
        proposed("import torch, my_utils\n")
    assert "if my_utils is a file of yours, put it beside the script" in caught.value.hint
    assert "pip install my_utils" not in caught.value.hint


def test_a_module_that_can_be_done_without_decides_nothing(proposed: Proposed) -> None:
    assert proposed("import torch\ntry:\n    import wandb\nexcept ImportError:\n    wandb = None\n").image == "pytorch"


def test_what_fails_in_every_image_is_said_before_one_is_launched(bay: Bay, project: Project) -> None:
    script = project({"train.py": "import tensorflow as tf\ntf.Session()\n"})
    with pytest.raises(WillFail, match=r"it will fail in every image\n  train\.py:2  tf\.Session fails"):
        propose_image(bay, script)
    assert propose_image(bay, script, force=True).image == "tensorflow"


def test_no_script(bay: Bay, project: Project) -> None:
    with pytest.raises(NotFound, match="there is no script"):
        propose_image(bay, project({}))
    with pytest.raises(UsageError, match="cannot be read as Python"):
        propose_image(bay, project({"train.py": "print 'old'\n"}))
