"""The scripts in `examples/`, as people wrote them for their frameworks: each runs unchanged in its image."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

import launchbay
from launchbay.api.proposal import propose_image
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.providers.processes import end_processes, instance_processes
from launchbay.scaffold.generator import generate_tables
from tests.conftest import ROOT
from tests.runs.running import make_instance

EXAMPLES = ROOT / "examples"
SHARED = ROOT.parent / "shared" / "data" / "regression"
NAMES = {"train": "training_data.csv", "validation": "validation_data.csv", "test": "test_data.csv"}
WORST_MSE = 10.0
"""Of 100 epochs. The noise alone is 2.25 and more; a model that has learnt nothing is above 100."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return the regression data beside the project, or made from a seed, under the names that the scripts know."""
    if SHARED.is_dir():
        return SHARED
    folder = tmp_path / "made"
    folder.mkdir()
    for name, table in generate_tables().items():
        (folder / NAMES[name]).write_text(table, encoding="utf-8")
    return folder


@dataclass(frozen=True, kw_only=True)
class Example:
    """A script, its image, how it is told to train for 100 epochs, what it leaves, and what of that is its model."""

    folder: str
    image: str
    model: str
    format: str
    args: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    made: Collection[str]


ALL = [
    Example(
        folder="tensorflow-2.9",
        image="tensorflow-2.15",
        model="model",
        format="savedmodel",
        variables={"EPOCHS": "100"},
        made=["model"],
    ),
    Example(
        folder="pytorch",
        image="pytorch",
        model="model.pt",
        format="torchscript",
        args=["--epochs", "100"],
        made=["model.pt", "weights.pt"],
    ),
    Example(
        folder="gluon",
        image="mxnet",
        model="model-0000.params",
        format="mxnet",
        args=["--epochs", "100"],
        made=["model-0000.params"],
    ),
]


@pytest.mark.all
@pytest.mark.parametrize("whole", [False, True], ids=["alone", "in multi"])
@pytest.mark.parametrize("example", [pytest.param(item, id=item.folder) for item in ALL])
def test_the_whole_experiment_with_a_script_as_it_is(
    bay: Bay, with_image: Callable[[str], Image], data: Path, example: Example, *, whole: bool
) -> None:
    """Train, curves, model show, evaluate, predict: in the image that fits it, and in that environment of `multi`."""
    script = EXAMPLES / example.folder / "train.py"
    assert propose_image(bay, script).image == example.image
    bay = replace(bay, environ={**bay.environ, **example.variables})
    instance = make_instance(bay, with_image("multi" if whole else example.image))
    printed: list[bytes] = []
    try:
        run = launchbay.train(
            bay, instance.name, script, data=data, args=example.args, write=printed.append
        )  # the environment is chosen by what the script imports
    finally:
        end_processes(instance_processes([instance.id]))
    said = b"".join(printed).decode()
    assert (run.state, run.exit_code, run.foreseen, run.image) == ("done", 0, (), example.image), said[-2000:]
    assert set(example.made) <= {item.path.relative_to(run.work).as_posix() for item in run.artifacts}
    learnt = launchbay.curves(bay, [run.id]).runs[run.id].diagnosis
    assert "loss" in learnt.sentence
    (mse,) = re.findall(r"test mse: ([\d.]+)", said)
    assert float(mse) < WORST_MSE
    model = str(run.work / example.model)
    card = launchbay.show_model_card(bay, model)
    assert (card.format, card.parameters) == (example.format, 1 * 100 + 100 + 3 * (100 * 100 + 100) + 100 + 1)
    table = data / NAMES["test"]
    found = launchbay.evaluate(bay, model, table)
    assert found.mse == pytest.approx(float(mse), rel=1e-3)
    predicted = launchbay.predict(bay, model, table, rows="0:5")
    assert len(predicted.predictions) == 5
    assert predicted.targets is not None
    gaps = [abs(float(str(got)) - wanted) for got, wanted in zip(predicted.predictions, predicted.targets, strict=True)]
    assert max(gaps) < 5 * WORST_MSE**0.5
