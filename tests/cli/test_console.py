"""Progress: plain lines where nobody watches, bars on a terminal."""

from __future__ import annotations

import io
import os
import re
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from launchbay.cli import console
from launchbay.cli.console import ConsoleReporter, is_lively
from launchbay.ports import Event
from launchbay.testing import VirtualClock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    """Return the time that plain lines go by."""
    clock = VirtualClock(at=1000.0)
    monkeypatch.setattr(console, "time", SimpleNamespace(monotonic=clock.now))
    return clock


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def plain(stream: io.StringIO, clock: VirtualClock) -> ConsoleReporter:
    assert clock.now() == 1000.0
    return ConsoleReporter(stream)


# --- plain lines ----------------------------------------------------------------------------------------------------


def test_a_stage_shows_its_beginning_and_its_end(
    plain: ConsoleReporter, stream: io.StringIO, clock: VirtualClock
) -> None:
    plain.event(Event(task="resolve"))
    assert stream.getvalue() == "resolve ...\n"
    clock.sleep(0.4)
    plain.event(Event(task="resolve", message="0.4 s", finished=True))
    assert stream.getvalue() == "resolve ...\nresolve: 0.4 s\n"
    plain.event(Event(task="start"))
    plain.event(Event(task="start", finished=True))
    assert stream.getvalue().endswith("s\nstart ...\nstart: done\n")


def test_a_quick_count_shows_nothing(plain: ConsoleReporter, stream: io.StringIO, clock: VirtualClock) -> None:
    for done in range(20):
        clock.sleep(0.05)
        plain.event(Event(task="create", done=done, total=20, unit="instances"))
    plain.event(Event(task="create", done=20, total=20, unit="instances", finished=True))
    assert stream.getvalue() == ""


def test_a_long_count_shows_rate_time_left_and_its_end(
    plain: ConsoleReporter, stream: io.StringIO, clock: VirtualClock
) -> None:
    for second in range(11):
        done = second * 10_000_000
        plain.event(Event(task="fetch", done=done, total=100_000_000, unit="bytes", finished=second == 10))
        clock.sleep(1)
    assert stream.getvalue().splitlines() == [
        "fetch: 20.0 MB of 100.0 MB, 10.0 MB/s, 8.0 s left",
        "fetch: 40.0 MB of 100.0 MB, 10.0 MB/s, 6.0 s left",
        "fetch: 60.0 MB of 100.0 MB, 10.0 MB/s, 4.0 s left",
        "fetch: 80.0 MB of 100.0 MB, 10.0 MB/s, 2.0 s left",
        "fetch: 100.0 MB of 100.0 MB, 10.0 MB/s",
    ]


def test_an_unknown_total_promises_nothing(plain: ConsoleReporter, stream: io.StringIO, clock: VirtualClock) -> None:
    plain.event(Event(task="fetch", unit="bytes"))
    clock.sleep(4)
    plain.event(Event(task="fetch", done=8_000_000, unit="bytes", message="2 of 3"))
    assert stream.getvalue() == "fetch: 8.0 MB, 2.0 MB/s, 2 of 3\n"


def test_things_are_counted_in_their_unit(plain: ConsoleReporter, stream: io.StringIO, clock: VirtualClock) -> None:
    plain.event(Event(task="install", total=90, unit="packages"))
    clock.sleep(3)
    plain.event(Event(task="install", done=30, total=90, unit="packages"))
    clock.sleep(3)
    plain.event(Event(task="hash", unit="files"))
    plain.event(Event(task="install", done=60, unit="packages"))
    assert stream.getvalue() == "install: 30 of 90 packages\ninstall: 60 packages\n"


def test_tasks_have_their_own_time_and_a_task_may_come_again(
    plain: ConsoleReporter, stream: io.StringIO, clock: VirtualClock
) -> None:
    plain.event(Event(task="a"))
    plain.event(Event(task="b"))
    plain.event(Event(task="a", message="dropped, nobody can read so fast"))
    plain.event(Event(task="a", message="done", finished=True))
    clock.sleep(0.1)
    plain.event(Event(task="a"))
    assert stream.getvalue() == "a ...\nb ...\na: done\na ...\n"


def test_a_note_is_a_line_as_it_is(plain: ConsoleReporter, stream: io.StringIO) -> None:
    plain.note("run [r-1] goes on: [/red] 5 %")
    plain.close()
    assert stream.getvalue() == "run [r-1] goes on: [/red] 5 %\n"


def test_without_a_stream_it_writes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    ConsoleReporter().note("hello")
    assert capsys.readouterr() == ("", "hello\n")


def test_work_goes_on_when_nobody_watches_any_more() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="utf-8") as stream:
        reporter = ConsoleReporter(stream)
        for _ in range(2):
            reporter.note("nobody reads this")
            reporter.event(Event(task="resolve"))
            reporter.event(Event(task="resolve", finished=True))
        reporter.close()


# --- a terminal -----------------------------------------------------------------------------------------------------


class Screen:
    """A terminal: `stream` writes to it, `text` is what it was sent."""

    def __init__(self) -> None:
        self.master, slave = os.openpty()
        self.stream = os.fdopen(slave, "w", encoding="utf-8")
        self.sent = b""
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        while True:
            try:
                chunk = os.read(self.master, 65536)
            except OSError:  # how Linux says that nobody writes to it any more
                return
            if not chunk:
                return
            self.sent += chunk

    def wait_for(self, text: str) -> None:
        """Wait until a text was sent; a terminal is drawn ten times a second, not at every event."""
        until = time.monotonic() + 10
        while text.encode() not in self.sent:
            assert time.monotonic() < until, f"{text!r} never came: {self.sent!r}"
            time.sleep(0.01)

    def text(self) -> str:
        """Return everything without colours, once the writer has closed it."""
        self.stream.close()
        self.reader.join(10)
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.sent.decode())


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    screen = Screen()
    yield screen
    screen.stream.close()
    screen.reader.join(10)
    os.close(screen.master)


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_may_want_no_movement(
    screen: Screen, monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, name: str, value: str
) -> None:
    assert is_lively(screen.stream)
    assert not is_lively(stream)
    monkeypatch.setenv(name, value)
    assert not is_lively(screen.stream)
    reporter = ConsoleReporter(screen.stream)
    reporter.event(Event(task="resolve"))
    reporter.close()
    assert screen.text() == "resolve ...\r\n"
    assert b"\x1b" not in screen.sent


def test_a_terminal_shows_a_bar_that_fills(screen: Screen) -> None:
    reporter = ConsoleReporter(screen.stream)
    reporter.event(Event(task="install", total=8, unit="packages"))
    reporter.event(Event(task="install", done=4, total=8, unit="packages", message="numpy"))
    screen.wait_for("4 of 8 packages, numpy")
    reporter.note("a line that stays")
    reporter.event(Event(task="install", done=8, total=8, unit="packages", finished=True))
    reporter.event(Event(task="resolve"))
    reporter.event(Event(task="resolve", message="1.5 s", finished=True))
    reporter.close()
    text = screen.text()
    assert "\na line that stays\r\n" in text or "\ra line that stays\r\n" in text
    end = [line for line in text.replace("\r", "\n").splitlines() if "━" in line][-2:]
    assert [line.split()[:2] for line in end] == [["✓", "install"], ["✓", "resolve"]]
    assert [line.count("━") for line in end] == [24, 24]
    assert "8 of 8 packages" in end[0]
    assert "1.5 s" in end[1]
    assert screen.sent.count(b"\x1b[?25l") == screen.sent.count(b"\x1b[?25h") == 1  # the cursor is back


def test_of_work_that_was_undone_no_tick_stays(screen: Screen) -> None:
    reporter = ConsoleReporter(screen.stream)
    reporter.event(Event(task="launch", done=1, total=1, unit="instances", finished=True))
    screen.wait_for("1 of 1 instance ")
    reporter.close(erase=True)
    screen.text()  # closed, and all of it arrived
    assert screen.sent.rstrip().endswith(b"\x1b[1A\x1b[2K"), "the line is not taken back"


def test_names_are_shown_as_they_are_on_a_terminal(screen: Screen) -> None:
    """A file may be called anything; a reporter must not raise, nor swallow what looks like a colour."""
    reporter = ConsoleReporter(screen.stream)
    reporter.event(Event(task="fetch a[/b].csv", unit="bytes", message="[red]slow[/] [/green]"))
    reporter.note("kept [/x] [bold]")
    reporter.event(Event(task="fetch a[/b].csv", done=5, unit="bytes", message="[red]slow[/] [/green]", finished=True))
    reporter.close()
    text = screen.text()
    assert "fetch a[/b].csv" in text
    assert "[red]slow[/] [/green]" in text
    assert "kept [/x] [bold]" in text


def test_after_a_pause_for_a_question_progress_starts_anew(screen: Screen) -> None:
    reporter = ConsoleReporter(screen.stream)
    reporter.event(Event(task="train"))
    reporter.close()
    reporter.note("between")
    reporter.event(Event(task="train", message="again"))
    reporter.event(Event(task="train", message="over", finished=True))
    reporter.close()
    reporter.close()
    text = screen.text()
    assert "between\r\n" in text
    assert "over" in text.partition("between")[2]


def test_events_come_from_any_thread(screen: Screen) -> None:
    reporter = ConsoleReporter(screen.stream)

    def count(task: str) -> None:
        for done in range(50):
            reporter.event(Event(task=task, done=done, total=50, unit="files"))
        reporter.event(Event(task=task, done=50, total=50, unit="files", finished=True))

    threads = [threading.Thread(target=count, args=(f"task-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reporter.close()
    end = screen.text().replace("\r", "\n").splitlines()
    assert all(any(f"task-{number}" in line and "50 of 50 files" in line for line in end) for number in range(4))


@pytest.mark.timeout(20)
def test_a_terminal_may_be_closed(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Its window is; what was started goes on, and every later sign of life is dropped."""
    monkeypatch.setenv("TERM", "xterm-256color")
    master, slave = os.openpty()
    with os.fdopen(slave, "w", encoding="utf-8") as stream:
        reporter = ConsoleReporter(stream)
        reporter.event(Event(task="install", total=8, unit="packages"))
        drawn = b""
        while b"install" not in drawn:  # its window is open, and a bar in it
            drawn += os.read(master, 65536)
        os.close(master)
        reporter.event(Event(task="install", done=4, total=8, unit="packages"))
        reporter.note("nobody reads this")
        reporter.event(Event(task="install", done=8, total=8, unit="packages", finished=True))
        reporter.close()
    assert capfd.readouterr() == ("", "")
