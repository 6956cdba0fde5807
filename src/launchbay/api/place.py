"""Which regions are meant where none is named."""

from __future__ import annotations

from collections.abc import Sequence

from launchbay.cloud.fleet import CloudFleet, find_fleet
from launchbay.errors import NotFound, UsageError
from launchbay.lifecycle.bay import Bay

__all__ = ["check_place", "is_on_ec2", "regions_of"]

_DEFAULT_REGION = "us-east-1"
_REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")


def regions_of(bay: Bay, asked: Sequence[str]) -> tuple[str, ...]:
    """Return the regions asked for, each once, or the person's own where none is; ``all`` is every one that is known here.

    Whether there is such a region is for the caller to find out, also of what was named beside ``all``. Raises UsageError
    for an empty name: a variable that is not set asks for no region, and for none that we would choose.
    """
    names = tuple(dict.fromkeys(name.strip() for text in asked for name in text.split(",")))
    if "" in names:
        raise UsageError(
            "a region must be such as us-west-2, got an empty name", hint="--region us-west-2, or none at all"
        )
    if "all" in names:
        from launchbay.catalog.known import known_regions  # a launch asks for its own region alone

        return tuple(sorted({*known_regions(bay.home.catalog, bay.reporter.note), *names} - {"all"}))
    of_person = next((bay.environ[name] for name in _REGION_VARIABLES if bay.environ.get(name)), _DEFAULT_REGION)
    return names or (of_person,)


def check_place(bay: Bay, name: str, provider: str) -> None:
    """Raise NotFound where a fleet or instance of that name stands elsewhere than a person says."""
    fleet = _fleet_of(bay, name)
    place = fleet.provider if fleet is not None else "local"
    if place != provider:
        hint = "`bay ps` shows what there is"
        if fleet is not None or any(name in (item.name, item.fleet) for item in bay.provider.observe()):
            where = "on this machine" if fleet is None else f"on {place}"
            hint = f"what {where} is called so is meant without --provider"
        raise NotFound(f"there is no {name!r} on {provider}", hint=hint)


def is_on_ec2(bay: Bay, name: str) -> bool:
    """Say whether a fleet or instance of that name was launched on EC2, or the twin, from here. Asks nobody."""
    return _fleet_of(bay, name) is not None


def _fleet_of(bay: Bay, name: str) -> CloudFleet | None:
    stems = [name, name.rpartition("-")[0]]
    found = [find_fleet(bay.home, stem) for stem in stems if stem and "/" not in stem]
    return next((fleet for fleet in found if fleet is not None), None)
