"""Put data on the machines of a fleet by the way that costs least: straight from S3, by the store, or by SSH."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from launchbay.afar.machine import FarMachine
from launchbay.afar.sending import Sent, read_tree, send_tree
from launchbay.cloud.data import is_for_store, send_tree_by_store
from launchbay.cloud.source import fetch_source, list_source
from launchbay.cloud.store import Store, chosen_bucket, open_store
from launchbay.errors import LaunchbayError, NotFound, UsageError
from launchbay.lifecycle.bay import Bay
from launchbay.providers.ec2.client import Client

__all__ = ["is_on_s3", "place_data", "refuse_s3_here"]

_AT_ONCE = 8


def is_on_s3(data: str) -> bool:
    """Say whether data lies in a bucket, and not in a folder here."""
    return data.startswith("s3://")


def refuse_s3_here(data: str | Path | None) -> None:
    """Raise UsageError for data on S3 that an instance of this machine is to have: it reads folders alone."""
    if data and is_on_s3(str(data)):
        hint = f"aws s3 cp --recursive {data} DIR, then --data DIR; or train on EC2: bay launch IMAGE --provider ec2"
        raise UsageError(f"an instance on this machine cannot read {data}", hint=hint)


def place_data(
    bay: Bay, machines: Sequence[FarMachine], data: str, client: Client, *, bucket: str = ""
) -> Sequence[Sent]:
    """Make sure that a folder of here, or one on S3 (``s3://...``), is on each machine; return where, in their order.

    `client` is of the fleet's region, `bucket` one of the person's own for the store, else LAUNCHBAY_BUCKET is. The store is
    made when it is first needed; where there can be none, that is said, and data goes to each machine by SSH. Idempotent: a
    machine that has it is asked, and sent nothing. Raises NotFound for data that is not there, and as `send_tree_by_store`
    and `fetch_source` do.
    """
    if is_on_s3(data):
        return fetch_source(machines, list_source(client, data), client, reporter=bay.reporter)
    folder = Path(data).expanduser().resolve()
    if not folder.is_dir():
        raise NotFound(f"there is no data folder {data}", hint="bay fetch URL -o DIR")
    tree = read_tree(folder)
    if is_for_store(tree) and (store := _store_if_any(bay, client, bucket or chosen_bucket(bay))):
        return send_tree_by_store(machines, tree, store, home=bay.home, reporter=bay.reporter)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(
            pool.map(lambda machine: send_tree(machine, tree, reporter=bay.reporter, task="send data"), machines)
        )


def _store_if_any(bay: Bay, client: Client, bucket: str) -> Store | None:
    """Return the store, None where it cannot be had; a bucket that was named has to be there."""
    try:
        return open_store(client, named=bucket)
    except LaunchbayError as error:
        if bucket:
            raise
        bay.reporter.note(f"Data goes to each instance by SSH, for the store cannot be had: {error.what}")
        return None
