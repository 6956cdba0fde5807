"""Launching where something stands already, or where somebody else launches too."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from launchbay.errors import UsageError
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.end import terminate
from launchbay.lifecycle.launch import launch_fleet
from launchbay.lifecycle.verify import verify_instances
from launchbay.store.journal import open_journal
from launchbay.testing import RecordingReporter
from tests.lifecycle.killing import leftovers


def test_repeating_a_cut_off_launch_never_removes_what_stood_before(bay: Bay, tiny: str) -> None:
    """Somebody may be at work in what a killed launch had made; a failure of the repeat is no reason to remove it."""
    launch_fleet(bay, tiny, count=2, name="exp")
    first = bay.provider.observe()[0]
    with open_journal(bay.home.journal, bay.clock, bay.reporter.note) as journal:
        ids = {item.name: item.id for item in bay.provider.observe()}
        wish = {"count": 2, "image": first.image, "digest": first.digest, "ids": ids, "unnamed": False}
        journal.begin("launch", "exp", wish)  # as if it had been killed before its end
    (first.root / "work" / "thesis.txt").write_text("months", encoding="utf-8")
    site_packages = next((first.root / "env" / "lib").glob("python*")) / "site-packages"
    (site_packages / "six.py").write_text("x = 1\n", encoding="utf-8")
    launched = launch_fleet(bay, tiny, count=2, name="exp")
    assert not launched.identical
    assert (first.root / "work" / "thesis.txt").read_text(encoding="utf-8") == "months"


def test_two_unnamed_launches_at_once_both_go_through(bay: Bay, tiny: str, bay_command: list[str]) -> None:
    command = [*bay_command, "launch", tiny, "--json"]
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(2)]
    said = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    fleets = {item.fleet for item in bay.provider.observe()}
    assert len(bay.provider.observe()) == len(fleets)


def test_a_name_is_short_enough_for_those_of_its_instances(bay: Bay, tiny: str) -> None:
    with pytest.raises(UsageError, match="at most 63 letters"):
        launch_fleet(bay, tiny, count=2, name="x" * 62)
    assert list(bay.provider.observe()) == []


def test_a_launch_ends_what_a_killed_terminate_had_meant(bay: Bay, tiny: str) -> None:
    launch_fleet(bay, tiny, count=2, name="exp")
    with open_journal(bay.home.journal, bay.clock, bay.reporter.note) as journal:
        for subject in ("exp", "exp-2", "other"):
            journal.begin("terminate", subject, {"ids": []})  # as if it had been killed at its beginning
    launch_fleet(bay, tiny, count=2, name="exp")
    with open_journal(bay.home.journal, bay.clock, bay.reporter.note) as journal:
        assert [item.subject for item in journal.unfinished("terminate")] == ["other"]


def test_what_killed_commands_left_goes_with_the_next_launch(bay: Bay, tiny: str) -> None:
    for name in ("trash/an-image.1", "new-i-1"):
        (bay.home.tmp / name).mkdir(parents=True)
    launch_fleet(bay, tiny, name="exp")
    assert leftovers(bay.home) == []


def test_what_the_others_filled_in_is_no_fault_of_a_new_one(bay: Bay, tiny: str) -> None:
    launch_fleet(bay, tiny, count=4, name="exp")
    for instance in bay.provider.observe()[:3]:
        (instance.root / "home" / ".bashrc").write_text("export KERAS_BACKEND=jax\n", encoding="utf-8")
        (instance.root / "work" / "data").mkdir()
        (instance.root / "work" / "data" / "train.csv").write_text("x\n", encoding="utf-8")
    terminate(bay, "exp-4")
    launched = launch_fleet(bay, tiny, count=4, name="exp")
    assert launched.identical
    assert [item.what for item in verify_instances(bay, bay.provider.observe(), full=True).differences] == [
        "variable KERAS_BACKEND in ~/.bashrc is missing"
    ]


def test_a_recipe_of_what_is_built_under_another_name_says_so(bay: Bay, tiny: str, reporter: RecordingReporter) -> None:
    recipe = Path(tiny)
    for path in (recipe, *recipe.parent.glob("tiny.*.lock")):
        text = path.read_text(encoding="utf-8").replace("recipe: tiny", "recipe: same")
        path.with_name(path.name.replace("tiny", "same")).write_text(text, encoding="utf-8")
    assert launch_fleet(bay, str(recipe.with_name("same.yaml")), name="exp").image.name == "tiny"
    assert reporter.notes == ["same holds just what tiny holds: that image is used, under its name"]
