"""Runs that are brought home, from a machine that may lie about everything."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from launchbay.afar.bring import begin_run, sync_run
from launchbay.afar.machine import FarMachine
from launchbay.afar.origin import Origin
from launchbay.errors import Conflict, LaunchbayError, StateError, UserError
from launchbay.lifecycle.bay import Bay
from launchbay.runs.end import stop_run
from launchbay.store.records import open_runs, read_run
from launchbay.testing import RecordingReporter
from tests.afar.wire import Alter, Wire, fake_machine

ID = "run-20260101-000000-abcde"


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """Return the folder of a run on the other machine, which goes on."""
    folder = tmp_path / "far" / "runs" / ID
    (folder / "work" / "logs").mkdir(parents=True)
    (folder / "checkpoints").mkdir()
    record = {
        "version": 1,
        "instance": "exp-1-1",
        "instance_id": "i-1",
        "fleet": "exp-1",
        "image": "tiny",
        "digest": "d" * 64,
        "script": f"{tmp_path}/far/afar/trees/w/train.py",
        "args": ["--out", "o"],
        "data": f"{tmp_path}/far/afar/trees/d",
        "data_files": {},
        "created_at": 1.0,
        "client": {"pid": os.getpid(), "start": None, "boot": None},
        "foreseen": [f"{tmp_path}/far/afar/trees/w/train.py:3 reads {folder}/work/x"],
    }
    write(folder / "record.json", record)
    write(folder / "process.json", {"pid": os.getpid(), "start": 1, "boot": "b"})
    (folder / "output.log").write_text("up\n", encoding="utf-8")
    (folder / "work" / "train.py").write_text("print('up')\n", encoding="utf-8")
    (folder / "work" / "data").symlink_to(tmp_path / "far" / "afar" / "trees" / "d")
    return folder


def write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def end(there: Path, **changed: object) -> None:
    artifact = {"path": "model.keras", "format": "file", "sha256": None, "bytes": 3}
    (there / "work" / "model.keras").write_text("abc", encoding="utf-8")
    result = {
        "state": "done",
        "exit_code": 0,
        "artifacts": [artifact],
        "logdirs": ["logs"],
        "notes": [f"see {there}/work"],
    }
    write(there / "result.json", result | changed)


def origin(tmp_path: Path) -> Origin:
    return Origin(
        machine="far",
        home=str(tmp_path / "far"),
        instance="exp-1",
        fleet="exp",
        script="/me/project/train.py",
        script_there=f"{tmp_path}/far/afar/trees/w/train.py",
        data="/me/data",
        data_there=f"{tmp_path}/far/afar/trees/d",
    )


def begun(bay: Bay, there: Path, alter: Alter = lambda _, answer: answer) -> tuple[FarMachine, Wire]:
    machine, wire = fake_machine(there.parents[1], alter)
    begin_run(bay, machine, ID, origin(there.parents[2]))
    return machine, wire


def listing(**changes: Any) -> Alter:
    """Add files and links to what the machine lists, as if they were there."""

    def alter(request: dict[str, Any], answer: bytes) -> bytes:
        if request["do"] != "list":
            return answer
        value = json.loads(answer)
        for name, more in changes.items():
            value[name] = {**value[name], **more} if isinstance(more, dict) else more
        return json.dumps(value).encode() + b"\n"

    return alter


def test_a_run_that_goes_on_there_runs_here(bay: Bay, there: Path) -> None:
    machine, _ = begun(bay, there)
    (there / "process.json").unlink()
    here = read_run(bay.home.runs / ID)
    assert (here.state, here.afar, here.supervisor) == ("lost", "far", None)  # as that machine saw it: nobody is at it
    assert (here.instance, here.fleet, here.script, here.data) == ("exp-1", "exp", "/me/project/train.py", "/me/data")
    assert here.foreseen == (f"/me/project/train.py:3 reads {here.folder}/work/x",)
    assert "client" not in json.loads((here.folder / "record.json").read_text(encoding="utf-8"))
    assert str(machine.home) not in (here.folder / "record.json").read_text(encoding="utf-8")


def test_while_it_goes_on_log_and_curves_come_and_nothing_twice(bay: Bay, there: Path) -> None:
    events = there / "work" / "logs" / "events.out.tfevents.1"
    events.write_bytes(b"a" * 1000)
    machine, wire = begun(bay, there, listing(state="running", over=False))
    run = sync_run(bay, machine, ID)
    assert [item.id for item in open_runs(bay.home)] == [ID]
    assert (run.state, run.log.read_bytes()) == ("running", b"up\n")
    assert (run.work / "logs" / "events.out.tfevents.1").read_bytes() == b"a" * 1000
    assert not (run.work / "train.py").exists()
    with events.open("ab") as file:
        file.write(b"bb")
    wire.asked.clear()
    sync_run(bay, machine, ID)
    (read,) = [item for item in wire.asked if item["do"] == "read"]
    assert read["pieces"] == [["work/logs/events.out.tfevents.1", 1000, 2]]
    assert (run.work / "logs" / "events.out.tfevents.1").read_bytes() == events.read_bytes()


def test_once_it_is_over_all_of_it_is_here(bay: Bay, there: Path) -> None:
    machine, wire = begun(bay, there)
    (there / "checkpoints" / "last").symlink_to(there / "checkpoints" / "1.ckpt")
    (there / "checkpoints" / "1.ckpt").write_text("c", encoding="utf-8")
    (there / "work" / "best").symlink_to("model.keras")
    (there / "work" / "empty").write_bytes(b"")
    end(there)
    run = sync_run(bay, machine, ID)
    assert (run.state, run.exit_code, run.has_stock) == ("done", 0, True)
    assert [item.path for item in run.artifacts] == [run.work / "model.keras"]
    assert run.logdirs == (run.work / "logs",)
    assert run.notes == (f"see {run.folder}/work",)
    assert (run.checkpoints / "last").read_text(encoding="utf-8") == "c"
    assert os.readlink(run.checkpoints / "last") == "1.ckpt"
    assert os.readlink(run.work / "data") == "/me/data"
    assert (run.work / "best").read_text(encoding="utf-8") == "abc"
    assert (run.work / "empty").read_bytes() == b""
    assert sorted(path.name for path in run.folder.iterdir()) == [
        "afar.json", "checkpoints", "output.log", "record.json", "result.json", "work"
    ]  # fmt: skip
    wire.asked.clear()
    sync_run(bay, machine, ID)
    size = (there / "result.json").stat().st_size
    assert [item["pieces"] for item in wire.asked if item["do"] == "read"] == [[["result.json", 0, size]]]


def test_a_bringing_that_was_cut_off_goes_on(bay: Bay, there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("launchbay.afar.listing._PIECE_BYTES", 1000)
    monkeypatch.setattr("launchbay.afar.listing._PACK_BYTES", 1000)
    cut = [3]

    def break_off(request: dict[str, Any], answer: bytes) -> bytes:
        if request["do"] == "read" and request["pieces"][0][0] == "work/large":
            cut[0] -= 1
            if cut[0] == 0:
                raise LaunchbayError("the line is cut")
        return answer

    machine, wire = begun(bay, there, break_off)
    (there / "work" / "large").write_bytes(os.urandom(10_000))
    end(there)
    with pytest.raises(LaunchbayError, match="the line is cut"):
        sync_run(bay, machine, ID)
    assert read_run(bay.home.runs / ID).exit_code is None  # it does not say that it is over
    wire.asked.clear()
    run = sync_run(bay, machine, ID)
    assert run.state == "done"
    assert (run.work / "large").read_bytes() == (there / "work" / "large").read_bytes()
    offsets = [
        item["pieces"][0][1] for item in wire.asked if item["do"] == "read" and item["pieces"][0][0] == "work/large"
    ]
    assert min(offsets) == 2000


def test_a_resumed_run_comes_with_its_attempts(bay: Bay, there: Path) -> None:
    machine, _ = begun(bay, there)
    end(there, state="failed", exit_code=1)
    assert sync_run(bay, machine, ID).state == "failed"
    second = there / "attempts" / "2"
    write(second / "record.json", {"instance": "exp-1-1", "fleet": "exp-1", "created_at": 2.0, "log_start": 3})
    write(second / "result.json", {"state": "done", "exit_code": 0})
    run = sync_run(bay, machine, ID)
    assert (run.state, run.attempt, run.instance, run.earlier[0].state) == ("done", 2, "exp-1", "failed")


# --- a machine that lies ---


@pytest.mark.parametrize(
    "name",
    [
        "../../evil",
        "/elsewhere/evil",
        "work/../../evil",
        "afar.json",
        "process.json",
        ".bringing/x",
        "evil",
        "attempts/2/evil",
    ],
)
def test_no_file_comes_where_a_run_has_none(bay: Bay, there: Path, name: str) -> None:
    before = (bay.home.root / "x").parent
    machine, wire = begun(bay, there, listing(files={name: [4, 0, True, "0" * 64]}))
    note = (bay.home.runs / ID / "afar.json").read_bytes()
    end(there)
    run = sync_run(bay, machine, ID)
    assert name not in [piece[0] for item in wire.asked if item["do"] == "read" for piece in item["pieces"]]
    assert not list(before.rglob("*evil*"))
    assert json.loads(note)["machine"] == "far"
    assert run.afar == "far"
    assert run.supervisor is None


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("work/evil", "/etc/passwd"),
        ("work/evil", "../../../x"),
        ("../evil", "a"),
        ("evil", "work"),
        ("work/a/evil", "../../../../x"),
    ],
)
def test_no_link_leads_out(bay: Bay, there: Path, reporter: RecordingReporter, name: str, target: str) -> None:
    machine, _ = begun(bay, there, listing(links={name: target}))
    end(there)
    run = sync_run(bay, machine, ID)
    assert run.state == "done"
    assert not [path for path in bay.home.root.rglob("*") if path.name == "evil"]
    assert f"stayed on far, first {name!r}" in " ".join(reporter.notes)


def test_a_record_is_not_appended_to(bay: Bay, there: Path) -> None:
    """Whatever a machine says is an event file: a record is taken over word by word, never as bytes."""
    (there / "record.json").write_text((there / "record.json").read_text(encoding="utf-8") + " " * 5000, "utf-8")
    more = {name: [9000, 0, True, None] for name in ("record.json", "result.json", "afar.json", "evil")}
    machine, wire = begun(bay, there, listing(state="running", over=False, files=more))
    before = {path.name: path.read_bytes() for path in (bay.home.runs / ID).glob("*.json")}
    wire.asked.clear()
    sync_run(bay, machine, ID)
    assert [piece[0] for item in wire.asked if item["do"] == "read" for piece in item["pieces"]] == ["output.log"]
    after = {path.name: path.read_bytes() for path in (bay.home.runs / ID).glob("*.json")}
    assert after["record.json"] == before["record.json"]
    assert after.keys() == {"record.json", "afar.json"}


def test_nothing_is_written_through_a_link(bay: Bay, there: Path, tmp_path: Path) -> None:
    machine, _ = begun(bay, there)
    outside = tmp_path / "outside"
    outside.mkdir()
    (bay.home.runs / ID / "work" / "sub").symlink_to(outside)
    (there / "work" / "sub").mkdir()
    (there / "work" / "sub" / "x").write_text("x", encoding="utf-8")
    end(there)
    with pytest.raises(LaunchbayError, match="work/sub is no folder of the run"):
        sync_run(bay, machine, ID)
    assert list(outside.iterdir()) == []


def test_a_log_that_is_a_link_here_is_not_followed(bay: Bay, there: Path, tmp_path: Path) -> None:
    machine, _ = begun(bay, there, listing(state="running", over=False))
    victim = tmp_path / "victim"
    victim.write_text("mine", encoding="utf-8")
    (bay.home.runs / ID / "output.log").symlink_to(victim)
    with pytest.raises(UserError, match="bringing"):
        sync_run(bay, machine, ID)
    assert victim.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("path", ["/etc/passwd", "../../../x", "a/../../b", ""])
def test_a_result_names_nothing_outside(bay: Bay, there: Path, path: str) -> None:
    machine, _ = begun(bay, there)
    end(there, artifacts=[{"path": path, "format": "keras", "sha256": None, "bytes": 1}])
    with pytest.raises(LaunchbayError, match="which is not in the run"):
        sync_run(bay, machine, ID)
    end(there, logdirs=[path])
    with pytest.raises(LaunchbayError, match="which is not in the run"):
        sync_run(bay, machine, ID)
    assert not (bay.home.runs / ID / "result.json").exists()


def test_a_file_that_is_not_what_was_said_is_not_taken(bay: Bay, there: Path) -> None:
    def lie(request: dict[str, Any], answer: bytes) -> bytes:
        if request["do"] == "read" and request["pieces"][0][0].startswith("work/"):
            head, _, data = answer.partition(b"\n")
            return head + b"\n" + bytes(len(data))
        return answer

    machine, _ = begun(bay, there, lie)
    end(there)
    with pytest.raises(UserError, match="does not arrive as it is"):
        sync_run(bay, machine, ID)
    assert not (bay.home.runs / ID / "work" / "model.keras").exists()
    assert not (bay.home.runs / ID / "result.json").exists()


LIST = b'{"files": {"output.log": [%s, 0, false, null]}, "links": {}, "state": "%s", "over": true}\n'


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"{}\n",
        b'{"files": 3}\n',
        b"[]\n",
        LIST % (b"-1", b"done"),
        LIST % (b"1", b"odd"),
        LIST % (b"1.5", b"done"),
    ],
)
def test_what_is_no_list_is_refused(bay: Bay, there: Path, answer: bytes) -> None:
    machine, _ = fake_machine(there.parents[1], lambda _request, _answer: answer)
    with pytest.raises(LaunchbayError, match=r"describes .* in a way that cannot be"):
        begin_run(bay, machine, ID, origin(there.parents[2]))
    assert not bay.home.runs.exists()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b'{"sizes": [1, 2, 3, 4, 5]}\nabc',
        b'{"sizes": [99999]}\n' + b"a" * 99999,
        b'{"sizes": [3]}\n{}',
        b'{"sizes": [-1]}\n',
    ],
)
def test_what_is_no_file_is_refused(bay: Bay, there: Path, answer: bytes) -> None:
    machine, _ = fake_machine(there.parents[1], lambda request, given: answer if request["do"] == "read" else given)
    with pytest.raises(LaunchbayError, match=r"sent (no files|other pieces) of"):
        begin_run(bay, machine, ID, origin(there.parents[2]))


def test_a_record_that_is_damaged_is_named(bay: Bay, there: Path) -> None:
    machine, _ = begun(bay, there)
    end(there)
    write(there / "result.json", [1])
    with pytest.raises((StateError, LaunchbayError), match="damaged"):
        sync_run(bay, machine, ID)


def test_a_name_that_is_no_run_is_refused(bay: Bay, there: Path) -> None:
    machine, _ = fake_machine(there.parents[1])
    for name in ("../x", "/x", "a/b", ""):
        with pytest.raises(LaunchbayError, match="named a run"):
            begin_run(bay, machine, name, origin(there.parents[2]))


def test_a_run_of_here_or_of_another_machine_is_not_brought(bay: Bay, there: Path, tmp_path: Path) -> None:
    machine, _ = begun(bay, there)
    other, _ = fake_machine(tmp_path / "other")
    with pytest.raises(Conflict, match="is a run of far"):
        sync_run(bay, other, ID)
    (bay.home.runs / ID / "afar.json").unlink()
    with pytest.raises(Conflict, match="is no run of another machine"):
        sync_run(bay, machine, ID)


def test_it_is_stopped_where_it_is(bay: Bay, there: Path) -> None:
    begun(bay, there, listing(state="running", over=False))
    with pytest.raises(Conflict, match="is on far, and is stopped there"):
        stop_run(bay, read_run(bay.home.runs / ID))
