"""The supervisor on its own: one script watched over to its end, whatever happens around it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from launchbay.onboard.process import identify

SUPERVISE = """
import sys, time
from launchbay.onboard import main, supervise
supervise.GRACE_S = 0.4
write, slowness = supervise.write_json, float(sys.argv[1])
supervise.write_json = lambda *args: (time.sleep(slowness), write(*args))
exec(sys.argv[2])
sys.argv = ["onboard", "supervise"]
sys.exit(main.main())
"""

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, lambda *_: print("no", flush=True))
print("up", flush=True)
while True:
    time.sleep(600)
"""

BURN = "import time; end = time.process_time() + {seconds}\nwhile time.process_time() < end: pass\n"

ORPHAN = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    while time.process_time() < 0.5:
        pass
    open("burning", "w").write(str(os.getpid()))
    os.rename("burning", "burned")
    time.sleep(600)
while not os.path.exists("burned"):
    time.sleep(0.01)
"""


class Supervised:
    """A supervisor with its script."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.folder = folder
        self.process = process

    @property
    def work(self) -> Path:
        return self.folder / "work"

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        value: dict[str, Any] = json.loads(self.process.stdout.readline())
        return value

    def until_log(self, text: str) -> None:
        until = time.monotonic() + 20
        while text not in self.log():
            assert time.monotonic() < until, f"{text!r} never came: {self.log()!r}"
            time.sleep(0.01)

    def log(self) -> str:
        path = self.folder / "output.log"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def result(self) -> dict[str, Any]:
        self.process.wait(30)
        value: dict[str, Any] = json.loads((self.folder / "result.json").read_text(encoding="utf-8"))
        return value


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Callable[..., Supervised]]:
    """Return a function that starts a script under a supervisor whose patience is 0.4 s."""
    started: list[Supervised] = []

    def start(
        code: str,
        *args: str,
        timeout_s: float | None = None,
        argv: list[str] | None = None,
        slow_disk_s: float = 0.0,
        before: str = "",
    ) -> Supervised:
        folder = tmp_path / f"run-{len(started)}"
        (folder / "work").mkdir(parents=True)
        (folder / "work" / "train.py").write_text(code, encoding="utf-8")
        request = {
            "v": 1,
            "folder": str(folder),
            "work": str(folder / "work"),
            "argv": argv or [sys.executable, "train.py", *args],
            "env": {"PYTHONUNBUFFERED": "1", "LAUNCHBAY_RUN": folder.name},
            "timeout_s": timeout_s,
        }
        process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISE, str(slow_disk_s), before],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(request).encode())
        process.stdin.close()
        started.append(Supervised(folder, process))
        return started[-1]

    yield start
    for item in started:
        item.process.kill()
        item.process.wait()
        assert item.process.stdout is not None
        item.process.stdout.close()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


# --- ends -----------------------------------------------------------------------------------------------------------


def test_a_script_that_is_done(supervise: Callable[..., Supervised]) -> None:
    run = supervise("import sys; print(sys.argv); print('bad', file=sys.stderr)", "--epochs", "5 6")
    assert run.answer() == {"v": 1, "ok": True, "result": {"pid": run.process.pid}}
    result = run.result()
    assert (result["state"], result["exit_code"], result["signal"], result["timed_out"]) == ("done", 0, None, False)
    assert run.log() == "['train.py', '--epochs', '5 6']\nbad\n"
    assert 0 < result["seconds"] < 30
    assert result["ended_at"] == pytest.approx(time.time(), abs=30)
    assert result["supervisor_cpu_seconds"] < 5
    assert run.process.returncode == 0


def test_an_exit_code(supervise: Callable[..., Supervised]) -> None:
    result = supervise("raise SystemExit(3)").result()
    assert (result["state"], result["exit_code"], result["signal"]) == ("failed", 3, None)


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGKILL, "SIGKILL"), (signal.SIGSEGV, "SIGSEGV"), (signal.SIGRTMIN + 5, "SIG39")]
)
def test_a_signal(supervise: Callable[..., Supervised], number: int, name: str) -> None:
    result = supervise(f"import os; os.kill(os.getpid(), {int(number)})").result()
    assert (result["state"], result["exit_code"], result["signal"]) == ("failed", 128 + number, name)


def test_a_program_that_cannot_be_started(supervise: Callable[..., Supervised]) -> None:
    run = supervise("", argv=["/nonexistent/python", "train.py"])
    answer = run.answer()
    assert (answer["ok"], run.process.wait(10)) == (False, 1)
    assert "the script could not be started" in answer["error"]["what"]
    result = run.result()
    assert (result["state"], result["exit_code"], result["signal"]) == ("failed", 127, None)
    assert result["notes"] == [answer["error"]["what"]]
    assert not (run.folder / "result.reserve").exists()


# --- stopping -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_is_stopped_when_asked(supervise: Callable[..., Supervised], number: int) -> None:
    run = supervise("import time; print('up'); time.sleep(600)")
    run.until_log("up")
    os.kill(run.process.pid, number)
    result = run.result()
    assert (result["state"], result["signal"], result["timed_out"]) == ("stopped", "SIGTERM", False)


def test_a_script_may_put_its_things_in_order_first(supervise: Callable[..., Supervised]) -> None:
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('saved'), sys.exit(0)))\n"
        "print('up')\ntime.sleep(600)\n"
    )
    run = supervise(code)
    run.until_log("up")
    run.process.terminate()
    result = run.result()
    assert (result["state"], result["exit_code"]) == ("stopped", 0)
    assert run.log() == "up\nsaved\n"


def test_one_that_does_not_listen_is_killed(supervise: Callable[..., Supervised]) -> None:
    run = supervise(STUBBORN)
    run.until_log("up")
    began = time.monotonic()
    run.process.terminate()
    result = run.result()
    assert (result["state"], result["signal"]) == ("stopped", "SIGKILL")
    assert run.log() == "up\nno\n"
    assert 0.4 <= time.monotonic() - began < 10


def test_its_time_is_up(supervise: Callable[..., Supervised]) -> None:
    result = supervise("import time; time.sleep(600)", timeout_s=0.5).result()
    assert (result["state"], result["signal"], result["timed_out"]) == ("failed", "SIGTERM", True)
    assert 0.5 <= result["seconds"] < 10


def test_its_time_is_up_and_it_does_not_listen(supervise: Callable[..., Supervised]) -> None:
    result = supervise(STUBBORN, timeout_s=0.5).result()
    assert (result["state"], result["signal"], result["timed_out"]) == ("failed", "SIGKILL", True)


def test_a_limit_of_years_is_no_wait_that_the_system_refuses(supervise: Callable[..., Supervised]) -> None:
    result = supervise("", timeout_s=999_999 * 86_400).result()
    assert (result["state"], result["timed_out"]) == ("done", False)


def test_one_that_is_asked_to_stop_before_its_script_starts_stops(supervise: Callable[..., Supervised]) -> None:
    before = (
        "import os, signal; kept = supervise.keep_room\n"
        "supervise.keep_room = lambda folder: (os.kill(os.getpid(), signal.SIGTERM), kept(folder))"
    )
    assert supervise("import time; time.sleep(600)", before=before).result()["state"] == "stopped"


def test_one_that_ends_in_time_is_not_timed_out(supervise: Callable[..., Supervised]) -> None:
    result = supervise("", timeout_s=600).result()
    assert (result["state"], result["timed_out"]) == ("done", False)


# --- around it ------------------------------------------------------------------------------------------------------


def test_it_is_recorded_before_the_script_starts(supervise: Callable[..., Supervised]) -> None:
    code = (
        "import os; print(open('../process.json').read()); print('parent', os.getppid()); import time; time.sleep(0.3)"
    )
    run = supervise(code, slow_disk_s=0.3)
    run.until_log("parent")
    seen, _, parent = run.log().rpartition("parent")
    assert json.loads(seen) == identify(run.process.pid)
    assert int(parent) == run.process.pid
    assert not (run.folder / "result.json").exists()
    run.result()


def test_a_dead_starter_does_not_take_it_along(supervise: Callable[..., Supervised]) -> None:
    """The starter may be killed between handing over the request and reading the answer."""
    run = supervise("import time; time.sleep(0.3); print('finished')")
    assert run.process.stdout is not None
    run.process.stdout.close()
    result = run.result()
    assert (result["state"], run.log()) == ("done", "finished\n")


def test_a_hangup_does_not_reach_it(supervise: Callable[..., Supervised]) -> None:
    run = supervise("import time; print('up'); time.sleep(0.5); print('finished')")
    run.until_log("up")
    os.kill(run.process.pid, signal.SIGHUP)
    assert run.result()["state"] == "done"
    assert run.log() == "up\nfinished\n"


def test_script_and_supervisor_lead_sessions_of_their_own(supervise: Callable[..., Supervised]) -> None:
    run = supervise("import os; print(os.getpid(), os.getsid(0), os.getpgid(0), flush=True)")
    run.result()
    pid, session, group = map(int, run.log().split())
    assert pid == session == group != run.process.pid


def test_an_orphan_is_counted_and_ended(supervise: Callable[..., Supervised]) -> None:
    """It left the script's session and its parent is dead: only a subreaper still knows it."""
    run = supervise(ORPHAN)
    result = run.result()
    assert result["state"] == "done"
    assert not alive(int((run.work / "burned").read_text(encoding="ascii")))
    assert 0.5 <= result["cpu_seconds"] < 5


SAVING = """
import os, signal, subprocess, sys, time
child = '''
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: os.write(1, (sys.argv[1] + ' ').encode()))
open(sys.argv[1], 'w').close()
while True:
    time.sleep(600)
'''
for name, is_apart in (("inside", False), ("outside", True)):
    subprocess.Popen([sys.executable, "-c", child, name], start_new_session=is_apart)
    while not os.path.exists(name):
        time.sleep(0.01)
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.2), sys.exit()))
print('up')
"""


@pytest.mark.parametrize("is_stopped", [False, True])
def test_what_the_script_left_running_is_told_once(supervise: Callable[..., Supervised], *, is_stopped: bool) -> None:
    """In its process group or in another: a second SIGTERM may end the saving that the first one began."""
    run = supervise(SAVING + ("time.sleep(600)\n" if is_stopped else ""))
    run.until_log("up")
    if is_stopped:
        run.process.terminate()
    result = run.result()
    assert result["state"] == ("stopped" if is_stopped else "done")
    assert sorted(run.log().split()) == ["inside", "outside", "up"]


def test_cpu_and_memory_of_script_and_children_are_counted(supervise: Callable[..., Supervised]) -> None:
    code = (
        "import subprocess, sys\n"
        f"subprocess.run([sys.executable, '-c', {BURN.format(seconds=0.4)!r}])\n"
        + BURN.format(seconds=0.4)
        + "block = bytearray(200_000_000)\nblock[::4096] = bytes(len(block[::4096]))\n"
    )
    result = supervise(code).result()
    assert 0.8 <= result["cpu_seconds"] < 4
    assert 200_000_000 <= result["peak_memory_bytes"] < 350_000_000
    assert result["gpu"] is None or result["gpu"]["gpus"]


def test_waiting_costs_nothing(supervise: Callable[..., Supervised]) -> None:
    run = supervise("import time; time.sleep(1.5)")
    run.answer()
    before = cpu_of(run.process.pid)
    time.sleep(1)
    assert cpu_of(run.process.pid) - before <= 0.02
    run.result()


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_what_the_script_made_is_in_the_result(supervise: Callable[..., Supervised]) -> None:
    code = (
        "import os; os.makedirs('logs'); open('logs/events.out.tfevents.1', 'w').close(); open('a.txt', 'w').write('x')"
    )
    result = supervise(code).result()
    assert [item["path"] for item in result["artifacts"]] == ["a.txt"]
    assert result["logdirs"] == ["logs"]


def test_a_pipe_that_the_script_left_does_not_hold_the_end_up(supervise: Callable[..., Supervised]) -> None:
    result = supervise("import os; os.mkfifo('pipe'); open('a.txt', 'w').close()").result()
    assert [item["path"] for item in result["artifacts"]] == ["a.txt"]


# --- what a script leaves behind must not take its result along ------------------------------------------------------


def test_how_it_ended_is_written_before_what_it_made_is_looked_at(supervise: Callable[..., Supervised]) -> None:
    before = "import os; supervise.artifacts.take_stock = lambda *_: os.kill(os.getpid(), 9)"
    run = supervise("raise SystemExit(3)", before=before)
    result = run.result()
    assert run.process.returncode == -signal.SIGKILL
    assert (result["state"], result["exit_code"], result["taking_stock"]) == ("failed", 3, True)
    assert "artifacts" not in result


def test_the_last_result_is_whole(supervise: Callable[..., Supervised]) -> None:
    code = (
        "import os, zipfile; os.makedirs(b'export/\\xff'); open('export/saved_model.pb', 'w').close()\n"
        "open(b'export/\\xff/\\xfe', 'w').close()\n"
        "with zipfile.ZipFile('a.zip', 'w') as z: z.writestr('a', '')\n"
        "content = open('a.zip', 'rb').read(); at = content.index(b'PK\\1\\2') + 6\n"
        "open('a.zip', 'wb').write(content[:at] + b'\\x63\\0' + content[at + 2:])\n"
    )
    run = supervise(code)
    result = run.result()
    assert (result["state"], "taking_stock" in result) == ("done", False), run.log()
    assert [item["path"] for item in result["artifacts"]] == ["export", "a.zip"]
    assert len(result["notes"]) == 2
    assert sorted(path.name for path in run.folder.iterdir()) == ["output.log", "process.json", "result.json", "work"]


FULL = """
import errno, os
sync = os.fsync
def fsync(descriptor):
    if os.path.exists(os.path.join({folder!r}, "work", "full")) and {when}:
        raise OSError(errno.ENOSPC, "No space left on device")
    sync(descriptor)
os.fsync = fsync
"""


def test_on_a_full_disk_the_result_takes_the_room_that_was_kept(
    supervise: Callable[..., Supervised], tmp_path: Path
) -> None:
    folder = str(tmp_path / "run-0")
    before = FULL.format(folder=folder, when=f"os.path.exists({folder + '/result.reserve'!r})")
    run = supervise(
        f"import os; assert os.path.getsize({folder!r} + '/result.reserve') > 60_000; open('full', 'w')", before=before
    )
    result = run.result()
    assert (result["state"], result["exit_code"]) == ("done", 0), run.log()
    assert [item["path"] for item in result["artifacts"]] == ["full"]
    assert sorted(path.name for path in run.folder.iterdir()) == ["output.log", "process.json", "result.json", "work"]


def test_a_list_that_is_too_long_for_a_full_disk_is_left_out(
    supervise: Callable[..., Supervised], tmp_path: Path
) -> None:
    before = FULL.format(folder=str(tmp_path / "run-0"), when="os.fstat(descriptor).st_size > 2_000")
    run = supervise("for name in range(100): open(f'{name}.txt', 'w').close()\nopen('full', 'w')", before=before)
    result = run.result()
    assert (result["state"], result["artifacts"], "taking_stock" in result) == ("done", [], False)
    assert result["notes"] == ["the disk was full: what the script made is not listed"]
    assert sorted(path.name for path in run.folder.iterdir()) == ["output.log", "process.json", "result.json", "work"]
