"""A command on a terminal of its own: what a person sees and types."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Terminal", "on_terminal"]

_TAKE = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"


class Terminal:
    """A running command, and the screen it writes on."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self.master = master
        self.shown = ""

    def until(self, text: str, *, seconds: float = 20) -> str:
        """Wait until a text is shown; return all that was shown so far."""
        end = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < end, f"{text!r} was never shown: {self.shown!r}"
            if not self._read(0.1) and self.process.poll() is not None:
                assert text in self.shown, f"it ended without {text!r}: {self.shown!r}"
        return self.shown

    def type(self, text: str) -> None:
        r"""Type on it; ``\\x03`` is Ctrl-C."""
        os.write(self.master, text.encode())

    def end(self) -> int:
        """Read what is still shown; return the exit code."""
        end = time.monotonic() + 30
        while self.process.poll() is None:
            assert time.monotonic() < end, f"it did not end: {self.shown!r}"
            self._read(0.05)
        while self._read(0.05):
            pass
        return self.process.returncode

    def hang_up(self) -> None:
        """Close the window."""
        os.close(self.master)
        self.master = -1

    def _read(self, seconds: float) -> bool:
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        with contextlib.suppress(OSError):  # EIO: nobody has it open any more
            chunk = os.read(self.master, 65536)
            self.shown += chunk.decode(errors="replace")
            return bool(chunk)
        return False


@contextlib.contextmanager
def on_terminal(command: Sequence[str], *, environ: Mapping[str, str] | None = None) -> Iterator[Terminal]:
    """Run a command as the leader of a new terminal."""
    master, slave = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", _TAKE, *command],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        env={**os.environ, "TERM": "xterm", **(environ or {})},
    )
    os.close(slave)
    terminal = Terminal(process, master)
    try:
        yield terminal
    finally:
        process.kill()
        process.wait()
        if terminal.master >= 0:
            os.close(terminal.master)
