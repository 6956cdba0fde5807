"""A script is read, never run: what it imports and calls, under which names, and how certain that is."""

from __future__ import annotations

from pathlib import Path

import pytest

from launchbay.errors import UsageError
from launchbay.runs.script.reading import Use, ends_with, read_script
from tests.runs.running import Project

MODEL = "import tensorflow as tf\nmodel = tf.keras.Sequential()\n"


def calls(script: Path) -> dict[str, Use]:
    return {use.name: use for use in read_script(script).uses if use.is_call}


def saves(project: Project, text: str, **others: str) -> Use | None:
    """Return the call that saves a Keras model."""
    files = {"train.py": text} | {f"{name}.py": content for name, content in others.items()}
    return calls(project(files)).get("keras.Model.save")


# --- what is called, under which name ---


@pytest.mark.parametrize(
    "text",
    [
        "import keras\nmodel = keras.Sequential([])\n",
        "from tensorflow import keras\nmodel = keras.Sequential([])\n",
        "from tensorflow.keras import Sequential\nmodel = Sequential([])\n",
        "from keras.models import Sequential as S\nmodel = S([])\n",
        "import tensorflow.keras as k\nmodel = k.models.Model(1, 2)\n",
        "import tensorflow as tf\nkeras = tf.keras\nmodel = keras.Model(1, 2)\n",
        "import tensorflow as tf\nmodel = tf.keras.applications.ResNet50()\n",
        "import keras\ndef build():\n    m = keras.Sequential()\n    return m\nmodel = build()\n",
        "import keras\nclass Net(keras.Model):\n    def call(self, x): return x\nmodel = Net()\n",
        "import keras\nmodel = keras.Sequential()\nmodel = keras.models.load_model('x.keras')\n",
    ],
)
def test_a_keras_model_is_known_however_it_is_made(project: Project, text: str) -> None:
    assert saves(project, f"{text}model.save('model')\n") is not None


@pytest.mark.parametrize(
    "text",
    [
        "import keras\nmodel = object()\n",
        "import keras\nfrom other import model\n",
        "import keras\nclass Net(keras.Model):\n    def save(self, path): pass\nmodel = Net()\n",
        "import keras\nmodel = keras.Sequential()\nmodel = wrap(model)\n",
        "import keras\nfor model in (keras.Sequential(),): pass\n",
        "import keras\ndef build(kind):\n    if kind: return keras.Sequential()\n    return None\nmodel = build(1)\n",
        "import keras\nmodel = keras.Sequential()\ndef swap():\n    global model\n    model = None\n",
        "import PIL.Image\nmodel = PIL.Image.open('x')\n",
    ],
)
def test_what_may_be_something_else_is_not_called_a_keras_model(project: Project, text: str) -> None:
    assert saves(project, f"{text}model.save('model')\n") is None


def test_a_model_may_be_kept_in_an_object(project: Project) -> None:
    text = """\
import keras
class Trainer:
    def __init__(self):
        self.model = keras.Sequential()
    def finish(self):
        self.model.save("model")
trainer = Trainer()
trainer.finish()
"""
    found = saves(project, text)
    assert found is not None
    assert found.place.is_sure


def test_local_modules_are_followed(project: Project) -> None:
    nets = "import keras\nNAME = 'model'\ndef build():\n    return keras.Sequential()\n"
    found = saves(project, "import nets\nmodel = nets.build()\nmodel.save(nets.NAME)\n", nets=nets)
    assert found is not None
    assert found.args == ("model",)
    script = read_script(project({}))
    assert list(script.modules) == ["keras"]
    assert str(script.modules["keras"]) == "nets.py:1"


def test_a_package_beside_the_script_is_its_own(project: Project) -> None:
    script = project(
        {
            "train.py": "from lib.nets import build\nbuild()\n",
            "lib/__init__.py": "",
            "lib/nets.py": "from . import parts\nfrom .parts import x\nimport torch\ndef build(): pass\n",
            "lib/parts.py": "import pandas\nx = 1\n",
        }
    )
    assert set(read_script(script).modules) == {"torch", "pandas"}


# --- texts: what is known of a file's name ---


@pytest.mark.parametrize(
    ("value", "ending"),
    [
        ("'model'", "model"),
        ("DIR", "model"),
        ("os.path.join('out', 'model')", "…/model"),
        ("os.path.join(sys.argv[1], DIR)", "…/model"),
        ("pathlib.Path('out') / 'model'", "…/model"),
        ("pathlib.Path('model')", "model"),
        ("str(pathlib.Path(sys.argv[1]) / 'model')", "…/model"),
        ("DIR + '_v1'", "model_v1"),
        ("sys.argv[1] + '/model'", "…/model"),
        ("f'{DIR}.keras'", "….keras"),
        ("f'{DIR}/model'", "…/model"),
        ("f'model-{DIR}'", None),
        ("sys.argv[1]", None),
        ("sys.argv[1] + 'model'", None),
        ("'model-%d' % 3", None),
        ("args.output", None),
    ],
)
def test_how_a_name_ends(project: Project, value: str, ending: str | None) -> None:
    text = f"import os, pathlib, sys\nimport keras\nDIR = 'model'\nkeras.Sequential().save({value})\n"
    found = saves(project, text)
    assert found is not None
    assert found.args == (ending,)


def test_a_name_that_is_given_two_values_is_not_known(project: Project) -> None:
    found = saves(project, f"{MODEL}name = 'a'\nif model: name = 'b.keras'\nmodel.save(name)\n")
    assert found is not None
    assert found.args == (None,)


def test_a_parameter_is_not_known(project: Project) -> None:
    found = saves(project, f"{MODEL}def end(name='model'):\n    model.save(name)\nend('m.keras')\n")
    assert found is not None
    assert found.args == (None,)


def test_a_suffix_of_which_a_part_is_seen_is_not_judged() -> None:
    assert ends_with("….h5", [".weights.h5"]) is None
    assert ends_with("w.h5", [".weights.h5"]) is False
    assert ends_with("….weights.h5", [".weights.h5"]) is True


# --- what is certain to run ---


@pytest.mark.parametrize(
    "text",
    [
        "model.save('model')",
        "if __name__ == '__main__':\n    model.save('model')",
        "def main():\n    model.save('model')\nif __name__ == '__main__':\n    main()",
        "for epoch in range(3):\n    model.save('model')",
        "with open('x') as file:\n    model.save('model')",
        "try:\n    model.fit()\nexcept KeyboardInterrupt:\n    pass\nmodel.save('model')",
        "try:\n    model.save('model')\nexcept KeyboardInterrupt:\n    pass",
        "try:\n    pass\nfinally:\n    model.save('model')",
        "SAVE = True\nif SAVE:\n    model.save('model')",
        "import sys\nif len(sys.argv) > 9:\n    sys.exit('usage')\nmodel.save('model')",
        "def end():\n    model.save('model')\ndef main():\n    end()\nmain()",
    ],
)
def test_certain(project: Project, text: str) -> None:
    found = saves(project, f"{MODEL}{text}\n")
    assert found is not None
    assert found.place.is_sure


@pytest.mark.parametrize(
    "text",
    [
        "import sys\nif sys.argv:\n    model.save('model')",
        "try:\n    model.save('model')\nexcept ValueError:\n    model.save('model')",
        "try:\n    model.save('model')\nexcept:\n    pass",
        "import contextlib\nwith contextlib.suppress(ValueError):\n    model.save('model')",
        "import sys\ndef main():\n    if sys.argv:\n        return\n    model.save('model')\nmain()",
        "import sys\nif sys.argv:\n    sys.exit(0)\nmodel.save('model')",
        "import sys\nsys.argv and model.save('model')",
        "def end():\n    model.save('model')\njobs = {'end': end}",
        "def end():\n    model.save('model')\nimport sys\nif sys.argv:\n    end()",
        "import sys\nfor epoch in range(3):\n    if epoch:\n        continue\n    model.save('model')",
    ],
)
def test_doubtful(project: Project, text: str) -> None:
    found = saves(project, f"{MODEL}{text}\n")
    assert found is not None
    assert not found.place.is_sure


@pytest.mark.parametrize(
    "text",
    [
        "def end():\n    model.save('model')",
        "if False:\n    model.save('model')",
        "if __name__ != '__main__':\n    model.save('model')",
        "import sys\nsys.exit()\nmodel.save('model')",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    model.save('model')",
    ],
)
def test_never(project: Project, text: str) -> None:
    assert saves(project, f"{MODEL}{text}\n") is None


# --- modules and settings ---


def test_modules_are_python_s_own_the_script_s_own_or_others(project: Project) -> None:
    script = project({"train.py": "import os, json, mine, numpy.linalg\nfrom scipy import stats\n", "mine.py": ""})
    assert set(read_script(script).modules) == {"numpy", "scipy"}


def test_a_module_that_a_script_can_do_without(project: Project) -> None:
    text = "import torch\ntry:\n    import wandb\nexcept ImportError:\n    wandb = None\n"
    found = read_script(project({"train.py": text}))
    assert set(found.modules) == {"torch", "wandb"}
    assert found.optional == {"wandb"}


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("if backend() == 'torch':\n    import torch", {"torch"}),
        ("if 'torch' == name:\n    import torch.nn as nn", {"torch"}),
        ("if name in ('torch', 'jax'):\n    import jax", {"jax"}),
        (
            "def go(name):\n    if name == 'torch':\n        if deep:\n            from torch import nn\ngo('x')",
            {"torch"},
        ),
        ("if name == 'jax':\n    import torch", set()),
        ("if name != 'torch':\n    import torch", set()),
        ("if name == 'jax':\n    pass\nelif name == 'torch':\n    import torch", {"torch"}),
        ("if name == 'torch':\n    pass\nelse:\n    import torch", set()),
        ("if name == 'torch':\n    import torch\nimport torch", set()),
    ],
)
def test_a_module_that_a_condition_names_is_chosen(project: Project, text: str, chosen: set[str]) -> None:
    assert read_script(project({"train.py": f"{text}\n"})).chosen == chosen


@pytest.mark.parametrize(
    "text",
    [
        "import sys\nsys.path.insert(0, '/x')",
        "import subprocess, sys\nsubprocess.run([sys.executable, '-m', 'pip', 'install', 'x'])",
        "import os\nos.system('pip install x')",
    ],
)
def test_a_script_that_gets_its_modules_itself(project: Project, text: str) -> None:
    assert read_script(project({"train.py": f"{text}\n"})).finds_modules_itself


def test_variables_that_a_script_sets(project: Project) -> None:
    text = "import os\nos.environ['KERAS_BACKEND'] = 'torch'\nos.environ.setdefault('A', 'b')\n"
    assert read_script(project({"train.py": text})).settings == {"KERAS_BACKEND": "torch", "A": "b"}


def test_what_is_no_python_is_refused_with_its_line(project: Project) -> None:
    with pytest.raises(UsageError, match="cannot be read as Python") as caught:
        read_script(project({"train.py": "x = 1\nprint 'old'\n"}))
    assert caught.value.where.endswith("train.py:2")


@pytest.mark.parametrize("content", [b"\0", b"\xff\xfe", b"x = " + b"(" * 5000])
def test_what_is_no_text_or_too_deep_is_refused_in_the_same_way(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "train.py"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="cannot be read"):
        read_script(path)


def test_a_long_chain_of_terms_is_read(project: Project) -> None:
    chain = " + ".join(["1"] * 300)
    assert list(read_script(project({"train.py": f"import torch\nx = {chain}\n"})).modules) == ["torch"]
    with pytest.raises(UsageError, match=r"cannot be read|nested too deeply"):
        read_script(project({"train.py": f"x = {' + '.join(['1'] * 20_000)}\n"}))


def test_a_folder_of_other_things_is_no_module(project: Project) -> None:
    script = project({"train.py": "import torch, parts.one\n", "torch/notes.txt": "", "parts/one.py": ""})
    assert list(read_script(script).modules) == ["torch"]


def test_a_module_that_cannot_be_read_is_the_script_s_own_all_the_same(project: Project) -> None:
    script = project({"train.py": "import torch, old\n", "old.py": "print 'old'\n"})
    assert list(read_script(script).modules) == ["torch"]


def test_a_large_heap_of_modules_is_read_in_part_and_none_is_taken_for_missing(project: Project) -> None:
    files = {f"m{number}.py": f"import m{number + 1}\nx = 1 + 1\n" * 2000 for number in range(20)}
    assert read_script(project({"train.py": "import m0\n", **files, "m20.py": ""})).modules == {}


def test_names_and_modules_that_lead_back_to_themselves_come_to_an_end(project: Project) -> None:
    files = {
        "train.py": "import a\nx = y\ny = x\nx.save('m')\ndef f(): return f()\nf().save('m')\n",
        "a.py": "import b\nz = b.z\n",
        "b.py": "import a\nimport train\nz = a.z\nz.save(z)\n",
    }
    assert read_script(project(files)).modules == {}
