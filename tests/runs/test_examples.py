"""The scripts in `examples/`, as people wrote them for their frameworks: each runs unchanged in its image."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from launchbay.api.curves import curves
from launchbay.api.runs import propose_image
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.providers.processes import end_processes, instance_processes
from launchbay.scaffold.generator import generate_tables
from tests.conftest import ROOT
from tests.runs.running import make_instance, run_it

EXAMPLES = ROOT / "examples"
NAMES = {"train": "training_data.csv", "validation": "validation_data.csv", "test": "test_data.csv"}
WORST_MSE = 10.0
"""Of 100 epochs. The noise alone is 2.25 and more; a model that has learnt nothing is above 100."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return the folder named in the environment, else data made from a seed under the names the scripts know."""
    if named := os.environ.get("LAUNCHBAY_TEST_DATA"):
        return Path(named)
    folder = tmp_path / "made"
    folder.mkdir()
    for name, table in generate_tables().items():
        (folder / NAMES[name]).write_text(table, encoding="utf-8")
    return folder


@dataclass(frozen=True, kw_only=True)
class Example:
    """A script, its image, how it is told to train for 100 epochs, and what it leaves."""

    folder: str
    image: str
    args: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    made: Collection[str]


ALL = [
    Example(folder="tensorflow-2.9", image="tensorflow-2.15", variables={"EPOCHS": "100"}, made=["model"]),
    Example(folder="pytorch", image="pytorch", args=["--epochs", "100"], made=["model.pt", "weights.pt"]),
    Example(folder="gluon", image="mxnet", args=["--epochs", "100"], made=["model-symbol.json", "model-0000.params"]),
]


@pytest.mark.all
@pytest.mark.parametrize(
    "example", [pytest.param(item, marks=pytest.mark.image(item.image), id=item.folder) for item in ALL]
)
def test_an_example_runs_unchanged(bay: Bay, with_image: Callable[[str], Image], data: Path, example: Example) -> None:
    script = EXAMPLES / example.folder / "train.py"
    assert propose_image(bay, script).image == example.image
    bay = replace(bay, environ={**bay.environ, **example.variables})
    instance = make_instance(bay, with_image(example.image))
    try:
        run, said = run_it(bay, instance, script, data=data, args=example.args)
    finally:
        end_processes(instance_processes([instance.id]))
    assert (run.state, run.exit_code, run.foreseen) == ("done", 0, ()), said[-2000:]
    assert set(example.made) <= {item.path.relative_to(run.work).as_posix() for item in run.artifacts}
    learnt = curves(bay, [run.id]).runs[run.id].diagnosis
    assert "loss" in learnt.sentence
    (mse,) = re.findall(r"test mse: ([\d.]+)", said)
    assert float(mse) < WORST_MSE
