"""The twin: an API call for each verb, and what of it is shown."""

from __future__ import annotations

import launchbay
from launchbay.api.conformance import read_sum
from launchbay.cli.context import Context, list_width
from launchbay.cli.texts.twin import bill_text, conformance_text, stopped_text, twin_text
from launchbay.units import parse_duration

__all__ = ["COMMANDS"]


def _start(context: Context) -> int:
    given = context.arguments
    with context.waiting("start the twin"):
        twin = launchbay.start_twin(
            context.bay, clock=given.clock or "", seed=given.seed, port=given.port, is_instant=given.instant
        )
    context.show(twin, lambda: twin_text(twin, launchbay.twin_environment(twin)))
    return 0


def _stop(context: Context) -> int:
    given = context.arguments
    if given.forget:
        context.agree("All that is in the twin is removed for good")
    stopped = launchbay.stop_twin(context.bay, forget=given.forget)
    context.show(stopped, lambda: stopped_text(stopped))
    return 0


def _status(context: Context) -> int:
    twin = launchbay.twin_status(context.bay)
    context.show(twin, lambda: twin_text(twin, launchbay.twin_environment(twin)))
    return 0


def _bill(context: Context) -> int:
    bill = launchbay.twin_bill(context.bay)
    context.show(bill, lambda: bill_text(bill, width=list_width()))
    return 0


def _advance(context: Context) -> int:
    launchbay.advance_twin(context.bay, parse_duration(context.arguments.duration))
    return _status(context)


def _conformance(context: Context) -> int:
    given = context.arguments
    place = "real" if given.real else "moto" if given.moto else "twin"
    if given.real and given.max_usd is not None:
        read_sum(given.max_usd)
        context.agree(f"Small instances are launched on AWS in {given.region}, for at most {given.max_usd} USD")
    found = launchbay.conformance(context.bay, place, names=given.names, region=given.region, max_usd=given.max_usd)
    context.show(found, lambda: conformance_text(found))
    return 1 if found["missed"] else 0


COMMANDS = {
    "twin start": _start,
    "twin stop": _stop,
    "twin status": _status,
    "twin bill": _bill,
    "twin advance": _advance,
    "conformance": _conformance,
}
"""The verbs of this group."""
