from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from launchbay.store.fetch import Fetched, Patience, fetch
from tests.store.site import Get, Listener, Site, VirtualClock, run_site


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with run_site() as running:
        yield running


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def get(tmp_path: Path, clock: VirtualClock) -> Get:
    """Fetch into the folder `data`, with little patience."""

    def run(url: str, sha256: str | None = None, *, tries: int = 4, timeout_s: float = 5.0) -> Fetched:
        patience = Patience(timeout_s=timeout_s, tries=tries, backoff_s=1)
        into = tmp_path / "data"
        return fetch(url, into=into, sha256=sha256, reporter=Listener(), patience=patience, clock=clock)

    return run
