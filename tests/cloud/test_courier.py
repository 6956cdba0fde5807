"""Nothing of a run is lost with its instance: what a courier sent comes back as it was."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from launchbay.afar.machine import FarMachine
from launchbay.cloud.courier import restore_run, start_courier, stored_runs
from launchbay.cloud.store import Store, open_store
from launchbay.errors import LaunchbayError, NotFound
from launchbay.lifecycle.bay import Bay
from launchbay.onboard.eventfiles import masked_crc
from launchbay.onboard.process import identify
from launchbay.onboard.rundir import find_files, look_at
from launchbay.providers.ec2.bucket import list_kept, read_kept, write_kept
from launchbay.providers.ec2.client import open_client
from tests.cloud.machines import far_machine
from tests.twin.conftest import TwinProcess

RUN = "run-20261127-120000-abcde"
EVENTS = "work/logs/events.out.tfevents.1.host"


@pytest.fixture
def store(twin: TwinProcess) -> Store:
    return open_store(open_client("us-east-1", endpoint=twin.url, keys=("twin", "twin")))


class Going:
    """A run that goes on on a machine, without a script: a test writes what one would."""

    def __init__(self, folder: Path) -> None:
        self.machine, self.way = far_machine(folder)
        self.folder = Path(self.machine.home) / "runs" / RUN
        (self.folder / "work" / "logs").mkdir(parents=True)
        (self.folder / "checkpoints").mkdir()
        self.process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        record: dict[str, Any] = dict.fromkeys(("image", "digest"), "x")
        record |= {"version": 1, "instance": "exp-1", "fleet": "exp-1", "script": "/far/train.py", "args": []}
        record |= {"data": None, "data_files": {}, "created_at": 1.0}
        self.write("record.json", json.dumps(record))
        self.write("process.json", json.dumps(identify(self.process.pid)))
        self.write("output.log", "epoch 1\n")
        self.write("work/train.py", "print(1)\n")
        self.write(EVENTS, self.event(b"one"))
        (self.folder / "work" / "latest").symlink_to("train.py")

    @staticmethod
    def event(data: bytes) -> bytes:
        head = struct.pack("<Q", len(data))
        return head + struct.pack("<I", masked_crc(head)) + data + struct.pack("<I", masked_crc(data))

    def write(self, name: str, text: str | bytes) -> None:
        path = self.folder / name
        half = path.with_name(f"{path.name}.half")
        half.write_bytes(text if isinstance(text, bytes) else text.encode())
        half.replace(path)

    def add(self, name: str, text: str | bytes) -> None:
        with (self.folder / name).open("ab") as file:
            file.write(text if isinstance(text, bytes) else text.encode())

    def end(self, **result: Any) -> None:
        self.write("result.json", json.dumps({"state": "done", "exit_code": 0, "signal": None, **result}))
        self.process.kill()
        self.process.wait()

    @property
    def courier(self) -> int:
        return int(json.loads((self.folder / "courier" / "process.json").read_text())["pid"])

    def lose(self) -> None:
        """End all at once, as with the power of an instance."""
        for pid in (self.courier, self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def going(tmp_path: Path) -> Iterator[Going]:
    run = Going(tmp_path / "far")
    yield run
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        run.lose()
    run.process.kill()
    run.process.wait()


def wait_for(condition: Callable[[], object], *, seconds: float = 40) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not come true"
        time.sleep(0.05)


def listed(store: Store, name: str) -> dict[str, Any]:
    """Return what the list in the store says of a file."""
    try:
        value = json.loads(read_kept(store.client, store.name, f"runs/exp/{RUN}/list.json"))
    except NotFound:
        return {}
    found: dict[str, Any] = value["files"].get(name, {})
    return found


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def start(going: Going, store: Store, *, lease_s: float = 3600.0) -> FarMachine:
    start_courier(going.machine, store, "exp", RUN, lease_s=lease_s, every_s=0.2)
    return going.machine


def status_of(machine: FarMachine) -> Any:
    """Return what the run's courier wrote down last; empty before its first round."""
    return json.loads(machine.there({"do": "courier", "run": RUN}))


def test_a_run_whose_instance_is_lost_comes_back(bay: Bay, going: Going, store: Store) -> None:
    going.write("checkpoints/step-1.bin", os.urandom(9_000_000))  # more than one piece
    going.write("checkpoints/manifest.json", '{"step": 1}')
    start(going, store)
    wait_for(lambda: listed(store, "checkpoints/manifest.json"))
    going.add("output.log", "epoch 2\n" * 200_000)  # more than one piece, too
    going.add(EVENTS, going.event(b"two"))
    wait_for(lambda: listed(store, "output.log").get("size") == 1_600_008)
    wait_for(lambda: listed(store, EVENTS).get("sha256") == sha256(going.folder / EVENTS))
    kept = {name: (going.folder / name).read_bytes() for name in find_files(str(going.folder)).files}
    going.lose()
    assert stored_runs(store, "exp") == [RUN]
    run = restore_run(bay, store, "exp", RUN)
    assert (run.state, run.instance, run.fleet, run.is_over) == ("lost", "exp-1", "exp", True)
    for name, content in kept.items():
        if name != "record.json":
            assert (run.folder / name).read_bytes() == content, name
    assert os.readlink(run.folder / "work" / "latest") == "train.py"
    assert run.checkpoint_sizes == [11, 9_000_000] or sorted(run.checkpoint_sizes) == [11, 9_000_000]
    again = restore_run(bay, store, "exp", RUN)
    assert again.state == "lost"


def test_the_end_of_a_run_is_sent_and_the_courier_ends(bay: Bay, going: Going, store: Store) -> None:
    machine = start(going, store)
    wait_for(lambda: listed(store, "output.log"))
    going.write("work/model.onnx", os.urandom(6_000_000))
    going.add("output.log", "bye\n")
    going.end(artifacts=[{"path": "model.onnx", "format": "onnx", "sha256": None, "bytes": 6_000_000}])
    wait_for(lambda: status_of(machine).get("over"))
    status = status_of(machine)
    assert (status["error"], status["over"]) == (None, True)
    wait_for(lambda: not os.path.exists(f"/proc/{going.courier}"))
    run = restore_run(bay, store, "exp", RUN)
    assert (run.state, run.exit_code) == ("done", 0)
    assert [item.path for item in run.artifacts] == [run.work / "model.onnx"]
    assert sha256(run.work / "model.onnx") == sha256(going.folder / "work" / "model.onnx")
    assert run.log.read_text().endswith("bye\n")


def test_checkpoints_come_back_as_they_were_at_one_moment(bay: Bay, going: Going, store: Store, tmp_path: Path) -> None:
    script = tmp_path / "saving.py"
    script.write_text("""
import hashlib, json, os, sys
folder, step = sys.argv[1], 0
def put(name, data):
    with open(f"{folder}/{name}.half", "wb") as file: file.write(data)
    os.replace(f"{folder}/{name}.half", f"{folder}/{name}")
while True:  # as a careful script saves: arrays first, then what names them, then the old ones go
    step += 1
    data = os.urandom(400_000)
    put(f"arrays-{step}", data)
    put("manifest.json", json.dumps({"arrays": f"arrays-{step}", "sha256": hashlib.sha256(data).hexdigest()}).encode())
    if step > 1: os.unlink(f"{folder}/arrays-{step - 1}")
""")
    saving = subprocess.Popen([sys.executable, script, going.folder / "checkpoints"])
    try:
        start(going, store)
        seen: set[str] = set()
        for number in range(4):
            wait_for(
                lambda: listed(store, "checkpoints/manifest.json").get("sha256", "") not in {"", *seen}, seconds=60
            )
            seen.add(listed(store, "checkpoints/manifest.json")["sha256"])
            other = bay if number == 3 else None
            if other is not None:
                going.lose()
    finally:
        saving.kill()
        saving.wait()
    run = restore_run(bay, store, "exp", RUN)
    manifest = json.loads((run.checkpoints / "manifest.json").read_text())
    assert sha256(run.checkpoints / manifest["arrays"]) == manifest["sha256"]


def test_a_courier_that_is_killed_or_replaced_goes_on(bay: Bay, going: Going, store: Store) -> None:
    start(going, store)
    wait_for(lambda: listed(store, "output.log"))
    first = going.courier
    start(going, store)  # with a new form, as before the old one's time is over
    assert going.courier != first
    wait_for(lambda: not os.path.exists(f"/proc/{first}"))
    os.kill(going.courier, signal.SIGKILL)
    going.add("output.log", "more\n")
    before = {kept.key: kept.at for kept in list_kept(store.client, store.name, f"runs/exp/{RUN}/files/")}
    start(going, store)
    wait_for(lambda: listed(store, "output.log").get("sha256") == sha256(going.folder / "output.log"))
    after = {kept.key: kept.at for kept in list_kept(store.client, store.name, f"runs/exp/{RUN}/files/")}
    assert after.keys() == before.keys()  # nothing was sent to another place
    going.lose()
    assert restore_run(bay, store, "exp", RUN).log.read_text() == "epoch 1\nmore\n"


def test_a_form_whose_time_is_over_is_said_and_harms_nothing(twin: TwinProcess, going: Going, store: Store) -> None:
    machine = start(going, store, lease_s=60)
    wait_for(lambda: listed(store, "output.log"))
    time.sleep(1.1)  # signatures are dated to the second
    twin.ask("advance", seconds=120)
    going.add("output.log", "late\n")
    wait_for(lambda: status_of(machine).get("error"))
    assert "takes nothing more" in status_of(machine)["error"]
    assert going.process.poll() is None
    start(going, store)
    wait_for(lambda: listed(store, "output.log").get("sha256") == sha256(going.folder / "output.log"))


def test_what_was_given_is_in_no_file_and_no_argument(going: Going, store: Store) -> None:
    start(going, store)
    wait_for(lambda: listed(store, "output.log"))
    argv = Path(f"/proc/{going.courier}/cmdline").read_bytes()
    environment = Path(f"/proc/{going.courier}/environ").read_bytes()
    written = b"".join(path.read_bytes() for path in Path(going.machine.home).rglob("*") if path.is_file())
    told = json.dumps(going.way.commands).encode()
    for text in (argv, environment, written, told):
        assert b"x-amz-signature" not in text.lower()
        assert b"policy" not in text or text is written
    assert b"x-amz-credential" not in written.lower()


def test_more_that_is_here_already_is_kept(bay: Bay, going: Going, store: Store) -> None:
    start(going, store)
    wait_for(lambda: listed(store, "output.log"))
    going.lose()
    restore_run(bay, store, "exp", RUN)
    log = bay.home.runs / RUN / "output.log"
    log.chmod(0o644)
    with log.open("a") as file:
        file.write("what the instance itself had told\n")
    assert restore_run(bay, store, "exp", RUN).log.read_text() == "epoch 1\nwhat the instance itself had told\n"


def test_what_was_altered_in_the_store_is_not_taken(bay: Bay, going: Going, store: Store) -> None:
    going.write("checkpoints/a", b"a" * 100)
    start(going, store)
    wait_for(lambda: listed(store, "checkpoints/a"))
    going.lose()
    key = hashlib.sha256(b"checkpoints/a").hexdigest()[:32]
    write_kept(store.client, store.name, f"runs/exp/{RUN}/files/{key}/0/000000", b"b" * 100)
    with pytest.raises(LaunchbayError, match="does not arrive as it is"):
        restore_run(bay, store, "exp", RUN)
    assert not (bay.home.runs / RUN / "checkpoints" / "a").exists()
    name = f"runs/exp/{RUN}/list.json"
    value = json.loads(read_kept(store.client, store.name, name))
    value["files"]["../../evil"] = value["files"]["output.log"]
    value["files"]["work/deep/../../../evil"] = value["files"]["output.log"]
    del value["files"]["checkpoints/a"]
    write_kept(store.client, store.name, name, json.dumps(value).encode())
    restore_run(bay, store, "exp", RUN)
    assert not list(bay.home.root.parent.rglob("evil"))
    write_kept(store.client, store.name, name, b'{"files": {"a": {"slot": 7}}, "links": {}}')
    with pytest.raises(LaunchbayError, match="cannot be"):
        restore_run(bay, store, "exp", RUN)


def test_a_run_that_is_not_in_the_store(bay: Bay, store: Store) -> None:
    with pytest.raises(NotFound, match="nothing of run-x") as caught:
        restore_run(bay, store, "exp", "run-x")
    assert "`bay store show --" in caught.value.hint


def test_files_of_a_set_that_never_hold_still_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "output.log").write_text("x")
    (run / "checkpoints" / "a").write_text("1")
    found = find_files(str(run))
    count = 0

    def moving(folder: str) -> Any:
        nonlocal count
        count += 1
        (run / "checkpoints" / "a").write_text("x" * (count + 1))
        return find_files(folder).of_set()

    monkeypatch.setattr("launchbay.onboard.rundir._find_set", moving)
    with look_at(str(run), str(tmp_path / "scratch"), found) as looks:
        assert [look.name for look in looks] == ["output.log"]
        assert found.of_set()  # there is something, and it is not held: what was known of it stays
    monkeypatch.undo()
    with look_at(str(run), str(tmp_path / "scratch"), find_files(str(run))) as looks:
        (run / "checkpoints" / "a").unlink()  # the script removes it meanwhile
        assert [Path(look.path).exists() for look in looks] == [True, True]
