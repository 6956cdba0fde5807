"""Folders that go away again, and images that are asked without an instance."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from launchbay.errors import UserError
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay, image_transport
from launchbay.lifecycle.scratch import ask_image, scratch
from tests.lifecycle.killing import leftovers


def test_a_scratch_folder_is_there_while_it_is_used_and_gone_after(bay: Bay) -> None:
    with scratch(bay) as folder:
        (folder / "deep").mkdir()
        bay.provider.sweep()
        assert (folder / "deep").exists(), "somebody's sweep took it"
    assert leftovers(bay.home) == []


def test_that_of_a_killed_command_goes_with_the_next_sweep(bay: Bay) -> None:
    child = os.fork()
    if child == 0:
        with scratch(bay):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert len(leftovers(bay.home)) == 1
    bay.provider.sweep()
    assert leftovers(bay.home) == []


def test_an_image_answers_without_an_instance_and_leaves_nothing(bay: Bay, with_image: Callable[[str], Image]) -> None:
    answer = ask_image(bay, with_image("tiny"), "probe", {"modules": ["six"]})
    assert answer["versions"] == {"six": "1.17.0"}
    with pytest.raises(UserError, match="`import nosuch` fails"):
        ask_image(bay, with_image("tiny"), "probe", {"modules": ["nosuch"]})
    assert leftovers(bay.home) == []


def test_what_it_writes_for_a_moment_lies_in_its_own_folder(bay: Bay, with_image: Callable[[str], Image]) -> None:
    image = with_image("tiny")
    with scratch(bay) as folder:
        transport = image_transport(bay, image, folder=str(folder))
        done = transport.run([str(image.python_path), "-c", "import tempfile; print(tempfile.gettempdir())"])
        assert done.stdout.decode().strip() == str(folder)
