"""Which regions are meant where none is named."""

from __future__ import annotations

from collections.abc import Sequence

from launchbay.errors import UsageError
from launchbay.lifecycle.bay import Bay

__all__ = ["regions_of"]

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
