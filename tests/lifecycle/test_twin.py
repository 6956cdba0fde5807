"""The twin's process: started, found, asked, ended, killed, forgotten."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from launchbay.errors import Conflict, LaunchbayError, NotFound, UsageError, UserError
from launchbay.lifecycle import conformance, twin
from launchbay.lifecycle.bay import Bay, open_bay
from launchbay.lifecycle.twin import ask_twin, find_twin, start_twin, stop_twin, twin_environment

IMAGE = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"


@pytest.fixture
def bay(tmp_path: Path) -> Iterator[Bay]:
    bay = open_bay(
        environ={"LAUNCHBAY_HOME": str(tmp_path / "home"), "HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    )
    yield bay
    stop_twin(bay, forget=True)


def launched(bay: Bay, count: int = 2) -> None:
    found = find_twin(bay.home)
    assert found
    said = twin_environment(found)
    client = boto3.client(
        "ec2",
        endpoint_url=said["AWS_ENDPOINT_URL"],
        region_name=said["AWS_REGION"],
        aws_access_key_id=said["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=said["AWS_SECRET_ACCESS_KEY"],
    )
    client.run_instances(ImageId=IMAGE, MinCount=count, MaxCount=count, InstanceType="p3.2xlarge")


def test_a_twin_is_started_once_and_goes_on_where_it_was(bay: Bay) -> None:
    first = start_twin(bay, clock="virtual", has_hosts=False)
    assert first.was_started
    again = start_twin(bay)
    assert (again.was_started, again.url) == (False, first.url)
    launched(bay)
    ask_twin(bay.home, "advance", seconds=3604)
    bill = ask_twin(bay.home, "bill")
    assert stop_twin(bay)
    assert find_twin(bay.home) is None
    assert not stop_twin(bay)
    with pytest.raises(NotFound, match="no twin runs"):
        ask_twin(bay.home, "bill")
    assert start_twin(bay, has_hosts=False).instances == {"running": 2}
    assert ask_twin(bay.home, "bill") == bill  # and no time has passed meanwhile


def test_a_clock_and_a_seed_are_chosen_once(bay: Bay) -> None:
    start_twin(bay, clock="virtual", seed=7, has_hosts=False)
    with pytest.raises(Conflict, match="its clock is virtual"):
        start_twin(bay, clock="real")
    with pytest.raises(Conflict, match="its seed is 7"):
        start_twin(bay, seed=8)
    assert start_twin(bay, clock="virtual", seed=7).seed == 7
    with pytest.raises(Conflict, match="it listens at"):
        start_twin(bay, port=9)
    with pytest.raises(UsageError, match="a port must be 0 to 65535, got 80000"):
        start_twin(bay, port=80000)
    stop_twin(bay)
    with pytest.raises(Conflict, match="its clock is virtual"):
        start_twin(bay, clock="real", has_hosts=False)
    assert find_twin(bay.home) is None  # what was not asked for like this is not left running


def test_a_killed_twin_is_not_taken_for_a_living_one(bay: Bay) -> None:
    start_twin(bay, clock="virtual", has_hosts=False)
    launched(bay, 3)
    pid = json.loads((bay.home.twin / "twin.json").read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 10
    while find_twin(bay.home) is not None and time.monotonic() < end:
        time.sleep(0.02)
    assert find_twin(bay.home) is None
    assert start_twin(bay, has_hosts=False).was_started
    ask_twin(bay.home, "advance", seconds=5)
    found = find_twin(bay.home)
    assert found
    assert found.running == 3
    told = find_twin(bay.home)
    assert told
    pid = json.loads((bay.home.twin / "twin.json").read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    while find_twin(bay.home) is not None:
        time.sleep(0.02)
    assert start_twin(bay, has_hosts=False).now >= told.now  # the time that somebody was told does not come again


def test_time_that_somebody_was_told_is_kept_on_a_real_clock(bay: Bay) -> None:
    start_twin(bay, has_hosts=False)
    time.sleep(1.2)
    told = find_twin(bay.home)
    assert told
    pid = json.loads((bay.home.twin / "twin.json").read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    while find_twin(bay.home) is not None:
        time.sleep(0.02)
    assert start_twin(bay, has_hosts=False).now >= told.now


def pid_of(bay: Bay) -> int:
    return int(json.loads((bay.home.twin / "twin.json").read_text())["pid"])


def test_a_twin_that_does_not_answer_is_not_taken_for_none(bay: Bay, monkeypatch: pytest.MonkeyPatch) -> None:
    start_twin(bay, clock="virtual", has_hosts=False)
    launched(bay, 2)
    pid = pid_of(bay)
    monkeypatch.setattr(twin, "_ASK_S", 0.3)
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(LaunchbayError, match=r"a twin runs, and gave no answer within 0\.3 seconds"):
        find_twin(bay.home)
    with pytest.raises(LaunchbayError, match="a twin runs"):
        start_twin(bay)  # and no second one is started
    with pytest.raises(LaunchbayError, match="the twin gave no answer"):
        ask_twin(bay.home, "bill")
    assert pid_of(bay) == pid
    assert stop_twin(bay)  # it ends in any case
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    monkeypatch.undo()
    assert start_twin(bay, has_hosts=False).instances == {"pending": 2}  # and nothing is lost by it


def test_a_twin_that_is_slow_to_come_up_is_ended_and_not_left_behind(bay: Bay, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    spawn = subprocess.Popen

    def noting(*args: Any, **kwargs: Any) -> Any:
        process = spawn(*args, **kwargs)
        started.append(process.pid)
        return process

    monkeypatch.setattr("subprocess.Popen", noting)
    monkeypatch.setattr(twin, "_PATIENCE_S", 0.1)
    with pytest.raises(LaunchbayError, match=r"did not come up within 0\.1 seconds, and was ended"):
        start_twin(bay, has_hosts=False)
    with pytest.raises(ProcessLookupError):
        os.kill(started[0], 0)
    assert not (bay.home.twin / "twin.json").exists()
    monkeypatch.undo()
    assert start_twin(bay, has_hosts=False).was_started


def test_a_home_that_cannot_be_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    environ = {"LAUNCHBAY_HOME": str(tmp_path / "file" / "home"), "HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    with pytest.raises(UserError, match="making the twin's folder"):
        start_twin(open_bay(environ=environ))


def test_a_damaged_state_is_refused_and_kept(bay: Bay) -> None:
    start_twin(bay, has_hosts=False)
    stop_twin(bay)
    state = bay.home.twin / "state.pickle"
    state.write_bytes(state.read_bytes()[:-7])
    with pytest.raises(LaunchbayError, match="the twin's state is damaged"):
        start_twin(bay, has_hosts=False)
    assert state.exists()
    stop_twin(bay, forget=True)
    assert not bay.home.twin.exists()


def test_only_its_owner_can_look_inside_and_only_who_has_the_token_is_told(bay: Bay) -> None:
    found = start_twin(bay, has_hosts=False)
    launched(bay, 1)
    assert stat.S_IMODE(bay.home.twin.stat().st_mode) == 0o700
    for name in ("token", "state.pickle"):
        assert stat.S_IMODE((bay.home.twin / name).stat().st_mode) == 0o600, name
    assert found.url.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(f"{found.url}/twin/address") as answer:  # this one is for all: who am I there?
        assert answer.read() == b"203.0.113.1\n"
    with pytest.raises(UserError, match="there is no fault"):
        ask_twin(bay.home, "fault", name="earthquake")


def test_without_its_packages_one_line_says_what_to_install(bay: Bay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twin, "find_spec", lambda _: None)
    with pytest.raises(UserError, match="the twin needs moto") as caught:
        start_twin(bay)
    assert caught.value.hint == "pip install 'launchbay[twin]'"


def test_a_trial_has_a_twin_of_its_own_and_leaves_nothing(bay: Bay) -> None:
    found = conformance.try_conformance(bay, "twin", names=["token-repeats", "quota"])
    assert (found["met"], found["behaviours"]) == (2, 2)
    assert find_twin(bay.home) is None
    assert not any(bay.home.tmp.iterdir())
    with pytest.raises(UserError, match="there is no behaviour 'nonsense'"):
        conformance.try_conformance(bay, "twin", names=["nonsense"])


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_trial_that_says_much_does_not_wait_for_us_nor_we_for_it(
    bay: Bay, monkeypatch: pytest.MonkeyPatch, stream: str
) -> None:
    text = f"import sys, json; sys.{stream}.write(' ' * 300_000 + chr(10)); print(json.dumps({{'met': 1}}))"
    spawn = subprocess.Popen
    monkeypatch.setattr("subprocess.Popen", lambda _, **kwargs: spawn([sys.executable, "-c", text], **kwargs))
    assert conformance.try_conformance(bay, "moto") == {"met": 1}


def test_what_is_not_aws_is_not_tried_as_aws(bay: Bay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="it would not be AWS that is tried"):
        conformance.try_conformance(bay, "real", names=["quota"])


def test_a_twin_of_another_launchbay_is_said_and_can_be_stopped(bay: Bay, monkeypatch: pytest.MonkeyPatch) -> None:
    start_twin(bay, clock="virtual", has_hosts=False)
    monkeypatch.setattr(twin, "_TOLD", ("clock", "something_newer"))
    with pytest.raises(UserError, match="of another Launchbay: it does not say something_newer") as caught:
        find_twin(bay.home)
    assert "bay twin stop" in caught.value.hint
    with pytest.raises(UserError, match="of another Launchbay"):
        start_twin(bay)  # and no second one is started
    assert stop_twin(bay)
    assert find_twin(bay.home) is None
