"""Progress: plain lines without a terminal, moving bars on one."""

from __future__ import annotations

import io
import sys
import threading

import pytest

from launchbay.cli import console
from launchbay.cli.console import ConsoleReporter, is_lively
from launchbay.ports import Event
from tests.cli.terminal import on_terminal


class Time:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.at = 1000.0

    def monotonic(self) -> float:
        return self.at


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(console, "time", time)
    return time


def said(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


def test_a_step_is_told_when_it_begins_and_when_it_ends(clock: Time) -> None:
    stream = io.StringIO()
    reporter = ConsoleReporter(stream)
    reporter.event(Event(task="compile tiny"))
    clock.at += 1.2
    reporter.event(Event(task="compile tiny", finished=True, message="1.2 s"))
    assert said(stream) == ["compile tiny ...", "compile tiny: 1.2 s"]


def test_a_count_is_told_every_two_seconds_with_rate_and_time_left(clock: Time) -> None:
    stream = io.StringIO()
    reporter = ConsoleReporter(stream)
    for second in range(11):
        reporter.event(Event(task="download", done=second * 10_000_000, total=100_000_000, unit="bytes"))
        clock.at += 1
    reporter.event(Event(task="download", done=100_000_000, total=100_000_000, unit="bytes", finished=True))
    lines = said(stream)
    assert lines[0] == "download: 20.0 MB of 100.0 MB, 10.0 MB/s, 8.0 s left"
    assert lines[-1].startswith("download: 100.0 MB of 100.0 MB")
    assert len(lines) == 6


def test_what_is_quick_is_not_told(clock: Time) -> None:
    stream = io.StringIO()
    reporter = ConsoleReporter(stream)
    for done in range(1, 21):
        clock.at += 0.05
        reporter.event(Event(task="launch exp", done=done, total=20, unit="instances", finished=done == 20))
    assert said(stream) == []


def test_an_unknown_total_is_not_made_up(clock: Time) -> None:
    stream = io.StringIO()
    reporter = ConsoleReporter(stream)
    reporter.event(Event(task="install", done=1, unit="packages"))
    clock.at += 3
    reporter.event(Event(task="install", done=7, unit="packages", message="still at it"))
    assert said(stream) == ["install: 7 packages, still at it"]


def test_a_task_may_begin_again(clock: Time) -> None:
    stream = io.StringIO()
    reporter = ConsoleReporter(stream)
    for _ in range(2):
        reporter.event(Event(task="verify"))
        clock.at += 1
        reporter.event(Event(task="verify", finished=True, message="ok"))
    assert said(stream) == ["verify ...", "verify: ok"] * 2


def test_notes_stay(clock: Time) -> None:
    stream = io.StringIO()
    reporter = ConsoleReporter(stream)
    assert clock.at
    reporter.note("one [two]")
    reporter.close()
    reporter.note("three")
    assert said(stream) == ["one [two]", "three"]


def test_many_threads_may_tell() -> None:
    stream = io.StringIO()
    reporter = ConsoleReporter(stream)

    def tell(number: int) -> None:
        for _ in range(50):
            reporter.note(f"note {number}")

    threads = [threading.Thread(target=tell, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said(stream)) == sorted(f"note {number}" for number in range(4) for _ in range(50))


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_person_may_want_plain_lines(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    assert is_lively(Screen())
    assert not is_lively(io.StringIO())
    monkeypatch.setenv(variable, value)
    assert not is_lively(Screen())


DRAW = """
import time
from launchbay.cli.console import ConsoleReporter
from launchbay.ports import Event
reporter = ConsoleReporter()
for done in range(1, 6):
    reporter.event(Event(task="download", done=done * 1000000, total=5000000, unit="bytes", finished=done == 5))
    time.sleep(0.15)
reporter.note("a note [bold]as it is[/bold]")
reporter.event(Event(task="compile"))
time.sleep(0.15)
reporter.event(Event(task="compile", finished=True, message="1.2 s"))
reporter.close()
print("the answer")
"""


def test_on_a_terminal_bars_move() -> None:
    with on_terminal([sys.executable, "-c", DRAW], environ={"COLUMNS": "100"}) as terminal:
        assert terminal.end() == 0
    shown = terminal.shown
    assert "download" in shown
    assert "5.0 MB of 5.0 MB" in shown
    assert "━" in shown
    assert "a note [bold]as it is[/bold]" in shown
    assert "1.2 s" in shown
    assert shown.rstrip().endswith("the answer")
    assert shown.count("\x1b[?25h") >= 1  # the cursor is given back
