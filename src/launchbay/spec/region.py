"""The regions that a workload may run in. Whether a region is one of AWS's is asked where the catalogue is at hand. Pure."""

from __future__ import annotations

import re

from launchbay.errors import UsageError
from launchbay.spec.document import Document

__all__ = ["read_region", "read_regions"]

_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+){1,3}-\d{1,2}\Z")


def read_regions(document: Document) -> tuple[str, ...]:
    """Read `region` or `regions`, the first of which is where things are that say nothing else."""
    if document.has("region") and document.has("regions"):
        raise UsageError("a workload says region or regions, not both", where=document.where("regions"))
    field = "regions" if document.has("regions") else "region"
    regions = document.texts(field)
    if not regions:
        raise UsageError("a workload must say its region", where=document.where(field), hint="region: us-west-2")
    for place, region in enumerate(regions):
        if not _REGION.match(region):
            what = f"{field} must be such as us-west-2 (a zone has a letter more), got {region!r}"
            raise UsageError(what, where=document.where(field))
        if region in regions[:place]:
            raise UsageError(f"{field} names {region} twice", where=document.where(field))
    return regions


def read_region(document: Document, regions: tuple[str, ...]) -> str:
    """Read the region of an entry, the first of the workload's where it says nothing."""
    region = document.text("region") or regions[0]
    if region not in regions:
        what = f"region must be one of the workload's ({', '.join(regions)}), got {region!r}"
        raise UsageError(what, where=document.where("region"))
    return region
