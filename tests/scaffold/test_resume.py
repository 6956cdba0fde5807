"""The scaffold killed and started again: the same weights to the last bit, and never a checkpoint that is not whole."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from launchbay.runs.events import Scalar, read_scalars
from launchbay.scaffold import write_project

HERE = Path(__file__).parent


def ask(python: Path, backend: str, folder: Path, *args: str | Path) -> dict[str, Any]:
    environ = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    command = [python, *args]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=1500)
    assert done.returncode == 0, done.stderr[-4000:]
    value: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return value


def kill_and_resume(python: Path, backend: str, folder: Path, *, epochs: int, extra: int) -> dict[str, Any]:
    write_project(folder)
    value = ask(python, backend, folder, HERE / "resuming.py", folder / "train.py", str(epochs), str(extra), "7")
    assert value["backend"] == backend
    assert value["killed"] == value["whole"], value
    assert value["kills"]["ends"] + value["kills"]["within"] >= epochs
    assert value["left"] == [], "a training that is done begins anew the next time"
    curves = {name: curves_of(folder / name / "logs") for name in ("whole", "killed")}
    assert set(curves["whole"]) == {"loss", "val_loss"}
    assert all(series.steps == tuple(range(epochs)) for series in curves["killed"].values())
    assert curves["killed"] == curves["whole"]
    return value


def curves_of(folder: Path) -> dict[str, Scalar]:
    """Return the curves, whenever they were written."""
    return {item.tag: Scalar(steps=item.steps, values=item.values) for item in read_scalars(folder)}


@pytest.mark.image("tensorflow")
def test_killed_and_resumed_it_ends_with_the_same_weights(tmp_path: Path, image_python: Callable[[str], Path]) -> None:
    kill_and_resume(image_python("tensorflow"), "tensorflow", tmp_path, epochs=3, extra=1)


@pytest.mark.image("keras")
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("backend", ["tensorflow", "torch", "jax"])
def test_killed_at_every_step_it_ends_with_the_same_weights(
    backend: str, tmp_path: Path, image_python: Callable[[str], Path]
) -> None:
    value = kill_and_resume(image_python("keras"), backend, tmp_path, epochs=50, extra=15)
    # each of the 50 was killed once it was safe: most where it ends, the others by a kill within that came later than that
    assert 40 <= value["kills"]["ends"] <= 50 <= value["kills"]["ends"] + value["kills"]["within"]


@pytest.mark.image("tensorflow")
def test_a_checkpoint_torn_or_altered_at_any_byte_is_never_loaded(
    tmp_path: Path, image_python: Callable[[str], Path]
) -> None:
    write_project(tmp_path)
    value = ask(image_python("tensorflow"), "tensorflow", tmp_path, HERE / "tearing.py", tmp_path / "train.py")
    assert value["kept"] == [f"epoch-00000{number}.{kind}" for number in (1, 2) for kind in ("npz", "sha256")]
    assert value["steps"] == [
        "sync epoch-000002.npz.tmp",
        "name epoch-000002.npz",
        "sync folder",
        "sync epoch-000002.sha256.tmp",
        "name epoch-000002.sha256",
        "sync folder",
        "remove epoch-000000.sha256",
        "remove epoch-000000.npz",
    ]
    assert (value["whole"], value["no manifest"], value["none"]) == (2, 1, 0)
    for part in ("state", "manifest", "large"):
        assert value[part]["wrong"] == [], part
    assert value["state"]["tried"] > 4 * value["state"]["bytes"]
    assert value["manifest"]["tried"] > 4 * value["manifest"]["bytes"] - 5
