"""Data: fetch it, with a checksum."""

from __future__ import annotations

from pathlib import Path

from launchbay.lifecycle.bay import Bay
from launchbay.store.fetch import Fetched
from launchbay.store.fetch import fetch as fetch_data

__all__ = ["fetch"]


def fetch(bay: Bay, source: str, *, into: str | Path = "data", sha256: str | None = None) -> Fetched:
    """Fetch data from a URL or path into a folder, resuming what was cut off; check hash and shape."""
    return fetch_data(source, into=Path(into), reporter=bay.reporter, sha256=sha256)
