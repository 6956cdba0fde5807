"""Fixtures: a home of one's own for every test, on images that are built once for all."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launchbay.home import Home
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay, open_bay
from launchbay.lifecycle.build import ensure_image
from launchbay.testing import RecordingReporter

pytest_plugins = ["tests._noskip", "tests.twin_process"]

ROOT = Path(__file__).parent.parent
STORE = ROOT / "build" / "test-home"
_SIGNS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
RECIPES = {
    "tiny": "description: the smallest image that is one\npackages: [six==1.17.0]\n",
    "older": "description: another as small\npackages: [six==1.16.0]\nenv: {FLAVOUR: older}\n",
    "pair": "description: two side by side\nimages: [./tiny.yaml, ./older.yaml]\n",
}


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep every test away from the person's own home, and from a shell that was prepared for something else."""
    monkeypatch.setenv("LAUNCHBAY_HOME", str(tmp_path / "bay"))
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "VIRTUAL_ENV", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    """Fail the test that leaves a signal heard by nobody: every process that is started later would inherit that."""
    before = {sign: signal.getsignal(sign) for sign in _SIGNS}
    yield
    after = {sign: signal.getsignal(sign) for sign in _SIGNS}
    for sign, handler in before.items():
        signal.signal(sign, handler)
    assert after == before


@pytest.fixture
def disk_steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what is put on the disk from here on, and what gets its name, in this order: file, rename, folder."""
    steps: list[str] = []
    sync, replace = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    def rename(old: str | Path, new: str | Path) -> None:
        steps.append("rename")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", rename)  # what Path.replace calls
    return steps


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return an empty home; it is also what `bay` as a child process uses."""
    return Home(tmp_path / "bay")


@pytest.fixture
def reporter() -> RecordingReporter:
    """Return what remembers events and notes."""
    return RecordingReporter()


@pytest.fixture
def bay(home: Home, reporter: RecordingReporter) -> Bay:
    """Return a bay on an empty home."""
    return open_bay(reporter=reporter, environ={**os.environ, "LAUNCHBAY_HOME": str(home.root)})


@pytest.fixture(scope="session")
def image_store() -> Callable[[str], Image]:
    """Return a function that builds an image once, in a store that is kept between runs of the tests.

    Names are those of the built-in recipes, and of RECIPES.
    """
    store = open_bay(environ={**os.environ, "LAUNCHBAY_HOME": str(STORE)})
    STORE.mkdir(parents=True, exist_ok=True)
    for name, text in RECIPES.items():
        if not (STORE / f"{name}.yaml").exists():
            (STORE / f"{name}.yaml").write_text(text, encoding="utf-8")

    def build(name: str) -> Image:
        return ensure_image(store, str(STORE / f"{name}.yaml") if name in RECIPES else name, "cpu")[0]

    return build


@pytest.fixture
def with_image(bay: Bay, image_store: Callable[[str], Image]) -> Callable[[str], Image]:
    """Return a function that puts a built image into this test's home (by a link) and returns it.

    A recipe of RECIPES stands beside the home as `NAME.yaml`, with its lock, so `bay launch tiny.yaml` needs no network.
    """

    def provide(name: str) -> Image:
        image = image_store(name)
        bay.home.images.mkdir(parents=True, exist_ok=True)
        for part in (image, *image.members):
            link = bay.home.images / part.digest
            if not link.exists():
                link.symlink_to(part.folder)
        for mine in RECIPES if name == "pair" else RECIPES.keys() & {name}:
            for path in STORE.glob(f"{mine}*"):
                (bay.home.root.parent / path.name).write_bytes(path.read_bytes())
        return image

    return provide


@pytest.fixture
def tiny(with_image: Callable[[str], Image], tmp_path: Path) -> str:
    """Return the path of the tiny recipe, its image built and in this test's home."""
    with_image("tiny")
    return str(tmp_path / "tiny.yaml")


@pytest.fixture
def image_python(image_store: Callable[[str], Image]) -> Callable[[str], Path]:
    """Return a function that gives the Python of a built image."""
    return lambda name: image_store(name).python_path


@pytest.fixture(scope="session")
def bay_command() -> list[str]:
    """Return how to start `bay` as a child process, with this test's interpreter."""
    return [sys.executable, "-m", "launchbay"]


@pytest.fixture
def mount() -> Iterator[Callable[[Path, int], None]]:
    """Return a function that mounts a file system of so many KiB on a folder."""
    mounted: list[Path] = []

    def make(folder: Path, size_kib: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={size_kib}k", "none", str(folder)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode != 0:
            pytest.skip("a full disk needs the right to mount a small file system (root)")
        mounted.append(folder)

    yield make
    for folder in reversed(mounted):
        subprocess.run(["umount", str(folder)], check=True)
