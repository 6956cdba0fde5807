"""Who hears Ctrl-C while a command has the terminal."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator, Sequence

__all__ = ["without_interrupts"]


@contextlib.contextmanager
def without_interrupts() -> Iterator[Sequence[int]]:
    """Let Ctrl-C pass us by, not a child: raised just when the child was waited for, it would lose the child's code.

    What is lent holds one item for each that passed us by.
    """
    heard: list[int] = []
    is_raised = threading.current_thread() is threading.main_thread()  # in no other thread
    if not is_raised or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield heard
        return
    before = signal.signal(
        signal.SIGINT, lambda number, _: heard.append(number)
    )  # a handler, unlike "ignore", is not inherited
    try:
        yield heard
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)
