"""`bay train` as a person meets it: on a terminal, without one, interrupted, left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launchbay.lifecycle.bay import Bay
from launchbay.planning.fleet import Instance
from launchbay.providers.processes import end_processes, instance_processes
from launchbay.store.records import Run, list_runs, read_run
from tests.cli.conftest import Said
from tests.cli.terminal import on_terminal

Says = Callable[..., Said]

SLOW = "import time\nprint('up', flush=True)\ntime.sleep(600)\n"
UNTIL_GO = (
    "import os, time\nprint('up', flush=True)\nwhile not os.path.exists('go'): time.sleep(0.01)\nprint('finished')\n"
)
TALKING = (
    "import os, time\nprint('up', flush=True)\n"
    "while not os.path.exists('go'): print('still', flush=True); time.sleep(0.05)\n"
)
STUBBORN = (
    "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(600)\n"
)


@pytest.fixture(autouse=True)
def _nothing_runs_on(two: list[Instance]) -> Iterator[None]:
    yield
    end_processes(instance_processes(item.id for item in two))


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        path = tmp_path / "project" / "train.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


Script = Callable[[str], str]


def only_run(bay: Bay) -> Run:
    (run,) = list_runs(bay.home)
    return run


def over(run: Run) -> Run:
    until = time.monotonic() + 20
    while not (run := read_run(run.folder)).is_over:
        assert time.monotonic() < until, "the run never ended"
        time.sleep(0.02)
    return run


def test_done(says: Says, bay: Bay, script: Script) -> None:
    said = says("train", "exp-1", script("print('hello'); open('model.bin', 'wb').write(b'\\x89HDF\\r\\n\\x1a\\n')"))
    run = only_run(bay)
    assert said.code == 0
    assert said.out.startswith(f"hello\n{run.id}: done after ")
    assert f"  model   {run.work}/model.bin (hdf5, 8 B)" in said.out
    assert f"bay evaluate {run.id} --data CSV" in said.out
    assert f"{run.id} runs {run.script} in exp-1; it goes on if this terminal closes" in said.err


@pytest.mark.parametrize(
    ("code", "how"),
    [
        ("raise SystemExit(3)", "failed with exit code 3"),
        ("import os; os.kill(os.getpid(), 9)", "killed by SIGKILL"),
    ],
)
def test_failed(says: Says, bay: Bay, script: Script, code: str, how: str) -> None:
    said = says("train", "exp-1", script(code))
    run = only_run(bay)
    assert said.code == 1
    assert f"{run.id}: {how} after " in said.out
    assert f"  next    bay logs {run.id}" in said.out


RESUMED = (
    "import os, sys\nkept = os.environ['LAUNCHBAY_CHECKPOINT_DIR'] + '/kept'\n"
    "if os.path.exists(kept): sys.exit(print('from there'))\n"
    "print('from the beginning', flush=True); open(kept, 'w').write('x'); os.kill(os.getpid(), 9)\n"
)


def test_resumed(says: Says, bay: Bay, script: Script) -> None:
    said = says("train", "exp-1", script(RESUMED))
    run = only_run(bay)
    assert f"  kept    {run.checkpoints} (1 file, 1 B)\n" in said.out
    assert f"  next    bay logs {run.id}    bay train --resume {run.id}\n" in said.out
    said = says("train", "--resume", "latest")
    assert said.code == 0
    assert said.out.startswith(f"from there\n{run.id}: done in attempt 2 after ")
    assert "  before  attempt 1: killed by SIGKILL after " in said.out
    assert f"{run.checkpoints} holds what the first attempt left there: 1 file, 1 B\n" in said.err
    assert f"{run.id} runs {run.script} in exp-1, attempt 2; it goes on if this terminal closes\n" in said.err
    assert "done, attempt 2" in says("runs").out
    said = says("train", "--resume", "latest")
    assert said.code == 1
    assert f"{run.id} is done: there is nothing to resume" in said.err


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["other.py"], "other.py"),
        (["exp-1", "train"], "train"),
        (["exp-1", "--data", "."], "--data"),
        (["--env", "x", "--", "--epochs", "3"], "--env, arguments after --"),
    ],
)
def test_what_a_resumed_run_has_itself_is_refused(says: Says, more: list[str], named: str) -> None:
    said = says("train", "--resume", "latest", *more)
    assert said.code == 2
    assert f"a resumed run has its own script, data and arguments: it does not take {named}" in said.err


def test_the_last_words_of_a_script_need_not_end_their_line(says: Says, script: Script) -> None:
    said = says("train", "exp-1", script("print('half', end='')"))
    assert said.out.startswith("half\nrun-")


def test_a_hint_is_shown(says: Says, script: Script) -> None:
    said = says("train", "exp-1", script("__import__('scipy')"))
    assert said.code == 1
    assert "  hint    install it in the instance: bay exec exp-1 -- pip install scipy" in said.out


def test_a_time_limit(says: Says, script: Script) -> None:
    said = says("train", "exp-1", script(SLOW), "--timeout", "500ms")
    assert said.code == 1
    assert "stopped at its time limit after " in said.out
    assert says("train", "exp-1", script(SLOW), "--timeout", "0").code == 2


@pytest.mark.all
def test_a_script_that_ignores_its_time_limit_is_killed_in_the_end(says: Says, script: Script) -> None:
    began = time.monotonic()
    said = says("train", "exp-1", script(STUBBORN), "--timeout", "500ms", "--json")
    assert (said.value["signal"], said.value["timed_out"]) == ("SIGKILL", True)
    assert 10 <= time.monotonic() - began < 30


def test_detached_it_is_followed_later(says: Says, bay: Bay, script: Script) -> None:
    said = says("train", "exp-1", script(UNTIL_GO), "--detach")
    run = only_run(bay)
    assert said.code == 0
    assert f"{run.id}: running\n" in said.out
    assert f"bay logs {run.id} -f" in said.out
    assert says("ps", "--json").value[0]["running"] == [run.id]
    assert run.id in says("ps").out
    (run.work / "go").touch()
    followed = says("logs", run.id, "-f")
    assert (followed.code, followed.out) == (0, "up\nfinished\n")
    assert only_run(bay).state == "done"
    assert says("ps", "--json").value[0]["running"] == []


def test_a_run_is_stopped_by_its_name(says: Says, bay: Bay, script: Script) -> None:
    says("train", "exp-1", script(SLOW), "--detach")
    run = only_run(bay)
    said = says("stop", run.id)
    assert (said.code, only_run(bay).state) == (0, "stopped")
    assert said.out.startswith(f"{run.id} stopped")


def test_the_only_script_and_the_only_instance_need_no_naming(
    says: Says, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(script("print('mine')")).parent
    (folder / "bay.yaml").write_text("name: exp\nimage: tiny\nscript: train.py\n", encoding="utf-8")
    monkeypatch.chdir(folder)
    said = says("train")
    assert said.code == 0, said.err
    assert said.out.startswith("mine\n")


def test_runs_are_listed(says: Says, bay: Bay, script: Script) -> None:
    assert says("runs").out.startswith("No runs.")
    says("train", "exp-2", script("print('x')"))
    head, row = says("runs").out.splitlines()
    assert head.split() == ["RUN", "STATE", "INSTANCE", "SCRIPT", "IMAGE", "SECONDS", "MODELS", "AGE"]
    assert row.split()[:5] == [only_run(bay).id, "done", "exp-2", "train.py", "tiny"]


# --- Ctrl-C ---------------------------------------------------------------------------------------------------------


def test_ctrl_c_on_a_terminal_asks_once_and_stops(bay: Bay, bay_command: list[str], script: Script) -> None:
    with on_terminal([*bay_command, "train", "exp-1", script(SLOW)]) as terminal:
        terminal.until("up")
        terminal.type("\x03")
        terminal.until("[s]top it, [d]etach, or [c]ontinue to watch (Enter)?")
        terminal.type("s\n")
        assert terminal.end() == 130
    assert ": stopped after " in terminal.shown
    run = only_run(bay)
    assert (run.state, run.signal) == ("stopped", "SIGTERM")


def test_ctrl_c_can_detach_or_go_on(bay: Bay, bay_command: list[str], script: Script) -> None:
    with on_terminal([*bay_command, "train", "exp-1", script(TALKING)]) as terminal:
        terminal.until("up")
        terminal.type("\x03")
        terminal.until("to watch (Enter)?")
        terminal.shown = ""
        terminal.type("c\n")
        terminal.until("still")
        terminal.type("\x03")
        terminal.until("to watch (Enter)?")
        terminal.type("d\n")
        assert terminal.end() == 0
    run = only_run(bay)
    assert run.state == "running"
    (run.work / "go").touch()
    assert over(run).state == "done"


def test_a_slip_of_the_finger_ends_nothing(bay: Bay, bay_command: list[str], script: Script) -> None:
    with on_terminal([*bay_command, "train", "exp-1", script(TALKING)]) as terminal:
        terminal.until("up")
        terminal.type("\x03")
        terminal.until("to watch (Enter)?")
        terminal.type("x\n")
        terminal.until("[s]top, [d]etach or [c]ontinue (Enter)?")
        terminal.shown = ""
        terminal.type("\n")
        terminal.until("still")
        (only_run(bay).work / "go").touch()
        assert terminal.end() == 0
    assert only_run(bay).state == "done"


def test_a_second_ctrl_c_stops(bay: Bay, bay_command: list[str], script: Script) -> None:
    with on_terminal([*bay_command, "train", "exp-1", script(SLOW)]) as terminal:
        terminal.until("up")
        terminal.type("\x03")
        terminal.until("to watch (Enter)?")
        terminal.type("\x03")
        assert terminal.end() == 130
    assert only_run(bay).state == "stopped"


def client(bay_command: list[str], script: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [*bay_command, "train", "exp-1", script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    return process


def test_an_interrupt_where_nobody_can_answer_stops(bay: Bay, bay_command: list[str], script: Script) -> None:
    process = client(bay_command, script(SLOW))
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b": stopped after " in out
    assert only_run(bay).state == "stopped"


@pytest.mark.all
def test_a_script_that_does_not_listen_is_killed_in_the_end(bay: Bay, bay_command: list[str], script: Script) -> None:
    process = client(bay_command, script(STUBBORN))
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=40)
    assert 10 <= time.monotonic() - began < 30
    run = only_run(bay)
    assert (process.returncode, run.state, run.signal) == (130, "stopped", "SIGKILL")


# --- left alone -----------------------------------------------------------------------------------------------------


def test_a_run_survives_its_terminal(bay: Bay, bay_command: list[str], script: Script) -> None:
    with on_terminal([*bay_command, "train", "exp-1", script(UNTIL_GO)]) as terminal:
        terminal.until("up")
        terminal.hang_up()
        assert terminal.process.wait(20) == -signal.SIGHUP
    run = only_run(bay)
    assert run.state == "running"
    (run.work / "go").touch()
    assert over(run).state == "done"
    assert run.log.read_bytes() == b"up\nfinished\n"


def test_a_run_survives_a_reader_that_went_away(bay: Bay, bay_command: list[str], script: Script) -> None:
    process = client(bay_command, script(TALKING))
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.wait(20) == 1  # the run was waited for, and is not over
    run = only_run(bay)
    assert run.state == "running"
    last = process.stderr.read().decode().splitlines()[-1]
    assert last == f"bay: nobody reads the output any more; the run goes on: bay logs {run.id} -f"
    process.stderr.close()
    (run.work / "go").touch()
    assert over(run).state == "done"


def test_with_the_run_over_its_code_counts_and_not_the_reader(bay: Bay, bay_command: list[str], script: Script) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [*bay_command, "train", "exp-1", script("print('x', flush=True)\nraise SystemExit(3)")]
    done = subprocess.run([*command, "--json"], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert done.returncode == 1
    assert only_run(bay).exit_code == 3
    assert b"goes on: " not in done.stderr


def test_a_followed_log_may_be_cut_short(bay: Bay, bay_command: list[str], script: Script, says: Says) -> None:
    says("train", "exp-1", script(TALKING), "--detach")
    run = only_run(bay)
    shell = ["/bin/sh", "-c", '("$@"; echo $? >&2) | head -1', "sh", *bay_command, "logs", "-f", "latest"]
    done = subprocess.run(shell, capture_output=True, text=True, check=False, timeout=20)
    assert done.stdout == "up\n"
    assert done.stderr.splitlines() == [
        f"bay: nobody reads the output any more; the run goes on: bay logs {run.id} -f",
        "0",
    ]
    assert only_run(bay).state == "running"
    (run.work / "go").touch()
    over(run)
    done = subprocess.run([*shell[:-2], run.id], capture_output=True, text=True, check=False, timeout=20)
    assert (done.stdout, done.stderr) == ("up\n", "0\n")


def test_following_a_log_is_left_with_ctrl_c_and_the_run_goes_on(
    bay: Bay, bay_command: list[str], script: Script, says: Says
) -> None:
    says("train", "exp-1", script(UNTIL_GO), "--detach")
    run = only_run(bay)
    with on_terminal([*bay_command, "logs", run.id, "-f"]) as terminal:
        terminal.until("up")
        terminal.type("\x03")
        assert terminal.end() == 0
    assert read_run(run.folder).state == "running"
    (run.work / "go").touch()
    assert over(run).state == "done"
    assert os.path.exists(run.log)
