"""Who hears Ctrl-C while a command has the terminal."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

__all__ = ["without_interrupts"]


@contextlib.contextmanager
def without_interrupts() -> Iterator[None]:
    """Let Ctrl-C pass us by, not a child: raised just when the child was waited for, it would lose the child's code."""
    is_raised = threading.current_thread() is threading.main_thread()  # in no other thread
    if not is_raised or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield
        return
    before = signal.signal(signal.SIGINT, lambda *_: None)  # a handler, unlike "ignore", is not inherited
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)
