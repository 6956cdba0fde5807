"""What every command gets: the arguments, the bay, and where to write."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import launchbay
from launchbay.cli.console import ConsoleReporter
from launchbay.cli.output import LastingStream, ReaderLeft, printable, write_bytes, write_text
from launchbay.errors import UsageError
from launchbay.lifecycle.bay import Bay
from launchbay.ports import Event

__all__ = ["Context", "list_width"]


@dataclass(slots=True)
class Context:
    """What every command gets: the arguments, the bay, and where to write."""

    arguments: Namespace
    bay: Bay
    reporter: ConsoleReporter
    last: bytes = b"\n"
    """How the script's output on stdout ended so far; it need not end its line."""

    def show(self, value: object, text: Callable[[], str], *, is_drawn: bool = False) -> None:
        """Print the value as JSON or as text, after all progress is off the screen.

        Names of files and scripts may hold anything: what a terminal takes for a command is only let through where we
        draw in colours.
        """
        self.reporter.close()
        if self.arguments.json:
            shown = json.dumps(launchbay.to_json(value), indent=1)
        else:
            shown = text() if is_drawn else printable(text())
        begin = "" if self.last == b"\n" else "\n"
        with contextlib.suppress(ReaderLeft):  # the work is done, and the exit code still tells how it ended
            write_text(begin + shown + "\n")

    @contextlib.contextmanager
    def waiting(self, task: str) -> Iterator[None]:
        """Show that something goes on which takes seconds and says nothing meanwhile."""
        self.reporter.event(Event(task=task))
        yield
        self.reporter.event(Event(task=task, message="done", finished=True))

    def agree(self, question: str, *, by_hand: str = "", is_harmless: bool = False) -> None:
        """Ask before something is removed; where nobody can answer, refuse and say how to agree beforehand.

        `by_hand` are the commands that do the same. For what is harmless, Enter alone means yes.
        """
        if self.arguments.yes:
            return
        if self.arguments.json or not sys.stdin.isatty():
            hint = f"{by_hand}; or the same command with -y" if by_hand else "the same command with -y"
            raise UsageError(f"{question}: this needs your consent", hint=hint)
        LastingStream(sys.stderr).write(f"{question}. Go on? {'[Y/n]' if is_harmless else '[y/N]'} ")
        typed = sys.stdin.readline()
        answer = typed.strip().lower() or ("y" if is_harmless and typed else "n")
        if answer not in ("y", "yes"):
            raise UsageError("nothing was done")

    def output(self, chunk: bytes) -> None:
        """Pass on what a script prints; with --json stdout is for the answer alone. Raises ReaderLeft."""
        self.reporter.close()  # bars that are drawn anew all the time would be in its way
        if self.arguments.json:
            with contextlib.suppress(ReaderLeft):  # it is only told by the way
                write_bytes(sys.stderr, chunk)
        else:
            write_bytes(sys.stdout, chunk)
            self.last = chunk[-1:] or self.last


def list_width() -> int | None:
    """Return how wide a list may be: as the terminal is; for a file or a pipe, as it comes."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
