"""What the tests of providers share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest


@pytest.fixture
def marked() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a process that carries an instance's id and says when it is up."""
    started: list[subprocess.Popen[bytes]] = []

    def start(
        identity: str, code: str = "print('ready', flush=True); import time; time.sleep(600)", *arguments: str
    ) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            env={**os.environ, "LAUNCHBAY_INSTANCE": identity},
            stdout=subprocess.PIPE,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
