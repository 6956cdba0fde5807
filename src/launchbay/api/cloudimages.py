"""Images on EC2: what there is to launch from, whose it is, and until when it is kept up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from launchbay.api.place import regions_of
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.cloud import open_cloud
from launchbay.planning.cloudimage import ListedImage
from launchbay.ports import Event
from launchbay.providers.ec2.images import search_images

__all__ = ["ListedImage", "list_cloud_images"]


def list_cloud_images(
    bay: Bay,
    provider: str,
    query: str = "",
    *,
    region: str | None = None,
    all_owners: bool = False,
    charges: Mapping[str, Decimal] | None = None,
) -> Sequence[ListedImage]:
    """List the machine images of a region that have all the words of a query, or the one with an id; changes nothing.

    `provider` is ``ec2`` or ``twin``, which is started if it does not run. `charges` are what an hour costs by product code,
    where that is known: EC2 does not say. What could not be asked, and names that were probably meant where nothing matches,
    are told the reporter. Raises NotFound for an id that nothing answers to, NotPermitted and UserError for what AWS refuses.
    """
    place = regions_of(bay, (region,) if region else ())[0]
    client = open_cloud(bay, provider, place)
    task = f"images in {place}"
    bay.reporter.event(Event(task=task, message="asking EC2"))
    try:
        found = search_images(
            client.raw("ec2"), client.raw("ssm"), query.split(), region=place, all_owners=all_owners, charges=charges
        )
    finally:
        bay.reporter.event(Event(task=task, finished=True))
    for note in found.notes:
        bay.reporter.note(note)
    if not found.images and query:
        near = f"; near it: {', '.join(found.nearest)}" if found.nearest else ""
        bay.reporter.note(f"no image in {place} has all of {query!r}{near}")
    return found.images
