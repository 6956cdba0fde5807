"""Under which name a missing module is installed, for modules whose packages are known to us. Pure.

A module's name is not its package's: under many a module's name stands a stranger's package, or a dummy. Only
names in these tables are offered to pip.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["find_distribution", "find_version", "is_provided"]

_OTHERWISE_NAMED = {
    "Crypto": "pycryptodome",
    "PIL": "Pillow",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",  # the other one wants a screen
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "faiss": "faiss-cpu",
    "git": "GitPython",
    "hydra": "hydra-core",
    "imblearn": "imbalanced-learn",
    "keras_tuner": "keras-tuner",
    "mpl_toolkits": "matplotlib",
    "pytorch_lightning": "pytorch-lightning",
    "sentence_transformers": "sentence-transformers",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "tensorflow_datasets": "tensorflow-datasets",
    "umap": "umap-learn",
    "yaml": "PyYAML",
    "zmq": "pyzmq",
}
_SAME_NAMED = frozenset(
    [
        "accelerate",
        "aiohttp",
        "altair",
        "bokeh",
        "catboost",
        "click",
        "datasets",
        "einops",
        "flax",
        "gensim",
        "h5py",
        "httpx",
        "imageio",
        "jax",
        "joblib",
        "keras",
        "librosa",
        "lightgbm",
        "lightning",
        "matplotlib",
        "mlflow",
        "networkx",
        "nltk",
        "numba",
        "numpy",
        "openpyxl",
        "optax",
        "optuna",
        "pandas",
        "plotly",
        "polars",
        "psutil",
        "pyarrow",
        "pydantic",
        "requests",
        "rich",
        "scipy",
        "seaborn",
        "soundfile",
        "spacy",
        "statsmodels",
        "sympy",
        "tabulate",
        "tensorboardX",
        "timm",
        "torch",
        "torchaudio",
        "torchvision",
        "tqdm",
        "transformers",
        "wandb",
        "xgboost",
    ]
)


_IN_IMAGES = {
    "absl": ("absl-py",),
    "google": ("protobuf",),
    "pkg_resources": ("setuptools",),
    "tensorflow": ("tensorflow-cpu", "tf-nightly", "tensorflow-intel", "tensorflow-macos"),
}
"""Modules that images may have, of packages that are not offered to pip for them."""


def find_distribution(module: str) -> str | None:
    """Say what to install for a module; None where that is not known."""
    return _OTHERWISE_NAMED.get(module) or (module if module in _SAME_NAMED else None)


def is_provided(module: str, packages: Mapping[str, str]) -> bool:
    """Say whether one of these packages (names as pip writes them, in small letters) brings a module."""
    return find_version(module, packages) is not None


def find_version(module: str, packages: Mapping[str, str]) -> str | None:
    """Return the version of the package that brings a module; None where none of these does."""
    names = (module, find_distribution(module) or module, *_IN_IMAGES.get(module, ()))
    found = (packages.get(re.sub(r"[-_.]+", "-", name).lower()) for name in names)
    return next((version for version in found if version is not None), None)
