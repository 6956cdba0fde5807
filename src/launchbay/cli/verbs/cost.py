"""Money: an API call, and what of it is shown."""

from __future__ import annotations

import contextlib
import sys

import launchbay
from launchbay.cli.context import Context, list_width
from launchbay.cli.texts.cost import cost_text
from launchbay.errors import UsageError

__all__ = ["COMMANDS"]


def _cost(context: Context) -> int:
    given = context.arguments
    if given.optimize:
        return _optimize(context)
    for option in ("current", "seconds"):
        if getattr(given, option) not in (None, False):
            raise UsageError(
                f"--{option} says something about --optimize, which is not there",
                hint=f"bay cost {given.workload} --optimize",
            )
    wait = context.waiting(f"read {given.reconcile}") if given.reconcile else contextlib.nullcontext()
    with wait:
        cost = launchbay.bill(
            context.bay,
            given.workload,
            compute_only=given.compute_only,
            against=given.against,
            report=given.reconcile,
            output=given.output,
        )

    def text() -> str:
        shown = cost_text(cost, now=context.bay.clock.now(), width=list_width(), block=_block())
        return f"{shown}\n\nwritten   {given.output}" if given.output else shown

    context.show(cost, text)
    return 0


def _optimize(context: Context) -> int:
    given = context.arguments
    for option in ("against", "reconcile"):
        if getattr(given, option) is not None:
            what = f"--{option} holds a bill against another, and --optimize looks for one"
            raise UsageError(
                what, hint=f"bay cost {given.workload} --optimize -o plan.yaml, then bay cost plan.yaml --{option} FILE"
            )
    with context.waiting("look for the cheapest plan"):
        cheapest = launchbay.cheapest_plan(
            context.bay,
            given.workload,
            compute_only=given.compute_only,
            current_only=given.current,
            seconds=60.0 if given.seconds is None else given.seconds,
            output=given.output,
        )

    def text() -> str:
        from launchbay.cli.texts.cheapest import cheapest_text

        shown = cheapest_text(cheapest, now=context.bay.clock.now(), width=list_width(), block=_block())
        return f"{shown}\n\nwritten   {given.output}" if given.output else shown

    context.show(cheapest, text)
    return 0


def _block() -> str:
    return "█" if sys.stdout.encoding.lower().startswith("utf") else "#"


COMMANDS = {
    "cost": _cost,
}
"""The verbs of this group."""
