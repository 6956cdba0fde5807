"""Stop, start, reboot and terminate, with real processes in the instances."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from launchbay.api.fleet import execute, stop, terminate_plan
from launchbay.api.listing import ps
from launchbay.errors import Conflict, NotFound, UsageError
from launchbay.files import discard, locked
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.end import change_power, plan_end, terminate
from launchbay.lifecycle.launch import launch_fleet
from launchbay.planning.fleet import Instance, Plan
from launchbay.providers.local import LocalProvider
from launchbay.providers.processes import instance_processes
from launchbay.runs.train import RunSpec, submit_run
from launchbay.store.journal import open_journal
from launchbay.store.records import find_run
from launchbay.testing.clock import VirtualClock
from launchbay.testing.reporter import RecordingReporter
from tests.lifecycle.killing import folders, leftovers
from tests.providers.specs import make_instances

DAEMON = """
import os, time
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
os.chdir("/")
open({place!r}, "w").write(str(os.getpid()))
os.close(1), os.close(2)
time.sleep(600)
"""


@pytest.fixture
def two(bay: Bay, with_image: Callable[[str], Image]) -> list[Instance]:
    return make_instances(bay, with_image("tiny"), 2)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def wait_for(path: Path) -> str:
    until = time.monotonic() + 10
    while not (path.exists() and path.read_text(encoding="ascii")) and time.monotonic() < until:
        time.sleep(0.01)
    return path.read_text(encoding="ascii")


def start_daemon(bay: Bay, instance: Instance) -> int:
    """Start what forks twice, leads a session of its own, and has let go of everything but its environment."""
    place = instance.root / "work" / "pid"
    place.unlink(missing_ok=True)
    code, _ = execute(bay, instance.name, ["python", "-c", DAEMON.format(place=str(place))], capture=True)
    assert code == 0
    return int(wait_for(place))


def states(bay: Bay) -> list[str]:
    return [item.state for item in bay.provider.observe()]


def test_stop_ends_a_daemon_and_leaves_the_neighbours(bay: Bay, two: Sequence[Instance]) -> None:
    mine, theirs = start_daemon(bay, two[0]), start_daemon(bay, two[1])
    assert (alive(mine), alive(theirs)) == (True, True)
    ended = change_power(bay, "stop", "exp-1")
    assert (list(ended.names), ended.processes_ended, ended.usd_per_day) == (["exp-1"], 1, "0.00")
    assert (alive(mine), alive(theirs)) == (False, True)
    assert states(bay) == ["stopped", "running"]
    assert change_power(bay, "stop", "exp").processes_ended == 1
    assert not alive(theirs)


def test_a_stopped_one_refuses_work_until_it_is_started(bay: Bay, two: Sequence[Instance]) -> None:
    (two[0].root / "work" / "notes.txt").write_text("kept", encoding="utf-8")
    change_power(bay, "stop", "exp")
    with pytest.raises(Conflict, match="exp-1 is stopped") as caught:
        execute(bay, "exp-1", ["true"])
    assert caught.value.hint == "bay start exp-1"
    assert change_power(bay, "stop", "exp").processes_ended == 0
    change_power(bay, "start", "exp-1")
    assert states(bay) == ["running", "stopped"]
    assert execute(bay, "exp-1", ["cat", "notes.txt"], capture=True) == (0, b"kept")
    change_power(bay, "start", "exp")
    change_power(bay, "start", "exp")
    assert states(bay) == ["running", "running"]


def test_what_was_so_already_is_told_from_what_was_done(bay: Bay, two: Sequence[Instance]) -> None:
    assert len(two) == 2
    assert not change_power(bay, "start", "exp").changed
    assert change_power(bay, "stop", "exp-1").changed
    assert change_power(bay, "stop", "exp").changed
    assert not change_power(bay, "stop", "exp").changed
    assert change_power(bay, "reboot", "exp").changed
    assert terminate(bay, "exp").changed
    assert not terminate(bay, "exp").changed


def test_stop_takes_a_name_for_an_instance_before_it_takes_it_for_a_run(
    bay: Bay, two: Sequence[Instance], tiny: str, tmp_path: Path
) -> None:
    script = tmp_path / "project" / "train.py"
    script.parent.mkdir()
    script.write_text("import time; print('on', flush=True); time.sleep(600)\n", encoding="utf-8")
    run = submit_run(bay, two[0], RunSpec(script=script))
    launch_fleet(bay, tiny, count=2, name="run")
    assert list(stop(bay, "run-2").names) == ["run-2"]
    with pytest.raises(NotFound, match="no instance or fleet named 'run-20'"):
        stop(bay, "run-20")
    assert find_run(bay.home, run.id).state == "running"
    ended = stop(bay, run.id[-5:])
    assert (list(ended.names), ended.changed, ended.state) == ([run.id], True, "stopped")
    assert find_run(bay.home, run.id).state == "stopped"
    for name in (run.id, "latest"):
        again = stop(bay, name)
        assert (again.changed, again.state) == (False, "stopped")


def test_stopping_an_instance_counts_the_persons_processes_and_not_ours(
    bay: Bay, two: Sequence[Instance], tmp_path: Path
) -> None:
    script = tmp_path / "project" / "train.py"
    script.parent.mkdir()
    script.write_text("import time; print('on', flush=True); time.sleep(600)\n", encoding="utf-8")
    run = submit_run(bay, two[0], RunSpec(script=script))
    wait_for(run.log)
    assert change_power(bay, "stop", "exp-1").processes_ended == 1


def test_all_of_a_fleet_is_asked_at_once(bay: Bay, two: Sequence[Instance], monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, a fleet of twenty that does not listen would take minutes to stop."""
    asked: list[list[str]] = []

    def end(marks: Sequence[str], **_: object) -> int:
        asked.append(list(marks))
        return 0

    monkeypatch.setattr("launchbay.providers.local.end_marked", end)
    change_power(bay, "stop", "exp")
    assert asked == [[f"LAUNCHBAY_INSTANCE={item.id}" for item in two]]


def test_reboot_ends_what_runs_and_goes_on(bay: Bay, two: Sequence[Instance]) -> None:
    pid = start_daemon(bay, two[0])
    assert change_power(bay, "reboot", "exp").processes_ended == 1
    assert not alive(pid)
    assert states(bay) == ["running", "running"]
    change_power(bay, "stop", "exp")
    change_power(bay, "reboot", "exp-2")
    assert states(bay) == ["stopped", "running"]


def test_terminate_ends_processes_and_keeps_runs(bay: Bay, two: Sequence[Instance], tmp_path: Path) -> None:
    script = tmp_path / "project" / "train.py"
    script.parent.mkdir()
    script.write_text("import time; print('on', flush=True); time.sleep(600)\n", encoding="utf-8")
    run = submit_run(bay, two[0], RunSpec(script=script))
    wait_for(run.log)
    pid = start_daemon(bay, two[1])
    ended = terminate(bay, "exp")
    assert list(ended.names) == ["exp-1", "exp-2"]
    assert not alive(pid)
    assert instance_processes(item.id for item in two) == []
    assert (states(bay), folders(bay.home), leftovers(bay.home)) == ([], [], [])
    kept = find_run(bay.home, run.id)
    assert kept.log.read_bytes() == b"on\n"
    assert (kept.state, kept.instance, kept.image) == ("stopped", "exp-1", "tiny")


def test_terminating_twice_is_fine_and_what_never_was_is_not(bay: Bay, two: Sequence[Instance]) -> None:
    assert len(two) == 2
    terminate(bay, "exp-1")
    for _ in range(2):
        plan = terminate_plan(bay, "exp")
        assert isinstance(plan, Plan)
        terminate(bay, "exp", plan)
    assert not terminate_plan(bay, "exp").needs_consent
    assert list(terminate(bay, "exp").names) == []
    assert list(terminate(bay, "exp-1").names) == []
    with pytest.raises(NotFound, match="there is no instance or fleet named 'other'"):
        terminate(bay, "other")
    with pytest.raises(NotFound):
        plan_end(bay, "../locks/x")
    with pytest.raises(NotFound, match="'exp-1'"):
        change_power(bay, "stop", "exp-1")


def test_a_launch_under_way_is_not_terminated_behind_its_back(bay: Bay) -> None:
    with open_journal(bay.home.journal, bay.clock, bay.reporter.note) as journal:
        operation = journal.begin("launch", "exp", {"digest": "0", "count": 1, "image": "tiny", "ids": {}})
        with locked(bay.home.lock("fleet-exp")), pytest.raises(Conflict, match="another command is changing 'exp'"):
            terminate(bay, "exp")
        assert [item.id for item in journal.unfinished("launch", "exp")] == [operation.id]
        terminate(bay, "exp")  # its holder is gone: it was cut off
        assert list(journal.unfinished("launch", "exp")) == []


@pytest.mark.parametrize("verb", ["stop", "start", "reboot", "terminate"])
def test_a_fleet_that_is_being_changed_is_left_alone(bay: Bay, two: Sequence[Instance], verb: str) -> None:
    before = list(bay.provider.observe())
    with locked(bay.home.lock("fleet-exp")), pytest.raises(Conflict, match="another command is changing 'exp'"):
        terminate(bay, "exp") if verb == "terminate" else change_power(bay, verb, "exp")
    assert list(bay.provider.observe()) == before == list(two)


def test_a_plan_is_refused_when_the_world_moved(bay: Bay, two: Sequence[Instance]) -> None:
    plan = plan_end(bay, "exp")
    assert plan.needs_consent
    terminate(bay, "exp-1")
    with pytest.raises(Conflict, match="'exp' changed since the plan was shown"):
        terminate(bay, "exp", plan)
    assert [item.name for item in bay.provider.observe()] == [two[1].name]


def test_one_terminated_meanwhile_is_not_brought_back_by_start(bay: Bay, two: Sequence[Instance]) -> None:
    """Between looking and getting the lock, somebody else terminated it."""
    assert len(two) == 2

    class Late:
        """Observes, and lets the other command through before anything is done about it."""

        def __init__(self) -> None:
            self.looked = False

        def __getattr__(self, name: str) -> object:
            return getattr(bay.provider, name)

        def observe(self) -> Sequence[Instance]:
            found = bay.provider.observe()
            if not self.looked:
                self.looked = True
                terminate(bay, "exp")
            return found

        def stop(self, instances: Sequence[Instance]) -> int:
            raise AssertionError(instances)

        def start(self, instances: Sequence[Instance]) -> None:
            raise AssertionError(instances)

    late = replace(bay, provider=Late())  # type: ignore[arg-type]
    with pytest.raises(Conflict, match="'exp' changed meanwhile"):
        change_power(late, "start", "exp")
    assert folders(bay.home) == []


def test_a_provider_that_cannot_stop_says_so(bay: Bay, two: Sequence[Instance]) -> None:
    class Unstoppable:
        name = "fixed"

        def observe(self) -> Sequence[Instance]:
            return two

    with pytest.raises(UsageError, match="fixed instances cannot be stopped"):
        change_power(replace(bay, provider=Unstoppable()), "stop", "exp")  # type: ignore[arg-type]


def test_a_fleet_of_one_answers_to_its_fleet_name(bay: Bay, tiny: str) -> None:
    launch_fleet(bay, tiny, name="solo")
    assert execute(bay, "solo", ["sh", "-c", "echo $LAUNCHBAY_INSTANCE_NAME"], capture=True) == (0, b"solo-1\n")
    assert list(change_power(bay, "stop", "solo").names) == ["solo-1"]


def test_a_fleet_of_several_does_not_answer_where_one_is_meant(bay: Bay, two: Sequence[Instance]) -> None:
    with pytest.raises(UsageError, match="'exp' is a fleet of 2 instances; name one of them") as caught:
        execute(bay, "exp", ["true"])
    assert caught.value.hint == two[0].name


def test_an_id_names_an_instance_too(bay: Bay, two: Sequence[Instance]) -> None:
    assert list(change_power(bay, "stop", two[1].id).names) == ["exp-2"]


def test_the_time_that_it_is_up_is_counted_and_the_time_that_it_is_stopped_is_not(
    bay: Bay, with_image: Callable[[str], Image]
) -> None:
    clock = VirtualClock(1000.0)
    bay = replace(bay, clock=clock, provider=LocalProvider(bay.home, clock))
    make_instances(bay, with_image("tiny"), 1)

    def up(at: float) -> float | None:
        clock.at = at
        return bay.provider.observe()[0].up_s(at)

    assert up(1010.0) == 60.0  # a minute a start at least
    assert up(1100.0) == 100.0
    change_power(bay, "stop", "exp")
    assert up(5000.0) == 100.0
    change_power(bay, "stop", "exp")
    assert up(6000.0) == 100.0
    change_power(bay, "start", "exp")
    change_power(bay, "start", "exp")
    assert up(6005.0) == 160.0
    assert up(6070.0) == 170.0
    change_power(bay, "reboot", "exp")
    assert up(6080.0) == 230.0
    assert up(10.0) == 230.0  # the clock was set back: what is sure is the time before the last start, and its minute


@pytest.mark.parametrize("repaired", [False, True])
def test_of_a_terminate_that_was_killed_halfway_all_that_was_spent_is_said(
    bay: Bay, with_image: Callable[[str], Image], monkeypatch: pytest.MonkeyPatch, *, repaired: bool
) -> None:
    image = with_image("tiny")
    launch_fleet(bay, "tiny", count=3, name="exp")
    calls: list[Path] = []

    def cut(path: Path, trash: Path) -> None:
        calls.append(path)
        if len(calls) == 3:
            raise KeyboardInterrupt
        discard(path, trash)

    with monkeypatch.context() as patch:
        patch.setattr("launchbay.providers.local.discard", cut)
        with pytest.raises(KeyboardInterrupt):
            terminate(bay, "exp")
    assert [item.name for item in bay.provider.observe()] == ["exp-3"]
    if repaired:
        launch_fleet(bay, image.name, count=3, name="exp")
        assert [row.fleet_so_far for row in ps(bay)] == ["0.00"] * 3
    ended = terminate(bay, "exp")
    again = ["exp-1", "exp-2"] if repaired else []
    assert sorted(item.name for item in ended.spent) == sorted(["exp-1", "exp-2", "exp-3", *again])
    assert not terminate(bay, "exp").spent


def test_a_terminate_goes_on_where_what_it_cost_cannot_be_written_down(bay: Bay, two: Sequence[Instance]) -> None:
    bay.home.spent.write_text("a file in the place of the folder", encoding="utf-8")
    ended = terminate(bay, "exp")
    assert (list(ended.names), len(ended.spent)) == (["exp-1", "exp-2"], len(two))
    assert isinstance(bay.reporter, RecordingReporter)
    assert any("What it cost could not be written down" in note for note in bay.reporter.notes)
