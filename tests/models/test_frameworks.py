"""Models of every framework, trained through `bay train` in their image: shown, evaluated, and asked, as they answer there."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import launchbay
from launchbay.errors import UnsafeModel, UserError
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.scratch import ask_image
from launchbay.scaffold.generator import generate_tables
from launchbay.store.records import Run
from tests.runs.running import make_instance, run_it

SCRIPTS = Path(__file__).with_name("scripts")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for name, table in generate_tables().items():
        (folder / f"{name}_data.csv").write_text(table, encoding="utf-8")
    return folder


@pytest.fixture
def trained(
    bay: Bay, with_image: Callable[[str], Image], data: Path, tmp_path: Path
) -> Callable[[str, str], tuple[Run, dict[str, Any]]]:
    """Return a function that runs a script on an image; it returns the run and what the framework said there."""

    def run(image: str, name: str) -> tuple[Run, dict[str, Any]]:
        folder = tmp_path / "project"
        folder.mkdir()
        shutil.copy(SCRIPTS / f"{name}.py", folder / "train.py")
        done, printed = run_it(bay, make_instance(bay, with_image(image)), folder / "train.py", data=data)
        assert done.state == "done", printed[-2000:]
        known: dict[str, Any] = json.loads((done.work / "known.json").read_text(encoding="utf-8"))
        return done, known

    return run


def formats(run: Run) -> dict[str, str]:
    return {item.path.name: item.format for item in run.artifacts if item.is_model}


def check(bay: Bay, model: Path, data: Path, known: Mapping[str, Any], *, trust: str | None = None) -> Any:
    """Evaluate and predict; both must be what the framework itself answered. Return the evaluation."""
    table = data / "test_data.csv"
    targets = [float(line.split(",")[0]) for line in table.read_text(encoding="utf-8").splitlines()]
    found = launchbay.predict(bay, str(model), table, trust=trust)
    assert found.predictions == pytest.approx(known["answers"], rel=1e-4, abs=1e-4)
    assert found.targets == pytest.approx(targets)
    result = launchbay.evaluate(bay, str(model), table, batch_size=7, trust=trust)
    mse = math.fsum((a - t) ** 2 for a, t in zip(known["answers"], targets, strict=True)) / len(targets)
    assert result.rows == len(targets)
    assert result.mse == pytest.approx(mse, rel=1e-4)
    return result


def refuses_three_columns(bay: Bay, model: Path, folder: Path, takes: int = 1) -> None:
    wide = folder / "wide.csv"
    wide.write_text("1,2,3,4\n5,6,7,8\n", encoding="utf-8")
    with pytest.raises(UserError, match=f"takes {takes} input columns; the table has 3"):
        launchbay.evaluate(bay, str(model), wide)


@pytest.mark.image("tensorflow-2.15")
def test_keras_2(bay: Bay, trained: Callable[[str, str], Any], data: Path, tmp_path: Path) -> None:
    run, known = trained("tensorflow-2.15", "keras2")
    assert formats(run) == {
        "model": "savedmodel",
        "exported": "savedmodel",
        "model.h5": "keras-h5",
        "weights.h5": "hdf5",
    }
    for name in ("model", "model.h5"):
        card = launchbay.show_model_card(bay, str(run.work / name))
        assert (card.parameters, card.trainable_parameters) == (known["parameters"], known["trained"])
        assert [layer.kind for layer in card.layers] == ["Dense", "Dense", "BatchNormalization", "Dense"]
        assert [layer.output_shape for layer in card.layers] == [(None, 16), (None, 16), (None, 16), (None, 1)]
        assert [layer.activation for layer in card.layers][:2] == ["leaky_relu", "relu"]
        assert [(item.shape, item.dtype) for item in card.inputs] == [((None, 1), "float32")]
        assert (card.loss, card.optimizer and card.optimizer.name) == ("mae", "Adam")
        assert check(bay, run.work / name, data, known).loss == pytest.approx(known["loss"], rel=1e-4)
        refuses_three_columns(bay, run.work / name, tmp_path)
    assert launchbay.show_model_card(bay, str(run.work / "exported")).parameters == known["parameters"]
    assert check(bay, run.work / "exported", data, known).loss is None
    with pytest.raises(UserError, match="without a model in it"):
        launchbay.evaluate(bay, str(run.work / "weights.h5"), data / "test_data.csv")
    check(bay, Path(run.id), data, known)  # a run stands for its best model, here a folder


@pytest.mark.image("tensorflow-2.15")
def test_a_saved_model_whose_variables_were_altered_is_a_strangers(
    bay: Bay, trained: Callable[[str, str], Any], data: Path
) -> None:
    run, _ = trained("tensorflow-2.15", "keras2")
    folder = run.work / "model"
    before = launchbay.show_model_card(bay, str(folder)).sha256
    assert before == next(item.sha256 for item in run.artifacts if item.path == folder)
    variables = next(folder.glob("variables/variables.data*"))
    content = bytearray(variables.read_bytes())
    content[100] ^= 1
    variables.write_bytes(content)
    with pytest.raises(UnsafeModel, match="no run of yours made this model"):
        launchbay.evaluate(bay, str(folder), data / "test_data.csv")
    with pytest.raises(UnsafeModel, match="another model"):
        launchbay.evaluate(bay, str(folder), data / "test_data.csv", trust=before)


@pytest.mark.image("pytorch")
def test_pytorch(bay: Bay, trained: Callable[[str, str], Any], data: Path, tmp_path: Path) -> None:
    run, known = trained("pytorch", "pytorch")
    assert formats(run) == {
        "script-in-training.pt": "torchscript",
        "trace.pt": "torchscript",
        "program.pt2": "torch-export",
        "fixed.pt2": "torch-export",
        "graph.onnx": "onnx",
        "fixed.onnx": "onnx",
        "best-state.pt": "torch",
        "whole.pt": "torch",
    }
    assert run.artifacts[0].format in ("onnx", "torchscript", "torch-export"), "what can be loaded is the best"
    assert (run.work / "graph.onnx.data").exists()
    assert "graph.onnx.data" not in [item.path.name for item in run.artifacts], "it is part of the graph"
    for name, found in formats(run).items():
        card = launchbay.show_model_card(bay, str(run.work / name))
        if found != "torch":
            # An ONNX graph does not tell the statistics of a normalisation from what was trained.
            statistics = known["statistics"] if found == "onnx" else 0
            assert (name, card.parameters) == (name, known["parameters"] + statistics)
            assert check(bay, run.work / name, data, known).loss is None
            refuses_three_columns(bay, run.work / name, tmp_path)
            continue
        assert ("4.weight", (1, 128), "float32") in [(item.name, item.shape, item.dtype) for item in card.tensors]
        with pytest.raises(UserError, match="nothing in it says how to compute"):
            launchbay.evaluate(bay, str(run.work / name), data / "test_data.csv", trust=card.sha256)
    assert launchbay.show_model_card(bay, str(run.work / "best-state.pt")).parameters == known["parameters"]
    exported = launchbay.show_model_card(bay, str(run.work / "program.pt2"))
    assert [(item.name, item.shape, item.dtype) for item in exported.inputs] == [("input", (None, 1), "float32")]


@pytest.mark.image("pytorch")
@pytest.mark.image("tensorflow")
def test_a_graph_from_elsewhere_is_loaded_by_any_image_with_its_runtime(
    bay: Bay, trained: Callable[[str, str], Any], with_image: Callable[[str], Image], data: Path, tmp_path: Path
) -> None:
    run, known = trained("pytorch", "pytorch")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("graph.onnx", "graph.onnx.data"):
        shutil.copy(run.work / name, elsewhere)
    shutil.rmtree(run.folder)
    bay.home.images.joinpath(run.digest).unlink()
    with_image("tensorflow")
    model = elsewhere / "graph.onnx"
    with pytest.raises(UnsafeModel):
        launchbay.predict(bay, str(model), data / "test_data.csv")
    check(bay, model, data, known, trust=launchbay.show_model_card(bay, str(model)).sha256)


@pytest.mark.image("mxnet")
def test_mxnet(bay: Bay, trained: Callable[[str, str], Any], data: Path, tmp_path: Path) -> None:
    run, known = trained("mxnet", "gluon")
    assert formats(run) == {
        "model-0001.params": "mxnet",
        "model-0000.params": "mxnet",
        "weights.params": "mxnet-params",
    }
    for name in ("model-symbol.json", "model-0001.params"):
        card = launchbay.show_model_card(bay, str(run.work / name))
        assert (card.parameters, card.trainable_parameters) == (known["parameters"], known["trained"])
        assert [layer.kind for layer in card.layers] == ["FullyConnected", "LeakyReLU", "BatchNorm", "FullyConnected"]
        assert card.sha256 == run.artifacts[0].sha256
        check(bay, run.work / name, data, known)
    refuses_three_columns(bay, run.work / "model-symbol.json", tmp_path)
    with pytest.raises(UserError, match="without the network"):
        launchbay.evaluate(bay, str(run.work / "weights.params"), data / "test_data.csv")


@pytest.mark.image("pytorch")
def test_a_file_that_is_exchanged_after_hashing_is_not_loaded(
    bay: Bay, trained: Callable[[str, str], Any], with_image: Callable[[str], Image], data: Path
) -> None:
    run, known = trained("pytorch", "pytorch")
    model, other = run.work / "trace.pt", run.work / "program.pt2"
    digest = launchbay.show_model_card(bay, str(model)).sha256
    shutil.copy(other, model)
    request = {"model": str(model), "sha256": digest, "data": str(data / "test_data.csv"), "target": "first"}
    with pytest.raises(UserError, match="the file has changed"):
        ask_image(bay, with_image("pytorch"), "predict", request)
    check(bay, model, data, known)  # as what it is now: another model of the same run
