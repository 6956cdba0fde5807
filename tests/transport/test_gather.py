"""One function on many transports."""

from __future__ import annotations

import threading
import time

import pytest

from launchbay.errors import LaunchbayError, UserError
from launchbay.testing import RecordingTransport
from launchbay.transport.gather import gather


class Crowd:
    """Counts who is at work."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now = self.most = 0

    def work(self, transport: RecordingTransport) -> int:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.02)
        with self.lock:
            self.now -= 1
        if transport.commands:
            raise UserError("no")
        return 1


def test_results_and_errors_come_by_name_and_no_more_work_than_allowed() -> None:
    crowd = Crowd()
    many = {str(number): RecordingTransport() for number in range(12)}
    many["3"].commands.append(("x",))
    done = gather(many, crowd.work, at_once=4)
    assert crowd.most == 4
    assert list(done.results) == [name for name in many if name != "3"]
    assert [(name, error.what) for name, error in done.errors.items()] == [("3", "no")]
    assert gather({}, crowd.work).results == {}


def test_a_bug_is_raised_once_all_have_ended() -> None:
    ended: list[int] = []

    def work(transport: RecordingTransport) -> None:
        if transport is many["0"]:
            raise KeyError("a bug")
        time.sleep(0.05)
        ended.append(1)

    many = {str(number): RecordingTransport() for number in range(3)}
    with pytest.raises(KeyError, match="a bug"):
        gather(many, work)
    assert len(ended) == 2
    assert not issubclass(KeyError, LaunchbayError)
