"""Models: show, evaluate, predict; safely."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from launchbay.cloud.models import evaluate_far, find_loader, predict_far, show_model_far
from launchbay.cloud.standing import FarInstance
from launchbay.cloud.training import refresh_runs
from launchbay.errors import Conflict, NotFound, UnsafeModel, UsageError
from launchbay.images.image import Image, list_images
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.scratch import ask_here, ask_image
from launchbay.models.card import Evaluation, ModelCard, Predictions
from launchbay.models.evaluate import evaluate_model, predict_model
from launchbay.models.image import choose_image, recipe_for
from launchbay.models.inspect import detect_format, find_hash, require_loadable, show_model
from launchbay.onboard.formats import LOADABLE
from launchbay.runs.end import settle_run
from launchbay.store.records import Run, find_model_run, find_run, list_runs

__all__ = ["evaluate", "predict", "show_model_card"]

_BY_H5PY = ("keras", "keras-h5")
"""Formats with an HDF5 file in them, which needs a library to be read; the others need nothing but Python."""


def show_model_card(bay: Bay, model: str) -> ModelCard:
    """Say what a model is: layers, shapes, parameters, loss, optimiser, sha256. Imports no framework, runs no code of it."""
    path = _find_model(bay, model)
    if detect_format(path) not in _BY_H5PY:
        return show_model(path, ask=partial(ask_here, bay))
    image = next((item for item in list_images(bay.home) if "h5py" in item.packages), None)
    if image is None:
        far = find_loader(bay, None, [recipe_for("keras"), recipe_for("keras-h5")])
        if far is not None:
            return show_model_far(bay, far, path, detect_format(path))
        raise Conflict(
            "reading a model's weights needs an image with h5py, and none is built", hint="bay image build tensorflow"
        )
    return show_model(path, ask=partial(ask_image, bay, image))


def evaluate(
    bay: Bay, model: str, data: str | Path, *, target: str = "first", batch_size: int = 128, trust: str | None = None
) -> Evaluation:
    """Measure a model on a CSV file: mse, rmse, mae, r2 and the model's own loss. Needs an image, not an instance.

    `trust` is the sha256 of a model that no run of yours made, as `show_model_card` tells it: loading it can run code.
    """
    trusted = _trusted(bay, model, trust)
    path, digest, image = trusted.path, trusted.digest, _loader(bay, trusted)
    if isinstance(image, FarInstance):
        asked: dict[str, Any] = {"target": target, "batch_size": batch_size}
        return evaluate_far(bay, image, path, trusted.kind, sha256=digest, data=Path(data), **asked)
    return evaluate_model(
        path, digest, Path(data), target=target, batch_size=batch_size, ask=partial(ask_image, bay, image)
    )


def predict(
    bay: Bay,
    model: str,
    data: str | Path,
    *,
    rows: str | None = None,
    target: str = "first",
    trust: str | None = None,
) -> Predictions:
    """Return a model's predictions for rows of a CSV file. `trust` as in `evaluate`."""
    trusted = _trusted(bay, model, trust)
    path, digest, image = trusted.path, trusted.digest, _loader(bay, trusted)
    if isinstance(image, FarInstance):
        return predict_far(bay, image, path, trusted.kind, sha256=digest, data=Path(data), target=target, rows=rows)
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
    run = settle_run(*refresh_runs(bay, [find_run(bay.home, reference)]))
    models = [item for item in run.artifacts if item.is_model]
    if not models and not run.is_over:
        raise NotFound(f"{run.id} goes on, and what it made is looked at when it ends", hint=f"bay logs {run.id} -f")
    if not models:
        raise NotFound(f"{run.id} made no model", hint="save one in the script: model.save('model.keras')")
    path = next((item for item in models if item.format in LOADABLE), models[0]).path
    if not path.exists():
        raise NotFound(f"the model of {run.id} is gone", where=str(path), hint="run the training again")
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trusted:
    """A model that may be loaded, as what it is known by; `run` is the one of ours that made it."""

    path: Path
    kind: str
    digest: str
    run: Run | None


def _loader(bay: Bay, trusted: _Trusted) -> Image | FarInstance:
    """Return the image that loads a model, or where none here does an instance on EC2 that stands on one."""
    run = trusted.run
    try:
        return choose_image(bay.home, trusted.path, trusted.kind, run)
    except Conflict as missing:
        name = run.image if run is not None else recipe_for(trusted.kind)
        far = find_loader(bay, run.digest if run is not None else None, [name])
        if far is not None:
            return far
        hint = f"{missing.hint}; or let an instance on EC2 do it: bay launch {name} --provider ec2"
        raise Conflict(missing.what, where=missing.where, hint=hint) from missing


def _trusted(bay: Bay, reference: str, trust: str | None) -> _Trusted:
    """Return a model with its hash, if a run of ours made it or the person names its hash.

    Loading a model can run code, and nothing is loaded here.
    """
    if trust is not None and not re.fullmatch(r"[0-9a-f]{64}", trust.lower()):
        raise UsageError(
            f"--trust takes a whole sha256, 64 digits of 0-9 and a-f, got {trust!r}", hint=f"bay model show {reference}"
        )
    path = _find_model(bay, reference)
    kind = require_loadable(path)
    unhashed = _find_unhashed(bay, path) if trust is None else None
    if unhashed is not None:  # before the file is hashed, which took too long once
        raise UnsafeModel(
            f"{unhashed.id} made this file, which was too large to be hashed: nothing tells whether it is still the same",
            where=str(path),
            hint=f"`bay model show {reference}` looks inside and says its sha256; then --trust SHA256",
        )
    digest = find_hash(path, kind)
    run = find_model_run(bay.home, digest)
    if trust is not None and trust.lower() != digest:
        raise UnsafeModel(
            f"its sha256 is {digest}, not the trusted {trust.lower()}: this is another model",
            where=str(path),
            hint=f"`bay model show {reference}` looks inside without running it",
        )
    if run is None and trust is None:
        raise UnsafeModel(
            "no run of yours made this model, and loading a model can run the code that somebody put in it",
            where=str(path),
            hint=f"`bay model show {reference}` looks inside without running it; then --trust with the sha256 that it "
            "says, if you know where it is from; or train it here",
        )
    return _Trusted(path=path, kind=kind, digest=digest, run=run)


def _find_unhashed(bay: Bay, path: Path) -> Run | None:
    """Return the run that lists this path without a hash."""
    return next(
        (run for run in list_runs(bay.home) if any(item.path == path and not item.sha256 for item in run.artifacts)),
        None,
    )
