"""The store on EC2: an API call for each verb, and what of it is shown."""

from __future__ import annotations

from launchbay.api.store import check_removal, remove_stored, restore, show_store
from launchbay.cli.context import Context, list_width
from launchbay.cli.texts.runs import runs_text
from launchbay.cli.texts.store import removed_text, store_text

__all__ = ["COMMANDS"]


def _provider(context: Context) -> str:
    """Return whose store is meant: on this machine the store is the home itself."""
    given = context.arguments.provider
    return "ec2" if given is None else str(given)


def _show(context: Context) -> int:
    given = context.arguments
    view = show_store(context.bay, _provider(context), region=given.region, bucket=given.bucket)
    context.show(view, lambda: store_text(view, width=list_width()))
    return 0


def _restore(context: Context) -> int:
    given = context.arguments
    runs = restore(
        context.bay, _provider(context), given.fleet, run=given.run, region=given.region, bucket=given.bucket
    )
    context.show(runs, lambda: runs_text(runs, context.bay.clock.now(), list_width()))
    return 0


def _remove(context: Context) -> int:
    given = context.arguments
    check_removal(given.prefix, everything=given.everything)
    what = f"What begins with {given.prefix}" if given.prefix else "Everything in the store"
    context.agree(f"{what} is removed for good")
    removed = remove_stored(
        context.bay,
        _provider(context),
        given.prefix,
        everything=given.everything,
        region=given.region,
        bucket=given.bucket,
    )
    context.show(removed, lambda: removed_text(removed))
    return 0


COMMANDS = {
    "store show": _show,
    "store restore": _restore,
    "store remove": _remove,
}
"""The verbs of this group."""
