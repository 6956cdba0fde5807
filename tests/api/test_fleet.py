"""What is told while a fleet is looked at."""

from __future__ import annotations

from collections.abc import Callable

from launchbay.api.fleet import execute, verify
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.testing import RecordingReporter
from tests.providers.specs import make_instances


def test_a_proof_is_counted_while_it_is_made(
    bay: Bay, with_image: Callable[[str], Image], reporter: RecordingReporter
) -> None:
    make_instances(bay, with_image("tiny"), 3)
    assert verify(bay, "exp").identical
    prints = [event for event in reporter.events if event.task == "verify exp"]
    assert {(event.total, event.unit) for event in prints} == {(3, "instances")}
    assert sorted((event.done, event.finished) for event in prints) == [(0, False), (1, False), (2, False), (3, True)]
    hashing = [event for event in reporter.events if event not in prints]
    assert [(event.task, event.done, event.total, event.finished) for event in hashing] == [
        ("hash the image of exp", 0, 1, False),
        ("hash the image of exp", 1, 1, True),
    ]


def test_removing_a_package_that_shadows_the_image_leaves_its_commands(
    bay: Bay, with_image: Callable[[str], Image]
) -> None:
    (instance,) = make_instances(bay, with_image("tiny"))
    pip = instance.root / "env" / "bin" / "pip"
    linked = pip.readlink()
    assert execute(bay, "exp", ["sh", "-c", 'rm "$VIRTUAL_ENV/bin/pip"']) == (0, b"")  # as an uninstaller does
    assert pip.readlink() == linked
    assert verify(bay, "exp").identical
    assert execute(bay, "exp", ["sh", "-c", 'rm "$VIRTUAL_ENV/bin/pip"; echo mine > "$VIRTUAL_ENV/bin/pip"']) == (
        0,
        b"",
    )
    assert pip.read_text(encoding="utf-8") == "mine\n", "what somebody put there stays"
