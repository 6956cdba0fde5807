"""Being asked to end, other than by Ctrl-C: a service manager's SIGTERM, a closed window's SIGHUP."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["ended_like_interrupted"]


@contextmanager
def ended_like_interrupted() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt, so that what has to be cleaned up is.

    Only the first one does: a shell that is closed sends its SIGHUP after the terminal's own, and the second would
    cut the clean-up off. Under `nohup` SIGHUP stays ignored.
    """
    before = {sign: signal.getsignal(sign) for sign in (signal.SIGTERM, signal.SIGHUP)}
    watched = [sign for sign, handler in before.items() if handler is not signal.SIG_IGN]

    def interrupt(*_: object) -> None:
        for sign in watched:
            signal.signal(sign, signal.SIG_IGN)
        raise KeyboardInterrupt

    try:
        for sign in watched:
            signal.signal(sign, interrupt)
        yield
    finally:
        for sign in watched:
            signal.signal(sign, before[sign] or signal.SIG_DFL)
