"""Running a person's script as it is, through the API, with real processes."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from launchbay.api.runs import explain, list_runs, logs, train
from launchbay.errors import Conflict, LaunchbayError, NotFound, UsageError
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.end import change_power
from launchbay.onboard.process import identify, process_alive
from launchbay.planning.fleet import Instance
from launchbay.runs.end import stop_run
from launchbay.runs.start import read_again
from launchbay.runs.train import RunSpec, follow_run, submit_run
from launchbay.store.records import find_run, read_run
from launchbay.testing import RecordingReporter
from tests.runs.running import SLOW, Project, make_instance, run_it, wait_for, wait_over

# --- the script unchanged -------------------------------------------------------------------------------------------


def test_the_script_finds_everything_where_it_expects_it(
    bay: Bay, instance: Instance, project: Project, tmp_path: Path
) -> None:
    script = project(
        {
            "train.py": "import json, os, sys, helper\nfrom package import inner\nimport six\n"
            "print(json.dumps({'argv': sys.argv, 'cwd': os.getcwd(), 'name': __name__, 'file': __file__,"
            " 'helper': helper.x, 'inner': inner.y, 'data': open('data/train.csv').read(),"
            " 'config': open('config.json').read(), 'python': sys.prefix, 'home': os.path.expanduser('~'),"
            " 'run': os.environ['LAUNCHBAY_RUN'], 'stdin': sys.stdin.read()}))\n",
            "helper.py": "x = 1\n",
            "package/__init__.py": "",
            "package/inner.py": "y = 2\n",
            "config.json": "{}",
        }
    )
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "train.csv").write_text("1,2\n", encoding="utf-8")
    before = {path: path.stat().st_mtime_ns for path in script.parent.rglob("*")}
    run, printed = run_it(bay, instance, script, data=tmp_path / "elsewhere", args=["--epochs", "5", "", "a b"])
    assert (run.state, run.exit_code) == ("done", 0)
    assert json.loads(printed) == {
        "argv": ["train.py", "--epochs", "5", "", "a b"],
        "cwd": str(run.work),
        "name": "__main__",
        "file": str(run.work / "train.py"),
        "helper": 1,
        "inner": 2,
        "data": "1,2\n",
        "config": "{}",
        "python": str(instance.root / "env"),
        "home": str(instance.root / "home"),
        "run": run.id,
        "stdin": "",
    }
    assert {path: path.stat().st_mtime_ns for path in script.parent.rglob("*")} == before


def test_the_record_says_what_was_run(bay: Bay, instance: Instance, project: Project, tmp_path: Path) -> None:
    data = tmp_path / "d"
    data.mkdir()
    (data / "train.csv").write_bytes(b"1,2\n")
    script = project({"train.py": ""})
    run, _ = run_it(bay, instance, script, data=data, args=["--x"])
    again = find_run(bay.home, run.id)
    assert again == run
    assert (run.instance, run.fleet, run.image, run.digest) == ("exp-1", "exp", "tiny", instance.digest)
    assert (run.script, list(run.args), run.data) == (str(script), ["--x"], str(data))
    assert run.data_files == {"train.csv": {"bytes": 4, "sha256": hashlib.sha256(b"1,2\n").hexdigest()}}
    assert run.created_at == pytest.approx(time.time(), abs=60)
    assert [item.id for item in list_runs(bay)] == [run.id]


def test_what_it_made_is_found_by_content_best_first(bay: Bay, instance: Instance, project: Project) -> None:
    code = (
        "import os, zipfile\n"
        "for name in ('checkpoints/last.keras', 'best.bin'):\n"
        "    os.makedirs(os.path.dirname(name) or '.', exist_ok=True)\n"
        "    with zipfile.ZipFile(name, 'w') as z:\n"
        "        z.writestr('config.json', name); z.writestr('metadata.json', '{}')\n"
        "os.makedirs('logs/train'); open('logs/train/events.out.tfevents.1', 'w').close()\n"
        "open('notes.txt', 'w').close()\n"
    )
    run, _ = run_it(bay, instance, project({"train.py": code, "brought.keras": "x"}))
    paths = [run.work / "best.bin", run.work / "checkpoints" / "last.keras", run.work / "notes.txt"]
    assert [item.path for item in run.artifacts] == paths
    assert [item.format for item in run.artifacts] == ["keras", "keras", "file"]
    assert [item.is_model for item in run.artifacts] == [True, True, False]
    assert run.artifacts[0].sha256 == hashlib.sha256(paths[0].read_bytes()).hexdigest()
    assert list(run.logdirs) == [run.work / "logs" / "train"]
    shown = run.as_json()
    assert shown["run"] == run.id
    assert shown["artifacts"] == paths
    assert all(path.is_absolute() for path in shown["artifacts"])


@pytest.mark.image("tensorflow")
def test_a_keras_script_as_it_is(bay: Bay, with_image: Callable[[str], Image], project: Project) -> None:
    code = (
        "import keras, numpy as np\n"
        "model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(4, activation='relu'), keras.layers.Dense(1)])\n"
        "model.compile('adam', 'mse')\n"
        "x = np.linspace(0, 1, 64).reshape(-1, 1)\n"
        "model.fit(x, x, epochs=2, verbose=2, validation_data=(x, x), callbacks=[keras.callbacks.TensorBoard('logs')])\n"
        "model.save('model.keras')\n"
    )
    instance = make_instance(bay, with_image("tensorflow"))
    run, printed = run_it(bay, instance, project({"train.py": code}))
    assert run.state == "done", printed
    assert "Epoch 2/2" in printed
    assert (run.artifacts[0].path.name, run.artifacts[0].format) == ("model.keras", "keras")
    assert {path.relative_to(run.work).parts[0] for path in run.logdirs} == {"logs"}
    assert (run.cpu_seconds or 0) > 1
    assert (run.peak_memory_bytes or 0) > 100_000_000


def test_a_damaged_journal_is_named_and_the_script_runs(
    bay: Bay, reporter: RecordingReporter, instance: Instance, project: Project
) -> None:
    bay.home.journal.write_bytes(b"this was a database once\n" * 500)
    run, _ = run_it(bay, instance, project({"train.py": ""}))
    assert run.state == "done"
    (note,) = reporter.notes
    assert "The journal was damaged" in note


def test_a_script_whose_name_looks_like_an_option(bay: Bay, instance: Instance, project: Project) -> None:
    script = project({"-x.py": "import sys; print(sys.argv)"}).with_name("-x.py")
    run, printed = run_it(bay, instance, script, args=["--y"])
    assert (run.state, printed) == ("done", "['./-x.py', '--y']\n")


def test_names_that_are_no_text_are_passed_on_and_noted_as_well_as_can_be(
    bay: Bay, instance: Instance, project: Project, tmp_path: Path
) -> None:
    odd = os.fsdecode(b"a\xff")
    script = project({"train.py": "import os, sys; print(os.fsencode(sys.argv[1]), os.listdir(b'data'))"})
    (tmp_path / odd).mkdir()
    (tmp_path / odd / odd).touch()
    run, printed = run_it(bay, instance, script, args=[odd], data=tmp_path / odd)
    assert printed == "b'a\\xff' [b'a\\xff']\n"
    assert (list(run.args), list(run.data_files)) == (["a\ufffd"], ["a\ufffd"])


# --- refused --------------------------------------------------------------------------------------------------------


def refused(bay: Bay, instance: Instance, spec: RunSpec) -> LaunchbayError:
    with pytest.raises(LaunchbayError) as caught:
        submit_run(bay, instance, spec)
    assert list_runs(bay) == []
    assert not any(bay.home.tmp.glob("new-run*"))
    return caught.value


def test_a_script_that_is_missing_offers_its_neighbours(bay: Bay, instance: Instance, project: Project) -> None:
    script = project({"train.py": "", "other.py": ""})
    error = refused(bay, instance, RunSpec(script=script.with_name("trian.py")))
    assert isinstance(error, NotFound)
    assert "there is no script" in error.what
    assert error.hint == "beside it lies other.py, train.py"


def test_a_folder_is_no_script(bay: Bay, instance: Instance, project: Project) -> None:
    error = refused(bay, instance, RunSpec(script=project({"train.py": ""}).parent))
    assert isinstance(error, UsageError)
    assert "a script must be a file" in error.what


def test_data_that_is_missing_or_no_folder(bay: Bay, instance: Instance, project: Project) -> None:
    script = project({"train.py": ""})
    for data in (script.with_name("none"), script):
        error = refused(bay, instance, RunSpec(script=script, data=data))
        assert error.what == f"there is no data folder {data}"


@pytest.mark.parametrize("seconds", [0.0, -1.0, 366 * 86_400.0, float("nan"), float("inf")])
def test_a_time_limit_that_is_none(bay: Bay, instance: Instance, project: Project, seconds: float) -> None:
    error = refused(bay, instance, RunSpec(script=project({"train.py": ""}), timeout_s=seconds))
    assert "a time limit must be more than 0" in error.what


def test_a_stopped_instance_trains_nothing(bay: Bay, instance: Instance, project: Project) -> None:
    change_power(bay, "stop", instance.name)
    error = refused(bay, bay.provider.observe()[0], RunSpec(script=project({"train.py": ""})))
    assert isinstance(error, Conflict)
    assert error.hint == "bay start exp-1"


@pytest.mark.parametrize("name", ["/dev/stdin", "/dev/fd/0"])
def test_what_is_open_on_stdin_is_no_script(bay: Bay, instance: Instance, project: Project, name: str) -> None:
    script = project({"train.py": "print('fine')"})
    command = [sys.executable, "-m", "launchbay", "train", instance.name, name]
    with script.open("rb") as file:
        done = subprocess.run(command, stdin=file, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"a script must be a regular file, got {name}" in done.stderr
    assert list_runs(bay) == []


@pytest.mark.timeout(20)
def test_a_pipe_is_no_script(bay: Bay, instance: Instance, project: Project) -> None:
    pipe = project({"train.py": ""}).with_name("pipe")
    os.mkfifo(pipe)
    assert "a script must be a regular file" in refused(bay, instance, RunSpec(script=pipe)).what


# --- how it ends ----------------------------------------------------------------------------------------------------


def test_an_exit_code(bay: Bay, instance: Instance, project: Project) -> None:
    run, printed = run_it(bay, instance, project({"train.py": "print('almost')\nraise SystemExit(3)"}))
    assert (run.state, run.exit_code, run.signal, printed) == ("failed", 3, None, "almost\n")
    assert explain(run) == ""


def test_a_signal(bay: Bay, instance: Instance, project: Project) -> None:
    run, _ = run_it(bay, instance, project({"train.py": "import os; os.kill(os.getpid(), 9)"}))
    assert (run.state, run.exit_code, run.signal) == ("failed", 137, "SIGKILL")
    assert "out of memory" in explain(run)


def test_a_missing_package_is_explained(bay: Bay, instance: Instance, project: Project) -> None:
    run, printed = run_it(bay, instance, project({"train.py": "import no_such_package"}), force=True)
    assert "ModuleNotFoundError" in printed
    assert explain(run).startswith("there is no module no_such_package here: if it is a file of yours, put it beside")


def test_a_time_limit(bay: Bay, instance: Instance, project: Project) -> None:
    run, printed = run_it(bay, instance, project({"train.py": SLOW}), timeout_s=0.5)
    assert (run.state, run.timed_out, run.signal, printed) == ("failed", True, "SIGTERM", "up\n")


def test_the_supervisor_is_recorded_and_told_from_a_later_process(
    bay: Bay, instance: Instance, project: Project
) -> None:
    run = submit_run(bay, instance, RunSpec(script=project({"train.py": SLOW})))
    assert run.supervisor is not None
    assert run.supervisor == identify(run.supervisor["pid"])
    assert process_alive(run.supervisor)
    for changed in ({"start": run.supervisor["start"] + 1}, {"boot": "another boot"}, {"pid": 2**22 + 5}):
        assert not process_alive({**run.supervisor, **changed})
    stop_run(bay, run)


# --- following ------------------------------------------------------------------------------------------------------


def test_everything_it_prints_is_streamed_and_kept(bay: Bay, instance: Instance, project: Project) -> None:
    code = (
        "import os, sys\n"
        "for number in range(20000): print(number, 'x' * 40)\n"
        "sys.stderr.write('to stderr\\n'); sys.stderr.flush(); os.write(1, b'\\xff raw \\x00 bytes, no end')"
    )
    streamed = bytearray()
    run = train(bay, instance.name, project({"train.py": code}), write=streamed.extend)
    wanted = b"".join(b"%d %s\n" % (number, b"x" * 40) for number in range(20000))
    wanted += b"to stderr\n\xff raw \x00 bytes, no end"
    assert bytes(streamed) == wanted
    assert run.log.read_bytes() == wanted
    again = bytearray()
    assert logs(bay, "latest", write=again.extend) == run
    assert bytes(again) == wanted


def test_logs_follow_until_the_end(bay: Bay, instance: Instance, project: Project) -> None:
    code = "import os, time\nprint('one', flush=True)\nwhile not os.path.exists('go'): time.sleep(0.01)\nprint('two')\n"
    run = train(bay, instance.name, project({"train.py": code}), detach=True)
    assert run.state == "running"
    wait_for(run, "one")
    seen: list[bytes] = []

    def write(chunk: bytes) -> None:
        seen.append(chunk)
        (run.work / "go").touch()

    over = logs(bay, run.id, write=write, follow=True)
    assert (b"".join(seen), over.state) == (b"one\ntwo\n", "done")


@pytest.mark.parametrize(("answer", "state"), [("stop", "stopped"), ("detach", "running")])
def test_ctrl_c_is_asked_about(bay: Bay, instance: Instance, project: Project, answer: str, state: str) -> None:
    run = submit_run(bay, instance, RunSpec(script=project({"train.py": SLOW})))
    asked: list[str] = []

    def interrupt(chunk: bytes) -> None:
        assert chunk
        raise KeyboardInterrupt

    def on_interrupt() -> str:
        asked.append(answer if len(asked) else "go on")
        if len(asked) == 1:
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()  # the second, while it waits
        return asked[-1]

    over = follow_run(bay, run, interrupt, on_interrupt=on_interrupt)
    assert (asked, over.state) == (["go on", answer], state)
    stop_run(bay, run)


def test_a_run_survives_the_client_that_started_it(bay: Bay, instance: Instance, project: Project) -> None:
    code = "import os, time\nprint('up', flush=True)\nwhile not os.path.exists('go'): time.sleep(0.01)\nprint('finished')\n"
    script = project({"train.py": code})
    client = subprocess.Popen(
        [sys.executable, "-m", "launchbay", "train", instance.name, str(script)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 20
    while not list_runs(bay) and time.monotonic() < until:
        time.sleep(0.02)
    (run,) = list_runs(bay)
    wait_for(run, "up")
    client.kill()
    assert client.wait() == -9
    assert read_run(run.folder).state == "running"
    (run.work / "go").touch()
    assert wait_over(run).state == "done"
    assert run.log.read_bytes() == b"up\nfinished\n"


def test_a_client_killed_before_the_supervisor_leaves_a_run_that_is_lost(
    bay: Bay, instance: Instance, project: Project
) -> None:
    run, _ = run_it(bay, instance, project({"train.py": ""}))
    for name in ("process.json", "result.json"):
        (run.folder / name).unlink()
    assert read_run(run.folder).state == "starting"  # we, its client, are still at it
    record = json.loads((run.folder / "record.json").read_text(encoding="utf-8"))
    record["client"]["start"] -= 1
    (run.folder / "record.json").write_text(json.dumps(record), encoding="utf-8")
    assert read_run(run.folder).state == "lost"


def test_many_runs_in_one_instance_at_once(bay: Bay, instance: Instance, project: Project) -> None:
    script = project({"train.py": "import sys; print(sys.argv[1])"})
    runs = [submit_run(bay, instance, RunSpec(script=script, args=(str(number),))) for number in range(4)]
    over = [wait_over(run) for run in runs]
    assert [run.log.read_text(encoding="utf-8") for run in over] == ["0\n", "1\n", "2\n", "3\n"]
    assert [run.id for run in list_runs(bay)] == [run.id for run in runs]


def test_a_circle_of_links_beside_the_script_is_copied_as_it_is(bay: Bay, instance: Instance, project: Project) -> None:
    script = project({"train.py": "import os; print(os.readlink('circle'))"})
    (script.parent / "circle").symlink_to("circle")
    assert run_it(bay, instance, script)[1] == "circle\n"


def test_a_run_that_removes_its_own_folder_is_told_plainly(bay: Bay, instance: Instance, project: Project) -> None:
    script = project({"train.py": "import os, shutil; shutil.rmtree(os.path.dirname(os.getcwd()))"})
    with pytest.raises(NotFound, match=r"the folder of run-.* is gone"):
        run_it(bay, instance, script)
    with pytest.raises(
        NotFound, match="the folder of run-x is gone"
    ):  # also one that was quicker than whoever started it
        read_again(bay.home.runs / "run-x")


def test_whoever_follows_is_woken_when_the_run_ends(
    bay: Bay, instance: Instance, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking costs, so it is done seldom; the end must not wait for the next look."""
    monkeypatch.setattr("launchbay.runs.train._POLL_S", 60.0)
    began = time.monotonic()
    run, printed = run_it(bay, instance, project({"train.py": "import time; time.sleep(0.5); print('last words')"}))
    assert (run.state, printed) == ("done", "last words\n")
    assert time.monotonic() - began < 30
