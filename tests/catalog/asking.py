"""What the tests of a refresh have in common: the call, and what it left."""

from __future__ import annotations

import launchbay
from launchbay.lifecycle.bay import Bay
from tests.catalog.world import REGION

__all__ = ["kept", "rows"]


def rows(bay: Bay, region: str = REGION, **options: int) -> dict[str, tuple[int, str | None]]:
    """Refresh; return how many rows of each kind are known, and of which day."""
    (found,) = launchbay.refresh_types(bay, [region], **options)
    return {item.kind: (item.rows, item.as_of) for item in found.kinds}


def kept(bay: Bay) -> bytes:
    """Return the cache's file, empty where there is none."""
    path = bay.home.catalog
    return path.read_bytes() if path.exists() else b""
