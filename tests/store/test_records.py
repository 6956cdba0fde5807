from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from launchbay.errors import NotFound, StateError, UsageError
from launchbay.home import Home
from launchbay.jsonable import to_json
from launchbay.onboard.process import identify, process_alive
from launchbay.store.records import (
    find_model_run,
    find_run,
    list_runs,
    open_runs,
    read_run,
    write_run,
)

OVER = {"state": "done", "exit_code": 0, "signal": None, "seconds": 2.5, "cpu_seconds": 2.0}


@pytest.fixture
def living() -> Iterator[Mapping[str, Any]]:
    """Return what identifies a process that lives."""
    process = subprocess.Popen(["sleep", "600"])
    yield identify(process.pid)
    process.kill()
    process.wait()


@pytest.fixture
def dead() -> Mapping[str, Any]:
    """Return what identified a process that has ended."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        return identify(process.pid)


def make_run(
    home: Home,
    name: str,
    *,
    process: Mapping[str, Any] | None = None,
    result: Mapping[str, Any] | None = None,
    **record: Any,
) -> Path:
    folder = home.runs / name
    folder.mkdir(parents=True)
    whole: dict[str, Any] = {
        "instance": "exp-1",
        "fleet": "exp",
        "image": "tiny",
        "digest": "d1",
        "script": "train.py",
        "args": ["--epochs", "5"],
        "data": None,
        "data_files": {},
        "created_at": 1_800_000_000.0,
    }
    write_run(folder, whole | record)
    for file, content in (("process.json", process), ("result.json", result)):
        if content is not None:
            (folder / file).write_text(json.dumps(content))
    return folder


# --- the state is observed ---


def test_a_run_whose_supervisor_lives_is_running(home: Home, living: Mapping[str, Any]) -> None:
    run = read_run(make_run(home, "r1", process=living))
    assert (run.state, run.is_over, run.exit_code, run.seconds) == ("running", False, None, None)


def test_a_run_whose_supervisor_died_without_a_word_is_lost(home: Home, dead: Mapping[str, Any]) -> None:
    run = read_run(make_run(home, "r1", process=dead))
    assert (run.state, run.is_over, run.exit_code) == ("lost", True, None)


def test_a_run_that_nobody_supervises_yet_is_starting(home: Home, living: Mapping[str, Any]) -> None:
    run = read_run(make_run(home, "r1", client=living))
    assert (run.state, run.is_over) == ("starting", False)


def test_a_run_whose_client_was_killed_before_it_began_is_lost(home: Home, dead: Mapping[str, Any]) -> None:
    assert read_run(make_run(home, "r1", client=dead)).state == "lost"
    assert read_run(make_run(home, "r2")).state == "lost"


@pytest.mark.parametrize("state", ["done", "failed", "killed", "stopped"])
def test_a_run_that_ended_is_what_its_result_says(home: Home, living: Mapping[str, Any], state: str) -> None:
    run = read_run(make_run(home, "r1", process=living, result=OVER | {"state": state}))
    assert (run.state, run.is_over) == (state, True)


def test_a_result_is_read_whole_and_the_unknown_is_none(home: Home, dead: Mapping[str, Any]) -> None:
    result = OVER | {
        "artifacts": [{"path": "best.keras", "format": "keras", "sha256": "ab", "bytes": 7}],
        "logdirs": ["logs/train"],
        "timed_out": True,
    }
    run = read_run(make_run(home, "r1", process=dead, result=result))
    assert (run.exit_code, run.signal, run.seconds, run.cpu_seconds, run.timed_out) == (0, None, 2.5, 2.0, True)
    assert (run.peak_memory_bytes, run.gpu, run.supervisor_cpu_seconds) == (None, None, None)
    assert run.logdirs == (home.runs / "r1" / "work" / "logs" / "train",)
    [model] = run.artifacts
    assert (model.path, model.is_model) == (home.runs / "r1" / "work" / "best.keras", True)


def test_a_run_is_shown_with_absolute_paths_and_without_our_own_business(home: Home) -> None:
    artifacts = [
        {"path": "best.keras", "format": "keras", "sha256": "ab", "bytes": 7},
        {"path": "notes.txt", "format": "file", "sha256": "cd", "bytes": 1},
    ]
    shown = to_json(read_run(make_run(home, "r1", result=OVER | {"artifacts": artifacts})))
    work = home.runs / "r1" / "work"
    assert shown["run"] == "r1"
    assert shown["artifacts"] == [str(work / "best.keras"), str(work / "notes.txt")]
    assert [item["path"] for item in shown["models"]] == [str(work / "best.keras")]
    assert (shown["log"], shown["work"]) == (str(home.runs / "r1" / "output.log"), str(work))
    assert not {"supervisor", "data_files", "id"} & set(shown)
    json.dumps(shown)


def test_while_stock_is_taken_a_run_counts_as_running(home: Home, living: Mapping[str, Any]) -> None:
    run = read_run(make_run(home, "r1", process=living, result=OVER | {"taking_stock": True}))
    assert (run.state, run.is_over, run.exit_code, run.has_stock) == ("running", False, None, False)


def test_a_run_whose_supervisor_died_taking_stock_is_over(home: Home, dead: Mapping[str, Any]) -> None:
    run = read_run(make_run(home, "r1", process=dead, result=OVER | {"taking_stock": True}))
    assert (run.state, run.exit_code, run.artifacts, run.has_stock) == ("done", 0, (), False)
    assert read_run(make_run(home, "r2", process=dead, result=OVER)).has_stock


def test_a_result_written_between_the_two_looks_is_seen(
    home: Home, dead: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The supervisor writes it and ends: just before its process is looked for, just after the result was."""
    folder = make_run(home, "r1", process=dead)

    def alive(process: Mapping[str, Any] | None) -> bool:
        (folder / "result.json").write_text(json.dumps(OVER))
        return process_alive(process)

    monkeypatch.setattr("launchbay.store.records.process_alive", alive)
    assert read_run(folder).state == "done"


@pytest.mark.parametrize(
    ("early", "late", "expected"),
    [
        (None, OVER, "done"),  # ended, with all it had to say, as soon as it had been seen alive
        (OVER | {"taking_stock": True}, OVER, "done"),
        (None, None, "running"),  # what it says comes later still
        (OVER | {"taking_stock": True}, OVER | {"taking_stock": True}, "running"),
    ],
)
def test_a_run_whose_supervisor_ends_while_it_is_read_is_not_lost(
    home: Home,
    living: Mapping[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    *,
    early: Mapping[str, Any] | None,
    late: Mapping[str, Any] | None,
    expected: str,
) -> None:
    folder = make_run(home, "r1", process=living, result=early)
    looks: list[object] = []

    def alive(process: Mapping[str, Any] | None) -> bool:
        looks.append(process)
        if late is not None:
            (folder / "result.json").write_text(json.dumps(late))
        return len(looks) == 1

    monkeypatch.setattr("launchbay.store.records.process_alive", alive)
    assert read_run(folder).state == expected
    assert looks == [living]


def test_a_run_whose_client_leaves_while_it_is_read_is_not_lost(
    home: Home, living: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It starts the supervisor and detaches, just after the supervisor was looked for in vain."""
    folder = make_run(home, "r1", client={"pid": 1, "start": 1, "boot": "another-boot"})

    def alive(process: Mapping[str, Any] | None) -> bool:
        (folder / "process.json").write_text(json.dumps(living))
        return process_alive(process)

    monkeypatch.setattr("launchbay.store.records.process_alive", alive)
    assert read_run(folder).state == "running"


# --- those that are open ---


def test_runs_that_are_not_over_are_listed(home: Home, living: Mapping[str, Any], dead: Mapping[str, Any]) -> None:
    make_run(home, "r1", process=living)
    make_run(home, "r2", process=dead)
    make_run(home, "r3", process=dead, result=OVER)
    taking = make_run(home, "r4", process=living, result=OVER | {"taking_stock": True})
    (taking / "result.reserve").touch()
    make_run(home, "r5", client=living)
    (home.runs / "r6").mkdir()
    assert [run.id for run in open_runs(home)] == ["r1", "r4", "r5"]


def test_a_run_with_a_result_is_not_even_read(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        make_run(home, f"r{number}", result=OVER)
    monkeypatch.setattr("launchbay.store.records.read_json", lambda path: pytest.fail(f"{path} was read"))
    assert list(open_runs(home)) == []


# --- a process and its number ---


def test_a_living_process_is_alive(living: Mapping[str, Any]) -> None:
    assert process_alive(living)
    assert process_alive(identify(os.getpid()))


def test_a_process_that_ended_is_not(dead: Mapping[str, Any]) -> None:
    assert not process_alive(dead)
    assert not process_alive(None)


def test_a_process_that_only_waits_to_be_collected_is_not() -> None:
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    mark = identify(process.pid)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert Path(f"/proc/{process.pid}").exists()
    assert not process_alive(mark)
    process.communicate()


@pytest.mark.parametrize("change", [{"start": 1}, {"start": None}, {"boot": "another-boot"}, {"boot": None}])
def test_a_reused_number_is_another_process(living: Mapping[str, Any], change: Mapping[str, Any]) -> None:
    assert not process_alive({**living, **change})


def test_a_process_may_call_itself_anything(tmp_path: Path) -> None:
    program = tmp_path / "a) Z 1 (b"
    program.write_text("#!/bin/sh\nread line\n")
    program.chmod(0o755)
    with subprocess.Popen([program], stdin=subprocess.PIPE) as process:
        mark = identify(process.pid)
        assert process_alive(mark)
        assert isinstance(mark["start"], int)


# --- finding runs ---

IDS = ("run-20270115-080000-00abc", "run-20270115-090000-00xyz", "run-20270116-080000-00abd")


@pytest.fixture
def three(home: Home) -> Home:
    for name in reversed(IDS):
        make_run(home, name, result=OVER)
    return home


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        (IDS[1], 1),
        ("run-20270116", 2),
        ("00xyz", 1),
        ("abc", 0),
        ("latest", 2),
    ],
)
def test_a_run_is_found_by_any_part_that_is_unique(three: Home, reference: str, found: int) -> None:
    assert find_run(three, reference).id == IDS[found]


def test_a_part_of_several_names_them(three: Home) -> None:
    with pytest.raises(UsageError, match="'run-20270115' could be 2 runs") as caught:
        find_run(three, "run-20270115")
    assert all(name in caught.value.what for name in IDS[:2])
    assert caught.value.hint == "bay runs"


def test_a_whole_id_is_never_ambiguous(three: Home) -> None:
    make_run(three, IDS[0] + "0", result=OVER)
    assert find_run(three, IDS[0]).id == IDS[0]


@pytest.mark.parametrize("reference", ["nothing", "20270115-0", "latest"])
def test_a_run_that_is_not_there_is_not_found(home: Home, reference: str) -> None:
    with pytest.raises(NotFound, match=f"there is no run '{reference}'"):
        find_run(home, reference)
    home.runs.mkdir(parents=True)
    with pytest.raises(NotFound):
        find_run(home, reference)


def test_runs_are_listed_oldest_first(three: Home) -> None:
    assert [run.id for run in list_runs(three)] == list(IDS)


def test_there_may_be_no_runs_at_all(home: Home) -> None:
    assert list(list_runs(home)) == []


# --- damage ---


@pytest.fixture
def damaged(three: Home) -> Home:
    """Return a home in which everything newer than the three runs is damaged in another way."""
    make_run(three, "run-90-text", result=OVER)
    (three.runs / "run-90-text" / "record.json").write_text("{")
    (three.runs / "run-91-empty").mkdir()
    (three.runs / "run-92-file").touch()
    make_run(three, "run-93-lacking", result=OVER)
    (three.runs / "run-93-lacking" / "record.json").write_text('{"instance": "exp-1"}')
    make_run(three, "run-94-result")
    (three.runs / "run-94-result" / "result.json").write_bytes(b"\xff\xfe")
    make_run(three, "run-95-script", result=OVER, script=3)
    make_run(three, "run-96-time", result=OVER, created_at="yesterday")
    make_run(three, "run-97-args", result=OVER, args=[1])
    make_run(three, "run-98-seconds", result=OVER | {"seconds": "long"})
    make_run(three, "run-99-artifact", result=OVER | {"artifacts": [{"path": 1}]})
    make_run(three, "run-9a-process", process={"pid": "1"}, result=OVER)
    make_run(three, "run-9b-client", client=7)
    make_run(three, "run-9c-folder")
    (three.runs / "run-9c-folder" / "result.json").mkdir()
    return three


def test_damaged_runs_do_not_hide_the_others(damaged: Home) -> None:
    assert [run.id for run in list_runs(damaged)] == list(IDS)
    assert find_run(damaged, "00xyz").id == IDS[1]


def test_no_other_run_is_taken_for_a_damaged_latest_one(three: Home) -> None:
    (three.runs / "run-91-empty").mkdir()
    (three.runs / "run-92-file").touch()
    assert find_run(three, "latest").id == IDS[2]
    (three.runs / IDS[2] / "record.json").write_text("{")
    with pytest.raises(StateError, match="record is damaged") as caught:
        find_run(three, "latest")
    assert IDS[2] in caught.value.where
    assert caught.value.hint == "bay doctor"


DAMAGED = "90-text 93-lacking 94-result 95-script 96-time 97-args 98-seconds 99-artifact 9a-process 9b-client 9c-folder"


@pytest.mark.parametrize("name", [f"run-{name}" for name in DAMAGED.split()])
def test_a_damaged_run_asked_for_by_name_says_so(damaged: Home, name: str) -> None:
    with pytest.raises(StateError, match=r"record (is damaged|cannot be read)") as caught:
        find_run(damaged, name)
    assert name in caught.value.where
    assert caught.value.hint == "bay doctor"


@pytest.mark.parametrize("name", ["run-91-empty", "run-92-file"])
def test_what_was_never_a_run_is_not_found(damaged: Home, name: str) -> None:
    with pytest.raises(NotFound, match=f"there is no run '{name}'"):
        find_run(damaged, name)


# --- whose model is it ---


def test_a_model_is_known_by_its_content_wherever_it_lies(home: Home) -> None:
    artifact = {"path": "best.keras", "format": "keras", "sha256": "a" * 64, "bytes": 7}
    make_run(home, IDS[0], result=OVER | {"artifacts": [artifact]})
    make_run(home, IDS[1], result=OVER | {"artifacts": [artifact]})
    make_run(home, IDS[2], result=OVER)
    found = find_model_run(home, "a" * 64)
    assert found is not None
    assert found.id == IDS[1], "the newest run that made it"
    assert find_model_run(home, "a" * 63 + "b") is None


def test_a_killed_supervisor_is_noticed_at_once(home: Home) -> None:
    process = subprocess.Popen(["sleep", "600"])
    folder = make_run(home, "r1", process=identify(process.pid))
    assert read_run(folder).state == "running"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert read_run(folder).state == "lost"


# --- runs on other machines ---


def test_a_run_elsewhere_stands_as_it_was_last_seen(home: Home) -> None:
    folder = make_run(home, "run-1")
    assert read_run(folder).state == "lost"
    for state in ("running", "starting", "lost"):
        (folder / "afar.json").write_text(json.dumps({"machine": "exp-1", "state": state}), encoding="utf-8")
        run = read_run(folder)
        assert (run.state, run.afar) == (state, "exp-1")
        assert [item.id for item in open_runs(home)] == ([] if state == "lost" else ["run-1"])
    assert "afar" not in to_json(run)
    (folder / "result.json").write_text(json.dumps(OVER), encoding="utf-8")
    assert read_run(folder).state == "done"  # what was brought counts, not what was seen before


def test_a_note_that_is_damaged_is_no_run_of_here(home: Home) -> None:
    folder = make_run(home, "run-1")
    (folder / "afar.json").write_text('{"machine": 3}', encoding="utf-8")
    with pytest.raises(StateError):
        read_run(folder)
