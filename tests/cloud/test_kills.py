"""`bay launch` of twenty instances, killed at random points; then the same command, or `bay terminate`. A campaign."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from launchbay.home import Home
from launchbay.images.image import Image
from launchbay.lifecycle.twin import ask_twin
from tests.conftest import STORE
from tests.twin_process import let_others_in

pytestmark = [
    pytest.mark.prove,
    pytest.mark.timeout(4 * 3600),
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="hosts need bubblewrap"),
]

COUNT, KILLS, SEED = 20, 50, 20261127
PATIENCE_S = 600


class Place:
    """A home with a twin in it, and `bay` in processes of its own."""

    def __init__(self, root: Path, image: Image) -> None:
        let_others_in(root)
        self.root, self.home = root, Home(root / "home")
        self.home.images.mkdir(parents=True)
        (self.home.images / image.digest).symlink_to(image.folder)
        for path in STORE.glob("tiny*"):
            (root / path.name).write_bytes(path.read_bytes())
        self.environ = {**os.environ, "LAUNCHBAY_HOME": str(self.home.root)}

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "launchbay", *words]
        return subprocess.Popen(
            command, env=self.environ, cwd=self.root, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def run(self, *words: str) -> tuple[int, str, str]:
        with self.start(*words) as process:
            out, err = process.communicate(timeout=PATIENCE_S)
        return process.returncode, out, err

    def launch(self) -> list[str]:
        given = ["--provider", "twin", "--type", "c5.large", "-n", str(COUNT), "--name", "exp"]
        return ["--json", "-y", "launch", "./tiny.yaml", *given]

    def launched(self) -> int:
        """How many instances the twin was ever made to launch."""
        lines: list[dict[str, Any]] = ask_twin(self.home, "bill")["lines"]
        return len({line["resource"] for line in lines if line["resource"].startswith("i-")})

    def left(self) -> dict[str, Any]:
        found: dict[str, Any] = ask_twin(self.home, "left")
        return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, image_store: Callable[[str], Image]) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("kills"), image_store("tiny"))
    assert made.run("twin", "start", "--clock", "virtual")[0] == 0
    yield made
    made.run("twin", "stop", "--forget")


def test_nothing_twice_and_nothing_left(place: Place) -> None:
    began = time.monotonic()
    code, out, err = place.run(*place.launch())
    assert (code, json.loads(out)["identical"] if code == 0 else err) == (0, True)
    took = time.monotonic() - began
    assert place.run("terminate", "exp", "-y")[0] == 0
    assert place.left()["left"] == 0
    chance = random.Random(SEED)
    stages: list[int] = []
    while len(stages) < KILLS:
        turn, before, began = len(stages), place.launched(), time.monotonic()
        with place.start(*place.launch()) as process:
            end = began + chance.uniform(0.2, took)
            while process.poll() is None and time.monotonic() < end:
                time.sleep(0.01)
            is_killed = process.poll() is None
            process.send_signal(signal.SIGKILL)
        at_kill = place.left()
        assert len(at_kill["instances"]) in (0, COUNT), turn
        if is_killed:
            stages.append(len(at_kill["instances"]))
        else:  # it was quicker than the first one, and done: no point of a launch
            took = min(took, time.monotonic() - began)
        if turn % 2:
            code, out, err = place.run(*place.launch())
            assert code == 0, f"turn {turn}: {err}"
            assert json.loads(out)["identical"], turn
            assert len(place.left()["instances"]) == COUNT, turn
            assert place.launched() - before == COUNT, turn
        code, _, err = place.run("terminate", "exp", "-y")
        # killed before anything was written down, nobody knows the name
        assert code == 0 or "there is no instance or fleet named 'exp'" in err, f"turn {turn}: {err}"
        assert place.launched() - before in (0, COUNT), turn
        assert place.left()["left"] == 0, f"turn {turn}: {place.left()}"
        assert not list(place.home.cloud.iterdir()), turn
        totals = {"kills": len(stages), "seed": SEED, "count": COUNT, "launch_s": took, "standing_at_kill": stages}
        if folder := os.environ.get("LAUNCHBAY_PROVE"):
            (Path(folder) / "kills.json").write_text(json.dumps(totals))
