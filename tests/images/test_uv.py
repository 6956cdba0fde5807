"""uv's words, and what becomes of them; uv itself is the real one."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from launchbay.errors import BuildError
from launchbay.images.build import Stage, install_packages
from launchbay.images.image import list_images
from launchbay.images.lock import Lock, Pin, current_target, lock_recipe, parse_lock
from launchbay.images.recipe import find_recipe
from launchbay.images.uv import Downloads, Uv, explain, find_uv
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.build import ensure_image
from launchbay.ports import SilentReporter
from launchbay.store.journal import open_journal
from launchbay.testing import RecordingReporter
from tests.images.index import Index, make_wheel

Recipe = Callable[..., str]
LeftBehind = Callable[[], list[str]]
NOWHERE = "http://127.0.0.1:9/simple/"
LARGE = {"large.py": "x = 1\n", "large_data.txt": "0123456789abcdef" * 200_000}


def lock_of(reference: str) -> tuple[Path, Lock]:
    """Lock a recipe; return where the lock lies, and what it is."""
    lock = lock_recipe(find_recipe(reference), folder=Path(reference).parent, uv=Uv(find_uv()))
    return Path(reference).with_name(f"{Path(reference).stem}.{lock.target.slug}.lock"), lock


def forget_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "empty-cache"))


# --- a build that fails says why, and leaves nothing ---


def check_nothing_left(bay: Bay, left_behind: LeftBehind) -> None:
    assert left_behind() == []
    assert list(list_images(bay.home)) == []
    with open_journal(bay.home.journal, bay.clock, bay.reporter.note) as journal:
        assert journal.unfinished("image build") == []
        assert [kind for _, _, _, kind, _ in journal.entries()][-2:] == ["failed", "end"]


def test_a_file_with_another_hash_is_not_installed(
    bay: Bay, index: Index, recipe: Recipe, left_behind: LeftBehind, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = recipe("alpha")
    path, lock = lock_of(reference)
    true = next(wheel.sha256 for wheel in index.wheels if wheel.name == "alpha")
    path.write_text(lock.text().replace(true, "0" * 64))
    monkeypatch.setenv("UV_NO_VERIFY_HASHES", "1")  # what a person set for something else
    forget_cache(monkeypatch, path.parent)
    with pytest.raises(BuildError, match=r"file of alpha 1\.0 does not have the hash that the lock names") as caught:
        ensure_image(bay, reference)
    assert "do not use it" in caught.value.hint
    check_nothing_left(bay, left_behind)
    path.write_text(lock.text())
    assert ensure_image(bay, reference)[1], "the same command goes on cleanly once the lock is right"


def test_a_file_that_was_replaced_on_the_index_is_not_installed(
    bay: Bay, index: Index, recipe: Recipe, left_behind: LeftBehind, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = recipe("alpha")
    path, _ = lock_of(reference)
    other = make_wheel("alpha", files={"alpha.py": "import os; os.system('evil')\n"}, needs=("beta>=1",))
    index.swapped[other.file] = other.data
    forget_cache(monkeypatch, path.parent)
    with pytest.raises(BuildError, match=r"file of alpha 1\.0 does not have the hash that the lock names"):
        ensure_image(bay, reference)
    check_nothing_left(bay, left_behind)


def test_a_package_without_a_hash_is_not_installed(index: Index, tmp_path: Path) -> None:
    lock = Lock(recipe="small", inputs="", target=current_target("3.11"), env=(), pins=(Pin("alpha", "1.0", ()),))
    stage = Stage(lock=lock, folder=tmp_path / "stage", final=tmp_path / "final")
    with pytest.raises(BuildError, match="hash"):
        install_packages(stage, uv=Uv(find_uv()), reporter=SilentReporter())
    assert not any(file.endswith(".whl") for file in index.asked)


def test_the_network_is_not_there(
    bay: Bay, recipe: Recipe, index: Index, left_behind: LeftBehind, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = recipe("alpha")
    path, _ = lock_of(reference)
    forget_cache(monkeypatch, path.parent)
    monkeypatch.setenv("UV_DEFAULT_INDEX", NOWHERE)
    with pytest.raises(
        BuildError, match=r"the network failed while installing packages of (alpha|beta|pip|uv)"
    ) as caught:
        ensure_image(bay, reference)
    assert "127.0.0.1" not in str(caught.value)
    assert "what was downloaded is kept" in caught.value.hint
    check_nothing_left(bay, left_behind)
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
    assert ensure_image(bay, reference)[1], "the same command goes on cleanly once the network is back"


def test_the_network_is_lost_in_the_middle_of_a_file(
    bay: Bay, index: Index, recipe: Recipe, left_behind: LeftBehind, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.add(make_wheel("large", files=LARGE))
    reference = recipe("large")
    path, _ = lock_of(reference)
    forget_cache(monkeypatch, path.parent)
    index.cut.add("large-1.0-py3-none-any.whl")
    with pytest.raises(BuildError, match=r"the network failed while installing packages of large 1\.0"):
        ensure_image(bay, reference)
    check_nothing_left(bay, left_behind)


def test_a_file_that_vanished_from_the_index(
    bay: Bay, index: Index, recipe: Recipe, left_behind: LeftBehind, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = recipe("alpha")
    path, _ = lock_of(reference)
    index.wheels = [wheel for wheel in index.wheels if wheel.name != "beta"]
    forget_cache(monkeypatch, path.parent)
    with pytest.raises(BuildError, match=r"beta"):
        ensure_image(bay, reference)
    check_nothing_left(bay, left_behind)


# --- progress ---


def test_a_download_is_shown_in_bytes_and_packages(
    index: Index, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.add(make_wheel("large", files=LARGE))
    _, lock = lock_of(recipe("large"))
    forget_cache(monkeypatch, tmp_path)
    reporter = RecordingReporter()
    stage = Stage(lock=lock, folder=tmp_path / "stage", final=tmp_path / "final")
    size = install_packages(stage, uv=Uv(find_uv()), reporter=reporter)
    assert size == pytest.approx(3_200_000, rel=0.05)
    tasks = {event.unit: event for event in reporter.events}
    assert (tasks["bytes"].total, tasks["packages"].total) == (size, 3)
    assert all(0 <= event.done <= (event.total or 0) for event in reporter.events)
    assert not (stage.folder / "requirements.txt").exists()


def test_uvs_lines_are_understood() -> None:
    downloads = Downloads()
    lines = [
        "Using Python 3.11.7 environment at: env",
        "Resolved 3 packages in 5ms",
        "Downloading tensorflow (545.9MiB)",
        "Downloading six (12.0KiB)",
        " Downloaded six",
        "Prepared 2 packages in 1.2s",
        "Installed 2 packages in 9ms",
        " + six==1.17.0",
    ]
    assert all(downloads.read(line) for line in lines)
    assert downloads.sizes == {"tensorflow": 572_417_638, "six": 12_288}
    assert (downloads.done_bytes, downloads.total_bytes) == (12_288, 572_429_926)
    assert (downloads.prepared, downloads.installed) == (2, 2)


@pytest.mark.parametrize("line", ["error: Failed to download", "  Caused by: dns error", "warning: something"])
def test_what_is_no_progress_is_kept_as_words(line: str) -> None:
    assert not Downloads().read(line)


# --- words we saw, without the machine that said them ---


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (
            "error: Failed to install: numpy-2.4.6.whl (numpy==2.4.6)\n  Caused by: No space left on device (os error 28)",
            "the disk is full while installing of numpy; nothing half-made was left",
        ),
        (
            "error: failed to write to file `/home/ada/env/x`: Disk quota exceeded (os error 122)",
            "the disk is full while installing; nothing half-made was left",
        ),
        (
            "error: Failed to fetch: `https://user:secret@index.invalid/simple/numpy/`\n  Caused by: dns error",
            "the network failed while installing of numpy: Failed to fetch: `numpy` Caused by: dns error",
        ),
        (
            "error: Failed to fetch: `https://index.invalid/files/ab/numpy-2.4.6-py3-none-any.whl`",
            "the network failed while installing of numpy: Failed to fetch: `numpy-2.4.6-py3-none-any.whl`",
        ),
        (
            "error: Failed to fetch: `https://index.invalid/simple`\n  Caused by: operation timed out",
            "the network failed while installing: Failed to fetch: `simple` Caused by: operation timed out",
        ),
        (
            "error: Failed to fetch: `https://index.invalid`\n  Caused by: connection reset by peer",
            "the network failed while installing: Failed to fetch: `the index` Caused by: connection reset by peer",
        ),
        (
            "  × No solution found\n  ╰─▶ Because connectorx was not found",
            "failed installing: No solution found Because",
        ),
    ],
)
def test_uvs_words_become_one_message_without_an_address(words: str, what: str) -> None:
    error = explain(words, doing="installing", names=["numpy", "six"])
    assert error.what.startswith(what)
    assert "secret" not in str(error)
    assert "index.invalid" not in str(error)
    assert "\n" not in error.what


def test_the_longest_name_that_fits_is_the_one_meant() -> None:
    words = "error: Failed to unpack jupyterlab_server-2.0.whl\n"
    assert explain(words, doing="installing", names=["jupyterlab", "jupyterlab-server", "server"]).what.startswith(
        "failed installing of jupyterlab-server:"
    )


# --- the environment that uv runs in ---


ELSEWHERE = {
    "PYTHONHOME": "/nowhere",
    "PYTHONPATH": "/nowhere",
    "UV_COMPILE_BYTECODE": "1",
    "UV_CONSTRAINT": "/nowhere/constraints.txt",
    "UV_LINK_MODE": "hardlink",
    "UV_NO_VERIFY_HASHES": "1",
    "UV_OVERRIDE": "/nowhere/overrides.txt",
    "UV_PYTHON": "2.7",
    "UV_SYSTEM_PYTHON": "1",
    "VIRTUAL_ENV": "/nowhere",
}


def test_settings_that_would_redirect_a_build_do_not(
    index: Index, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert index.url
    for name, value in ELSEWHERE.items():
        monkeypatch.setenv(name, value)
    _, lock = lock_of(recipe("alpha"))
    stage = Stage(lock=lock, folder=tmp_path / "stage", final=tmp_path / "final")
    install_packages(stage, uv=Uv(find_uv()), reporter=SilentReporter())
    assert (stage.site_packages / "alpha.py").stat().st_nlink == 1
    assert list(stage.site_packages.rglob("*.pyc")) == []


def test_an_environment_can_be_moved(index: Index, recipe: Recipe, tmp_path: Path) -> None:
    assert index.url
    _, lock = lock_of(recipe("alpha"))
    stage = Stage(lock=lock, folder=tmp_path / "stage", final=tmp_path / "final")
    install_packages(stage, uv=Uv(find_uv()), reporter=SilentReporter())
    stage.folder.rename(stage.final)
    python = replace(stage, folder=stage.final).environment / "bin" / "python"
    done = subprocess.run(
        [python, "-c", "import alpha; print(alpha.__file__)"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(str(stage.final))
    assert parse_lock((stage.final / "lock.txt").read_text(), where="lock.txt") == lock


# --- finding programs ---


def test_uv_is_the_one_that_came_with_us() -> None:
    done = subprocess.run([find_uv(), "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("uv ")


def test_a_machine_without_uv_is_told_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match="uv is not installed") as caught:
        find_uv()
    assert caught.value.hint.endswith("-m pip install uv")


def test_a_python_that_is_nowhere_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    with pytest.raises(BuildError, match=r"Python 3\.99 is not on this machine and could not be fetched") as caught:
        Uv(find_uv()).find_python("3.99")
    assert "apt-get install python3.99" in caught.value.hint


def test_the_python_of_images_is_not_one_of_an_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path))
    python = Uv(find_uv()).find_python("3.11")
    code = "import sys; print(sys.prefix == sys.base_prefix, *sys.version_info[:2])"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ))
    assert done.stdout.split() == ["True", "3", "11"]


@pytest.mark.parametrize(
    ("settings", "accelerator", "asked"),
    [
        ({}, "cpu", "cpu"),
        ({}, "cuda13", ""),
        ({"UV_TORCH_BACKEND": "cpu"}, "cuda13", ""),
        ({"UV_TORCH_BACKEND": "cu130"}, "cpu", "cu130"),
        ({"PIP_FIND_LINKS": "/wheels"}, "cpu", ""),
        ({"UV_FIND_LINKS": "/wheels"}, "cpu", ""),
        ({"UV_DEFAULT_INDEX": "http://example.org"}, "cpu", ""),
    ],
)
def test_cpu_builds_of_pytorch_are_looked_for_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], accelerator: str, asked: str
) -> None:
    for name in ("UV_FIND_LINKS", "PIP_FIND_LINKS", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_TORCH_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("UV_EXTRA_INDEX_URL", raising=False)
    monkeypatch.delenv("UV_OFFLINE", raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    program = tmp_path / "uv"
    program.write_text(f'#!/bin/sh\nprintf %s "$UV_TORCH_BACKEND" > {tmp_path}/asked\necho {sys.executable}\n')
    program.chmod(0o755)
    Uv(str(program), accelerator=accelerator).find_python("3.11")
    assert (tmp_path / "asked").read_text() == asked
