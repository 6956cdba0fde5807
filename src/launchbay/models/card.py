"""What is known about a saved model, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Evaluation", "Finding", "Layer", "ModelCard", "Optimizer", "Predictions", "Shape", "Tensor"]

Shape = tuple[int | None, ...]
"""Sizes of a tensor; None for one that is open, such as the batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """An input, an output or weights of a model; what the file does not tell is None."""

    name: str | None
    shape: Shape | None
    dtype: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer, module or operation of a model. `kind` is its class; one with several outputs has no one `output_shape`."""

    name: str
    kind: str
    output_shape: Shape | None
    parameters: int | None
    trainable_parameters: int | None
    activation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimizer:
    """An optimiser with its settings."""

    name: str
    settings: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        settings = ", ".join(f"{name}={value}" for name, value in self.settings.items() if value is not False)
        return f"{self.name}({settings})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something worth knowing before a model is loaded. `level` is "note" or "warning"; `where` names the part."""

    level: str
    what: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.what} ({self.where})" if self.where else self.what


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What a model file holds, found without loading it; what the file does not tell is None.

    `tensors` are its weights, where the format lists them apart from layers. `sha256` is that of the file; of a model
    of several files, one over all of them. `safe` says whether loading was proven to run no code in the file; None
    means that nobody looked. `saved` is the moment as the framework wrote it, without a time zone.
    """

    format: str
    framework: str
    framework_version: str | None
    saved: str | None
    sha256: str
    bytes: int
    parameters: int | None
    trainable_parameters: int | None
    layers: tuple[Layer, ...]
    tensors: tuple[Tensor, ...] = ()
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    loss: str | None
    metrics: tuple[str, ...]
    optimizer: Optimizer | None
    safe: bool | None
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """How a model does on data.

    With n rows, predictions p and targets t: `mse` is the mean of (p - t)^2, `rmse` its square root, `mae` the mean
    of |p - t|, and `r2` is 1 - sum((p - t)^2) / sum((t - mean(t))^2), None where all targets are equal. `loss` is the
    model's own, as its framework computes it; None where it was saved without one. `notes` are for the person.
    """

    rows: int
    loss: float | None
    mse: float
    rmse: float
    mae: float
    r2: float | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """What a model predicts for the rows `first_row` and following of a table, counted from 0.

    A prediction is a number, or several where the model gives several. `targets` stand beside them where the table
    holds them, else None. `notes` are for the person.
    """

    first_row: int
    predictions: tuple[float | tuple[float, ...], ...]
    targets: tuple[float, ...] | None
    notes: tuple[str, ...] = ()
