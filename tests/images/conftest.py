from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launchbay.images.uv import Uv, find_uv
from launchbay.lifecycle.bay import Bay
from tests.images.baking import Site
from tests.images.index import Index, make_wheel, run_index


@pytest.fixture(scope="session")
def _python() -> None:
    """Let uv find (or fetch) the Python of images, before a test turns it away from the network."""
    Uv(find_uv()).find_python("3.11")


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, _python: None) -> Iterator[Index]:
    """Run an index of our own that uv asks instead of any other, with an empty cache.

    It offers what every image holds (pip and uv, in name only), `alpha` that needs `beta`, and an older `beta`.
    """
    for name in ("UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_OFFLINE", "UV_EXCLUDE_NEWER"):
        monkeypatch.delenv(name, raising=False)
    with run_index(Index()) as index:
        index.add(make_wheel("pip", "26.0"), make_wheel("uv", "0.13.0"))
        index.add(make_wheel("alpha", needs=("beta>=1",)), make_wheel("beta", "1.0"), make_wheel("beta", "1.2"))
        settings = {
            "UV_DEFAULT_INDEX": index.url,
            "UV_CACHE_DIR": str(tmp_path / "uv-cache"),
            "UV_NO_CONFIG": "1",
            "UV_HTTP_RETRIES": "0",
            "NO_PROXY": "127.0.0.1",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        yield index


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[..., str]:
    """Return a function that writes a recipe file and returns its path."""

    def write(*packages: str, name: str = "small", more: str = "") -> str:
        path = tmp_path / f"{name}.yaml"
        path.write_text(f"packages: [{', '.join(packages)}]\n{more}", encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def left_behind(tmp_path: Path) -> Callable[[], list[str]]:
    """Return a function that lists what lies in this test's home under tmp/ and images/."""

    def look() -> list[str]:
        home = tmp_path / "bay"
        found = [*home.glob("tmp/*"), *home.glob("tmp/trash/*"), *home.glob("images/*")]
        return sorted(os.path.relpath(path, home) for path in found if path.name != "trash")

    return look


@pytest.fixture
def site(index: Index, bay: Bay, tmp_path: Path) -> Iterator[Site]:
    """Return an instance to be, on an image of the index, and a folder to bake into."""
    assert index.url
    (tmp_path / "out").mkdir()
    site = Site(bay, tmp_path / "out")
    yield site
    bay.provider.delete(bay.provider.observe())
