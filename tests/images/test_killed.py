"""Builds that are killed, and builds of one image at once; each is a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from launchbay.home import Home
from launchbay.images.image import find_image, list_images
from launchbay.images.lock import lock_recipe
from launchbay.images.recipe import find_recipe
from launchbay.images.uv import Uv, find_uv
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.images import remove_image
from launchbay.lifecycle.verify import verify_image
from launchbay.store.journal import open_journal
from tests.images.index import Index, make_wheel

Recipe = Callable[..., str]
BAY = [sys.executable, "-m", "launchbay"]
CRASH = [sys.executable, "-W", "ignore::RuntimeWarning", "-m", "launchbay.testing.crash"]
LONG = {
    f"long/m{number}.py": "x = [" + ",".join(f"{item}+{number}" for item in range(1500)) + "]\n"
    for number in range(150)
}


@pytest.fixture
def small(index: Index, recipe: Recipe) -> str:
    """Return a small recipe with its lock."""
    assert index.url
    reference = recipe("alpha")
    lock_recipe(find_recipe(reference), folder=Path(reference).parent, uv=Uv(find_uv()))
    return reference


@pytest.fixture
def long(index: Index, recipe: Recipe) -> str:
    """Return a recipe that takes a while to compile, with its lock."""
    index.add(make_wheel("long", files=LONG))
    reference = recipe("long", name="long")
    lock_recipe(find_recipe(reference), folder=Path(reference).parent, uv=Uv(find_uv()))
    return reference


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*command], capture_output=True, text=True, check=False)


def start(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen([*command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def built(reference: str) -> list[dict[str, Any]]:
    """Return what `bay images` says is built."""
    listed = run(*BAY, "images", "--json")
    assert listed.returncode == 0, listed.stderr
    return [row for row in json.loads(listed.stdout) if row["name"] == Path(reference).stem and row["digest"]]


def wait_for(found: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not found():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)


def build_again(bay: Bay, reference: str, left_behind: Callable[[], list[str]]) -> None:
    """Give the same command again: the image is there, whole, and nothing else is."""
    done = run(*BAY, "image", "build", reference)
    assert done.returncode == 0, done.stderr
    check_only_whole(bay, left_behind)


def check_only_whole(bay: Bay, left_behind: Callable[[], list[str]]) -> None:
    [image] = list_images(bay.home)
    assert verify_image(image).problems == []
    assert left_behind() == [f"images/{image.digest}"]


# --- killed at a step ---


def count_crossings(reference: str, folder: Path) -> list[str]:
    """Return the instants of a build at which it can be killed, from a build in a home that is thrown away."""
    names = folder / "crossings"
    environ = {**os.environ, "LAUNCHBAY_HOME": str(folder / "other-home"), "LAUNCHBAY_CROSSINGS": str(names)}
    subprocess.run([*CRASH, "COUNT", "image", "build", reference], env=environ, check=True, capture_output=True)
    return names.read_text(encoding="utf-8").splitlines()


def kill_at_each(bay: Bay, reference: str, left_behind: Callable[[], list[str]], instants: list[int]) -> None:
    """Kill a build at each instant, look, and build again."""
    for instant in instants:
        killed = run(*CRASH, str(instant), "image", "build", reference)
        assert killed.returncode == -signal.SIGKILL, f"{instant}: {killed.stderr}"
        for row in built(reference):
            image = find_image(bay.home, row["digest"])
            assert image is not None
            assert verify_image(image).problems == [], f"{instant}: half an image is shown"
        build_again(bay, reference, left_behind)
        remove_image(bay, Path(reference).stem)
        assert left_behind() == []


def test_a_build_can_be_killed_at_any_step(
    bay: Bay, small: str, left_behind: Callable[[], list[str]], tmp_path: Path
) -> None:
    crossings = count_crossings(small, tmp_path)
    steps = [name for name in crossings if "Journal.write" in name]
    assert len(steps) == 24, "before and after: begin, five intents and results, end"
    assert "before os.rename" in crossings
    renamed = crossings.index("before os.rename") + 1
    sample = sorted({*range(1, len(crossings) + 1, 3), renamed, renamed + 1, len(crossings)})
    kill_at_each(bay, small, left_behind, sample)


@pytest.mark.all
def test_a_build_can_be_killed_at_every_step(
    bay: Bay, small: str, left_behind: Callable[[], list[str]], tmp_path: Path
) -> None:
    kill_at_each(bay, small, left_behind, list(range(1, len(count_crossings(small, tmp_path)) + 1)))


# --- killed in the middle of a step: what it had started goes on for a while ---


@pytest.mark.parametrize("made", ["*/env/**/long/*.py", "*/env/**/long/__pycache__/*.pyc"], ids=["install", "compile"])
def test_a_build_can_be_killed_in_the_middle_of_a_step(
    bay: Bay, long: str, left_behind: Callable[[], list[str]], made: str
) -> None:
    process = start(*BAY, "image", "build", long)
    wait_for(lambda: next(bay.home.tmp.glob(made), None) is not None, process)
    process.kill()
    process.communicate()
    assert built(long) == []
    build_again(bay, long, left_behind)


def test_a_build_that_is_interrupted_leaves_nothing(bay: Bay, long: str, left_behind: Callable[[], list[str]]) -> None:
    process = start(*BAY, "image", "build", long)
    wait_for(lambda: next(bay.home.tmp.glob("*/env/**/long/__pycache__/*.pyc"), None) is not None, process)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate()
    assert process.returncode == 130, words
    assert left_behind() == []
    assert list(working_on(bay.home)) == [], "its compilers go on"
    with open_journal(bay.home.journal, bay.clock, bay.reporter.note) as journal:
        assert journal.unfinished("image build") == []


def working_on(home: Home) -> Iterator[str]:
    """Yield the command lines of the processes that work below a home."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it ended meanwhile
            continue
        if str(home.tmp) in line:
            yield line


# --- two at once ---


def test_of_two_builds_at_once_one_builds_and_the_other_waits(
    bay: Bay, long: str, left_behind: Callable[[], list[str]]
) -> None:
    first = start(*BAY, "image", "build", long)
    wait_for(lambda: next(bay.home.tmp.glob("build-*"), None) is not None, first)
    second = start(*BAY, "image", "build", long)
    outcomes = [process.communicate() for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), outcomes
    waiting = "Another command is at work on this image; waiting"
    assert waiting not in "".join(outcomes[0])
    assert waiting in "".join(outcomes[1])
    assert "compile" not in outcomes[1][1], "it compiled again what was there by then"
    check_only_whole(bay, left_behind)
    with open_journal(bay.home.journal, bay.clock, bay.reporter.note) as journal:
        assert [kind for _, verb, _, kind, _ in journal.entries() if verb == "image build"].count("begin") == 1


def test_when_the_one_that_builds_is_killed_the_one_that_waits_builds(
    bay: Bay, long: str, left_behind: Callable[[], list[str]]
) -> None:
    first = start(*BAY, "image", "build", long)
    wait_for(lambda: next(bay.home.tmp.glob("build-*/env"), None) is not None, first)
    second = start(*BAY, "image", "build", long)
    assert second.stderr is not None
    assert "waiting" in second.stderr.readline()
    first.kill()
    first.communicate()
    _, words = second.communicate()
    assert second.returncode == 0, words
    check_only_whole(bay, left_behind)
