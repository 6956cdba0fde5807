from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.planning.fleet import Instance
from launchbay.providers.processes import end_processes, instance_processes
from tests.runs.running import Project, make_instance


@pytest.fixture
def instance(bay: Bay, with_image: Callable[[str], Image]) -> Iterator[Instance]:
    """Return an instance of the tiny image; whatever runs in it is ended."""
    made = make_instance(bay, with_image("tiny"))
    yield made
    end_processes(instance_processes([made.id]))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a function that writes a project and returns its `train.py`."""

    def write(files: Mapping[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / "project" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path / "project" / "train.py"

    return write
