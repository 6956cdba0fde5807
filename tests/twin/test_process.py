"""The twin's process: one on a folder, and on a real clock things happen when they are due, whether or not anybody asks."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.twin_process import IMAGE, TwinProcess


@pytest.fixture
def real(tmp_path: Path) -> Iterator[TwinProcess]:
    process = TwinProcess(tmp_path / "twin", is_virtual=False, pending_s=0.3)
    yield process
    process.end()


def kept(folder: Path) -> dict[str, Any]:
    """Return the state on disk, without moto's part being touched by this process."""
    found: dict[str, Any] = pickle.loads((folder / "state.pickle").read_bytes())
    return found


def test_a_second_process_on_a_folder_is_one_error_and_touches_nothing(real: TwinProcess) -> None:
    record = (real.folder / "twin.json").read_bytes()
    second = real.spawn(stderr=subprocess.PIPE)
    said = second.communicate(timeout=60)[1]
    assert second.returncode == 1
    assert said.splitlines() == [f"another twin runs on this folder ({real.folder})", "  Try: `bay twin stop` ends it"]
    assert (real.folder / "twin.json").read_bytes() == record
    assert real.ask("status")["clock"] == "real"


def test_a_second_process_waits_for_one_that_is_about_to_end(tmp_path: Path) -> None:
    first = TwinProcess(tmp_path / "twin")
    (first.folder / "twin.json").unlink()
    second = first.spawn()
    try:
        first.end()
        end = time.monotonic() + 60
        while not (first.folder / "twin.json").exists():
            assert second.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
        assert json.loads((first.folder / "twin.json").read_text())["pid"] == second.pid
    finally:
        second.terminate()
        second.wait(timeout=30)


def test_on_a_real_clock_what_is_due_happens_though_nobody_asks(real: TwinProcess) -> None:
    made = real.client("ec2").run_instances(ImageId=IMAGE, MinCount=1, MaxCount=1, InstanceType="c5.large")
    name = made["Instances"][0]["InstanceId"]
    states: list[str] = []
    end = time.monotonic() + 10
    while states[-1:] != ["running"] and time.monotonic() < end:
        time.sleep(0.1)
        (item,) = kept(real.folder)["backends"]["ec2"]["us-east-1"].reservations.values()
        states.append(item.instances[0].state)
    assert (item.instances[0].id, states[-1]) == (name, "running")


def test_the_clock_is_watched_without_work(real: TwinProcess) -> None:
    real.client("ec2").run_instances(ImageId=IMAGE, MinCount=1, MaxCount=1, InstanceType="c5.large")
    time.sleep(1)
    before = processor_seconds(real.process.pid)
    time.sleep(2)
    assert processor_seconds(real.process.pid) - before < 0.3


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="hosts need bubblewrap")
def test_a_host_goes_in_time_with_its_instance(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)  # hosts run as nobody where the twin is root's
    process = TwinProcess(tmp_path / "twin", has_hosts=True, is_virtual=False, pending_s=0.2, terminating_s=0.2)
    try:
        ec2 = process.client("ec2")
        made = ec2.run_instances(ImageId=IMAGE, MinCount=1, MaxCount=1, InstanceType="c5.large")
        name = made["Instances"][0]["InstanceId"]
        folder = process.folder / "hosts" / name
        wait_for(folder.exists)  # nobody asked since
        ec2.terminate_instances(InstanceIds=[name])
        wait_for(lambda: not folder.exists())
    finally:
        process.end()


def wait_for(what: Any) -> None:
    end = time.monotonic() + 20
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)
