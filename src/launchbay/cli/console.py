"""Progress on a terminal as moving bars, elsewhere as plain lines; always on stderr, so that stdout holds only the answer."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, TextIO, cast

from launchbay.cli.output import LastingStream
from launchbay.ports import Event
from launchbay.units import format_bytes, format_duration

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["ConsoleReporter", "is_lively"]

_PLAIN_EVERY_S = 2.0


def is_lively(stream: TextIO) -> bool:
    """Say whether a stream is a terminal that wants colour and movement."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class ConsoleReporter:
    """Shows events. A task's first event appears at once; plain lines come at most every two seconds a task."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._lively = is_lively(stream or sys.stderr)
        self._stream = LastingStream(stream or sys.stderr)  # the work goes on when nobody watches any more
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._began: dict[str, float] = {}
        self._said: dict[str, float] = {}
        self._words: dict[str, str] = {}
        self._lock = threading.Lock()

    def event(self, event: Event) -> None:
        """Show where a task stands."""
        with self._lock:
            if self._lively:
                self._draw(event)
            else:
                self._say(event)

    def note(self, text: str) -> None:
        """Show a line that stays."""
        with self._lock:
            if self._progress is not None:
                self._progress.console.print(text, highlight=False, markup=False)
            else:
                self._stream.write(text + "\n")

    def close(self, *, erase: bool = False) -> None:
        """Leave the terminal as it should be; progress after this starts anew.

        `erase` takes the bars away: of work that was interrupted and undone, a tick would say otherwise.
        """
        if self._progress is not None:
            self._progress.live.transient = erase
            self._progress.stop()
            self._progress = None
            self._tasks.clear()

    def _say(self, event: Event) -> None:
        """Write a line where a task begins, every two seconds, and at its end; a count that is quick is not worth one."""
        now = time.monotonic()
        began = self._began.setdefault(event.task, now)
        said = self._said.get(event.task, began if event.unit else 0.0)
        is_due = now - said >= _PLAIN_EVERY_S
        words = _words(event, now - began)
        is_news = words != self._words.get(event.task)
        if (is_due and is_news) or (event.finished and (event.task in self._said or not event.unit)):
            self._said[event.task], self._words[event.task] = now, words
            shown = words or ("done" if event.finished else "")
            self._stream.write(f"{event.task}: {shown}\n" if shown else f"{event.task} ...\n")
        if event.finished:
            self._began.pop(event.task)
            self._said.pop(event.task, None)
            self._words.pop(event.task, None)

    def _draw(self, event: Event) -> None:
        from rich.console import Console  # 50 ms, and only those who wait for something pay it
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

        if self._progress is None:
            self._progress = Progress(
                SpinnerColumn(finished_text="[green]✓"),
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[words]}", markup=False),
                TimeRemainingColumn(compact=True, elapsed_when_finished=True),
                console=Console(file=cast("TextIO", self._stream)),
            )
            self._progress.start()
        began = self._began.setdefault(event.task, time.monotonic())
        if event.task not in self._tasks:
            self._tasks[event.task] = self._progress.add_task(event.task, total=event.total, words="")
        total = event.total if event.total is not None else (1 if event.finished else None)
        done = total if event.finished and total is not None else event.done
        self._progress.update(
            self._tasks[event.task], completed=done, total=total, words=_words(event, time.monotonic() - began)
        )
        if event.finished:
            self._tasks.pop(event.task)
            self._began.pop(event.task)


def _words(event: Event, elapsed: float) -> str:
    """Return amount, rate and time left in words: ``151.2 of 712.4 MB, 24.1 MB/s, 23 s left``."""
    if event.unit == "bytes":
        amount = format_bytes(event.done)
        if event.total is not None:
            amount += f" of {format_bytes(event.total)}"
        rate = f"{format_bytes(event.done / elapsed)}/s" if elapsed > 0.5 and event.done else ""
    elif event.unit:
        unit = event.unit.removesuffix("s") if event.total == 1 else event.unit
        amount = f"{event.done} of {event.total} {unit}" if event.total is not None else f"{event.done} {unit}"
        rate = ""
    else:
        amount = rate = ""
    left = ""
    if event.unit == "bytes" and event.total and 0 < event.done < event.total and elapsed > 1:
        left = f"{format_duration(elapsed * (event.total - event.done) / event.done)} left"
    return ", ".join(part for part in (amount, rate, left, event.message) if part)
