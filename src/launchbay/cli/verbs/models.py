"""Models: an API call for each verb, and what of it is shown."""

from __future__ import annotations

import launchbay
from launchbay.cli.context import Context
from launchbay.cli.texts.models import evaluation_text, model_text, predictions_text

__all__ = ["COMMANDS"]


def _model_show(context: Context) -> int:
    card = launchbay.show_model_card(context.bay, context.arguments.model)
    context.show(card, lambda: model_text(card))
    return 0


def _evaluate(context: Context) -> int:
    given = context.arguments
    with context.waiting(f"evaluate {given.model}"):
        result = launchbay.evaluate(
            context.bay,
            given.model,
            given.data,
            target=given.target,
            batch_size=given.batch_size,
            trust=given.trust,
        )
    context.show(result, lambda: evaluation_text(result))
    return 0


def _predict(context: Context) -> int:
    given = context.arguments
    with context.waiting(f"predict with {given.model}"):
        result = launchbay.predict(
            context.bay, given.model, given.data, rows=given.rows, target=given.target, trust=given.trust
        )
    context.show(result, lambda: predictions_text(result))
    return 0


COMMANDS = {
    "model show": _model_show,
    "evaluate": _evaluate,
    "predict": _predict,
}
"""The verbs of this group."""
