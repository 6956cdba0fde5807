"""Resuming runs that were killed, stopped or lost, with real processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from launchbay.api.runs import explain, list_runs, logs, resume, train
from launchbay.errors import Conflict, LaunchbayError, NotFound, UsageError
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.end import terminate
from launchbay.planning.fleet import Instance
from launchbay.providers.processes import end_processes, instance_processes, run_processes
from launchbay.runs.end import stop_run
from launchbay.runs.resume import resume_run
from launchbay.runs.train import RunSpec, submit_run
from launchbay.store.records import Run, find_run, open_runs, read_run
from launchbay.testing import RecordingReporter
from tests.lifecycle.killing import count_crossings, kill_at
from tests.runs.running import SLOW, Project, make_instance, run_it, wait_for, wait_over

COUNT = """
import os, sys, time
from pathlib import Path
kept = Path(os.environ["LAUNCHBAY_CHECKPOINT_DIR"], "count")
done = int(kept.read_text()) if kept.exists() else 0
print("from", done, "to", sys.argv[1], flush=True)
while done < int(sys.argv[1]):
    done += 1
    kept.with_suffix(".tmp").write_text(str(done))
    kept.with_suffix(".tmp").replace(kept)
    Path(f"made-{done}").touch()
    if os.path.exists("data/die") and done == 3:
        os.kill(os.getpid(), 9)
print("counted", flush=True)
"""


@pytest.fixture
def dying(bay: Bay, instance: Instance, project: Project, tmp_path: Path) -> Run:
    """Return a run that was killed at the third of five steps, and would not be again."""
    data = tmp_path / "d"
    data.mkdir()
    (data / "train.csv").write_text("1,2\n", encoding="utf-8")
    (data / "die").touch()
    run, _ = run_it(bay, instance, project({"train.py": COUNT, "brought.txt": "x"}), data=data, args=["5"])
    assert (run.state, run.signal) == ("failed", "SIGKILL")
    (run.folder / "record.json").write_text(
        (run.folder / "record.json").read_text(encoding="utf-8").replace('"die"', '"train.csv"'), encoding="utf-8"
    )
    (data / "die").unlink()
    return read_run(run.folder)


def test_it_goes_on_from_its_checkpoint_as_the_same_run(bay: Bay, dying: Run, reporter: RecordingReporter) -> None:
    assert dying.checkpoint_sizes == [1]
    streamed = bytearray()
    run = resume(bay, dying.id, write=streamed.extend)
    assert streamed == b"from 3 to 5\ncounted\n", "nothing of the first attempt is shown again"
    assert (run.id, run.state, run.exit_code, run.attempt) == (dying.id, "done", 0, 2)
    assert [item.id for item in list_runs(bay)] == [dying.id]
    assert [item.path.name for item in run.artifacts] == [f"made-{number}" for number in range(1, 6)]
    assert reporter.notes == [f"{run.checkpoints} holds what the first attempt left there: 1 file, 1 B"]
    (first,) = run.earlier
    assert (first.state, first.signal, first.seconds) == ("failed", "SIGKILL", dying.seconds)
    log = run.log.read_text(encoding="utf-8")
    assert log == f"from 0 to 5\n--- {run.id}: attempt 2, in exp-1 ---\nfrom 3 to 5\ncounted\n"
    shown = run.as_json()
    assert (shown["attempt"], len(shown["earlier"])) == (2, 1)
    assert shown["checkpoints"] == {"folder": run.checkpoints, "files": 1, "bytes": 1}
    assert run_processes(run.id) == []


def test_what_lay_there_before_the_run_is_still_not_taken_for_made(bay: Bay, dying: Run) -> None:
    run = resume(bay, dying.id)
    assert (run.work / "brought.txt").exists()
    assert "brought.txt" not in [item.path.name for item in run.artifacts]


def test_the_whole_log_is_followed_and_shown(bay: Bay, dying: Run) -> None:
    run = resume(bay, dying.id)
    shown = bytearray()
    logs(bay, run.id, write=shown.extend, follow=True)
    assert bytes(shown) == run.log.read_bytes()


def test_a_line_that_was_cut_off_does_not_run_into_the_next_attempt(
    bay: Bay, instance: Instance, project: Project
) -> None:
    run, _ = run_it(bay, instance, project({"train.py": "print('half', end=''); raise SystemExit(1)"}))
    again = resume(bay, run.id)
    assert again.log.read_text(encoding="utf-8") == f"half\n--- {run.id}: attempt 2, in exp-1 ---\nhalf"


def test_a_script_that_left_no_checkpoint_starts_from_the_beginning_and_that_is_said(
    bay: Bay, instance: Instance, project: Project, reporter: RecordingReporter
) -> None:
    code = "import os, sys; code = os.path.exists('once'); open('once', 'w'); sys.exit(0 if code else 3)"
    run, _ = run_it(bay, instance, project({"train.py": code}))
    assert resume(bay, run.id).state == "done"
    assert reporter.notes == ["no checkpoint was left by the first attempt: it starts from the beginning"]


def test_a_failed_attempt_is_explained_by_its_own_words(bay: Bay, instance: Instance, project: Project) -> None:
    code = "import os, sys\nif os.path.exists('once'): sys.exit(3)\nopen('once', 'w')\n__import__('no_such_package')\n"
    run, _ = run_it(bay, instance, project({"train.py": code}))
    assert "no_such_package" in explain(run)
    assert explain(resume(bay, run.id)) == ""


def test_many_attempts(bay: Bay, instance: Instance, project: Project) -> None:
    code = (
        "import os, sys\nkept = os.environ['LAUNCHBAY_CHECKPOINT_DIR'] + '/n'\n"
        "n = len(open(kept).read()) if os.path.exists(kept) else 0\n"
        "open(kept, 'a').write('x')\nsys.exit(0 if n == 11 else n + 1)\n"
    )
    run, _ = run_it(bay, instance, project({"train.py": code}))
    while run.state != "done":
        run = resume(bay, run.id)
    assert run.attempt == 12
    assert [item.exit_code for item in run.earlier] == list(range(1, 12))


# --- however it ended -----------------------------------------------------------------------------------------------


def test_a_run_that_was_stopped(bay: Bay, instance: Instance, project: Project) -> None:
    run = submit_run(bay, instance, RunSpec(script=project({"train.py": "print('up')\n" + SLOW})))
    wait_for(run, "up")
    stop_run(bay, run)
    again = resume_run(bay, run.id)
    assert (again.state, again.attempt) == ("running", 2)
    assert [item.id for item in open_runs(bay.home)] == [run.id]
    assert stop_run(bay, again).state == "stopped"
    assert list(open_runs(bay.home)) == []


def test_a_lost_run_is_resumed_once_nothing_of_it_runs(bay: Bay, instance: Instance, project: Project) -> None:
    run = submit_run(bay, instance, RunSpec(script=project({"train.py": "open('made', 'w')\n" + SLOW})))
    wait_for(run, "up")
    assert run.supervisor is not None
    os.kill(run.supervisor["pid"], signal.SIGKILL)
    wait_over(run)
    with pytest.raises(Conflict, match=r"something of run-.* still runs") as caught:
        resume_run(bay, run.id)
    assert caught.value.hint == f"bay stop {run.id}"
    end_processes(run_processes(run.id))
    again = resume_run(bay, run.id)
    assert [item.state for item in again.earlier] == ["lost"]
    assert [item.path.name for item in stop_run(bay, again).artifacts] == ["made"]


def test_a_machine_that_was_switched_off(bay: Bay, instance: Instance, project: Project) -> None:
    """Its supervisor's record is of another boot, and there is no result."""
    run, _ = run_it(bay, instance, project({"train.py": "import os; os.kill(os.getpid(), 9)"}))
    process = run.folder / "process.json"
    assert run.supervisor is not None
    process.write_text(process.read_text(encoding="utf-8").replace(run.supervisor["boot"], "another"), encoding="utf-8")
    (run.folder / "result.json").unlink()
    (run.folder / "result.reserve").touch()
    assert find_run(bay.home, run.id).state == "lost"
    assert [item.state for item in resume(bay, run.id).earlier] == ["lost"]
    assert not (run.folder / "result.reserve").exists()


def test_another_instance_on_the_same_image(bay: Bay, dying: Run, with_image: Callable[[str], Image]) -> None:
    terminate(bay, "exp")
    with pytest.raises(NotFound, match=r"exp-1, in which run-.* ran, is gone") as caught:
        resume_run(bay, dying.id)
    assert "bay launch tiny" in caught.value.hint
    other = make_instance(bay, with_image("tiny"))  # of the same name, and yet another
    with pytest.raises(NotFound) as caught:
        resume_run(bay, dying.id)
    assert caught.value.hint == f"bay train exp-1 --resume {dying.id}"
    run = resume(bay, dying.id, instance="exp-1")
    assert (run.state, run.instance_id) == ("done", other.id)
    assert instance_processes([other.id]) == []


# --- refused --------------------------------------------------------------------------------------------------------


def refused(bay: Bay, run: Run, **options: object) -> LaunchbayError:
    with pytest.raises(LaunchbayError) as caught:
        resume_run(bay, run.id, **options)  # type: ignore[arg-type]
    assert not (run.folder / "attempts").exists(), "nothing was begun"
    return caught.value


def test_a_run_that_goes_on(bay: Bay, instance: Instance, project: Project) -> None:
    run = submit_run(bay, instance, RunSpec(script=project({"train.py": SLOW})))
    error = refused(bay, run)
    assert (type(error), error.what) == (Conflict, f"{run.id} still goes on")
    stop_run(bay, run)


def test_a_run_that_is_done(bay: Bay, instance: Instance, project: Project) -> None:
    run, _ = run_it(bay, instance, project({"train.py": ""}))
    assert refused(bay, run).what == f"{run.id} is done: there is nothing to resume"


def test_a_run_that_nobody_knows(bay: Bay) -> None:
    with pytest.raises(NotFound, match="there is no run 'run-x'"):
        resume_run(bay, "run-x")


def test_a_run_whose_folder_was_emptied(bay: Bay, dying: Run) -> None:
    shutil.rmtree(dying.work)
    error = refused(bay, dying)
    assert (type(error), error.what) == (NotFound, f"the script of {dying.id} is gone")


def test_data_that_is_gone_or_other(bay: Bay, dying: Run) -> None:
    assert dying.data is not None
    data = Path(dying.data)
    (data / "new.csv").touch()
    (data / "train.csv").write_text("3,4\n", encoding="utf-8")
    assert refused(bay, dying).what == f"the data of {dying.id} is not what it began with: train.csv"
    shutil.rmtree(data)
    assert refused(bay, dying).what == f"the data of {dying.id} is gone"


def test_arguments_that_the_record_could_not_hold(bay: Bay, instance: Instance, project: Project) -> None:
    run, _ = run_it(bay, instance, project({"train.py": "raise SystemExit(1)"}), args=[os.fsdecode(b"a\xff")])
    assert "no UTF-8 text" in refused(bay, run).what


def test_an_instance_on_another_image(bay: Bay, dying: Run) -> None:
    record = dying.folder / "record.json"
    record.write_text(record.read_text(encoding="utf-8").replace(dying.digest, "0" * 64), encoding="utf-8")
    error = refused(bay, dying)
    assert isinstance(error, Conflict)
    assert f"ran on the image tiny {'0' * 12}, and exp-1 stands on tiny {dying.digest[:12]}" in error.what


def test_a_time_limit_that_is_none(bay: Bay, dying: Run) -> None:
    assert isinstance(refused(bay, dying, timeout_s=0.0), UsageError)


def test_a_time_limit_holds_for_the_attempt(bay: Bay, instance: Instance, project: Project) -> None:
    run, _ = run_it(bay, instance, project({"train.py": SLOW}), timeout_s=0.3)
    again = resume(bay, run.id, timeout_s=0.3)
    assert (again.timed_out, [item.timed_out for item in again.earlier]) == (True, [True])


# --- killed ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def stopping(bay: Bay, instance: Instance, project: Project) -> Callable[[], Run]:
    """Return a function that makes a run which its own script killed, and which succeeds from then on."""
    code = (
        "import os\nkept = os.environ['LAUNCHBAY_CHECKPOINT_DIR'] + '/kept'\n"
        "if not os.path.exists(kept):\n    open(kept, 'w').close()\n    os.kill(os.getpid(), 9)\n"
    )
    script = project({"train.py": code})
    return lambda: train(bay, instance.name, script)


def settled(bay: Bay, run: Run) -> Run:
    """Resume a run until it is done, as a person does who tries again whenever it is over and is not done."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        now = read_run(run.folder)
        if now.state == "done" and not run_processes(run.id):
            return now
        if now.is_over and now.state != "done" and not run_processes(run.id):
            resume(bay, run.id)
        time.sleep(0.02)
    raise AssertionError(read_run(run.folder))


def test_resuming_killed_at_every_step_converges(bay: Bay, stopping: Callable[[], Run]) -> None:
    first = stopping()
    names = count_crossings(lambda: resume_run(bay, first.id))
    wait_over(first)
    assert len(names) > 10
    for crossing, name in enumerate(names, start=1):
        if name.startswith("before") and crossing > 1 and names[crossing - 2].startswith("after"):
            continue  # nothing lasting lies between the two
        run = stopping()
        assert kill_at(crossing, lambda run=run: resume_run(bay, run.id)), name  # type: ignore[misc]
        over = settled(bay, run)
        assert over.attempt in (2, 3), name
        assert over.earlier[0].signal == "SIGKILL"
        assert run_processes(run.id) == []
        assert list(open_runs(bay.home)) == []
        shutil.rmtree(over.folder)


def test_two_who_resume_at_once_start_it_once(bay: Bay, instance: Instance, project: Project) -> None:
    code = "import os, time\nn = len(os.listdir('.'))\nopen(f'here-{os.getpid()}', 'w')\ntime.sleep(600)\n"
    run = submit_run(bay, instance, RunSpec(script=project({"train.py": code})))
    stop_run(bay, run)
    command = [sys.executable, "-m", "launchbay", "train", "--resume", run.id, "--detach"]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 1], said
    assert any("still goes on" in text for text in said)
    again = read_run(run.folder)
    assert again.attempt == 2
    stop_run(bay, again)
