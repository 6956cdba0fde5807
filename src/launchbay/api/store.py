"""The store on EC2: what is in it and what that costs, a run got back from it, and what is removed from it."""

from __future__ import annotations

from collections.abc import Sequence

from launchbay.api.place import regions_of
from launchbay.cloud.courier import restore_run, stored_runs
from launchbay.cloud.store import (
    Removed,
    Store,
    StoreView,
    check_prefix,
    chosen_bucket,
    empty_store,
    find_store,
    side_prices,
    view_store,
)
from launchbay.errors import NotFound, UsageError
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.cloud import open_cloud
from launchbay.providers.ec2.bucket import show_command
from launchbay.store.records import Run

__all__ = ["Removed", "StoreView", "check_removal", "remove_stored", "restore", "show_store"]


def show_store(bay: Bay, provider: str, *, region: str | None = None, bucket: str = "") -> StoreView:
    """Return what is in the store of a region, tree by tree and run by run; changes nothing. `provider` is ec2 or twin."""
    place, bucket = regions_of(bay, (region,) if region else ())[0], bucket or chosen_bucket(bay)
    return view_store(open_cloud(bay, provider, place), side=side_prices(bay, place), named=bucket)


def check_removal(prefix: str, *, everything: bool) -> None:
    """Raise UsageError unless either a prefix that the store may have, or everything, is to be removed; nobody is asked."""
    if bool(prefix) == everything:
        hint = "bay store remove data/, or bay store remove --all"
        raise UsageError("what is to be removed must be said, once: a prefix or everything", hint=hint)
    if prefix:
        check_prefix(prefix)


def remove_stored(
    bay: Bay, provider: str, prefix: str = "", *, everything: bool = False, region: str | None = None, bucket: str = ""
) -> Removed:
    """Remove what is below a prefix of the store, or all of it with its bucket, for good. Ask the person before.

    Raises UsageError as `check_removal`, NotFound for a store or prefix that is not there.
    """
    check_removal(prefix, everything=everything)
    place = regions_of(bay, (region,) if region else ())[0]
    return empty_store(open_cloud(bay, provider, place), prefix, named=bucket or chosen_bucket(bay))


def restore(
    bay: Bay, provider: str, fleet: str, *, run: str = "", region: str | None = None, bucket: str = ""
) -> Sequence[Run]:
    """Get runs of a fleet back from the store, as they were when their instances last sent; all of them unless one is named.

    What is here whole already stays as it is. Raises NotFound where there is no store, or nothing of theirs is in it.
    """
    place = regions_of(bay, (region,) if region else ())[0]
    client = open_cloud(bay, provider, place)
    store: Store | None = find_store(client, named=bucket or chosen_bucket(bay))
    names = [] if store is None else [run] if run else stored_runs(store, fleet)
    if store is None or not names:
        hint = f"`{show_command(client, bucket=bucket)}` lists what is"
        raise NotFound(f"no run of {fleet!r} is in a store of {place}", hint=hint)
    return [restore_run(bay, store, fleet, name) for name in names]
