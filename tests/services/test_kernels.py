"""The kernels of several environments side by side: each runs in its own, with its own variables."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay, connect
from tests.runs.running import make_instance

CODE = """\
import json, os, shutil, sys
from importlib.util import find_spec
print(json.dumps({
    "prefix": sys.prefix,
    "pip": os.path.normpath(shutil.which("pip")),
    "constraint": os.environ["PIP_CONSTRAINT"],
    "backend": os.environ.get("KERAS_BACKEND", ""),
    "frameworks": [name for name in ("tensorflow", "torch", "jax", "mxnet") if find_spec(name)],
}))
"""
FRAMEWORKS = {
    "tensorflow": ["tensorflow"],
    "tensorflow-2.15": ["tensorflow"],
    "pytorch": ["torch"],
    "jax": ["jax"],
    "mxnet": ["mxnet"],
}


@pytest.mark.image("multi")
def test_a_cell_runs_in_the_environment_of_its_kernel(bay: Bay, with_image: Callable[[str], Image]) -> None:
    image = with_image("multi")
    instance = make_instance(bay, image)
    cell: dict[str, Any] = {
        "cell_type": "code",
        "execution_count": None,
        "id": "a",
        "metadata": {},
        "outputs": [],
        "source": CODE,
    }
    notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (instance.root / "work" / "in.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    convert = ["jupyter", "nbconvert", "--to", "notebook", "--execute", "in.ipynb"]
    assert [member.name for member in image.members] == list(FRAMEWORKS)
    for member in image.members:
        chosen = [f"--ExecutePreprocessor.kernel_name={member.name}", "--output", "out.ipynb"]
        done = connect(bay, instance).run([*convert, *chosen], timeout=120)
        assert done.code == 0, done.stderr.decode()
        (cell,) = json.loads((instance.root / "work" / "out.ipynb").read_text(encoding="utf-8"))["cells"]
        told = json.loads("".join(cell["outputs"][0]["text"]))
        own = instance.root / "env" / member.name
        assert (Path(told["prefix"]), Path(told["pip"])) == (own, own / "bin" / "pip")
        assert told["constraint"].endswith(f"{member.digest}/constraints.txt")
        assert told["backend"] == member.env.get("KERAS_BACKEND", "")
        assert told["frameworks"] == FRAMEWORKS[member.name]
