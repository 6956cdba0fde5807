"""Each lock of a launch and of a build, by what would go wrong without it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from launchbay.errors import Conflict
from launchbay.files import locked
from launchbay.images.image import Image
from launchbay.lifecycle import launch
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.build import image_lock_path
from launchbay.lifecycle.launch import launch_fleet
from launchbay.planning.decide import plan_launch
from launchbay.planning.fleet import FleetWish, Instance, Plan
from launchbay.providers.layer import PthLayer
from tests.lifecycle.killing import leftovers


def test_two_launches_that_mean_the_same_name_do_not_both_begin(
    bay: Bay, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fleets have locks of their own: `exp` of two and a fleet `exp-1` meet only in the lock of all names."""
    others, failures = list[threading.Thread](), list[Exception]()

    def launch_other() -> None:
        try:
            launch_fleet(bay, tiny, count=1, name="exp-1")
        except Conflict as error:
            failures.append(error)

    def plan_slowly(wish: FleetWish, observed: Sequence[Instance], *, ids: Mapping[str, str], token: str) -> Plan:
        made = plan_launch(wish, observed, ids=ids, token=token)
        if not others and wish.fleet == "exp":  # nothing stands against it, and nothing of it is written down yet
            others.append(threading.Thread(target=launch_other))
            others[0].start()
            others[0].join(1.0)
        return made

    monkeypatch.setattr(launch, "plan_launch", plan_slowly)
    launch_fleet(bay, tiny, count=2, name="exp")
    others[0].join(20)
    assert [item.name for item in bay.provider.observe()] == ["exp-1", "exp-2"]
    (failure,) = failures
    assert "exp" in str(failure)


def test_a_sweep_takes_nothing_from_under_a_launch(bay: Bay, tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    create = PthLayer.create

    def create_while_somebody_sweeps(self: PthLayer, root: Path, image: Image) -> None:
        create(self, root, image)
        bay.provider.sweep()

    monkeypatch.setattr(PthLayer, "create", create_while_somebody_sweeps)
    launched = launch_fleet(bay, tiny, count=2, name="exp")
    assert launched.identical
    assert leftovers(bay.home) == []


def test_the_installer_of_a_killed_build_keeps_others_away(
    bay: Bay, with_image: Callable[[str], Image], tmp_path: Path
) -> None:
    """It goes on writing into the folder for a while: nobody may build beside it."""
    digest = with_image("tiny").digest
    (bay.home.images / digest).unlink()
    fake, pid_file = tmp_path / "bin" / "uv", tmp_path / "installer"
    fake.parent.mkdir()
    real = Path(sys.executable).with_name("uv")
    fake.write_text(
        f'#!/bin/sh\nif [ "$1 $2" = "pip sync" ]; then echo $$ > {pid_file}; exec sleep 600; fi\nexec {real} "$@"\n',
        encoding="utf-8",
    )
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    code = (
        "import sys; from launchbay import open_bay; from launchbay.lifecycle import build\n"
        "build.find_uv = lambda: sys.argv[1]; build.ensure_image(open_bay(), sys.argv[2])"
    )
    builder = subprocess.Popen([sys.executable, "-c", code, str(fake), str(tmp_path / "tiny.yaml")])
    until = time.monotonic() + 20
    while not (pid_file.exists() and pid_file.read_text().strip()):
        assert builder.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)
    installer = int(pid_file.read_text())
    builder.kill()
    builder.wait()
    try:
        with locked(image_lock_path(bay.home, digest), wait=False) as free:
            assert not free
    finally:
        os.kill(installer, signal.SIGKILL)
    until = time.monotonic() + 10
    while True:
        with locked(image_lock_path(bay.home, digest), wait=False) as free:
            if free:
                break
        assert time.monotonic() < until, "the lock outlives its last holder"
        time.sleep(0.01)
