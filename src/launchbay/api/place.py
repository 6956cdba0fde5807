"""Which regions are meant where none is named."""

from __future__ import annotations

from collections.abc import Sequence

from launchbay.lifecycle.bay import Bay

__all__ = ["regions_of"]

_DEFAULT_REGION = "us-east-1"
_REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")


def regions_of(bay: Bay, asked: Sequence[str]) -> tuple[str, ...]:
    """Return the regions asked for, each once; ``all`` of the packaged catalogue, or the person's own where none is named."""
    names = tuple(dict.fromkeys(name for text in asked for name in text.split(",") if name))
    if "all" in names:
        from launchbay.catalog.snapshot import read_regions  # a launch asks for its own region alone

        return read_regions()
    of_person = next((bay.environ[name] for name in _REGION_VARIABLES if bay.environ.get(name)), _DEFAULT_REGION)
    return names or (of_person,)
