"""Bake a machine image of an instance on EC2, so that the next launch of that has nothing to install; remove one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from launchbay.catalog.items import SNAPSHOT
from launchbay.catalog.known import load_catalogue
from launchbay.cloud.proof import verify_far
from launchbay.cloud.standing import FarInstance, observe_fleets
from launchbay.errors import Conflict, NotFound
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.cloud import open_cloud
from launchbay.planning.cloudimage import ListedImage
from launchbay.providers.ec2.baking import RemovedImage, bake, remove_baked
from launchbay.providers.ec2.images import describe_images
from launchbay.store.journal import open_journal
from launchbay.units import format_usd

__all__ = ["FarBaked", "bake_far", "remove_far_image"]

_VERB = "bake on EC2"
_POLL_S, _TWIN_POLL_S = 15.0, 5.0
"""EC2 takes minutes to copy disks, and counts questions; a twin's clock goes on with each of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FarBaked:
    """A machine image that holds an image of ours, tagged with its digest: the next launch of that begins with it.

    `usd_per_month` is what its snapshots cost at most, None where the price is not known; EC2 stores what is used of them.
    `notes` say what went along, and what did not.
    """

    instance: str
    image: str
    digest: str
    provider: str
    region: str
    machine_image: ListedImage
    usd_per_month: Decimal | None
    notes: Sequence[str]

    def as_json(self) -> Mapping[str, Any]:
        """Return the fields that `--json` shows."""
        return {
            "instance": self.instance,
            "name": self.image,
            "digest": self.digest,
            "provider": self.provider,
            "region": self.region,
            "machine_image": self.machine_image.id,
            "snapshots": list(self.machine_image.snapshots),
            "usd_per_month": None if self.usd_per_month is None else format_usd(self.usd_per_month),
            "notes": list(self.notes),
        }


def bake_far(bay: Bay, far: FarInstance, *, no_reboot: bool = False) -> FarBaked:
    """Make a machine image of an instance, and return it when it is available. Blocks for minutes. Idempotent.

    The instance has to prove first that its image is whole. It restarts, so that its disks are, unless `no_reboot`: what runs
    on it ends by that. Raises Conflict for an instance that does not run or whose image is damaged, NotFound for one that is
    gone, and what `bake` raises.
    """
    fleet = far.fleet
    row = observe_fleets(bay, [fleet]).get(far.name)
    if row is None:
        raise NotFound(f"{far.name} stands no more", where=fleet.region, hint="`bay ps` shows what does")
    if row.state != "running":
        raise Conflict(
            f"{far.name} is {row.state}, and has to prove first what it holds", hint=f"bay start {fleet.name}"
        )
    proof = verify_far(bay, [far])
    if proof.image_problems:
        what = f"the image on {far.name} is damaged, and would be so in each launch: {proof.image_problems[0]}"
        raise Conflict(what, hint="bake another instance of the fleet")
    client = open_cloud(bay, fleet.provider, fleet.region)
    ec2 = client.raw("ec2")
    by_id = {"Filters": [{"Name": "image-id", "Values": [row.image]}], "IncludeDeprecated": True}
    base = next(
        iter(describe_images(ec2, {**by_id, "Owners": ["self", "amazon", "aws-marketplace"]}, region=fleet.region)),
        None,
    )
    with open_journal(bay.home.journal, bay.clock, bay.reporter.note) as journal:
        operation = journal.begin(_VERB, far.name, {"instance": row.id, "digest": fleet.digest, "no_reboot": no_reboot})
        with journal.step(operation, "bake", instance=row.id) as result:
            made = bake(
                ec2,
                row.id,
                image=fleet.image,
                digest=fleet.digest,
                region=fleet.region,
                clock=bay.clock,
                reporter=bay.reporter,
                base=base,
                no_reboot=no_reboot,
                poll_s=_TWIN_POLL_S if fleet.provider == "twin" else _POLL_S,
            )
            result["image"] = made.id
        journal.end(operation, "done")
    changed = [item for item in proof.differences if item.kind != "gpu"]
    notes = [f"everything on {far.name} went along: its homes, its runs and keys of people who may come in to it"]
    if changed:
        notes.append(f"what was changed in {far.name} itself is no part of {fleet.image}: {changed[0].what}")
    return FarBaked(
        instance=far.name,
        image=fleet.image,
        digest=fleet.digest,
        provider=fleet.provider,
        region=fleet.region,
        machine_image=made,
        usd_per_month=_monthly(bay, fleet.region, made),
        notes=notes,
    )


def _monthly(bay: Bay, region: str, image: ListedImage) -> Decimal | None:
    price = load_catalogue(bay.home.catalog, bay.reporter.note, regions=[region]).side_price(SNAPSHOT, region)
    return None if price is None else price.usd * sum(disk.snapshot_gib for disk in image.disks)


def remove_far_image(bay: Bay, provider: str, region: str, image: str) -> RemovedImage:
    """Deregister a machine image that we baked, by its id, and delete its snapshots. Idempotent. Raises as `remove_baked`."""
    client = open_cloud(bay, provider, region)
    with open_journal(bay.home.journal, bay.clock, bay.reporter.note) as journal:
        operation = journal.begin("remove image on EC2", image, {"region": region})
        with journal.step(operation, "remove", image=image) as result:
            removed = remove_baked(client.raw("ec2"), image, region=region, clock=bay.clock, provider=provider)
            result["snapshots"] = list(removed.snapshots)
        journal.end(operation, "done")
    return removed
