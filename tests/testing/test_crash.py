"""The public fault injection: it names what it crosses, and leaves everything as it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.store.journal import open_journal
from launchbay.testing import crash_points
from tests.providers.specs import make_instances


def test_crossings_come_in_pairs_around_each_lasting_step(bay: Bay, with_image: Callable[[str], Image]) -> None:
    image = with_image("tiny")
    seen: list[str] = []
    with crash_points(seen.append):
        make_instances(bay, image)
        with open_journal(bay.home.journal, bay.clock, bay.reporter.note) as journal:
            journal.begin("launch", "exp", {})
        bay.provider.delete(bay.provider.observe())
    assert sorted(item.partition(" ")[2] for item in seen if item.startswith("before")) == sorted(
        item.partition(" ")[2] for item in seen if item.startswith("after")
    )
    for step in ("PthLayer.create", "os.rename", "os.replace", "Journal.write", "remove_tree"):
        assert any(item.endswith(step) for item in seen), step


def crash(at: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "launchbay.testing.crash", at, *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_command_is_counted_and_then_killed(bay: Bay, tiny: str, tmp_path: Path) -> None:
    listed = tmp_path / "crossings"
    done = crash("COUNT", "launch", tiny, "--name", "exp", LAUNCHBAY_CROSSINGS=str(listed))
    assert (done.returncode, done.stderr) == (0, "")
    names = listed.read_text(encoding="utf-8").splitlines()
    assert names.index("before Journal.write") < names.index("before PthLayer.create")
    assert [item.name for item in bay.provider.observe()] == ["exp-1"]

    assert crash("COUNT", "terminate", "exp", "-y", LAUNCHBAY_CROSSINGS=str(listed)).returncode == 0
    at = next(number for number, name in enumerate(names, start=1) if name == "before PthLayer.create")
    done = crash(str(at), "launch", tiny, "--name", "exp")
    assert done.returncode == -signal.SIGKILL
    assert list(bay.provider.observe()) == []
    with open_journal(bay.home.journal, bay.clock, bay.reporter.note) as journal:
        assert len(journal.unfinished("launch", "exp")) == 1


def test_one_beyond_the_last_kills_nobody(bay: Bay) -> None:
    assert crash("9999", "ps").returncode == 0
    assert not bay.home.root.exists()
