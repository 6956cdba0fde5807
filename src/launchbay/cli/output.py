"""What we write, and what happens once nobody reads it any more: `| head`, a window that was closed."""

from __future__ import annotations

import errno
import os
import sys
from typing import Any, TextIO

from launchbay.errors import UserError

__all__ = ["LastingStream", "ReaderLeft", "complain", "printable", "write_bytes", "write_text"]

_GONE = {errno.EPIPE, errno.EIO}
"""How the system says that the other end of a pipe, or of a terminal, is not there any more."""


class ReaderLeft(Exception):
    """Nobody reads what we write any more, and there was more to say."""


def write_bytes(stream: TextIO, data: bytes) -> None:
    """Write to stdout or stderr; once that fails, all that follows is dropped.

    Raises ReaderLeft when its reader has gone, UserError when what it leads to takes no more (a disk that is full).
    """
    try:
        stream.flush()
        stream.buffer.write(data)
        stream.buffer.flush()
    except OSError as error:
        _drop(stream)
        if error.errno not in _GONE:
            raise UserError(f"the output cannot be written: {error.strerror}", where=stream.name) from error
        raise ReaderLeft from error


def printable(text: str) -> str:
    """Write out what a terminal would take for a command: a name can hold an escape sequence."""
    return "".join(
        letter if letter.isprintable() or letter == "\n" else letter.encode("unicode_escape").decode()
        for letter in text
    )


def write_text(text: str) -> None:
    """Write text to stdout, whatever is in it: a file's name need not fit the terminal's letters. Raises ReaderLeft."""
    write_bytes(sys.stdout, text.encode(sys.stdout.encoding, "backslashreplace"))


def complain(text: str) -> None:
    """Write a line to stderr; with nobody there to read it, do nothing."""
    LastingStream(sys.stderr).write(text + "\n")


class LastingStream:
    """A stream for what is only told by the way: once it cannot be written, all that follows is dropped."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write and flush; never fails."""
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            _drop(self._stream)
        return len(text)

    def flush(self) -> None:
        """Do nothing: whatever is written is out already."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _drop(stream: TextIO) -> None:
    """Let the stream lead nowhere; Python, too, would complain at exit about what it could not write."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
