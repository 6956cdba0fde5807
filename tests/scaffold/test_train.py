from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from launchbay.images.image import Image
from launchbay.runs.events import read_scalars
from launchbay.scaffold import write_project

EPOCHS = 60
SLOPE = """
import keras, numpy
model = keras.saving.load_model("model.keras")
print([type(layer).__name__ for layer in model.layers], model.count_params())
print([round(float(layer.activation(numpy.float32(-1))), 6) for layer in model.layers])
"""

KILLED = """
import os, signal
name = os.replace
def stop(old, new):
    name(old, new)
    if str(new).endswith("epoch-000002.sha256"):
        os.kill(os.getpid(), signal.SIGKILL)
os.replace = stop
"""


@pytest.fixture
def python(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Return a function that gives an image's Python, or the one named in LAUNCHBAY_TEST_PYTHON[_JAX]."""

    def find(image: str) -> str:
        named = os.environ.get("LAUNCHBAY_TEST_PYTHON" + ("" if image == "tensorflow" else f"_{image.upper()}"))
        if named:
            return named
        image_store: Callable[[str], Image] = request.getfixturevalue("image_store")
        return str(image_store(image).python_path)

    return find


def run(python: str, backend: str, folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        [python, *args], cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=300
    )


@pytest.mark.parametrize(
    "backend",
    [
        pytest.param("tensorflow", marks=pytest.mark.image("tensorflow")),
        pytest.param("jax", marks=pytest.mark.image("jax")),
    ],
)
def test_the_script_trains_on_any_backend(backend: str, tmp_path: Path, python: Callable[[str], str]) -> None:
    write_project(tmp_path, image=backend)
    done = run(python(backend), backend, tmp_path, "train.py", "--epochs", str(EPOCHS), "--batch-size", "100")
    assert done.returncode == 0, done.stderr[-2000:]

    said = done.stdout.splitlines()
    assert said[0].startswith(f"epoch 50/{EPOCHS}  loss ")
    assert len(said) == 3
    best = re.fullmatch(r"best epoch (\d+)  val_loss (\d+\.\d{3})", said[1])
    assert best
    assert 0 < float(said[2].removeprefix("test_mse=")) < 1000

    curves = {series.tag: series for series in read_scalars(tmp_path / "logs")}
    assert set(curves) == {"loss", "val_loss"}
    assert curves["loss"].steps == tuple(range(EPOCHS))
    values = curves["val_loss"].values
    assert int(best[1]) == 1 + values.index(min(values))
    assert float(best[2]) == pytest.approx(min(values), abs=0.001)
    assert list((tmp_path / "checkpoints").iterdir()) == [], "a training that is done leaves none"

    model = run(python(backend), backend, tmp_path, "-c", SLOPE)
    assert model.returncode == 0, model.stderr[-2000:]
    assert model.stdout.splitlines() == [
        "['Dense', 'Dense', 'Dense', 'Dense', 'Dense'] 30601",
        "[-0.2, -0.2, -0.2, -0.2, -1.0]",
    ]


@pytest.mark.image("tensorflow")
def test_checkpoints_of_another_training_are_refused(tmp_path: Path, python: Callable[[str], str]) -> None:
    """Started by hand, the next training finds those of one that was killed: it must not go on with other settings."""
    write_project(tmp_path)
    (tmp_path / "killed.py").write_text(KILLED + (tmp_path / "train.py").read_text(encoding="utf-8"), encoding="utf-8")
    settings = ("--epochs", "3", "--checkpoint-every", "1")
    assert run(python("tensorflow"), "tensorflow", tmp_path, "killed.py", *settings).returncode == -9
    done = run(python("tensorflow"), "tensorflow", tmp_path, "train.py", *settings, "--seed", "1")
    assert done.returncode == 1
    assert (
        "checkpoints is of another training (640 rows in batches of 200, seed 42, learning rate 0.001)" in done.stderr
    )
    done = run(python("tensorflow"), "tensorflow", tmp_path, "train.py", *settings)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "going on from checkpoints/epoch-000002.npz" in done.stdout.splitlines()


@pytest.mark.image("tensorflow")
def test_a_missing_file_is_said(tmp_path: Path, python: Callable[[str], str]) -> None:
    write_project(tmp_path)
    (tmp_path / "data" / "validation.csv").unlink()
    done = run(python("tensorflow"), "tensorflow", tmp_path, "train.py")
    assert done.returncode == 1
    assert "expected exactly one data/val*.csv, found 0" in done.stderr


@pytest.mark.image("tensorflow")
@pytest.mark.parametrize("wrong", [("--epochs", "0"), ("--epochs", "-1"), ("--batch-size", "0"), ("--epochs", "few")])
def test_a_count_below_one_is_refused(wrong: tuple[str, str], tmp_path: Path, python: Callable[[str], str]) -> None:
    write_project(tmp_path)
    done = run(python("tensorflow"), "tensorflow", tmp_path, "train.py", *wrong)
    assert done.returncode == 2
    assert f"{wrong[0]}: must be a whole number from 1 on, got {wrong[1]}" in done.stderr
