"""Which image's Python loads a model: that of the run that made it, else the newest that has what the format needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from launchbay.errors import Conflict
from launchbay.home import Home
from launchbay.images.image import Image, find_image, list_images
from launchbay.onboard.savedmodel import METADATA
from launchbay.store.records import Run

__all__ = ["choose_image", "recipe_for"]

_Needs = tuple[tuple[str, str], ...]

_NEEDS: Mapping[str, _Needs] = {
    "keras": (("keras", "3."), ("keras", "2.")),
    "keras-h5": (("keras", "2."), ("keras", "3.")),
    "savedmodel": (("tensorflow", ""),),
    "torchscript": (("torch", ""),),
    "torch-export": (("torch", ""),),
    "onnx": (("onnxruntime", ""),),
    "mxnet": (("mxnet", ""),),
}
"""Packages by format, with the beginning of their versions, the best first: one of them is enough."""

_OF_KERAS_2: _Needs = (("keras", "2."), ("tensorflow", ""))
"""A SavedModel of Keras 2: TensorFlow alone can call it, and does not know its loss."""

_RECIPES = {
    "keras": "tensorflow",
    "keras-h5": "tensorflow-2.15",
    "savedmodel": "tensorflow-2.15",
    "torchscript": "pytorch",
    "torch-export": "pytorch",
    "onnx": "pytorch",
    "mxnet": "mxnet",
}


def choose_image(home: Home, path: Path, kind: str, run: Run | None) -> Image:
    """Return the image to load a model with. `run` is the one that made it, None for a model from elsewhere.

    Raises Conflict when the run's image is gone, or no image that is built has what the format needs.
    """
    needs = _OF_KERAS_2 if kind == "savedmodel" and (path / METADATA).is_file() else _NEEDS[kind]
    if run is not None:
        image = find_image(home, run.digest)
        if image is None:
            raise Conflict(f"the image that {run.id} ran on is gone", hint=f"bay image build {run.image}")
        own = _find_fitting(image.parts, needs)
        if own is not None:  # of a script that writes another framework's format, it may lack what loads it
            return own
    found = _find_fitting(reversed(list(list_images(home))), needs)
    if found is None:
        wanted = " or ".join(f"{name} {version}x" if version else name for name, version in needs)
        raise Conflict(
            f"loading it needs an image with {wanted}, and none is built",
            where=str(path),
            hint=f"bay image build {_RECIPES[kind]}",
        )
    return found


def recipe_for(kind: str) -> str:
    """Name the recipe whose image loads models of a format."""
    return _RECIPES[kind]


def _find_fitting(images: Iterable[Image], needs: _Needs) -> Image | None:
    """Return the first image that has what is best; only where none has, one that has the second best."""
    candidates = list(images)
    return next((image for need in needs for image in candidates if _has(image, *need)), None)


def _has(image: Image, package: str, version: str) -> bool:
    """Say whether an image has a package, also by the name that it bears for CUDA (mxnet-cu112)."""
    return any(
        (name == package or name.startswith(f"{package}-cu")) and found.startswith(version)
        for name, found in image.packages.items()
    )
