"""A disk that is really full: a small file system in memory, mounted where the home is."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from launchbay.errors import LaunchbayError, UserError
from launchbay.images.image import list_images
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.build import ensure_image

pytestmark = pytest.mark.all


def used(folder: Path) -> int:
    return shutil.disk_usage(folder).used


# The tiny image takes about 52 MB: its environment 1, uv and pip 45, the compiled modules 5.
@pytest.mark.parametrize("size_kib", [16, 64, 100, 300, 8_000, 40_000, 46_000, 48_000, 50_000, 51_000])
def test_a_full_disk_is_said_plainly_and_nothing_is_left(
    bay: Bay, tiny: str, mount: Callable[[Path, int], None], left_behind: Callable[[], list[str]], size_kib: int
) -> None:
    shutil.rmtree(bay.home.root, ignore_errors=True)
    mount(bay.home.root, size_kib)
    with pytest.raises(LaunchbayError) as caught:
        ensure_image(bay, tiny)
    said = str(caught.value)
    assert "free some space" in said, said
    assert size_kib < 100 or "the disk is full" in said, "of very little space the journal takes all"
    if 300 <= size_kib <= 40_000:
        # uv copies several at a time: which of them met the end of the disk is a matter of moments
        assert re.search(r"installing packages of (uv|pip|six)\b", said), "the package that was at hand is named"
    assert left_behind() == []
    assert list(list_images(bay.home)) == []
    assert used(bay.home.root) < 70_000, "what was half-made is still there, somewhere"


def test_the_same_command_goes_on_cleanly_once_there_is_space(
    bay: Bay, tiny: str, mount: Callable[[Path, int], None], left_behind: Callable[[], list[str]]
) -> None:
    shutil.rmtree(bay.home.root, ignore_errors=True)
    mount(bay.home.root, 30_000)
    with pytest.raises(UserError, match="the disk is full"):
        ensure_image(bay, tiny)
    subprocess.run(["mount", "-o", "remount,size=80m", str(bay.home.root)], check=True)
    image, is_new = ensure_image(bay, tiny)
    assert is_new
    assert left_behind() == [f"images/{image.digest}"]


def test_a_full_cache_is_said_plainly_too(
    bay: Bay,
    tiny: str,
    mount: Callable[[Path, int], None],
    left_behind: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache = bay.home.root.parent / "small-cache"
    shutil.rmtree(bay.home.root, ignore_errors=True)
    mount(cache, 4_000)
    monkeypatch.setenv("UV_CACHE_DIR", str(cache))
    with pytest.raises(UserError, match="the disk is full while installing packages"):
        ensure_image(bay, tiny)
    assert left_behind() == []
