"""`kill -9` at every lasting step: the same command again ends in the wished state, with nothing twice and nothing left."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay, open_bay
from launchbay.lifecycle.end import terminate
from launchbay.lifecycle.launch import launch_fleet
from launchbay.store.journal import open_journal
from launchbay.store.spent import find_elsewhere
from tests.lifecycle.killing import count_crossings, folders, kill_at, leftovers

WISH = ["exp-1", "exp-2", "exp-3"]


@pytest.fixture
def fresh(tiny: str, bay: Bay, with_image: Callable[[str], Image]) -> Callable[[], Bay]:
    """Return a function that gives a bay on a new home, with nothing in it but the image."""
    image = with_image("tiny")
    number = itertools.count()

    def make() -> Bay:
        root = bay.home.root.with_name(f"bay-{next(number)}")
        (root / "images").mkdir(parents=True)
        (root / "images" / image.digest).symlink_to(image.folder.resolve())
        return open_bay(environ={**bay.environ, "LAUNCHBAY_HOME": str(root)})

    assert Path(tiny).exists()
    return make


def launch(bay: Bay, tiny: str) -> None:
    launch_fleet(bay, tiny, count=3, name="exp")


def check_standing(bay: Bay) -> None:
    instances = bay.provider.observe()
    assert [item.name for item in instances] == WISH
    assert len({item.token for item in instances}) == 1
    assert len(folders(bay.home)) == 3
    assert leftovers(bay.home) == []
    check_closed(bay)


def check_gone(bay: Bay) -> None:
    assert list(bay.provider.observe()) == []
    assert folders(bay.home) == []
    assert leftovers(bay.home) == []
    check_closed(bay)


def check_closed(bay: Bay) -> None:
    """Nothing is left open in the journal: the next launch starts afresh."""
    with open_journal(bay.home.journal, bay.clock, bay.reporter.note) as journal:
        assert [item.verb for verb in ("launch", "terminate") for item in journal.unfinished(verb)] == []


def kill_each(
    fresh: Callable[[], Bay], prepare: Callable[[Bay], object], body: Callable[[Bay], object]
) -> Iterator[Bay]:
    """Yield a home for each instant of `body` between two lasting steps, in which it was killed at that instant."""
    bay = fresh()
    prepare(bay)
    names = count_crossings(lambda: body(bay))
    assert len(names) > 20
    for crossing, name in enumerate(names, start=1):
        if name.startswith("before") and crossing > 1 and names[crossing - 2].startswith("after"):
            continue  # nothing lasting lies between the two
        bay = fresh()
        prepare(bay)
        assert kill_at(crossing, lambda bay=bay: body(bay)), name  # type: ignore[misc]
        yield bay
        shutil.rmtree(bay.home.root)


def test_launch_killed_at_every_step_is_completed_by_the_same_command(fresh: Callable[[], Bay], tiny: str) -> None:
    killed = 0
    for bay in kill_each(fresh, lambda _: None, lambda bay: launch(bay, tiny)):
        launch(bay, tiny)
        check_standing(bay)
        killed += 1
    assert killed > 30


def test_launch_killed_at_every_step_is_undone_by_terminate(fresh: Callable[[], Bay], tiny: str) -> None:
    killed = 0
    for bay in kill_each(fresh, lambda _: None, lambda bay: launch(bay, tiny)):
        if bay.home.journal.exists():
            with open_journal(bay.home.journal, bay.clock, bay.reporter.note) as journal:
                begun = journal.knows("launch", "exp")
            if begun:
                terminate(bay, "exp")
                killed += 1
        check_gone(bay)
    assert killed > 30


def test_terminate_killed_at_every_step_is_completed_by_the_same_command(fresh: Callable[[], Bay], tiny: str) -> None:
    killed = 0
    for bay in kill_each(fresh, lambda bay: launch(bay, tiny), lambda bay: terminate(bay, "exp")):
        terminate(bay, "exp")
        check_gone(bay)
        killed += 1
    assert killed > 10


def bay_command(*arguments: str, at: str | None = None, **extra: str) -> subprocess.CompletedProcess[str]:
    module = ["launchbay.testing.crash", at] if at else ["launchbay"]
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", *module, *arguments],
        env={**os.environ, **extra},
        capture_output=True,
        text=True,
        check=False,
    )


def crossings_of(tmp_path: Path, *arguments: str) -> int:
    listed = tmp_path / "crossings"
    done = bay_command(*arguments, at="COUNT", LAUNCHBAY_CROSSINGS=str(listed))
    assert done.returncode == 0, done.stderr
    return len(listed.read_text(encoding="utf-8").splitlines())


def through_the_command_line(bay: Bay, tiny: str, tmp_path: Path, *, every: int) -> None:
    """Kill real commands, and go on with real commands."""
    wish, end = ["launch", tiny, "-n", "3", "--name", "exp"], ["terminate", "exp", "-y"]
    count = crossings_of(tmp_path, *wish)
    for at in range(1, count + 1, every):
        assert bay_command(*end).returncode == 0
        shutil.rmtree(bay.home.onboard)
        shutil.rmtree(bay.home.elsewhere)
        bay.home.journal.unlink()
        assert bay_command(*wish, at=str(at)).returncode == -signal.SIGKILL
        done = bay_command(*wish)
        assert done.returncode == 0, f"killed at {at}: {done.stderr}"
        check_standing(bay)
        assert all(find_elsewhere(item.root) for item in bay.provider.observe()), f"killed at {at}: one has no price"
    for at in range(1, crossings_of(tmp_path, *end) + 1, every):
        assert bay_command(*wish).returncode == 0
        assert bay_command(*end, at=str(at)).returncode == -signal.SIGKILL
        done = bay_command(*end)
        assert done.returncode == 0, f"killed at {at}: {done.stderr}"
        check_gone(bay)


def test_real_commands_killed_here_and_there_converge(bay: Bay, tiny: str, tmp_path: Path) -> None:
    through_the_command_line(bay, tiny, tmp_path, every=25)


@pytest.mark.all
def test_real_commands_killed_at_every_step_converge(bay: Bay, tiny: str, tmp_path: Path) -> None:
    through_the_command_line(bay, tiny, tmp_path, every=1)
