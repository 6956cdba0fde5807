"""What can be had: an API call for each verb, and what of it is shown."""

from __future__ import annotations

import launchbay
from launchbay.cli.context import Context, list_width
from launchbay.cli.texts.refreshed import refreshed_text
from launchbay.cli.texts.types import choose_columns, compare_text, csv_text, left_out_text, types_text
from launchbay.errors import UsageError

__all__ = ["COMMANDS"]

_ROWS = 30
"""How many a table shows: more than that nobody compares by eye."""


def _types(context: Context) -> int:
    given = context.arguments
    if given.csv and (given.json or given.columns is not None):
        other = "--json" if given.json else "--columns"
        raise UsageError(f"--csv and {other} cannot both be", hint="bay types --csv    # all fields")
    is_table = not given.csv and not given.json
    answer = launchbay.find_types(
        context.bay,
        regions=given.region or (),
        gpus=given.gpus,
        gpu=given.gpu,
        gpu_memory=given.gpu_memory,
        gpu_memory_total=given.gpu_memory_total,
        maker=given.maker,
        capability=given.capability,
        accelerator=given.accelerator,
        vcpus=given.vcpus,
        memory=given.memory,
        architectures=given.arch or (),
        processor=given.processor,
        local_disk=given.local_disk,
        network=given.network,
        efa=given.efa,
        families=given.family or (),
        is_current=None if given.generation is None else given.generation == "current",
        is_burstable=given.burstable,
        is_bare_metal=given.bare_metal,
        is_retired_too=given.retired,
        max_price=given.max_price,
        is_spot=given.spot,
        like=given.like,
        image=given.image,
        sort=given.sort,
        is_reversed=given.reverse,
        limit=given.limit if given.limit is not None or not is_table else _ROWS,
    )
    columns = choose_columns(given.columns, answer)
    offers = answer.found.offers
    if not is_table and (left_out := left_out_text(answer)):
        context.reporter.note(left_out)
    context.show(offers, lambda: csv_text(offers) if given.csv else types_text(answer, columns, list_width()))
    return 0


def _types_compare(context: Context) -> int:
    given = context.arguments
    region = None if given.region is None else ",".join(given.region)
    offers = launchbay.compare_types(context.bay, given.names, region=region)
    context.show(offers, lambda: compare_text(offers, list_width()))
    return 0


def _types_refresh(context: Context) -> int:
    given = context.arguments
    found = launchbay.refresh_types(context.bay, given.region or (), days=given.days)
    context.show(found, lambda: refreshed_text(found))
    return 1 if any(region.failed for region in found) else 0


COMMANDS = {
    "types": _types,
    "types compare": _types_compare,
    "types refresh": _types_refresh,
}
"""The verbs of this group."""
