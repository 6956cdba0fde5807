"""Finding and ending the processes of an instance."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from launchbay.errors import LaunchbayError
from launchbay.ports import Event
from launchbay.providers import processes
from launchbay.providers.processes import end_marked, end_processes, instance_processes

Marked = Callable[..., "subprocess.Popen[bytes]"]

MARK = "LAUNCHBAY_INSTANCE=i-exp-1"
STUBBORN = "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"

HEIR = """
import os, signal, subprocess, sys, time
def pass_on(number, frame):
    heir = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    open(os.environ["HEIR"], "w").write(str(heir.pid))
    os._exit(0)
signal.signal(signal.SIGTERM, pass_on)
print("ready", flush=True)
time.sleep(600)
"""

# as a shell it ignores SIGTERM; it notices that its terminal is gone when it has been told so often
HANGS_UP = """
import os, signal, sys, time
heard = []
def hear(number, frame):
    heard.append(number)
    if len(heard) == int(sys.argv[1]):
        os._exit(7)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGHUP, hear)
print("up>", flush=True)
while True:
    time.sleep(600)
"""

# on SIGTERM it leaves an heir in a session of its own, which does the same, for as long as they are asked and not killed
DYNASTY = """
import os, signal, time
def pass_on(number, frame):
    if os.fork():
        os._exit(0)
    os.setsid()
signal.signal(signal.SIGTERM, pass_on)
print("ready", flush=True)
while True:
    time.sleep(600)
"""


def test_processes_are_found_by_the_whole_id(marked: Callable[..., subprocess.Popen[bytes]]) -> None:
    one, other = marked("i-exp-1"), marked("i-exp-11")
    assert instance_processes(["i-exp-1"]) == [one.pid]
    assert sorted(instance_processes(["i-exp-1", "i-exp-11"])) == sorted([one.pid, other.pid])
    assert instance_processes(["i-exp-111"]) == []
    assert instance_processes([]) == []


def test_a_mark_inside_another_variable_is_none(marked: Marked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTE", f"x{MARK}")
    monkeypatch.setenv("OLD_LAUNCHBAY_INSTANCE", "i-exp-1")
    marked("i-exp-2")
    assert instance_processes(["i-exp-1"]) == []


def test_one_that_does_not_listen_is_killed(marked: Marked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_PATIENCE_S", 0.2)
    process = marked("i-exp-1", STUBBORN)
    began = time.monotonic()
    end_processes([process.pid, 2**22 + 1])
    assert process.wait(5) == -signal.SIGKILL
    assert 0.2 <= time.monotonic() - began < 5


def test_waiting_is_told(marked: Marked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_PATIENCE_S", 0.4)
    monkeypatch.setattr(processes, "_TELL_EVERY_S", 0.1)
    marked("i-exp-1", STUBBORN)
    events: list[Event] = []
    end_marked([MARK], tell=events.append)
    assert [(event.done, event.total, event.finished) for event in (events[0], events[-1])] == [
        (0, 1, False),
        (1, 1, True),
    ]
    assert "the rest is killed in" in events[0].message


def test_what_ends_at_once_is_not_worth_telling(marked: Marked) -> None:
    marked("i-exp-1")
    events: list[Event] = []
    assert end_marked([MARK], tell=events.append) == 1
    assert events == []


def test_a_supervisor_is_given_longer(marked: Marked, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It has its script to stop and its artefacts to hash."""
    monkeypatch.setattr(processes, "_PATIENCE_S", 0.1)
    code = (
        "import signal, sys, time\n"
        "def late(number, frame):\n"
        f"    time.sleep(0.5); open({str(tmp_path / 'result')!r}, 'w').close(); sys.exit()\n"
        "signal.signal(signal.SIGTERM, late); print('ready', flush=True); time.sleep(600)"
    )
    process = marked("i-exp-1", code, "supervise")
    end_marked([MARK])
    assert process.wait(5) == 0
    assert (tmp_path / "result").exists()


def start_on_terminal(*command: str) -> tuple[subprocess.Popen[bytes], int]:
    """Start something that leads a terminal, wait until it says ``up>``, and return our end of the terminal too."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", *command],
        env={**os.environ, "LAUNCHBAY_INSTANCE": "i-exp-1", "PS1": "up>"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    said = b""
    while b"up>" not in said:
        said += os.read(controller, 1000)
    return process, controller


def test_a_shell_that_ignores_sigterm_goes_with_its_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_PATIENCE_S", 60.0)
    shell, controller = start_on_terminal("bash", "--norc", "-i")
    began = time.monotonic()
    assert end_marked([MARK]) == 1
    assert time.monotonic() - began < 5
    assert shell.wait(5) != -signal.SIGKILL
    os.close(controller)


@pytest.mark.parametrize(("times", "every_s"), [("1", 60.0), ("2", 0.1)], ids=["at once", "again"])
def test_who_leads_a_terminal_is_hung_up_on(times: str, every_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_PATIENCE_S", 3.0)
    monkeypatch.setattr(processes, "_HANG_UP_EVERY_S", every_s)
    shell, controller = start_on_terminal(sys.executable, "-c", HANGS_UP, times)
    assert end_marked([MARK]) == 1
    assert shell.wait(5) == 7
    os.close(controller)


def test_what_a_process_starts_on_its_way_out_is_ended_too(
    marked: Marked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEIR", str(tmp_path / "heir"))
    marked("i-exp-1", HEIR)
    assert end_marked([MARK]) == 2
    assert not os.path.exists(f"/proc/{(tmp_path / 'heir').read_text()}/exe")
    assert instance_processes(["i-exp-1"]) == []


def test_what_comes_back_when_it_is_asked_is_not_asked_again(marked: Marked) -> None:
    marked("i-exp-1", DYNASTY)
    assert end_marked([MARK]) == 2
    assert instance_processes(["i-exp-1"]) == []


def test_what_goes_on_all_the_same_is_named(marked: Marked, monkeypatch: pytest.MonkeyPatch) -> None:
    process = marked("i-exp-1")
    monkeypatch.setattr(processes, "end_processes", lambda *_, **__: None)
    with pytest.raises(LaunchbayError, match=f"1 process.* would not end: {process.pid}"):
        end_marked([MARK])
