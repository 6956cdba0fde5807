"""What only local instances have: folders, records, processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launchbay.files import locked
from launchbay.home import Home
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.providers.local import damaged_instances, end_processes, instance_processes
from tests.providers.specs import make_instances

STUBBORN = "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"


@pytest.fixture
def image(with_image: Callable[[str], Image]) -> Image:
    return with_image("tiny")


@pytest.fixture
def marked() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a process that carries an instance's id and says when it is up."""
    started: list[subprocess.Popen[bytes]] = []

    def start(
        identity: str, code: str = "print('ready', flush=True); import time; time.sleep(600)"
    ) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, "LAUNCHBAY_INSTANCE": identity},
            stdout=subprocess.PIPE,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_an_instance_is_renamed_into_place_when_it_is_whole(
    bay: Bay, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[str]] = []
    rename = os.rename

    def watch(source: str | Path, target: str | Path) -> None:
        if Path(target).parent == bay.home.instances:
            assert list(bay.provider.observe()) == []
            seen.append({path.name for path in Path(source).iterdir()})
        rename(source, target)

    monkeypatch.setattr(os, "rename", watch)
    make_instances(bay, image)
    assert seen == [{"env", "home", "work", "record.json"}]


def test_a_half_made_one_is_never_observed_and_swept(bay: Bay, image: Image, home: Home) -> None:
    make_instances(bay, image)
    for name in ("new-i-exp-7", "trash/i-exp-8.1"):
        (home.tmp / name / "env").mkdir(parents=True)
    (home.tmp / "build-abc").mkdir()
    assert [item.name for item in bay.provider.observe()] == ["exp-1"]
    (home.tmp / "build-def").mkdir()
    with locked(home.lock("image-def")):  # somebody is building this one
        assert sorted(bay.provider.sweep()) == ["build-abc", "i-exp-8.1", "new-i-exp-7"]
    assert sorted(path.name for path in home.tmp.iterdir()) == ["build-def", "trash"]


def test_sweep_leaves_the_draft_of_a_launch_under_way(bay: Bay, home: Home) -> None:
    (home.tmp / "new-i-exp-1").mkdir(parents=True)
    with locked(home.lock("create"), shared=True):
        assert bay.provider.sweep() == ()
    assert (home.tmp / "new-i-exp-1").is_dir()
    assert bay.provider.sweep() == ("new-i-exp-1",)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"id": "i-exp-2"}'])
def test_a_damaged_record_hides_one_instance_and_is_found(bay: Bay, image: Image, home: Home, text: str) -> None:
    make_instances(bay, image, 3)
    (home.instances / "i-exp-2" / "record.json").write_text(text, encoding="utf-8")
    assert [item.name for item in bay.provider.observe()] == ["exp-1", "exp-3"]
    assert damaged_instances(home) == [home.instances / "i-exp-2"]


def test_a_missing_record_is_found_as_damage(bay: Bay, image: Image, home: Home) -> None:
    make_instances(bay, image, 2)
    (home.instances / "i-exp-1" / "record.json").unlink()
    (home.instances / "a-file").write_text("", encoding="utf-8")
    assert [item.name for item in bay.provider.observe()] == ["exp-2"]
    assert damaged_instances(home) == [home.instances / "i-exp-1"]


def test_the_fleet_is_listed_in_the_order_of_its_numbers(bay: Bay, image: Image) -> None:
    assert [item.name for item in make_instances(bay, image, 11)] == [f"exp-{number}" for number in range(1, 12)]


def test_a_record_of_a_later_version_is_read_for_what_is_known(bay: Bay, image: Image, home: Home) -> None:
    make_instances(bay, image)
    path = home.instances / "i-exp-1" / "record.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), "colour": "red"}), encoding="utf-8")
    assert [item.name for item in bay.provider.observe()] == ["exp-1"]


def test_processes_are_found_by_the_whole_id(marked: Callable[..., subprocess.Popen[bytes]]) -> None:
    one, other = marked("i-exp-1"), marked("i-exp-11")
    assert instance_processes(["i-exp-1"]) == [one.pid]
    assert sorted(instance_processes(["i-exp-1", "i-exp-11"])) == sorted([one.pid, other.pid])
    assert instance_processes(["i-exp-111"]) == []
    assert instance_processes([]) == []


def test_stop_ends_what_runs_in_one_instance_only(
    bay: Bay, image: Image, marked: Callable[..., subprocess.Popen[bytes]]
) -> None:
    first, _ = make_instances(bay, image, 2)
    mine, neighbours = marked("i-exp-1"), marked("i-exp-2")
    assert bay.provider.stop(first) == 1  # type: ignore[attr-defined]
    assert mine.wait(5) == -15
    assert neighbours.poll() is None


def test_delete_ends_what_runs_in_it(bay: Bay, image: Image, marked: Callable[..., subprocess.Popen[bytes]]) -> None:
    instances = make_instances(bay, image, 2)
    processes = [marked("i-exp-1"), marked("i-exp-2")]
    bay.provider.delete(instances)
    assert [process.wait(5) for process in processes] == [-15, -15]


def test_one_that_does_not_listen_is_killed(
    marked: Callable[..., subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launchbay.providers.local._PATIENCE_S", -1.8)
    process = marked("i-exp-1", STUBBORN)
    began = time.monotonic()
    end_processes([process.pid, 2**22 + 1])
    assert process.wait(5) == -9
    assert time.monotonic() - began < 5


HEIR = """
import os, signal, subprocess, sys, time
def pass_on(number, frame):
    heir = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    open(os.environ["HEIR"], "w").write(str(heir.pid))
    os._exit(0)
signal.signal(signal.SIGTERM, pass_on)
print("ready", flush=True)
time.sleep(600)
"""


def test_what_a_process_starts_on_its_way_out_is_ended_too(
    bay: Bay,
    image: Image,
    marked: Callable[..., subprocess.Popen[bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HEIR", str(tmp_path / "heir"))
    (instance,) = make_instances(bay, image)
    marked("i-exp-1", HEIR)
    assert bay.provider.stop(instance) == 2  # type: ignore[attr-defined]
    assert not os.path.exists(f"/proc/{(tmp_path / 'heir').read_text()}/exe")
    assert instance_processes(["i-exp-1"]) == []
