from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from launchbay.cli.main import main
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.planning.fleet import Instance
from tests.providers.specs import make_instances


@dataclass(frozen=True)
class Said:
    """What a command said and its exit code."""

    code: int
    out: str
    err: str

    @property
    def value(self) -> Any:
        """Its whole stdout as JSON."""
        return json.loads(self.out)


@pytest.fixture
def says(capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Return a function that runs `bay` in this process."""

    def run(*arguments: str) -> Said:
        capfd.readouterr()
        code = main(arguments)
        out, err = capfd.readouterr()
        return Said(code, out, err)

    return run


@pytest.fixture
def two(bay: Bay, with_image: Callable[[str], Image]) -> list[Instance]:
    """Two instances, exp-1 and exp-2."""
    return make_instances(bay, with_image("tiny"), 2)
