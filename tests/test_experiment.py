"""The demo, end to end, with a real TensorFlow image: what a newcomer runs first."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from launchbay.errors import LaunchbayError
from launchbay.experiment import demo
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.providers.local import LocalProvider


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
