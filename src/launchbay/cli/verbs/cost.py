"""Money: an API call, and what of it is shown."""

from __future__ import annotations

import contextlib
import sys

import launchbay
from launchbay.cli.context import Context, list_width
from launchbay.cli.texts.cost import cost_text

__all__ = ["COMMANDS"]


def _cost(context: Context) -> int:
    given = context.arguments
    wait = context.waiting(f"read {given.reconcile}") if given.reconcile else contextlib.nullcontext()
    with wait:
        cost = launchbay.bill(
            context.bay,
            given.workload,
            compute_only=given.compute_only,
            against=given.against,
            report=given.reconcile,
        )

    def text() -> str:
        has_blocks = sys.stdout.encoding.lower().startswith("utf")
        return cost_text(cost, now=context.bay.clock.now(), width=list_width(), block="█" if has_blocks else "#")

    context.show(cost, text)
    return 0


COMMANDS = {
    "cost": _cost,
}
"""The verbs of this group."""
