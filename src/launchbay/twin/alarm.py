"""What lets things happen in time on a real clock, whether somebody asks the twin or not."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launchbay.twin.world import World

__all__ = ["Alarm"]

_LATE_S = 0.001
"""So long after the moment it looks, so that it need not look twice."""


class Alarm:
    """Sleeps until the next thing is due and lets it happen, on a thread of its own.

    `lock` is the twin's; `changed` is called under it when something has happened. On a virtual clock it only sleeps: nothing
    comes due there by itself.
    """

    def __init__(self, world: World, lock: threading.RLock, *, changed: Callable[[], None]) -> None:
        self._world = world
        self._changed = changed
        self._bell = threading.Condition(lock)
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name="twin-alarm", daemon=True)

    def start(self) -> None:
        """Begin to look after the clock."""
        self._thread.start()

    def moved(self) -> None:
        """Say that another thing may be the next one. Called under the lock."""
        self._bell.notify_all()

    def close(self) -> None:
        """End. What is due by then, and did not happen, stays due."""
        with self._bell:
            self._is_over = True
            self._bell.notify_all()
        self._thread.join()

    def _run(self) -> None:
        with self._bell:
            while not self._is_over:
                try:
                    if self._world.catch_up():
                        self._changed()
                except Exception:  # noqa: BLE001 - whatever it was: it is in the log, and the clock goes on
                    traceback.print_exc(file=sys.stderr)
                seconds = self._world.clock.until_next()
                self._bell.wait(None if seconds is None else seconds + _LATE_S)
