"""Models as text for people. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from launchbay.cli.table import table
from launchbay.units import count_of, format_number

if TYPE_CHECKING:
    from launchbay.models.card import Evaluation, ModelCard, Predictions, Tensor

__all__ = ["evaluation_text", "model_text", "predictions_text"]


def model_text(card: ModelCard) -> str:
    """Describe a model as Keras' own summary does."""
    rows = [
        (
            layer.name,
            layer.kind,
            _shape(layer.output_shape),
            "-" if layer.parameters is None else f"{layer.parameters:,}",
        )
        for layer in card.layers
    ]
    lines = [table(("LAYER", "KIND", "OUTPUT SHAPE", "PARAMETERS"), rows, right=(3,)), ""] if rows else []
    if card.tensors and not any(layer.parameters for layer in card.layers):
        weights = [(item.name or "-", _shape(item.shape), item.dtype or "-") for item in card.tensors]
        lines += [table(("TENSOR", "SHAPE", "TYPE"), weights), ""]
    for name, tensors in (("input", card.inputs), ("output", card.outputs)):
        lines += [f"{name:11} {_tensor(item)}" for item in tensors]
    lines.append(f"parameters  {card.parameters:,}" if card.parameters is not None else "parameters  unknown")
    for name, value in (
        ("trainable", card.trainable_parameters),
        ("loss", card.loss),
        ("optimizer", card.optimizer),
        ("format", card.format),
        ("framework", " ".join(filter(None, (card.framework, card.framework_version)))),
        ("sha256", card.sha256),
    ):
        if value is not None:
            lines.append(f"{name:11} {f'{value:,}' if isinstance(value, int) else value}")
    return "\n".join([*lines, *(f"finding     {item}" for item in card.findings)])


def _tensor(item: Tensor) -> str:
    return " ".join(filter(None, (item.name, _shape(item.shape), item.dtype)))


def evaluation_text(result: Evaluation) -> str:
    """Say how good a model is on data."""
    values = (("mse", result.mse), ("rmse", result.rmse), ("mae", result.mae), ("r2", result.r2), ("loss", result.loss))
    rows = "\n".join(f"  {name:6} {'unknown' if value is None else format_number(value)}" for name, value in values)
    return "\n".join([count_of(result.rows, "row"), rows, *(f"  note   {note}" for note in result.notes)])


def predictions_text(result: Predictions) -> str:
    """Show predictions, beside the truth where the data holds it."""
    truth = result.targets is not None
    rows = []
    for index, row in enumerate(result.predictions):
        shown = ", ".join(format_number(value) for value in (row if isinstance(row, Sequence) else [row]))
        target = format_number(result.targets[index]) if result.targets is not None else ""
        rows.append((str(result.first_row + index), shown, *([target] if truth else [])))
    head = ("ROW", "PREDICTION", *(["TARGET"] if truth else []))
    return "\n".join([table(head, rows, right=(0, 1, 2)), *(f"note  {note}" for note in result.notes)])


def _shape(shape: Any) -> str:
    if shape is None:
        return "unknown"
    return "(" + ", ".join("None" if size is None else str(size) for size in shape) + ")"
