"""What is told while a fleet is looked at."""

from __future__ import annotations

from collections.abc import Callable

from launchbay.api.fleet import verify
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.testing import RecordingReporter
from tests.providers.specs import make_instances


def test_a_proof_is_counted_while_it_is_made(
    bay: Bay, with_image: Callable[[str], Image], reporter: RecordingReporter
) -> None:
    make_instances(bay, with_image("tiny"), 3)
    assert verify(bay, "exp").identical
    assert {(event.task, event.total, event.unit) for event in reporter.events} == {("verify exp", 3, "instances")}
    assert sorted(event.done for event in reporter.events) == [0, 1, 2, 3, 3]
    assert [event.finished for event in reporter.events] == [False] * 4 + [True]
