"""Runs that do not end by themselves: stopped ones, and those whose supervisor is gone."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

import launchbay
from launchbay.api.runs import explain, list_runs
from launchbay.errors import Conflict, LaunchbayError
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.end import Ended, change_power
from launchbay.onboard.process import process_alive
from launchbay.planning.fleet import Instance
from launchbay.providers.processes import instance_processes, run_processes
from launchbay.runs import start as start_module
from launchbay.runs.end import settle_run, stop_run
from launchbay.runs.train import RunSpec, follow_run, submit_run
from launchbay.store.journal import open_journal
from launchbay.store.records import Run, find_run, read_run
from launchbay.testing import RecordingReporter
from tests.runs.running import SLOW, Project, run_it, wait_for


def stop(bay: Bay, name: str) -> Ended:
    ended = launchbay.stop(bay, name)
    assert isinstance(ended, Ended)
    return ended


MAKES = (
    "import os, time, zipfile\n"
    "with zipfile.ZipFile('model.keras', 'w') as z:\n"
    "    z.writestr('config.json', '{}'); z.writestr('metadata.json', '{}')\n"
    "os.makedirs('logs'); open('logs/events.out.tfevents.1', 'w').close()\n"
)


def kill_supervisor(run: Run) -> None:
    """Kill the supervisor alone; the script goes on."""
    assert run.supervisor is not None
    os.kill(run.supervisor["pid"], signal.SIGKILL)
    wait_for_supervisor(run)


def wait_for_supervisor(run: Run) -> None:
    """Wait until the supervisor is gone."""
    until = time.monotonic() + 20
    while process_alive(run.supervisor):
        assert time.monotonic() < until, "the supervisor never ended"
        time.sleep(0.01)


def lose(bay: Bay, instance: Instance, project: Project, code: str) -> Run:
    """Return a run that has lost its supervisor, its script still running."""
    run = submit_run(bay, instance, RunSpec(script=project({"train.py": code + SLOW, "old.txt": "x"})))
    wait_for(run, "up")
    kill_supervisor(run)
    return read_run(run.folder)


def test_stopping_a_run(bay: Bay, instance: Instance, project: Project) -> None:
    run = submit_run(bay, instance, RunSpec(script=project({"train.py": SLOW})))
    wait_for(run, "up")
    assert read_run(run.folder).state == "running"
    stopped = stop_run(bay, run)
    assert (stopped.state, stopped.signal) == ("stopped", "SIGTERM")
    assert instance_processes([instance.id]) == []
    assert stop_run(bay, stopped) == stopped
    assert explain(stopped) == ""


def test_stopping_the_instance_stops_its_runs(bay: Bay, instance: Instance, project: Project) -> None:
    run = submit_run(bay, instance, RunSpec(script=project({"train.py": SLOW})))
    wait_for(run, "up")
    change_power(bay, "stop", instance.name)
    assert read_run(run.folder).state == "stopped"
    assert instance_processes([instance.id]) == []


def test_a_killed_supervisor_leaves_a_lost_run(bay: Bay, instance: Instance, project: Project) -> None:
    run = submit_run(bay, instance, RunSpec(script=project({"train.py": SLOW})))
    wait_for(run, "up")
    assert run.supervisor is not None
    os.kill(run.supervisor["pid"], signal.SIGKILL)
    lost = follow_run(bay, run, lambda _: None, on_interrupt=lambda: "stop")
    assert (lost.state, lost.exit_code, lost.seconds) == ("lost", None, None)
    assert "supervisor is gone" in explain(lost)


def test_stopping_a_lost_run_ends_its_script_and_looks_at_what_it_made(
    bay: Bay, instance: Instance, project: Project
) -> None:
    run = lose(bay, instance, project, MAKES)
    assert (run.state, run.has_stock) == ("lost", False)
    assert len(run_processes(run.id)) == 1
    assert f"the script goes on alone: bay stop {run.id}" in explain(run)
    ended = stop(bay, run.id)
    assert (ended.names, ended.processes_ended) == ([run.id], 1)
    assert run_processes(run.id) == []
    assert instance_processes([instance.id]) == []
    settled = find_run(bay.home, run.id)
    assert (settled.state, settled.exit_code, settled.has_stock) == ("lost", None, True)
    assert [item.path.name for item in settled.artifacts] == ["model.keras"], "and nothing that it brought"
    assert settled.logdirs == (run.work / "logs",)
    assert not (run.folder / "result.reserve").exists()
    assert stop_run(bay, settled) == settled


def test_a_running_run_is_stopped_with_the_number_of_processes_that_ended(
    bay: Bay, instance: Instance, project: Project
) -> None:
    run = submit_run(bay, instance, RunSpec(script=project({"train.py": SLOW})))
    wait_for(run, "up")
    assert len(run_processes(run.id)) == 2, "the supervisor carries the mark as well"
    assert stop(bay, run.id).processes_ended == 1
    assert stop(bay, run.id).processes_ended == 0


def test_a_run_is_never_said_to_be_stopped_while_something_of_it_runs(
    bay: Bay, instance: Instance, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = lose(bay, instance, project, "")
    monkeypatch.setattr("launchbay.providers.processes.end_processes", lambda *_, **__: None)
    (pid,) = run_processes(run.id)
    with pytest.raises(LaunchbayError, match=f"would not end: {pid}"):
        stop_run(bay, run)


def test_what_a_script_still_makes_is_not_looked_at(bay: Bay, instance: Instance, project: Project) -> None:
    run = lose(bay, instance, project, MAKES)
    with pytest.raises(Conflict, match="its script goes on") as caught:
        settle_run(run)
    assert caught.value.hint == f"bay stop {run.id}"
    assert not (run.folder / "result.json").exists()


def test_how_a_run_ended_is_kept_when_its_supervisor_died_taking_stock(
    bay: Bay, instance: Instance, project: Project
) -> None:
    run, _ = run_it(bay, instance, project({"train.py": MAKES + "raise SystemExit(3)"}))
    result = run.folder / "result.json"
    half = {key: value for key, value in json.loads(result.read_text()).items() if key not in ("artifacts", "logdirs")}
    result.write_text(json.dumps({**half, "taking_stock": True}), encoding="utf-8")
    wait_for_supervisor(run)
    cut_off = read_run(run.folder)
    assert (cut_off.state, cut_off.exit_code, cut_off.artifacts) == ("failed", 3, ())
    assert settle_run(cut_off) == run


def test_a_run_whose_stock_is_taken_is_left_as_it_is(bay: Bay, instance: Instance, project: Project) -> None:
    run, _ = run_it(bay, instance, project({"train.py": MAKES}))
    (run.work / "later.txt").touch()
    assert settle_run(run) == run


# --- ends before it began ---


def test_ctrl_c_while_it_starts_leaves_nothing_running_and_a_stopped_run(
    bay: Bay, reporter: RecordingReporter, instance: Instance, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(start_module, "parse_answer", interrupt)
    with pytest.raises(KeyboardInterrupt):
        submit_run(bay, instance, RunSpec(script=project({"train.py": SLOW})))
    assert instance_processes([instance.id]) == []
    (run,) = list_runs(bay)
    assert run.state == "stopped"
    assert reporter.notes == [f"{run.id} was interrupted while it was starting; nothing of it runs"]


def test_ctrl_c_before_the_supervisor_is_there_leaves_a_stopped_run_too(
    bay: Bay, instance: Instance, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(start_module, "install_onboard", interrupt)
    with pytest.raises(KeyboardInterrupt):
        submit_run(bay, instance, RunSpec(script=project({"train.py": SLOW})))
    (run,) = list_runs(bay)
    assert (run.state, run.notes) == ("stopped", ("interrupted while it was starting",))


@pytest.mark.parametrize("failure", [LaunchbayError("1 process would not end: 7"), KeyboardInterrupt()])
def test_a_start_that_fails_is_given_up_whole_although_something_of_it_would_not_end(
    bay: Bay,
    reporter: RecordingReporter,
    instance: Instance,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    *,
    failure: BaseException,
) -> None:
    def break_down(*_: object, **__: object) -> None:
        raise LaunchbayError("no answer")

    def would_not_end(_: object, identity: str) -> None:
        (bay.home.runs / identity / "result.reserve").touch()
        raise failure

    monkeypatch.setattr(start_module, "install_onboard", break_down)
    monkeypatch.setattr(start_module, "end_run_processes", would_not_end)
    first = KeyboardInterrupt if isinstance(failure, KeyboardInterrupt) else LaunchbayError
    with pytest.raises(first) as caught:
        submit_run(bay, instance, RunSpec(script=project({"train.py": SLOW})))
    assert "no answer" in str(caught.value if first is LaunchbayError else caught.value.__context__)
    (run,) = list_runs(bay)
    assert (run.state, run.notes) == ("failed", ("could not be started: no answer",))
    assert not (run.folder / "result.reserve").exists()
    rest = f"something of it may still run: bay stop {run.id}"
    assert reporter.notes == [f"{run.id} could not be started: no answer; {rest}"]
    with open_journal(bay.home.journal, bay.clock, reporter.note) as journal:
        assert journal.unfinished("train") == []


def test_a_run_whose_supervisor_never_started_is_failed_and_says_why(
    bay: Bay, instance: Instance, project: Project
) -> None:
    link = instance.root / "env" / "bin" / "python"
    link.unlink()
    link.write_text("#!/bin/sh\necho 'no libpython' >&2\nexit 7\n", encoding="utf-8")
    link.chmod(0o755)
    with pytest.raises(LaunchbayError, match=r"the supervisor gave no answer \(ended with code 7\): no libpython"):
        submit_run(bay, instance, RunSpec(script=project({"train.py": ""})))
    (run,) = list_runs(bay)
    assert (run.state, run.exit_code) == ("failed", None)
    assert run.notes == ("could not be started: the supervisor gave no answer (ended with code 7): no libpython",)
