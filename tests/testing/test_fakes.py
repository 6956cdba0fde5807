"""The public fakes: they can do what they are advertised to, and satisfy the seams they stand in for."""

from __future__ import annotations

import time

import pytest

import launchbay.testing
from launchbay.ports import Clock, Event, Reporter
from launchbay.providers.base import CanStop, Provider
from launchbay.testing import FakeProvider, RecordingReporter, RecordingTransport, VirtualClock
from launchbay.transport.base import Completed, Transport
from launchbay.transport.local import LocalTransport


def test_each_fits_its_seam() -> None:
    """The annotations are what is tested, by mypy."""
    clock: Clock = VirtualClock()
    reporter: Reporter = RecordingReporter()
    provider: Provider = FakeProvider(clock=clock)
    stopping: CanStop = FakeProvider()
    transports: list[Transport] = [RecordingTransport(), LocalTransport(environment={}, folder="/")]
    assert isinstance(provider, CanStop)
    assert isinstance(stopping, FakeProvider)
    assert reporter is not None
    for transport in transports:
        transport.close()
        transport.close()


def test_virtual_time_passes_only_by_sleeping() -> None:
    clock, began = VirtualClock(), time.monotonic()
    first = clock.now()
    clock.sleep(86_400)
    assert clock.now() == first + 86_400
    assert time.monotonic() - began < 5


def test_a_transport_remembers_and_answers_in_order() -> None:
    transport = RecordingTransport(answers=[Completed(code=3, stdout=b"a\nb\n", stderr=b"c")])
    assert transport.run(["one", "two"]).code == 3
    assert transport.run(["three"], data=b"x", timeout=1).code == 0
    transport.put("here", "there")
    transport.get("there", "here")
    assert transport.attach(["sh"]) == 0
    transport.answers.append(Completed(code=0, stdout=b"first\nsecond\n", stderr=b""))
    assert transport.start(["prog"], data=b"", errors="/dev/null") == b"first"
    assert transport.commands == [
        ("one", "two"),
        ("three",),
        ("put", "here", "there"),
        ("get", "there", "here"),
        ("sh",),
        ("prog",),
    ]


def test_a_reporter_remembers() -> None:
    reporter = RecordingReporter()
    reporter.event(Event(task="a", done=1))
    reporter.note("b")
    assert (reporter.events, reporter.notes) == ([Event(task="a", done=1)], ["b"])


def test_every_advertised_name_is_there() -> None:
    for name in launchbay.testing.__all__:
        assert getattr(launchbay.testing, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = launchbay.testing.Nothing
