"""The store beside a run on EC2: a courier goes with it, and a run whose instance is gone is got back.

Nothing here keeps a run from going on: a store that cannot be had is said, once.
"""

from __future__ import annotations

from pathlib import Path

from launchbay.afar.machine import FarMachine
from launchbay.afar.origin import Origin, keep_until, read_origin
from launchbay.afar.sending import Sent
from launchbay.cloud.courier import restore_run, start_courier
from launchbay.cloud.placing import place_data
from launchbay.cloud.standing import FarInstance
from launchbay.cloud.store import chosen_bucket, find_store, open_store
from launchbay.errors import LaunchbayError, NotFound
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.cloud import open_cloud
from launchbay.planning.store import LONGEST_PASS_S
from launchbay.store.records import Run

__all__ = ["get_back", "place_for", "renew_courier", "restoring", "send_courier", "stored_by"]

_SOON_S = 900.0
"""How long before a form ends another one is given, by whoever talks to the run then."""


def place_for(bay: Bay, far: FarInstance, machine: FarMachine, data: str | Path | None) -> Sent | None:
    """Make sure that a run's data is on its instance; return where, None without data. Raises as `place_data`."""
    if not data:
        return None
    (sent,) = place_data(bay, [machine], str(data), open_cloud(bay, far.fleet.provider, far.fleet.region))
    return sent


def send_courier(bay: Bay, far: FarInstance, machine: FarMachine, run: Run) -> None:
    """Let a courier go with a run, for as long as the lease, and write down until when it can send. Raises nothing of ours."""
    try:
        client = open_cloud(bay, far.fleet.provider, far.fleet.region)
        store = open_store(client, named=chosen_bucket(bay))
        now = client.now.timestamp()
        lease_s = max(far.fleet.ends_of(far.name) - now, 60.0)
        courier = start_courier(machine, store, far.fleet.name, run.id, lease_s=min(lease_s, LONGEST_PASS_S))
    except LaunchbayError as error:
        what = f"what {run.id} makes is on {far.name} alone until it is over: the store cannot be had ({error.what})"
        bay.reporter.note(what)
        return
    keep_until(run.folder, far.fleet.provider, far.fleet.region, now + courier.seconds)


def renew_courier(bay: Bay, far: FarInstance, machine: FarMachine, run: Run) -> None:
    """Give a run's courier another form where the one that it has is about to end before the lease. Asks nobody else."""
    until = stored_by(run).stored_until
    if run.is_over or not until or until >= far.fleet.ends_of(far.name) - 1:
        return
    if until - bay.clock.now() < _SOON_S:
        send_courier(bay, far, machine, run)


def stored_by(run: Run) -> Origin:
    """Return what is written down of where a run goes on, and of what it sends to the store."""
    return read_origin(run.folder)


def restoring(origin: Origin, run: Run) -> str:
    """Return the command that brings a run from the store."""
    provider = "" if origin.provider == "ec2" else f" --provider {origin.provider}"
    return f"bay store restore {origin.fleet} {run.id}{provider} --region {origin.region}"


def get_back(bay: Bay, run: Run) -> Run | None:
    """Bring what the store has of a run whose instance is gone, checkpoints too; None where that is nothing. It is over then."""
    origin = stored_by(run)
    if not origin.stored_until:
        return None
    try:
        store = find_store(open_cloud(bay, origin.provider, origin.region), named=chosen_bucket(bay))
        return None if store is None else restore_run(bay, store, origin.fleet, run.id)
    except NotFound:
        return None  # it was gone before its first round
    except LaunchbayError as error:
        later = f"`{restoring(origin, run)}` gets what was sent there"
        bay.reporter.note(f"the store does not give {run.id} back now: {error.what}; {later}")
        return None
