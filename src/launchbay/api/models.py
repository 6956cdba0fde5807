"""Models: show, evaluate, predict; safely."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from launchbay.errors import Conflict, NotFound, UnsafeModel, UsageError
from launchbay.images.image import Image, find_image, list_images
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.scratch import ask_image
from launchbay.models.card import Evaluation, ModelCard, Predictions
from launchbay.models.evaluate import evaluate_model, predict_model
from launchbay.models.inspect import show_model
from launchbay.runs.end import settle_run
from launchbay.store.records import Run, find_model_run, find_run, list_runs

__all__ = ["evaluate", "predict", "show_model_card"]


def show_model_card(bay: Bay, model: str) -> ModelCard:
    """Say what a model file is: layers, shapes, parameters, loss, optimiser. Imports no framework and runs no code of it."""
    path = _find_model(bay, model)
    known = find_model_run(bay.home, path) if path.is_file() else None
    image = find_image(bay.home, known[0].digest) if known else None
    image = image or next((item for item in list_images(bay.home) if "h5py" in item.packages), None)
    if image is None:
        raise Conflict(
            "reading a model's weights needs an image with h5py, and none is built", hint="bay image build tensorflow"
        )
    return show_model(path, ask=partial(ask_image, bay, image))


def evaluate(bay: Bay, model: str, data: str | Path, *, target: str = "first", batch_size: int = 128) -> Evaluation:
    """Measure a model on a CSV file: mse, rmse, mae, r2 and the model's own loss. Needs its image, not an instance."""
    path, digest, image = _trusted(bay, model)
    return evaluate_model(
        path, digest, Path(data), target=target, batch_size=batch_size, ask=partial(ask_image, bay, image)
    )


def predict(bay: Bay, model: str, data: str | Path, *, rows: str | None = None, target: str = "first") -> Predictions:
    """Return a model's predictions for rows of a CSV file."""
    path, digest, image = _trusted(bay, model)
    return predict_model(path, digest, Path(data), rows=rows, target=target, ask=partial(ask_image, bay, image))


def _find_model(bay: Bay, reference: str) -> Path:
    """Return the path of a model: a file, or the best model of a run, of those that can be loaded if there is one."""
    path = Path(reference).expanduser()
    if path.exists():
        return path.absolute()
    if path.suffix or "/" in reference:
        raise NotFound(
            f"there is no model file {reference}", hint="`bay runs` lists runs; a run's name stands for its best model"
        )
    run = settle_run(find_run(bay.home, reference))
    models = [item for item in run.artifacts if item.is_model]
    if not models and not run.is_over:
        raise NotFound(f"{run.id} goes on, and what it made is looked at when it ends", hint=f"bay logs {run.id} -f")
    if not models:
        raise NotFound(f"{run.id} made no model", hint="save one in the script: model.save('model.keras')")
    path = next((item for item in models if item.format == "keras"), models[0]).path
    if not path.exists():
        raise NotFound(f"the model of {run.id} is gone", where=str(path), hint="run the training again")
    return path


def _trusted(bay: Bay, reference: str) -> tuple[Path, str, Image]:
    """Return a model with its hash and image, if a run of ours made this very file: loading a model can run code."""
    path = _find_model(bay, reference)
    if path.is_dir():
        raise UsageError(f"{path} is a folder; only .keras files can be loaded in this version")
    unhashed = _find_unhashed(bay, path)
    if unhashed is not None:  # before the file is hashed, which took too long once
        raise UnsafeModel(
            f"{unhashed.id} made this file, which was too large to be hashed: nothing tells whether it is still the same",
            where=str(path),
            hint=f"`bay model show {reference}` looks inside without running it",
        )
    known = find_model_run(bay.home, path)
    if known is None:
        raise UnsafeModel(
            "no run of yours made this file, and loading a model can run the code that somebody put in it",
            where=str(path),
            hint=f"`bay model show {reference}` looks inside without running it; or train it here",
        )
    run, digest = known
    image = find_image(bay.home, run.digest)
    if image is None:
        raise Conflict(f"the image that {run.id} ran on is gone", hint=f"bay image build {run.image}")
    return path, digest, image


def _find_unhashed(bay: Bay, path: Path) -> Run | None:
    """Return the run that lists this path without a hash."""
    return next(
        (run for run in list_runs(bay.home) if any(item.path == path and not item.sha256 for item in run.artifacts)),
        None,
    )
