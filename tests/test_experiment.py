"""The demo, end to end, with a real TensorFlow image: what a newcomer runs first."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from launchbay import experiment
from launchbay.api import fleet
from launchbay.errors import Conflict, LaunchbayError, ScriptFailed, UsageError
from launchbay.experiment import demo
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.providers.local import LocalProvider
from launchbay.store.journal import open_journal
from launchbay.testing import RecordingReporter
from tests.lifecycle.killing import count_crossings, kill_at


@pytest.mark.image("tensorflow")
def test_the_demo_trains_judges_and_leaves_nothing(
    bay: Bay, with_image: Callable[[str], Image], bay_command: list[str]
) -> None:
    with_image("tensorflow")
    command = [*bay_command, "demo", "--epochs", "3", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr[-2000:]
    value = json.loads(done.stdout)
    assert value["left"] == 0
    assert value["identical"] is True
    assert value["test_mse"] == pytest.approx(value["evaluation"]["mse"])
    assert value["run"]["state"] == "done"
    assert Path(value["run"]["artifacts"][0]).name == "model.keras"
    assert value["run"]["logdirs"]
    assert Path(value["curves"]).read_text(encoding="utf-8").startswith("<!")
    assert set(value["seconds"]) == {"launch", "verify", "fetch", "train", "curves", "evaluate", "terminate"}
    assert "30,601 parameters" in done.stderr
    assert bay.provider.observe() == []


@pytest.mark.image("tensorflow")
def test_a_demo_that_fails_removes_its_instances(bay: Bay, with_image: Callable[[str], Image], tmp_path: Path) -> None:
    with_image("tensorflow")
    for name in ("train", "val", "test"):
        (tmp_path / f"{name}.csv").write_text("1,2\n3,4,5\n", encoding="utf-8")
    with pytest.raises(LaunchbayError, match="column"):
        demo(bay, data=tmp_path, write=lambda _: None, tell=lambda _: None)
    assert isinstance(bay.provider, LocalProvider)
    assert bay.provider.observe() == []


def test_bad_data_is_refused_before_anything_is_built(bay: Bay, tmp_path: Path) -> None:
    with pytest.raises(LaunchbayError, match=r"train\*"):
        demo(bay, data=tmp_path, write=lambda _: None, tell=lambda _: None)
    assert not bay.home.images.exists()


@pytest.mark.parametrize("epochs", [0, -1])
def test_no_epochs_are_refused_before_anything_is_done(bay: Bay, epochs: int) -> None:
    with pytest.raises(UsageError, match=f"epochs must be at least 1, got {epochs}"):
        demo(bay, epochs=epochs, write=lambda _: None, tell=lambda _: None)
    assert not bay.home.root.exists()


# --- what is left of it: nothing, however it ends -------------------------------------------------------------------

HELD = """
import sys, time
from launchbay import experiment
from launchbay.cli.main import main

def hold(*_):
    print("standing", flush=True)
    time.sleep(600)

experiment.IMAGE, experiment.fleet.verify = sys.argv[1], hold
sys.exit(main(["demo"]))
"""
"""A demo on another image that stands still once its instances do."""


@pytest.fixture
def on_tiny(tiny: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the demo use the smallest image, on which its training fails."""
    monkeypatch.setattr(experiment, "IMAGE", tiny)
    return tiny


def held_demo(image: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HELD, image]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while process.stdout.readline() != "standing\n":
        assert process.poll() is None
    return process


@pytest.mark.usefixtures("on_tiny")
def test_nobody_left_to_hear_it_does_not_keep_the_instances(bay: Bay) -> None:
    """Whichever of its sentences is the one that cannot be told."""
    told: list[str] = []
    with pytest.raises(ScriptFailed):
        demo(bay, write=lambda _: None, tell=told.append)
    assert any("bay terminate" in text for text in told)
    for last in range(len(told)):
        spoken: list[str] = []

        def tell(text: str, last: int = last, spoken: list[str] = spoken) -> None:
            if len(spoken) == last:
                raise BrokenPipeError
            spoken.append(text)

        with pytest.raises(BrokenPipeError):
            demo(bay, write=lambda _: None, tell=tell)
        assert bay.provider.observe() == [], told[last]


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_being_ended_is_like_an_interrupt(bay: Bay, on_tiny: str, sign: signal.Signals) -> None:
    process = held_demo(on_tiny)
    assert [item.name[-2:] for item in bay.provider.observe()] == ["-1", "-2", "-3"]
    process.send_signal(sign)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, "\nbay: interrupted\n")
    assert "left of it: 0 instances and processes" in out
    assert bay.provider.observe() == []


def test_what_a_killed_demo_left_is_removed_by_the_next(bay: Bay, reporter: RecordingReporter, on_tiny: str) -> None:
    process = held_demo(on_tiny)
    with pytest.raises(Conflict, match="another demo runs"):
        demo(bay, write=lambda _: None, tell=lambda _: None)
    assert len(bay.provider.observe()) == 3
    process.kill()
    process.communicate()
    assert len(bay.provider.observe()) == 3
    with pytest.raises(ScriptFailed):
        demo(bay, write=lambda _: None, tell=lambda _: None)
    assert bay.provider.observe() == []
    assert any("an earlier demo had left" in note for note in reporter.notes)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_a_demo_that_is_killed_while_it_launches_is_removed_too(bay: Bay, on_tiny: str, part: float) -> None:
    def launch(name: str) -> None:
        with experiment._launched(bay, name, {}, lambda _: None):  # noqa: SLF001 - what is killed on purpose
            pass

    crossings = count_crossings(lambda: launch("demo-0000"))
    created = [number for number, step in enumerate(crossings, start=1) if "create" in step or "rename" in step]
    assert kill_at(created[int(len(created) * part * 0.6)], lambda: launch("demo-1111"))
    with pytest.raises(ScriptFailed):
        demo(bay, write=lambda _: None, tell=lambda _: None)
    assert on_tiny
    assert bay.provider.observe() == []
    with open_journal(bay.home.journal, bay.clock, bay.reporter.note) as journal:
        assert list(journal.unfinished("launch")) == []


def test_a_persons_own_fleet_is_left_alone(bay: Bay, on_tiny: str) -> None:
    mine = fleet.launch(bay, on_tiny, count=experiment.COUNT, name="demo").instances
    with pytest.raises(ScriptFailed):
        demo(bay, write=lambda _: None, tell=lambda _: None)
    assert bay.provider.observe() == list(mine)
